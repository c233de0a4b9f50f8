"""Fourth stage: what must be done to each primitive so that it is where it belongs.

Source: facts/formats/SCHEDULER-SPEC.md sections 5, 8, 9 and 11.
"""

from dataclasses import dataclass, field
from itertools import pairwise

from standfest.core.scheduler.allocate import Placements
from standfest.core.scheduler.operations import one_shot
from standfest.core.scheduler.unpack import Observed, Situation, members_of
from standfest.model.configuration import Group, OperationEntry, OrderKind, Primitive
from standfest.model.operations import OperationResult


@dataclass(slots=True)
class Decision:
    """What happens to one primitive; node indices throughout.

    probe: nodes where nobody has looked yet; stop: nodes to stop it on; start: where to start it;
    watch: (node, operation) recurring operations to begin; cancel: (node, result) to end; held: why
    nothing is done although something should be.
    """

    probe: list[int] = field(default_factory=list)
    stop: list[int] = field(default_factory=list)
    start: int | None = None
    watch: list[tuple[int, OperationEntry]] = field(default_factory=list)
    cancel: list[tuple[int, OperationResult]] = field(default_factory=list)
    held: str = ""


def act(situation: Situation, placements: Placements) -> dict[str, Decision]:
    """Return the decision on every primitive."""
    restart = _restarts(situation, placements)
    decisions: dict[str, Decision] = {}
    for unit in situation.units:
        for primitive in members_of(unit):
            target = placements[primitive.id]
            seen = situation.observed[primitive.id]
            decision = _decide(situation, primitive, target, primitive.id in restart)
            _watch(situation, primitive, seen, decision, target)
            decisions[primitive.id] = decision
    _hold_back(situation, decisions)
    return decisions


def will_run(decision: Decision, seen: Observed) -> bool:
    """Return whether a primitive is up once its decision has been carried out."""
    return decision.start is not None or (bool(seen.active) and not decision.stop)


def _hold_back(situation: Situation, decisions: dict[str, Decision]) -> None:
    """Withdraw stops of what something needs that runs and cannot be stopped (rule 8.9)."""
    needs = _needs(situation)
    changed = True
    while changed:
        changed = False
        for then, firsts in needs.items():
            seen, decision = situation.observed[then], decisions[then]
            if not seen.active or decision.stop:
                continue
            if situation.managed_name(then) and not decision.held:
                continue
            for first in firsts:
                if decisions[first].stop:
                    kept = decisions[first].probe
                    decisions[first] = Decision(probe=kept, held=f"{then} cannot be stopped")
                    changed = True


def _decide(
    situation: Situation, primitive: Primitive, target: int | None, restart: bool
) -> Decision:
    seen = situation.observed[primitive.id]
    decision = Decision()
    nodes = situation.nodes
    if situation.configuration.options.enable_startup_probes:
        decision.probe = [i for i, n in enumerate(nodes) if n.online and i not in seen.known]
    if not situation.managed(primitive) or seen.pending:
        return decision
    lost = [i for i in seen.active if nodes[i].unclean]
    if lost:
        names = ", ".join(nodes[i].name for i in lost)
        decision.held = f"{names} is lost and not fenced"
        return decision
    if any(nodes[i].away or nodes[i].maintenance for i in seen.active):
        decision.held = "its node's daemon is away, or the node is in maintenance"
        return decision
    settled = len(seen.active) == 1 and seen.active[0] == target and not restart
    if settled:
        return decision
    decision.stop = list(seen.active)
    decision.start = target
    return decision


def _watch(
    situation: Situation,
    primitive: Primitive,
    seen: Observed,
    decision: Decision,
    target: int | None,
) -> None:
    """Begin the monitors that are missing where it runs or will run; cancel the superfluous."""
    options = situation.configuration.options
    wanted = {
        (entry.name, entry.interval): entry
        for entry in primitive.operations
        if entry.interval and entry.enabled and entry.role in ("", "Started", "Unpromoted")
    }
    resting = any(situation.nodes[index].maintenance for index in seen.active)
    if options.maintenance_mode or primitive.options.maintenance or resting:
        wanted = {}
    where = target if decision.start is not None else None
    if where is None and not decision.stop and len(seen.active) == 1:
        where = seen.active[0]
    restarted = decision.start is not None
    for index, monitors in sorted(seen.monitors.items()):
        if index not in seen.active or index in decision.stop or not situation.nodes[index].online:
            continue
        for key, result in sorted(monitors.items()):
            if key not in wanted:
                decision.cancel.append((index, result))
    if where is None or not situation.nodes[where].online or seen.pending:
        return
    there = {} if restarted else seen.monitors.get(where, {})
    decision.watch = [(where, wanted[key]) for key in sorted(wanted) if key not in there]


def _restarts(situation: Situation, placements: Placements) -> set[str]:
    """Return the active primitives that must stop and start where they are, or just stop.

    Failed ones and those with other parameters; then all that need one of these to be running.
    """
    moved: set[str] = set()
    needs = _needs(situation)
    for unit in situation.units:
        for primitive in members_of(unit):
            seen = situation.observed[primitive.id]
            if situation.managed(primitive) and _disturbed(seen, primitive, placements):
                moved.add(primitive.id)
    changed = True
    while changed:
        changed = False
        for then, firsts in needs.items():
            if then in moved or not situation.observed[then].active:
                continue
            if any(first in moved for first in firsts):
                moved.add(then)
                changed = True
    return moved


def _disturbed(seen: Observed, primitive: Primitive, placements: Placements) -> bool:
    """Return whether a primitive stops for reasons of its own."""
    if not seen.active:
        return False
    if seen.failed or seen.active != [placements[primitive.id]]:
        return True
    given = seen.started_with.get(seen.active[0])
    return bool(given) and given != one_shot(primitive, "start", "").parameters


def _needs(situation: Situation) -> dict[str, list[str]]:
    """Return primitive -> the primitives that must run before it, group order included."""
    units = {unit.id: members_of(unit) for unit in situation.units}
    needs: dict[str, list[str]] = {}
    for unit in situation.units:
        members = members_of(unit)
        for member in members:
            needs[member.id] = []
            units.setdefault(member.id, (member,))
        if isinstance(unit, Group) and unit.ordered:
            for before, after in pairwise(members):
                needs[after.id].append(before.id)
    for order in situation.configuration.orders:
        usual = order.first_action == "start" and order.then_action == "start"
        if order.kind is not OrderKind.MANDATORY or not order.symmetrical or not usual:
            continue
        for then in units.get(order.then, ())[:1]:
            needs[then.id] += [first.id for first in units.get(order.first, ())]
    return needs


def withheld(situation: Situation, placements: Placements) -> Placements:
    """Return the placements without those that need, by order, something that will not run."""
    needs = _needs(situation)
    first_starts = _first_starts(situation)
    kept = dict(placements)
    changed = True
    while changed:
        changed = False
        for then, firsts in needs.items():
            seen = situation.observed[then]
            if kept.get(then) is None:
                continue
            lacking = any(
                kept.get(first) is None and not _unmanaged(situation, first) for first in firsts
            )
            if lacking and (not seen.active or situation.managed_name(then)):
                kept[then] = None
                changed = True
        for then, first in first_starts:
            # One direction only: what runs already may stay.
            idle = not situation.observed[then].active
            if idle and kept[first] is None and kept[then] is not None:
                kept[then] = None
                changed = True
    return kept


def _first_starts(situation: Situation) -> list[tuple[str, str]]:
    """Return (then, first) of the mandatory orders that are not symmetrical."""
    units = {unit.id: members_of(unit) for unit in situation.units}
    units |= {member.id: (member,) for unit in situation.units for member in members_of(unit)}
    return [
        (then.id, first.id)
        for order in situation.configuration.orders
        if order.kind is OrderKind.MANDATORY and not order.symmetrical
        if order.first_action == "start" and order.then_action == "start"
        for then in units.get(order.then, ())
        for first in units.get(order.first, ())
    ]


def _unmanaged(situation: Situation, name: str) -> bool:
    return bool(situation.observed[name].active) and not situation.managed_name(name)
