"""Last stage: decisions as actions, and the order between them.

Source: facts/formats/SCHEDULER-SPEC.md sections 5, 8 and 12.
"""

from dataclasses import dataclass, field, replace
from itertools import pairwise

from standfest.core.scheduler import operations
from standfest.core.scheduler.act import Decision, will_run
from standfest.core.scheduler.unpack import Situation, members_of
from standfest.model.configuration import Group, Order, OrderKind, Primitive
from standfest.model.graph import Action, ActionKind, Graph
from standfest.model.operations import Operation
from standfest.model.time import in_milliseconds


@dataclass(slots=True)
class _Ends:
    """The actions at both ends of what happens to a unit, for others to be ordered against."""

    first_stop: list[int] = field(default_factory=list)
    last_stop: list[int] = field(default_factory=list)
    first_start: list[int] = field(default_factory=list)
    last_start: list[int] = field(default_factory=list)


class GraphBuilder:
    """Collects actions; ids count from 0 in the order of creation."""

    def __init__(self, situation: Situation, decisions: dict[str, Decision]) -> None:
        self._situation = situation
        self._decisions = decisions
        self._actions: list[Action] = []
        self._inputs: list[set[int]] = []
        self._ends: dict[str, _Ends] = {}

    def build(self) -> Graph:
        """Return the whole graph."""
        for unit in self._situation.units:
            self._unit(unit)
        for order in self._situation.configuration.orders:
            self._order(order)
        self._orphans()
        self._expired()
        looped = self._looped()
        return Graph(tuple(self._finished(action, looped) for action in self._actions))

    def _looped(self) -> set[int]:
        """Return the actions that wait, directly or not, for themselves."""
        waits = {number: set(inputs) for number, inputs in enumerate(self._inputs)}
        followers: dict[int, list[int]] = {}
        for number, inputs in waits.items():
            for earlier in inputs:
                followers.setdefault(earlier, []).append(number)
        free = [number for number, inputs in waits.items() if not inputs]
        while free:
            done = free.pop()
            del waits[done]
            for number in followers.get(done, ()):
                waits[number].discard(done)
                if not waits[number]:
                    free.append(number)
        return set(waits)

    def _finished(self, action: Action, looped: set[int]) -> Action:
        inputs = self._inputs[action.id]
        if action.id not in looped:
            return replace(action, inputs=tuple(sorted(inputs)))
        # Left in, so that an administrator sees what the constraints ask for; never started.
        kept = tuple(sorted(inputs - looped))
        return replace(action, inputs=kept, runnable=False, reason="ordering constraints loop")

    # --- units ----------------------------------------------------------------------------------

    def _unit(self, unit: Primitive | Group) -> None:
        for primitive in members_of(unit):
            self._ends[primitive.id] = self._primitive(primitive)
        if not isinstance(unit, Group):
            return
        ends = [self._ends[member.id] for member in unit.members]
        whole = _Ends()
        if any(end.first_stop for end in ends):
            begin = self._pseudo(unit.id, "stop")
            done = self._pseudo(unit.id, "stopped")
            self._inputs[done].add(begin)
            for end in ends:
                self._after(end.first_stop, [begin])
                self._inputs[done].update(end.last_stop)
            whole.first_stop, whole.last_stop = [begin], [done]
        if any(end.first_start for end in ends):
            begin = self._pseudo(unit.id, "start")
            self._inputs[begin].update(whole.last_stop)
            starts = [start for end in ends for start in end.last_start]
            for end in ends:
                self._after(end.first_start, [begin])
            whole.first_start, whole.last_start = [begin], starts
            if all(self._runs(member) for member in unit.members):
                done = self._pseudo(unit.id, "running")
                self._inputs[done].update([begin, *starts])
                whole.last_start = [done]
        if unit.ordered:
            for before, after in pairwise(ends):
                self._after(after.first_start, before.last_start)
                self._after(before.first_stop, after.last_stop)
            # A member may be up already: order holds over it.
            self._bridge([end.last_start for end in ends], [end.first_start for end in ends])
            backwards = list(reversed(ends))
            self._bridge(
                [end.last_stop for end in backwards], [end.first_stop for end in backwards]
            )
        self._ends[unit.id] = whole

    def _runs(self, primitive: Primitive) -> bool:
        seen = self._situation.observed[primitive.id]
        return will_run(self._decisions[primitive.id], seen)

    def _bridge(self, done: list[list[int]], begun: list[list[int]]) -> None:
        """Order each member after the nearest earlier one that has anything to do."""
        latest: list[int] = []
        for finished, started in zip(done, begun, strict=True):
            self._after(started, latest)
            latest = finished or latest

    def _primitive(self, primitive: Primitive) -> _Ends:
        decision = self._decisions[primitive.id]
        ends = _Ends()
        nodes = self._situation.nodes
        probes = [
            self._resource(primitive, operations.one_shot(primitive, "monitor", nodes[i].name), i)
            for i in decision.probe
        ]
        for index in decision.stop:
            operation = operations.one_shot(primitive, "stop", nodes[index].name)
            stop = self._resource(primitive, operation, index)
            ends.first_stop.append(stop)
            ends.last_stop.append(stop)
        if decision.start is not None:
            operation = operations.one_shot(primitive, "start", nodes[decision.start].name)
            start = self._resource(primitive, operation, decision.start)
            self._inputs[start].update(probes)
            self._inputs[start].update(ends.last_stop)
            ends.first_start, ends.last_start = [start], [start]
        for index, entry in decision.watch:
            operation = operations.recurring(primitive, entry, nodes[index].name)
            watch = self._resource(primitive, operation, index)
            self._inputs[watch].update(ends.last_start)
        for index, result in decision.cancel:
            self._cancel(primitive.id, result.operation, index)
        return ends

    # --- order ----------------------------------------------------------------------------------

    def _order(self, order: Order) -> None:
        first, then = self._ends.get(order.first), self._ends.get(order.then)
        if first is None or then is None:
            return
        self._after(
            then.first_start if order.then_action == "start" else then.first_stop,
            first.last_start if order.first_action == "start" else first.last_stop,
        )
        usual = order.first_action == "start" and order.then_action == "start"
        if order.symmetrical and usual and order.kind is not OrderKind.SERIALIZE:
            self._after(first.first_stop, then.last_stop)
            if order.kind is OrderKind.MANDATORY:
                self._after(first.first_start, then.last_stop)

    def _after(self, later: list[int], earlier: list[int]) -> None:
        for action in later:
            self._inputs[action].update(earlier)

    # --- what is left over ----------------------------------------------------------------------

    def _orphans(self) -> None:
        """Stop and forget resources that are no longer configured."""
        configured = {p.id for p in self._situation.configuration.primitives()}
        if not self._situation.configuration.options.stop_orphan_resources:
            return
        by_name = {node.name: index for index, node in enumerate(self._situation.nodes)}
        stops: dict[str, set[int]] = {}
        forgotten: list[tuple[str, int]] = []
        for state in self._situation.status.nodes:
            index = by_name[state.name]
            if not self._situation.nodes[index].online:
                continue
            for name, entries in state.history:
                if name in configured or not entries:
                    continue
                last = entries[-1].operation
                ghost = Primitive(name, last.agent, last.parameters)
                forgotten.append((name, index))
                if state.runs(name):
                    stop = operations.one_shot(ghost, "stop", state.name)
                    stops.setdefault(name, set()).add(self._resource(ghost, stop, index))
        for name, index in sorted(forgotten):
            self._cluster("lrm_delete", name, index, stops.get(name, set()))

    def _expired(self) -> None:
        for name, seen in sorted(self._situation.observed.items()):
            for index in seen.expired:
                self._cluster("clear_failcount", name, index, set())

    # --- actions --------------------------------------------------------------------------------

    def _add(self, action: Action, inputs: set[int]) -> int:
        self._actions.append(replace(action, id=len(self._actions)))
        self._inputs.append(set(inputs))
        return len(self._actions) - 1

    def _pseudo(self, unit: str, task: str) -> int:
        action = Action(0, ActionKind.PSEUDO, task, f"{unit}_{task}_0", resource=unit)
        return self._add(action, set())

    def _resource(self, primitive: Primitive, operation: Operation, index: int) -> int:
        interval = in_milliseconds(operation.interval)
        action = Action(
            0,
            ActionKind.RESOURCE,
            operation.task,
            f"{primitive.id}_{operation.task}_{interval}",
            self._situation.nodes[index].name,
            primitive.id,
            operation,
        )
        return self._add(action, set())

    def _cancel(self, name: str, operation: Operation, index: int) -> None:
        interval = in_milliseconds(operation.interval)
        key = f"{name}_{operation.task}_{interval}"
        node = self._situation.nodes[index].name
        self._add(Action(0, ActionKind.RESOURCE, "cancel", key, node, name, operation), set())

    def _cluster(self, task: str, name: str, index: int, inputs: set[int]) -> None:
        node = self._situation.nodes[index].name
        self._add(Action(0, ActionKind.CLUSTER, task, f"{name}_{task}_0", node, name), inputs)
