"""Fourth stage: what must be done to each primitive so that it is where it belongs.

Source: facts/formats/SCHEDULER-SPEC.md sections 5, 8, 9 and 11.
"""

from collections.abc import Mapping
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
    pinned = _pinned(situation)
    restart = _restarts(situation, placements, pinned)
    decisions: dict[str, Decision] = {}
    for unit in situation.units:
        for primitive in members_of(unit):
            target = placements[primitive.id]
            seen = situation.observed[primitive.id]
            pin = pinned.get(primitive.id, "")
            decision = _decide(situation, primitive, target, primitive.id in restart, pin)
            _watch(situation, primitive, seen, decision, target)
            decisions[primitive.id] = decision
    _wait(situation, decisions)
    return decisions


def will_run(decision: Decision, seen: Observed) -> bool:
    """Return whether a primitive is up once its decision has been carried out."""
    return decision.start is not None or (bool(seen.active) and not decision.stop)


def _pinned(situation: Situation) -> dict[str, str]:
    """Return the active primitives that cannot be stopped now, and why.

    Besides those that are nobody's to touch, all that these need to be running (rule 8.9).
    """
    pinned: dict[str, str] = {}
    for unit in situation.units:
        for primitive in members_of(unit):
            why = _pin(situation, primitive)
            if why and situation.observed[primitive.id].active:
                pinned[primitive.id] = why
    needs = _needs(situation)
    work = sorted(pinned)
    while work:
        then = work.pop()
        for first in needs[then]:
            if first not in pinned and situation.observed[first].active:
                pinned[first] = f"{then} needs it and cannot be stopped"
                work.append(first)
    return pinned


def _pin(situation: Situation, primitive: Primitive) -> str:
    """Return why a primitive is to be left alone for reasons of its own, or nothing."""
    seen, nodes = situation.observed[primitive.id], situation.nodes
    if not situation.managed(primitive):
        return "it is blocked after a failure" if seen.blocked else "it is not managed"
    if seen.pending:
        return "an operation on it has not ended"
    lost = [nodes[i].name for i in seen.active if nodes[i].unclean]
    if lost:
        return f"{', '.join(lost)} is lost and not fenced"
    if any(nodes[i].away or nodes[i].maintenance for i in seen.active):
        return "its node's daemon is away, or the node is in maintenance"
    return ""


def _unsure(situation: Situation, seen: Observed) -> str:
    """Return which node may be running a stopped resource, as nobody has looked there yet.

    A node that is heard again may have gone on alone: until its daemon has joined and said what it
    runs, nothing is started that could run there, too.
    """
    if seen.active:
        return ""
    unknown = [(i, n) for i, n in enumerate(situation.nodes) if i not in seen.known]
    lost = [node.name for _, node in unknown if node.unclean]
    if lost:
        return f"it may run on {', '.join(lost)}, lost and not fenced"
    away = [node.name for _, node in unknown if node.away]
    return f"it may run on {', '.join(away)}, which has not joined yet" if away else ""


def _wait(situation: Situation, decisions: dict[str, Decision]) -> None:
    """Withdraw starts of what needs something that is not up, or not yet, and will not be."""
    needs = _needs(situation)
    for then, first in _first_starts(situation):
        needs[then].append(first)
    changed = True
    while changed:
        changed = False
        for then, firsts in needs.items():
            decision = decisions[then]
            if decision.start is None:
                continue
            for first in firsts:
                seen = situation.observed[first]
                if seen.pending or not will_run(decisions[first], seen):
                    decision.start, decision.watch = None, []
                    decision.held = f"{first} is not running yet"
                    changed = True
                    break


def _decide(
    situation: Situation, primitive: Primitive, target: int | None, restart: bool, pin: str
) -> Decision:
    seen = situation.observed[primitive.id]
    decision = Decision()
    if situation.configuration.options.enable_startup_probes:
        nodes = enumerate(situation.nodes)
        decision.probe = [i for i, n in nodes if n.online and i not in seen.known]
    settled = len(seen.active) == 1 and seen.active[0] == target and not restart
    if settled or (not seen.active and target is None):
        return decision
    decision.held = pin or _pin(situation, primitive) or _unsure(situation, seen)
    if decision.held:
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


def _restarts(situation: Situation, placements: Placements, pinned: Mapping[str, str]) -> set[str]:
    """Return the active primitives that must stop and start where they are, or just stop.

    Failed ones and those with other parameters; then all that need one of these to be running.
    """
    moved: set[str] = set()
    needs = _needs(situation)
    for unit in situation.units:
        for primitive in members_of(unit):
            seen = situation.observed[primitive.id]
            if primitive.id not in pinned and _disturbed(seen, primitive, placements):
                moved.add(primitive.id)
    changed = True
    while changed:
        changed = False
        for then, firsts in needs.items():
            if then in moved or then in pinned or not situation.observed[then].active:
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
    return not situation.managed_name(name)
