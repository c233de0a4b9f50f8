"""Where a neighbour sends its answers: asks it to echo to an address, and looks at the frame.

That shows what it has believed of an ARP answer, which nothing else does.
Source: RFC 792, RFC 1812 section 3.3.2 (routers that refuse a group's MAC); packet(7).
"""

import os
import select
import socket
import struct
import time
from ipaddress import IPv4Address

from standfest.adapters.linux.rtnetlink import RouteNetlink
from standfest.model.errors import OperationError, WireError
from standfest.wire import icmp
from standfest.wire.ipv4 import encode_header

ETH_P_ALL, ETHERTYPE_IPV4, ICMP, TTL = 3, 0x0800, 1, 64
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_MULTICAST = 263, 1, 0
PACKET_IGNORE_OUTGOING = 23
ASKS = 3
"""A single request may be lost, or begin the neighbour's own question."""
MAX_FRAME = 2048


class Echo:
    """A neighbour on one interface that is asked."""

    def __init__(self, interface: str, hears: bytes) -> None:
        """Listen for answers, also for those to this MAC; raises OperationError."""
        netlink = RouteNetlink()
        try:
            link = netlink.link(interface)
        finally:
            netlink.close()
        if link is None or len(link.mac) != 6:
            raise OperationError(f"{interface} has no Ethernet address")
        self.mac = link.mac
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            self._socket.bind((interface, ETH_P_ALL))
            if hears[0] & 1:
                index = socket.if_nametoindex(interface)
                group = struct.pack("@iHH8s", index, PACKET_MR_MULTICAST, len(hears), hears)
                self._socket.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, group)
        except OSError as error:
            raise OperationError(f"{interface}: {error.strerror}; expected to be root") from error
        self._token = os.urandom(16)

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()

    def sent_to(
        self, neighbour: IPv4Address, at: bytes, asks: IPv4Address, timeout_s: float
    ) -> bytes | None:
        """Return the MAC to which a neighbour echoes what `asks` sends it; None: it does not."""
        for number in range(1, ASKS + 1):
            request = icmp.echo(4, 0x5F5F, number, self._token)
            header = encode_header(
                source=asks.packed,
                destination=neighbour.packed,
                ttl=TTL,
                tos=0,
                identification=number,
                protocol=ICMP,
                payload_bytes=len(request),
            )
            try:
                self._socket.send(at + self.mac + ETHERTYPE_IPV4.to_bytes(2) + header + request)
                found = self._heard(asks, number, time.monotonic() + timeout_s / ASKS)
            except OSError as error:
                raise OperationError(f"cannot ask {neighbour}: {error.strerror}") from error
            if found is not None:
                return found
        return None

    def _heard(self, asks: IPv4Address, number: int, until: float) -> bytes | None:
        while (left := until - time.monotonic()) > 0:
            if not select.select([self._socket], [], [], left)[0]:
                continue
            frame = self._socket.recv(MAX_FRAME)
            packet = frame[14:]
            if frame[12:14] != ETHERTYPE_IPV4.to_bytes(2) or packet[16:20] != asks.packed:
                continue
            try:
                message = icmp.without_ipv4_header(packet)
            except WireError:
                continue
            # What follows the packet pads the frame to Ethernet's 60 bytes.
            message = message[: 8 + len(self._token)]
            if packet[9] == ICMP and icmp.is_reply(4, message, number, self._token):
                return frame[:6]
        return None
