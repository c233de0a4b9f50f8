"""Frames on the Unix sockets between Standfest's own processes.

A frame is a 4-byte length, one kind byte and a body: `V` a value (wire.values), `P` a payload of
another node's cluster daemon with its sender in front, copied without looking into it.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from standfest.model.errors import Ground, WireError
from standfest.wire import values

MAX_FRAME = values.MAX_BYTES + 1024
HEADER = struct.Struct("!IB")
VALUE = ord("V")
PAYLOAD = ord("P")
GONE_PAYLOAD = b'["Gone",{}]'
"""What a cluster daemon says to the others when it can no longer speak: protocol.Gone, written out
here because importing the cluster's protocol would double the memory of who carries messages."""


@dataclass(frozen=True, slots=True)
class Payload:
    """A payload from or for a node; the empty name means all members."""

    node: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Heard:
    """`pulse`: a node is heard (again, if it was known before)."""

    node: str


@dataclass(frozen=True, slots=True)
class Lost:
    """`pulse`: a node is dead, or has left in order."""

    node: str
    left: bool


@dataclass(frozen=True, slots=True)
class Reset:
    """`pulse`: messages between us and the node may have been lost."""

    node: str


@dataclass(frozen=True, slots=True)
class Settled:
    """`pulse`: every configured node has been heard or given up."""


@dataclass(frozen=True, slots=True)
class Paused:
    """`pulse`: this node stood still for so long (ns); all that was heard before is void."""

    duration: int


@dataclass(frozen=True, slots=True)
class Alive:
    """Both ways: the sender's loop turns."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """`pulse`: the devices without carrier; isolated when no device has one."""

    down: tuple[str, ...]
    isolated: bool


@dataclass(frozen=True, slots=True)
class Pings:
    """`pulse`: which ping nodes this node reaches, and which not, once it knows of all."""

    reached: tuple[str, ...]
    lost: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Quorum:
    """`ring`: whether the votes let this partition act; reason: a word for the log why not."""

    quorate: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Watch:
    """`cluster`: these devices carry cluster addresses; heartbeats shall use them too."""

    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Enrolled:
    """`cluster`: these nodes belong to the cluster; those were removed and are not to come back."""

    nodes: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Leave:
    """`cluster`: announce the orderly departure of this node."""


@dataclass(frozen=True, slots=True)
class Left:
    """`pulse`: the departure is announced."""


@dataclass(frozen=True, slots=True)
class Promise:
    """`arbiter`: what the tiebreaker promises (model.quorum.Lease), and what an operator may know.

    reachable: of a ping tiebreaker; status: JSON.
    """

    since: int
    votes_until: int
    kept_until: int
    reachable: bool
    status: str


@dataclass(frozen=True, slots=True)
class Present:
    """`cluster`: this node's partition (model.quorum.Presence), for `arbiter`."""

    view: tuple[str, ...]
    since: int
    votes: int
    enough: bool
    busy: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A command asks for a report; `what` is a word that the daemon knows."""

    what: str


@dataclass(frozen=True, slots=True)
class Command:
    """A command asks the cluster for a change; which fields count depends on `verb`."""

    verb: str
    resource: str = ""
    node: str = ""
    how: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a Query (JSON in `text`) or a Command (a sentence).

    ground: of a refusal, where a program may want to act on it.
    """

    accepted: bool
    text: str
    ground: Ground = Ground.NONE


Value = (
    Heard | Lost | Reset | Settled | Paused | Alive | Carrier | Pings | Quorum | Watch | Enrolled
    | Leave | Left
    | Promise | Present | Query | Command | Reply
)  # fmt: skip
_TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        *(Heard, Lost, Reset, Settled, Paused, Alive, Carrier, Pings, Quorum, Watch, Enrolled),
        *(Leave, Left, Promise, Present, Query, Command, Reply),
    )
}


def write(value: Value | Payload) -> bytes:
    """Return the bytes of one frame."""
    if isinstance(value, Payload):
        name = value.node.encode()
        body = bytes([len(name)]) + name + value.content
        return HEADER.pack(len(body), PAYLOAD) + body
    body = values.encode(value)
    return HEADER.pack(len(body), VALUE) + body


class FrameReader:
    """Cuts a byte stream into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Value | Payload]:
        """Yield the frames that are complete now; raises WireError on a stream that is none."""
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            length, kind = HEADER.unpack_from(self._buffer)
            if length > MAX_FRAME or kind not in (VALUE, PAYLOAD):
                raise WireError("frame", f"kind {kind}, {length} bytes")
            end = HEADER.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            yield _read(kind, body)


def _read(kind: int, body: bytes) -> Value | Payload:
    if kind == VALUE:
        value: Value = values.decode(body, _TYPES)
        return value
    if not body or len(body) < 1 + body[0]:
        raise WireError("frame", "payload without its node")
    split = 1 + body[0]
    try:
        return Payload(body[1:split].decode(), body[split:])
    except UnicodeDecodeError as error:
        raise WireError("frame", "node name is not text") from error
