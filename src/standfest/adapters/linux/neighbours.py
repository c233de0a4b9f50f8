"""Telling neighbours where an address is, and hearing who else says that it is his.

Frames are made elsewhere (wire/); here are the packet sockets. Source: packet(7).
"""

import contextlib
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from standfest.adapters.linux import bpf
from standfest.adapters.linux.vrrplink import PACKET_IGNORE_OUTGOING, SOL_PACKET
from standfest.model.errors import WireError
from standfest.wire import arp, ndp

MAX_FRAME_BYTES = 1514
IPV6_HEADER_BYTES = 40


class Announcer:
    """Sends Ethernet frames out of any interface."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setblocking(False)

    def send(self, interface: str, frame: bytes) -> bool:
        """Send one frame; False when the interface cannot now."""
        try:
            self._socket.sendto(frame, (interface, 0))
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody says that an address is at his MAC."""

    interface: str
    ip: IPv4Address | IPv6Address
    mac: bytes


class ClaimSensor:
    """Hears ARP and neighbour advertisements about a set of addresses on one interface.

    What this machine sends itself is not heard, whatever MAC it has.
    """

    def __init__(self, interface: str) -> None:
        """Open the sockets, which hear nothing yet; raises OSError."""
        self.interface = interface
        self._addresses: frozenset[IPv4Address | IPv6Address] = frozenset()
        self._sockets = {
            4: self._open(arp.ETHERTYPE),
            6: self._open(ndp.ETHERTYPE_IPV6),
        }

    def watch(self, addresses: Iterable[IPv4Address | IPv6Address]) -> None:
        """Hear about these addresses from now on."""
        wanted = frozenset(addresses)
        if wanted == self._addresses:
            return
        self._addresses = wanted
        fours = [int(ip) for ip in wanted if ip.version == 4]
        sixes = [int(ip) & 0xFFFFFFFF for ip in wanted if ip.version == 6]
        bpf.attach(self._sockets[4], bpf.arp_sender_filter(fours))
        bpf.attach(self._sockets[6], bpf.advertisement_filter(sixes))

    def descriptors(self) -> list[int]:
        """Return the sockets' descriptors."""
        return [endpoint.fileno() for endpoint in self._sockets.values()]

    def receive(self) -> list[Claim]:
        """Return the claims that have arrived, at most one from each socket."""
        found = []
        for version, endpoint in self._sockets.items():
            with contextlib.suppress(OSError):
                packet = endpoint.recv(MAX_FRAME_BYTES)
                claim = _claim(self.interface, version, packet)
                if claim is not None and claim.ip in self._addresses:
                    found.append(claim)
        return found

    def close(self) -> None:
        """Close the sockets, which takes the kernel tens of milliseconds."""
        for endpoint in self._sockets.values():
            endpoint.close()

    def _open(self, ethertype: int) -> socket.socket:
        endpoint = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        try:
            endpoint.setblocking(False)
            endpoint.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            bpf.attach(endpoint, [bpf.DROP])
            endpoint.bind((self.interface, ethertype))
        except OSError:
            endpoint.close()
            raise
        return endpoint


def _claim(interface: str, version: int, packet: bytes) -> Claim | None:
    """Return what an ARP packet, or an IPv6 packet with an NA, claims, if anything."""
    try:
        if version == 4:
            found = arp.decode(packet)
            return Claim(interface, IPv4Address(found.sender), found.sender_mac)
        if len(packet) < IPV6_HEADER_BYTES:
            return None
        length, hop_limit = int.from_bytes(packet[4:6]), packet[7]
        message = packet[IPV6_HEADER_BYTES:][:length]
        told = ndp.decode(
            message, source=packet[8:24], destination=packet[24:40], hop_limit=hop_limit
        )
    except WireError:
        return None
    return None if told.mac is None else Claim(interface, IPv6Address(told.target), told.mac)
