"""A transition graph: the actions that bring the cluster where it belongs, and their order.

Made by `core.scheduler`, run by `core.transition`.
Source: facts/formats/SCHEDULER-SPEC.md section 12.
"""

from dataclasses import dataclass
from enum import Enum

from standfest.model.operations import Operation


class ActionKind(Enum):
    """Who performs an action."""

    RESOURCE = "rsc_op"  # an agent on a node; task start, stop, monitor, ... or `cancel`
    PSEUDO = "pseudo_event"  # nobody: a milestone such as G_running_0
    CLUSTER = "crm_event"  # a daemon: task `clear_failcount`, `lrm_delete`, `do_shutdown`
    FENCE = "fence"  # whoever can fence a node; task `stonith` (Pacemaker: a crm_event, too)


@dataclass(frozen=True, slots=True)
class Action:
    """One vertex. `inputs` are the ids of the actions that must have succeeded before.

    key: `RESOURCE_TASK_INTERVALms`, e.g. `postfix_start_0`; unique together with `node`.
    node: where it runs (empty for pseudo actions without a node).
    operation: what the agent is asked (RESOURCE actions; for `cancel` the one to cancel).
    how: of a FENCE action, `reboot`, `off` or `on`.
    runnable: False keeps the action, and all after it, from being started; `reason` says why.
    """

    id: int
    kind: ActionKind
    task: str
    key: str
    node: str = ""
    resource: str = ""
    operation: Operation | None = None
    inputs: tuple[int, ...] = ()
    runnable: bool = True
    reason: str = ""
    how: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """A whole transition; actions sorted by id, ids unique, inputs acyclic."""

    actions: tuple[Action, ...] = ()
