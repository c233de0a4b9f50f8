"""Sockets that go where a checker's settings say, from where they say. Source: socket(7), ip(7)."""

import contextlib
import errno
import os
import resource
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from standfest.model.balancing import Connection
from standfest.model.vrrp import IPAddress
from standfest.ports.probes import Target

SO_MARK: Final = 36
IP_BIND_ADDRESS_NO_PORT: Final = 24
PROGRESS: Final = frozenset({0, errno.EINPROGRESS})
ABORT: Final = struct.pack("ii", 1, 0)
"""struct linger of zero seconds: closing resets, so that no TIME_WAIT stays behind."""

Address = tuple[str, int] | tuple[str, int, int, int]


def open_socket(
    kind: int, address: IPAddress, connection: Connection, protocol: int = 0
) -> socket.socket:
    """Return a socket that does not block, bound as the checker says; raises OSError."""
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    made = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
    if connection.mark or connection.interface or connection.source or connection.source_port:
        try:
            _bind(made, address, connection)
        except OSError:
            made.close()
            raise
    return made


def _bind(made: socket.socket, address: IPAddress, connection: Connection) -> None:
    if connection.mark:
        made.setsockopt(socket.SOL_SOCKET, SO_MARK, connection.mark)
    if connection.interface:
        name = connection.interface.encode()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
    if connection.source is None and not connection.source_port:
        return
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if not connection.source_port:
        # The port is chosen when the other end is known, so that all ports serve each server.
        with contextlib.suppress(OSError):
            made.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    unspecified = IPv4Address(0) if isinstance(address, IPv4Address) else IPv6Address(0)
    source = connection.source or unspecified
    made.bind(sockaddr(source, connection.source_port, connection))


def sockaddr(address: IPAddress, port: int, connection: Connection) -> Address:
    """Return an address as the socket module has it; link-local ones lie behind the interface."""
    if isinstance(address, IPv4Address):
        return str(address), port
    scope = 0
    if address.is_link_local and connection.interface:
        scope = socket.if_nametoindex(connection.interface)
    return str(address), port, 0, scope


def host(address: IPAddress) -> str:
    """Return an address as it stands before a port: IPv6 in brackets."""
    return f"[{address}]" if isinstance(address, IPv6Address) else str(address)


def place(address: IPAddress, port: int) -> str:
    """Return how an operator reads an address and a port."""
    return f"{host(address)}:{port}" if port else str(address)


def words(number: int | None) -> str:
    """Return what an error number means."""
    return os.strerror(number or 0).lower()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a checker connects to, and from where."""

    address: IPAddress
    port: int
    connection: Connection

    @classmethod
    def of(cls, target: Target, connection: Connection) -> "Place":
        """Return where a target is, or where its checker says instead."""
        address, port = connection.ip or target.address, connection.port or target.port
        return cls(address, port, connection)

    def __str__(self) -> str:
        """Return address and port."""
        return place(self.address, self.port)


def allow_many() -> None:
    """Let this process have as many descriptors as it may: every hung server holds one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
