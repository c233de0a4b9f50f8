"""Raw ICMP sockets for ping nodes: asks hosts to echo, and gives back only answers to ourselves.

The kernel hands every echo reply of the machine to every raw socket: what bears another identifier,
another token or another sender than a host that was asked is somebody else's, and dropped. Source:
RFC 792, RFC 4443 section 4, raw(7), RFC 3542 section 3.2 (ICMP6_FILTER).
"""

import contextlib
import ipaddress
import os
import socket
import struct
from collections.abc import Iterable, Iterator

from standfest.model.errors import OperationError, WireError
from standfest.wire import icmp

MAX_PACKET = 512
"""Bytes that are read of a packet: our own answers have 60 with the longest header."""
MAX_READS = 64
"""Packets that are read in one turn: a flood of replies must not keep heartbeats waiting."""
TOKEN_BYTES = 16

_SOL_RAW, _ICMP_FILTER, _ICMP6_FILTER = 255, 1, 1
_ALL = 0xFFFFFFFF


class PingSockets:
    """One socket for IPv4 and one for IPv6, as far as there are hosts."""

    def __init__(self, hosts: Iterable[str]) -> None:
        """Open them; raises OperationError, since only root may."""
        self._hosts = {host: ipaddress.ip_address(host) for host in hosts}
        self._identifier = int.from_bytes(os.urandom(2), "big")
        self._token = os.urandom(TOKEN_BYTES)
        self._sockets: dict[int, socket.socket] = {}
        for version in sorted({address.version for address in self._hosts.values()}):
            try:
                self._sockets[version] = _raw(version)
            except OSError as error:
                what = f"a raw ICMP socket: {error.strerror}; expected to be root"
                raise OperationError(what) from error

    def descriptors(self) -> list[tuple[int, int]]:
        """Return (IP version, descriptor) of each socket."""
        return [(version, one.fileno()) for version, one in self._sockets.items()]

    def close(self) -> None:
        """Ask no more."""
        for one in self._sockets.values():
            one.close()

    def send(self, host: str, sequence: int) -> None:
        """Send an echo request; one that cannot be sent is one that is not answered."""
        address = self._hosts[host]
        request = icmp.echo(address.version, self._identifier, sequence, self._token)
        with contextlib.suppress(OSError):
            self._sockets[address.version].sendto(request, _destination(address))

    def receive(self, version: int) -> Iterator[tuple[str, int]]:
        """Yield (host, sequence) of the answers to us that have arrived, MAX_READS packets' worth.

        An error that the kernel reports for an earlier packet says nothing.
        """
        for _ in range(MAX_READS):
            try:
                packet, sender = self._sockets[version].recvfrom(MAX_PACKET)
            except BlockingIOError:
                return
            except OSError:
                continue
            try:
                reply = icmp.read_reply(version, packet)
            except WireError:
                continue
            ours = reply.identifier == self._identifier and reply.data == self._token
            host = self._sender(sender) if ours else None
            if host is not None:
                yield host, reply.sequence

    def _sender(self, sender: tuple[str, ...]) -> str | None:
        """Return which of our hosts a packet's source address is."""
        found = ipaddress.ip_address(sender[0].partition("%")[0])
        for host, address in self._hosts.items():
            if address.packed != found.packed:
                continue
            # A link-local address is another machine on every link.
            if address.version == 4 or not address.is_link_local:
                return host
            if _scope(address) == int(sender[3]):
                return host
        return None


def _destination(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> tuple[str, int] | tuple[str, int, int, int]:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address), 0
    return str(address).partition("%")[0], 0, 0, _scope(address)


def _scope(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> int:
    """Return the number of a link-local address's device, which may come and go; 0 without one."""
    device = address.scope_id if isinstance(address, ipaddress.IPv6Address) else None
    if device is None:
        return 0
    with contextlib.suppress(OSError):
        return socket.if_nametoindex(device)
    return 0


def _raw(version: int) -> socket.socket:
    """Return a socket to which the kernel gives echo replies only."""
    if version == 4:
        made = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        passed = _ALL & ~(1 << icmp.ECHO_REPLY[4])
        made.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", passed))
    else:
        made = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        words = [_ALL] * 8  # a bit that is set blocks its type
        words[icmp.ECHO_REPLY[6] // 32] &= ~(1 << icmp.ECHO_REPLY[6] % 32)
        made.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack("=8I", *words))
    made.setblocking(False)
    return made
