"""How copies of connections travel between directors: datagrams on one interface.

To a multicast group on the interface, or to one partner's address. Source: ip(7), ipv6(7).
"""

import contextlib
import socket
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

GROUP = IPv4Address("239.255.88.48")
"""Administratively scoped (RFC 2365): no router passes it on. IPVS's own daemon has another one."""
MAX_DATAGRAM = 65_535
RECEIVE_BUFFER_BYTES = 16 << 20
SO_BINDTODEVICE = 25
_SO_RCVBUFFORCE = 33


class SyncPath:
    """One socket; `peer`: a group or an address, None: GROUP. Raises OSError when it cannot be."""

    def __init__(
        self, interface: str, port: int, peer: IPv4Address | IPv6Address | None = None, ttl: int = 1
    ) -> None:
        peer = peer or GROUP
        family = socket.AF_INET if peer.version == 4 else socket.AF_INET6
        self._peer = (str(peer), port)
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            with contextlib.suppress(PermissionError):
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
            self._socket.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, interface.encode() + b"\0")
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(("", port))
            if peer.is_multicast:
                self._join(peer, socket.if_nametoindex(interface), ttl)
        except OSError:
            self._socket.close()
            raise

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

    def receive(self) -> tuple[bytes, str] | None:
        """Return (datagram, sender), or None when there is none."""
        try:
            datagram, sender = self._socket.recvfrom(MAX_DATAGRAM)
        except OSError:
            return None
        return datagram, str(ip_address(sender[0].partition("%")[0]))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
