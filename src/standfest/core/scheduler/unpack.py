"""First stage: what the status says about nodes and resources, judged by the configuration.

Source: facts/formats/SCHEDULER-SPEC.md sections 3, 9 and 10.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from standfest.model.configuration import (
    Clone,
    Configuration,
    Group,
    OnFail,
    Primitive,
    TargetRole,
)
from standfest.model.operations import ExitCode, OperationResult, OperationStatus
from standfest.model.scores import INFINITY
from standfest.model.status import Join, NodeState, Status
from standfest.model.time import NANOSECONDS_PER_SECOND

_RUNNING = frozenset({0, 8, 190, 191})
_HARD = frozenset({ExitCode.ARGUMENTS, ExitCode.PERMISSION, ExitCode.NOT_INSTALLED})
_TRUE = frozenset({"true", "yes", "y", "on", "1"})


@dataclass(frozen=True, slots=True)
class Node:
    """One node, by index into Situation.nodes.

    online: its daemon executes; usable: new resources may go there; away: its daemon is away for
    a moment, so what runs there is neither lost nor to be touched; unclean: lost, and perhaps
    still running what it ran.
    """

    name: str
    online: bool
    usable: bool
    away: bool
    unclean: bool
    maintenance: bool
    attributes: Mapping[str, str]


@dataclass(slots=True)
class Observed:
    """One primitive on all nodes, as far as their histories tell; node indices throughout.

    active: it runs, or may; failed: nodes where it must be recovered; banned: nodes (-1: all) that
    a failure forbids; blocked: it failed in a way that leaves it to the administrator; halted: it
    shall not run anywhere until cleaned up; known: nodes with any history of it.
    """

    active: list[int] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)
    banned: set[int] = field(default_factory=set)
    blocked: bool = False
    halted: bool = False
    pending: bool = False
    known: set[int] = field(default_factory=set)
    monitors: dict[int, dict[tuple[str, int], OperationResult]] = field(default_factory=dict)
    started_with: dict[int, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    expired: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that later stages read."""

    configuration: Configuration
    status: Status
    now: int
    nodes: tuple[Node, ...]
    units: tuple[Primitive | Group, ...]
    observed: Mapping[str, Observed]
    notes: list[str]

    def managed(self, primitive: Primitive) -> bool:
        """Return whether the scheduler may start and stop it."""
        options = self.configuration.options
        return (
            primitive.options.is_managed
            and not primitive.options.maintenance
            and not options.maintenance_mode
            and not self.observed[primitive.id].blocked
        )

    def managed_name(self, name: str) -> bool:
        """Return whether the primitive of this name is configured and managed."""
        return any(
            primitive.id == name and self.managed(primitive)
            for unit in self.units
            for primitive in members_of(unit)
        )


def members_of(unit: Primitive | Group) -> tuple[Primitive, ...]:
    """Return the primitives of a unit, in order."""
    return unit.members if isinstance(unit, Group) else (unit,)


def wanted_stopped(situation: Situation, primitive: Primitive) -> bool:
    """Return whether the administrator, or a failure, wants the primitive stopped."""
    return (
        primitive.options.target_role is TargetRole.STOPPED
        or situation.configuration.options.stop_all_resources
        or situation.observed[primitive.id].halted
    )


def unpack(configuration: Configuration, status: Status, now: int) -> Situation:
    """Return the situation; `now` in seconds since 1970."""
    notes: list[str] = []
    states = _states(configuration, status)
    permanent = {entry.name: dict(entry.attributes) for entry in configuration.nodes}
    units: list[Primitive | Group] = []
    for resource in configuration.resources:
        if isinstance(resource, Clone):
            notes.append(f"{resource.id}: clones are not scheduled yet")
        else:
            units.append(resource)
    standby: set[int] = set()
    observed: dict[str, Observed] = {}
    stonith = configuration.options.stonith_enabled
    for unit in units:
        for primitive in members_of(unit):
            seen = Observed()
            for index, state in enumerate(states):
                if _counts(state, stonith):
                    _observe(seen, primitive, index, state, now, stonith, standby)
            observed[primitive.id] = seen
    nodes = tuple(
        _node(state, permanent.get(state.name, {}), stonith, index in standby)
        for index, state in enumerate(states)
    )
    return Situation(configuration, status, now, nodes, tuple(units), observed, notes)


def _states(configuration: Configuration, status: Status) -> list[NodeState]:
    """Return the nodes by name: those of the status, and those only configured."""
    by_name = {state.name: state for state in status.nodes}
    for entry in configuration.nodes:
        by_name.setdefault(entry.name, NodeState(entry.name))
    return [by_name[name] for name in sorted(by_name)]


def _counts(state: NodeState, stonith: bool) -> bool:
    """Return whether what the history says may still be so: not on a node known to be down."""
    return state.in_membership or (stonith and state.expected)


def _node(state: NodeState, permanent: Mapping[str, str], stonith: bool, standby: bool) -> Node:
    attributes = {"#uname": state.name, **permanent, **dict(state.attributes)}
    online = state.in_membership and state.online and state.join is Join.MEMBER
    shutdown = attributes.get("shutdown", "0") not in ("", "0")
    on_standby = standby or attributes.get("standby", "").lower() in _TRUE
    maintenance = attributes.get("maintenance", "").lower() in _TRUE
    return Node(
        state.name,
        online=online,
        usable=online and not shutdown and not on_standby and not maintenance,
        away=state.in_membership and not online,
        unclean=stonith and not state.in_membership and state.expected,
        maintenance=maintenance,
        attributes=attributes,
    )


def _observe(  # noqa: PLR0917 (a leaf of unpack)
    seen: Observed,
    primitive: Primitive,
    index: int,
    state: NodeState,
    now: int,
    stonith: bool,
    standby: set[int],
) -> None:
    """Read one node's history of a primitive, oldest call first."""
    entries = state.of(primitive.id)
    if entries:
        seen.known.add(index)
    count, last_failure = _failures(state, primitive)
    timeout = primitive.options.failure_timeout // NANOSECONDS_PER_SECOND
    expired = bool(count) and bool(timeout) and now > last_failure + timeout
    active, failed = False, ""
    for entry in entries:
        task, code = entry.operation.task, entry.exit_code
        if entry.status is OperationStatus.PENDING:
            # A monitor that runs again and again changes nothing; all else will.
            seen.pending = seen.pending or not entry.operation.interval
            active = active or task == "start"
        elif task == "monitor" and not entry.operation.interval:
            active, failed = _probed(seen, entry, index, failed)
        elif entry.succeeded:
            active = task != "stop" and (active or task in ("start", "migrate_from", "monitor"))
            failed = "" if task != "monitor" or code in _RUNNING else failed
            if task == "start":
                seen.started_with[index] = entry.operation.parameters
                seen.monitors.pop(index, None)  # what was watched before is over
        elif expired:
            continue
        else:
            active, failed = _failed(seen, primitive, entry, index, failed, stonith, standby)
        if entry.operation.interval and entry.status is not OperationStatus.PENDING:
            key = (task, entry.operation.interval)
            seen.monitors.setdefault(index, {})[key] = entry
    if active:
        seen.active.append(index)
    if failed and active:
        seen.failed[index] = failed
    threshold = primitive.options.migration_threshold
    if expired:
        seen.expired.append(index)
    elif threshold and count >= threshold:
        seen.banned.add(index)


def _probed(seen: Observed, entry: OperationResult, index: int, failed: str) -> tuple[bool, str]:
    """Return (active, failed) after a probe: it found what is there."""
    code = entry.exit_code
    if entry.status is OperationStatus.DONE and code in _RUNNING:
        return True, ""
    if code == ExitCode.NOT_RUNNING:
        return False, ""
    if code in _HARD or entry.status is OperationStatus.NOT_INSTALLED:
        seen.banned.add(index)
        return False, ""
    if code == ExitCode.NOT_CONFIGURED:
        seen.banned.add(-1)
        return False, ""
    return True, failed or "probe"  # it cannot be told: recover it


def _failed(  # noqa: PLR0917 (a leaf of unpack)
    seen: Observed,
    primitive: Primitive,
    entry: OperationResult,
    index: int,
    failed: str,
    stonith: bool,
    standby: set[int],
) -> tuple[bool, str]:
    """Return (active, failed) after a failed operation, and note what on-fail demands."""
    task, code = entry.operation.task, entry.exit_code
    reaction = _reaction(primitive, entry, stonith)
    if reaction is OnFail.IGNORE:
        return task != "stop", failed
    if code == ExitCode.NOT_CONFIGURED:
        seen.banned.add(-1)
    elif code in _HARD:
        seen.banned.add(index)
    if reaction is OnFail.BLOCK or (reaction is OnFail.FENCE and task == "stop"):
        seen.blocked = True
    elif reaction in (OnFail.STOP, OnFail.FENCE):
        seen.halted = True
    elif reaction is OnFail.STANDBY:
        standby.add(index)
    return True, task


def _reaction(primitive: Primitive, entry: OperationResult, stonith: bool) -> OnFail:
    operation = entry.operation
    for configured in primitive.operations:
        same = (configured.name, configured.interval) == (operation.task, operation.interval)
        if same and configured.on_fail is not None:
            return configured.on_fail
    if operation.task == "stop":
        return OnFail.FENCE if stonith else OnFail.BLOCK
    return OnFail.RESTART


def _failures(state: NodeState, primitive: Primitive) -> tuple[int, int]:
    """Return the fail count of a primitive on a node, and when it failed last (seconds)."""
    count, last = 0, 0
    for name, value in state.attributes:
        if name.startswith(f"fail-count-{primitive.id}#") and not _ignored(primitive, name):
            count += INFINITY if value == "INFINITY" else int(value) if value.isdigit() else 0
        elif name.startswith(f"last-failure-{primitive.id}#") and value.isdigit():
            last = max(last, int(value))
    return count, last


def _ignored(primitive: Primitive, attribute: str) -> bool:
    """Return whether on-fail=ignore takes this failure out of the count."""
    task, _, interval = attribute.rpartition("#")[2].rpartition("_")
    return any(
        operation.on_fail is OnFail.IGNORE
        and operation.name == task
        and str(operation.interval // 1_000_000) == interval.removesuffix("ms")
        for operation in primitive.operations
    )
