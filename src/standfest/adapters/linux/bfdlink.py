"""The UDP sockets that carry BFD: one ear for each IP version, one mouth for each session.

Packets leave with TTL 255 unless the settings say otherwise, and come with the TTL that they had
here: it says how far they have travelled. Source: RFC 5881 sections 4 and 5, ip(7), ipv6(7).
"""

import contextlib
import errno
import socket
import struct
from collections.abc import Callable
from ipaddress import ip_address

from standfest.model.errors import OperationError
from standfest.model.vrrp import IPAddress
from standfest.wire import bfd

MAX_DATAGRAM_BYTES = 512
MAX_ANCILLARY_BYTES = 128
IP_TTL, IP_RECVTTL, IPV6_HOPLIMIT, IPV6_RECVHOPLIMIT = 2, 12, 52, 51
INTERNETWORK_CONTROL = 0xC0
"""Precedence 6, as routing protocols have it."""
PORT_ATTEMPTS = 32

Heard = tuple[IPAddress, int, bytes]
"""Source, TTL on arrival, datagram."""


class BfdEar:
    """Hears all control packets of one IP version."""

    def __init__(self, version: int) -> None:
        """Open the socket; raises OperationError when somebody else does BFD here."""
        self._six = version == 6
        family = socket.AF_INET6 if self._six else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            if self._six:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                self._socket.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1)
            else:
                self._socket.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
            self._socket.bind(("", bfd.PORT_SINGLE_HOP))
        except OSError as error:
            self._socket.close()
            raise OperationError(
                f"cannot hear BFD on UDP port {bfd.PORT_SINGLE_HOP}: {error.strerror}"
            ) from error

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    def receive(self) -> Heard | None:
        """Return one packet, or None for a false alarm."""
        try:
            data, ancillary, _, sender = self._socket.recvmsg(
                MAX_DATAGRAM_BYTES, MAX_ANCILLARY_BYTES
            )
        except OSError:
            return None
        wanted = (socket.IPPROTO_IPV6, IPV6_HOPLIMIT) if self._six else (socket.IPPROTO_IP, IP_TTL)
        for level, kind, value in ancillary:
            if (level, kind) == wanted and len(value) >= 4:
                ttl = struct.unpack_from("=i", value)[0]
                return ip_address(sender[0].partition("%")[0]), ttl, data
        return None

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class BfdMouth:
    """Speaks to one neighbour, always from the same port (RFC 5881 section 4)."""

    def __init__(
        self,
        neighbor: IPAddress,
        source: IPAddress | None,
        ttl: int | None,
        choose: Callable[[range], int],
    ) -> None:
        """Open the socket; `choose` picks a source port. Raises OSError."""
        self._target = (str(neighbor), bfd.PORT_SINGLE_HOP)
        six = neighbor.version == 6
        self._socket = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            hops = bfd.TTL if ttl is None else ttl
            if six:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
                self._socket.setsockopt(
                    socket.IPPROTO_IPV6, socket.IPV6_TCLASS, INTERNETWORK_CONTROL
                )
            else:
                self._socket.setsockopt(socket.IPPROTO_IP, IP_TTL, hops)
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, INTERNETWORK_CONTROL)
            with contextlib.suppress(OSError):  # before other traffic in the queue
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 6)
            self._bind("" if source is None else str(source), choose)
        except OSError:
            self._socket.close()
            raise

    def send(self, data: bytes) -> None:
        """Send one packet; raises OSError when there is no way now."""
        self._socket.sendto(data, self._target)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _bind(self, source: str, choose: Callable[[range], int]) -> None:
        for attempt in range(PORT_ATTEMPTS):
            try:
                self._socket.bind((source, choose(bfd.SOURCE_PORTS)))
            except OSError as error:
                if error.errno != errno.EADDRINUSE or attempt == PORT_ATTEMPTS - 1:
                    raise
            else:
                return
