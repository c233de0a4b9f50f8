"""How copies of connections travel between directors: datagrams on one interface.

To a multicast group on the interface, or to one partner's address. Source: ip(7), ipv6(7).
"""

import contextlib
import socket
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

GROUP = IPv4Address("239.255.88.48")
"""Administratively scoped (RFC 2365): no router passes it on. IPVS's own daemon has another one."""
MAX_HOPS = 255
MAX_DATAGRAM = 65_535
MAX_ANCILLARY = 64
RECEIVE_BUFFER_BYTES = 16 << 20
SO_BINDTODEVICE = 25
_SO_RCVBUFFORCE = 33
_IP_TTL, _IP_RECVTTL, _IPV6_HOPLIMIT, _IPV6_RECVHOPLIMIT = 2, 12, 52, 51

Heard = tuple[bytes, IPv4Address | IPv6Address, int]
"""A datagram, its sender, and the hop limit that it has arrived with."""


class SyncPath:
    """One socket; `peer`: a group or an address, None: GROUP. Raises OSError when it cannot be.

    ttl: hop limit of what goes to a group. What goes to an address has the highest there is. A
    group's socket hears nothing that was sent to an address.
    """

    def __init__(
        self, interface: str, port: int, peer: IPv4Address | IPv6Address | None = None, ttl: int = 1
    ) -> None:
        peer = peer or GROUP
        self._six = peer.version == 6
        self._peer = (str(peer), port)
        self._socket = socket.socket(
            socket.AF_INET6 if self._six else socket.AF_INET, socket.SOCK_DGRAM
        )
        try:
            self._socket.setblocking(False)
            with contextlib.suppress(PermissionError):
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
            self._socket.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, interface.encode() + b"\0")
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            index = socket.if_nametoindex(interface)
            if peer.is_multicast:
                self._bind(str(peer), port, index)
                self._join(peer, index, ttl)
            else:
                self._bind("", port, index)
                self._count_hops()
        except OSError:
            self._socket.close()
            raise

    def _bind(self, address: str, port: int, index: int) -> None:
        self._socket.bind((address, port, 0, index) if self._six else (address, port))

    def _count_hops(self) -> None:
        if self._six:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, MAX_HOPS)
            self._socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVHOPLIMIT, 1)
        else:
            self._socket.setsockopt(socket.IPPROTO_IP, _IP_TTL, MAX_HOPS)
            self._socket.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)

    def _join(self, group: IPv4Address | IPv6Address, index: int, ttl: int) -> None:
        if group.version == 4:
            request = struct.pack("@4s4si", group.packed, bytes(4), index)
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
            return
        request = group.packed + struct.pack("@I", index)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, ttl)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._socket.fileno()

    def send(self, datagram: bytes) -> None:
        """Send one datagram; raises OSError when the interface cannot now."""
        self._socket.sendto(datagram, self._peer)

    def receive(self) -> Heard | None:
        """Return what has arrived, or None when there is nothing."""
        try:
            datagram, ancillary, _, sender = self._socket.recvmsg(MAX_DATAGRAM, MAX_ANCILLARY)
        except OSError:
            return None
        wanted = (
            (socket.IPPROTO_IPV6, _IPV6_HOPLIMIT) if self._six else (socket.IPPROTO_IP, _IP_TTL)
        )
        limits = [
            struct.unpack_from("=i", value)[0]
            for level, kind, value in ancillary
            if (level, kind) == wanted and len(value) >= 4
        ]
        return datagram, ip_address(sender[0].partition("%")[0]), limits[0] if limits else 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
