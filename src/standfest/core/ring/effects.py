"""What the ring machine wants done; performed in the order given."""

from dataclasses import dataclass

from standfest.model.ring import GroupMessage


@dataclass(frozen=True, slots=True)
class Multicast:
    """Send to all members of the group, ourselves included."""

    message: GroupMessage


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the votes let this partition act, and a word for the log why not."""

    quorate: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Isolated:
    """Nothing of us reaches anybody, and others may be taking over; or that is over."""

    isolated: bool


@dataclass(frozen=True, slots=True)
class Heard:
    """A node takes part."""

    node: str


@dataclass(frozen=True, slots=True)
class Lost:
    """A node is out of the ring, or has left in order."""

    node: str
    left: bool


@dataclass(frozen=True, slots=True)
class Reset:
    """A node's process has been restarted: messages may have been lost."""

    node: str


@dataclass(frozen=True, slots=True)
class Mute:
    """A node is in the ring, but nothing of ours speaks there."""

    node: str


@dataclass(frozen=True, slots=True)
class Deliver:
    """A payload of a node's cluster daemon."""

    node: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Settled:
    """Who is there is known; or there is no ring, and waiting for one is over."""


@dataclass(frozen=True, slots=True)
class Departed:
    """Everybody knows that we leave."""


@dataclass(frozen=True, slots=True)
class Unnamed:
    """Nodes have joined whose names are not known: read the list again."""

    nodes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A message was dropped; reason: a word from a closed list."""

    reason: str


RingEffect = (
    Multicast
    | Verdict
    | Isolated
    | Heard
    | Lost
    | Reset
    | Mute
    | Deliver
    | Settled
    | Departed
    | Unnamed
    | Dropped
)
Effects = list[RingEffect]
