"""What the guard must know of a virtual router that is Active: how to give it up for the other.

The director says it before it adds the first address, over a pair of datagram sockets that both
processes have from their common parent. Values are plain tuples in `marshal`'s form: both ends are
one program in one version, and nobody else can write there.
"""

import marshal
import socket
from dataclasses import astuple, dataclass, replace

from standfest.model.time import Duration

MAX_BYTES = 200 * 1024
AGAIN = b"again"


@dataclass(frozen=True, slots=True)
class Goodbye:
    """A packet with priority 0, whole, and the way it goes."""

    interface: str
    version: int
    packet: bytes
    destination: str


@dataclass(frozen=True, slots=True)
class Holding:
    """One Active virtual router.

    slot: its place among the signs of life. interface, version, protocol, groups: where its peers
    are heard. deletions: (what, netlink message) for each address, in the order of deletion.
    wait: how long to keep answering for a successor that has not spoken yet.
    """

    slot: int
    name: str
    vrid: int
    interface: str
    version: int
    protocol: int
    groups: tuple[str, ...]
    goodbyes: tuple[Goodbye, ...]
    deletions: tuple[tuple[str, bytes], ...]
    wait: Duration


def pair() -> tuple[socket.socket, socket.socket]:
    """Return (director's end, guard's end): datagrams, never blocking the director."""
    director, guard = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for endpoint in (director, guard):
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MAX_BYTES)
        endpoint.setblocking(False)
    return director, guard


def to_bytes(holding: Holding) -> bytes:
    """Return the datagram that says that a router is, or is about to be, Active."""
    return marshal.dumps(astuple(holding))


def from_bytes(datagram: bytes) -> Holding:
    """Return what `to_bytes` was given."""
    fields = marshal.loads(datagram)  # noqa: S302  from our own twin
    held = Holding(*fields)
    return replace(held, goodbyes=tuple(Goodbye(*fields) for fields in held.goodbyes))  # type: ignore[misc]
