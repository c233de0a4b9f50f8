"""What a running transition wants done."""

from dataclasses import dataclass
from enum import Enum

from standfest.model.graph import Action
from standfest.model.operations import Operation
from standfest.model.time import Duration


class Outcome(Enum):
    """How a transition ended."""

    COMPLETE = "complete"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class Execute:
    """Have a node run an operation; its key tells the result's action."""

    action_id: int
    node: str
    operation: Operation


@dataclass(frozen=True, slots=True)
class Cancel:
    """Have a node end a recurring operation."""

    node: str
    resource: str
    task: str
    interval: Duration


@dataclass(frozen=True, slots=True)
class Perform:
    """Have the coordinator do a CLUSTER action; it answers with `on_done`."""

    action: Action


@dataclass(frozen=True, slots=True)
class Fence:
    """Have a node fenced; `on_fenced` or `on_fencing_failed` follows, whenever that may be."""

    node: str
    how: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing of this transition runs any more, and nothing will."""

    number: int
    outcome: Outcome
    reason: str


TransitionEffect = Execute | Cancel | Perform | Fence | Finished
