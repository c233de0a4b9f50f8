"""What the membership machine wants done, in the order in which it must be done."""

from dataclasses import dataclass
from enum import Enum

from standfest.model.message import Message
from standfest.model.time import Duration


class NodeStatus(Enum):
    """What a node says of itself (`st`), or what its silence says."""

    INIT = "init"
    UP = "up"
    ACTIVE = "active"
    DEAD = "dead"
    LEFT = "left"


class Reason(Enum):
    """Why a node's status changed."""

    HEARD = "heard"
    SILENT = "silent"
    NEVER_HEARD = "never-heard"
    LEFT = "left"
    RESTARTED = "restarted"
    HEALED = "healed"
    REMOVED = "removed"  # it is no node of the cluster any more
    REFUSES = "refuses"  # for it we are no node of its cluster


class Refusal(Enum):
    """Why a message with a good signature was dropped."""

    UNKNOWN_NODE = "unknown-node"
    OLD_GENERATION = "replayed-generation"
    REPLAYED = "replayed"
    INCOMPLETE = "incomplete"
    DEPARTED = "departed"


@dataclass(frozen=True, slots=True)
class Transmit:
    """Encode, sign and send this message on every link."""

    message: Message


@dataclass(frozen=True, slots=True)
class NodeChanged:
    """A node's status is another one; incarnation is its generation (0: never heard)."""

    node: str
    state: NodeStatus
    incarnation: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """A node is heard again, or no longer, over one link."""

    node: str
    link: str
    up: bool


@dataclass(frozen=True, slots=True)
class Deliver:
    """A whole payload, in the order in which its sender submitted it."""

    sender: str
    incarnation: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class StreamReset:
    """Payloads between us and this node may have been lost."""

    node: str


@dataclass(frozen=True, slots=True)
class Unsteady:
    """A node's heartbeats begin to come late or to get lost, or have been steady again (`over`).

    late, lost: how many in this episode; silence: the longest of it, 0 if nothing was late;
    advised: the deadtime that this network needs, by all that was seen (`rhythm.Rhythm`).
    """

    node: str
    late: int
    lost: int
    silence: Duration
    advised: Duration
    over: bool


@dataclass(frozen=True, slots=True)
class Paused:
    """This node stood still for about a deadtime: the others have declared it dead.

    Comes before anything else: whoever owns something here gives it up first. All other nodes are
    unknown from then on, and are announced again when they are heard.
    """

    duration: Duration


@dataclass(frozen=True, slots=True)
class Settled:
    """Every configured node has been heard, or `initdead` has passed. Comes once."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A message was refused."""

    node: str
    reason: Refusal


MembershipEffect = (
    Transmit
    | NodeChanged
    | LinkChanged
    | Deliver
    | StreamReset
    | Unsteady
    | Paused
    | Settled
    | Dropped
)
