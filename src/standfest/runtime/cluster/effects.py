"""What one member's cluster daemon wants done; performed in the order given."""

from dataclasses import dataclass
from enum import Enum

from standfest.core.cib.document import Cib
from standfest.model.alerts import AlertKind
from standfest.model.errors import Ground
from standfest.model.fencing import FenceCall
from standfest.model.operations import Operation
from standfest.ports.agents import RunId
from standfest.runtime.cluster.protocol import ClusterMessage


class Level(Enum):
    """How much an event matters to an administrator."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Send:
    """Hand a message to `pulse` for one member, or for all when `destination` is None."""

    destination: str | None
    message: ClusterMessage


@dataclass(frozen=True, slots=True)
class StartRun:
    """Run an operation's agent."""

    run: RunId
    operation: Operation


@dataclass(frozen=True, slots=True)
class KillRun:
    """End a run's process group."""

    run: RunId


@dataclass(frozen=True, slots=True)
class FenceRun:
    """Call a fence agent; `number` is not shared with the runs of `StartRun`."""

    number: int
    call: FenceCall


@dataclass(frozen=True, slots=True)
class FenceKill:
    """End a fence agent's process group."""

    number: int


@dataclass(frozen=True, slots=True)
class Save:
    """Write the CIB's configuration to disk, synced, before the next effect.

    promised: the latest term that this node promised, and to whom.
    """

    cib: Cib
    promised: tuple[int, str] = (0, "")


@dataclass(frozen=True, slots=True)
class KeepInput:
    """Keep what the scheduler was given, and what it made of it, for administrators to replay.

    cib: with the configuration that counted; wall: seconds since 1970; result: `Schedule.steps`.
    """

    cib: Cib
    wall: int
    result: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer an administrator's request."""

    client: int
    accepted: bool
    text: str
    ground: Ground = Ground.NONE


@dataclass(frozen=True, slots=True)
class RememberAll:
    """All nodes were there at once: to be remembered until this machine is booted again."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The cluster has these nodes from now on: `pulse` shall know them, also after a restart."""

    nodes: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Acquaint:
    """`pulse` is to hear these nodes, too: members do, and our own roster may be an old one."""

    nodes: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeaveCluster:
    """Everything is handed over: `pulse` may announce the departure, the daemon may end."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Tell the operator's agents of an event; fields: names as agents know them, and values."""

    kind: AlertKind
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Note:
    """One event for the log: a name from a closed set, and its fields in order."""

    level: Level
    event: str
    fields: tuple[tuple[str, str], ...] = ()


MemberEffect = (
    Send
    | StartRun
    | KillRun
    | FenceRun
    | FenceKill
    | Save
    | KeepInput
    | Answer
    | RememberAll
    | Enrolled
    | Acquaint
    | LeaveCluster
    | Alert
    | Note
)


def note(event: str, level: Level = Level.INFO, **fields: object) -> Note:
    """Return a Note; values become text."""
    return Note(level, event, tuple((name, str(value)) for name, value in fields.items()))
