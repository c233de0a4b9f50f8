"""The `<status>` of a CIB as values: who is there, what ran with which result.

Status is volatile: it is replicated but not persisted, and rebuilt from the members' own histories
when a coordinator is elected. Source: facts/formats/CIB-STATUS.md.
"""

from dataclasses import dataclass, replace
from enum import Enum

from standfest.model.operations import ExitCode, OperationResult, OperationStatus
from standfest.model.tickets import Tickets

_RUNNING = frozenset(
    {ExitCode.OK, ExitCode.RUNNING_PROMOTED, ExitCode.DEGRADED, ExitCode.DEGRADED_PROMOTED}
)
_STOPPED = frozenset({ExitCode.OK, ExitCode.NOT_RUNNING})
_PROMOTED = frozenset(
    {ExitCode.RUNNING_PROMOTED, ExitCode.DEGRADED_PROMOTED, ExitCode.FAILED_PROMOTED}
)


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """(admin_epoch, epoch, num_updates), compared from left to right."""

    admin_epoch: int = 0
    epoch: int = 0
    num_updates: int = 0

    def __str__(self) -> str:
        """Return `0.5.17`."""
        return f"{self.admin_epoch}.{self.epoch}.{self.num_updates}"


class Join(Enum):
    """How far a node has come in taking part."""

    DOWN = "down"
    PENDING = "pending"
    MEMBER = "member"
    BANNED = "banned"


@dataclass(frozen=True, slots=True)
class NodeState:
    """One `<node_state>` with the node's history and transient attributes.

    in_membership: heard by `pulse` (in_ccm); online: its `cluster` daemon takes part (crmd);
    expected: whether it should be a member (False after an orderly leave).
    history: per resource, entries with unique (task, interval) where the scheduler needs them:
    the last one-shot operation, the last result of each recurring one, and the last failure.
    """

    name: str
    in_membership: bool = False
    online: bool = False
    join: Join = Join.DOWN
    expected: bool = False
    history: tuple[tuple[str, tuple[OperationResult, ...]], ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()

    def of(self, resource: str) -> tuple[OperationResult, ...]:
        """Return the history of one resource, oldest call first; empty when it has none."""
        return next((entries for name, entries in self.history if name == resource), ())

    def runs(self, resource: str) -> bool:
        """Return whether the resource is active here, as far as its history tells.

        A failed stop, or a monitor that failed with anything but "not running", leaves it active.
        """
        active = False
        for entry in self.of(resource):
            task, code = entry.operation.task, entry.exit_code
            if entry.status is OperationStatus.PENDING:
                active = active or task == "start"
            elif task in ("start", "migrate_from"):
                active = True  # a failed start may have left parts running
            elif task in ("promote", "demote", "migrate_to"):
                active = code != ExitCode.NOT_RUNNING  # only what runs can be asked for these
            elif task == "stop":
                active = code not in _STOPPED  # whatever was known before: it had to be stopped
            elif task == "asyncmon":
                active = True  # only what runs is said to have failed
            elif task == "monitor":
                active = code in _RUNNING or (active and code != ExitCode.NOT_RUNNING)
        return active

    def promoted(self, resource: str) -> bool:
        """Return whether the resource is active here in the promoted role."""
        found = False
        for entry in self.of(resource):
            if entry.status is OperationStatus.PENDING:
                continue
            match entry.operation.task:
                case "promote":
                    found = found or entry.succeeded
                case "demote":
                    found = found and not entry.succeeded
                case "monitor" if entry.exit_code in _PROMOTED:
                    found = True
                case "monitor" if entry.exit_code in (ExitCode.OK, ExitCode.NOT_RUNNING):
                    found = False
                case "start" | "stop" | "migrate_from":
                    found = False
                case _:
                    continue
        return found and self.runs(resource)

    def attribute(self, name: str) -> str | None:
        """Return a transient attribute."""
        return next((value for key, value in self.attributes if key == name), None)

    def with_attribute(self, name: str, value: str | None) -> "NodeState":
        """Return a copy with the attribute set, or removed when `value` is None; sorted by name."""
        others = {key: old for key, old in self.attributes if key != name}
        if value is not None:
            others[name] = value
        return replace(self, attributes=tuple(sorted(others.items())))


@dataclass(frozen=True, slots=True)
class Status:
    """The state of all nodes, sorted by name, and the tickets."""

    nodes: tuple[NodeState, ...] = ()
    have_quorum: bool = False
    coordinator: str = ""
    tickets: Tickets = Tickets()

    def node(self, name: str) -> NodeState | None:
        """Return one node's state, or None when it was never seen."""
        return next((node for node in self.nodes if node.name == name), None)

    def with_node(self, state: NodeState) -> "Status":
        """Return a copy in which this node's state is `state`."""
        others = [node for node in self.nodes if node.name != state.name]
        return replace(self, nodes=tuple(sorted([*others, state], key=lambda node: node.name)))
