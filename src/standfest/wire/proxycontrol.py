"""What the proxy and whoever controls it say to each other: frames on a Unix socket, both ways.

A frame is a 4-byte length and a value in our own encoding (wire.values). A question gets one
answer. Total and bounded: whatever the bytes, the outcome is a value or a WireError.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from standfest.model.errors import WireError
from standfest.wire import values

VERSION = 1
"""Of this protocol. A controller replaces a proxy that speaks another, or is of another release."""

HEADER = struct.Struct("!I")
MAX_FRAME = values.MAX_BYTES


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service is reached, or a server."""

    protocol: str  # TCP, UDP; of a server: empty
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Way:
    """How a service chooses; mask: a netmask, a prefix length, or empty."""

    scheduler: str
    flags: tuple[str, ...]
    timeout: int
    mask: str
    engine: str
    one_packet: bool


@dataclass(frozen=True, slots=True)
class Share:
    """How much a server gets."""

    weight: int
    upper: int
    lower: int


@dataclass(frozen=True, slots=True)
class Edit:
    """One change; `verb` says which fields count: add, set or delete a service or a server."""

    verb: str
    service: Place
    way: Way | None = None
    server: Place | None = None
    share: Share | None = None


@dataclass(frozen=True, slots=True)
class Apply:
    """Make these changes, all or none."""

    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """Ask what is forwarded."""


@dataclass(frozen=True, slots=True)
class Count:
    """Ask what has been carried."""


@dataclass(frozen=True, slots=True)
class Describe:
    """Ask who answers."""


@dataclass(frozen=True, slots=True)
class Configure:
    """How long things may take, in milliseconds; 0: as it is."""

    idle_ms: int = 0
    half_closed_ms: int = 0
    datagram_ms: int = 0
    connect_ms: int = 0


@dataclass(frozen=True, slots=True)
class Stop:
    """End, with all connections."""


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Hand over your listening sockets, and end when your last connection does."""


@dataclass(frozen=True, slots=True)
class Done:
    """So it is."""


@dataclass(frozen=True, slots=True)
class Refused:
    """It cannot be done, and nothing was; reason: for the operator."""

    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """One server of a service."""

    server: Place
    share: Share


@dataclass(frozen=True, slots=True)
class Shown:
    """One service."""

    service: Place
    way: Way
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Everything that is forwarded."""

    services: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Carried:
    """What one server has carried."""

    service: Place
    server: Place
    active: int
    connections: int
    bytes_in: int
    bytes_out: int


@dataclass(frozen=True, slots=True)
class Carriage:
    """What all servers have carried."""

    rows: tuple[Carried, ...]


@dataclass(frozen=True, slots=True)
class Description:
    """A running proxy; draining: predecessors that still carry connections to their end."""

    version: int
    release: str
    pid: int
    workers: tuple[int, ...]
    draining: int


Value = (
    *(Apply, Read, Count, Describe, Configure, Stop, TakeOver),
    *(Done, Refused, Forwarded, Carriage, Description),
)
_TYPES: dict[str, type] = {kind.__name__: kind for kind in Value}


def frame(value: object) -> bytes:
    """Return the bytes of one frame; raises WireError for what no peer would read."""
    body = values.encode(value)
    if len(body) > MAX_FRAME:
        raise WireError("oversized", f"{len(body)} bytes, at most {MAX_FRAME}")
    return HEADER.pack(len(body)) + body


class Frames:
    """Cuts a byte stream into values; types: by name, those of this module if not given."""

    def __init__(self, types: dict[str, type] | None = None) -> None:
        self._types = _TYPES if types is None else types
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """Yield the values that are complete now; raises WireError."""
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            (length,) = HEADER.unpack_from(self._buffer)
            if length > MAX_FRAME:
                raise WireError("oversized", f"{length} bytes, at most {MAX_FRAME}")
            end = HEADER.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            yield values.decode(body, self._types)
