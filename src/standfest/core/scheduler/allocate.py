"""Third stage: which node every primitive belongs on, colocation included.

Primaries are placed before those that follow them, whose wishes they take into account.
Source: facts/formats/SCHEDULER-SPEC.md sections 2, 4 and 5.
"""

from collections.abc import Mapping

from standfest.core.scheduler.score import Scores
from standfest.core.scheduler.unpack import Situation, members_of, wanted_stopped
from standfest.model.configuration import Colocation, Group, NoQuorumPolicy, Primitive
from standfest.model.scores import INFINITY, add_scores, clamp

Placements = dict[str, int | None]
"""Primitive -> node index, or None where it cannot or shall not run."""


def allocate(situation: Situation, table: Mapping[str, Scores]) -> Placements:
    """Return where every primitive belongs."""
    return _Allocation(situation, table).run()


class _Allocation:
    def __init__(self, situation: Situation, table: Mapping[str, Scores]) -> None:
        self._situation = situation
        self._table = table
        self._placements: Placements = {}
        self._load = [0] * len(situation.nodes)
        self._units = {unit.id: unit for unit in situation.units}
        self._unit_of = {
            primitive.id: unit.id for unit in situation.units for primitive in members_of(unit)
        } | {unit.id: unit.id for unit in situation.units}
        self._placed: set[str] = set()
        self._colocations = [
            wish
            for wish in situation.configuration.colocations
            if wish.score and self._pair(wish) is not None
        ]

    def run(self) -> Placements:
        for unit in self._situation.units:
            self._place(unit.id, ())
        return self._placements

    def _pair(self, wish: Colocation) -> tuple[str, str] | None:
        """Return (dependent's unit, primary's unit), or None inside one unit."""
        dependent = self._unit_of.get(wish.dependent)
        primary = self._unit_of.get(wish.primary)
        if dependent is None or primary is None or dependent == primary:
            return None
        return dependent, primary

    def _place(self, unit_id: str, above: tuple[str, ...]) -> None:
        if unit_id in self._placed or unit_id in above:
            return
        path = (*above, unit_id)
        mine = [wish for wish in self._colocations if self._unit_of[wish.dependent] == unit_id]
        for wish in sorted(mine, key=lambda w: abs(w.score) < INFINITY):
            self._place(self._unit_of[wish.primary], path)
        if unit_id in self._placed:
            return
        unit = self._units[unit_id]
        scores = self._wishes(unit_id, ())
        for wish in sorted(mine, key=lambda w: abs(w.score) < INFINITY):
            if self._unit_of[wish.primary] in self._placed:
                scores = self._follow(scores, wish)
        self._placed.add(unit_id)
        self._assign(unit, scores)

    def _wishes(self, unit_id: str, above: tuple[str, ...]) -> Scores:
        """Return a unit's scores with those of its later members and of its dependents."""
        chain = self._chain(unit_id)
        together = chain[members_of(self._units[unit_id])[0].id]
        for wish in sorted(self._colocations, key=self._importance):
            dependent = self._unit_of[wish.dependent]
            if self._unit_of[wish.primary] != unit_id or dependent in (*above, unit_id):
                continue
            if dependent in self._placed:
                continue
            begin = members_of(self._units[dependent])[0]
            if wanted_stopped(self._situation, begin) or not self._matters(begin, unit_id):
                continue
            theirs = self._wishes(dependent, (*above, unit_id))
            scaled = [_scaled(score, wish.score) for score in theirs]
            together = self._joined(together, scaled)
        return together

    def _matters(self, dependent: Primitive, primary: str) -> bool:
        """Return whether a dependent may move its primary: one that runs, only if critical."""
        first = members_of(self._units[primary])[0]
        running = bool(self._situation.observed[first.id].active)
        return dependent.options.critical or dependent.id == first.id or not running

    def _importance(self, wish: Colocation) -> int:
        """Sort key: of dependents that contradict each other, the first gets its way."""
        return -self._units[self._unit_of[wish.dependent]].options.priority

    def _chain(self, unit_id: str) -> dict[str, Scores]:
        """Return each member's scores together with those of the members after it."""
        chain: dict[str, Scores] = {}
        after: Scores | None = None
        for member in reversed(members_of(self._units[unit_id])):
            own = self._table[member.id]
            joined = own if after is None else self._joined(own, after)
            stopped = wanted_stopped(self._situation, member)
            chain[member.id] = joined
            if not stopped and self._matters(member, unit_id):
                after = joined
        return chain

    def _joined(self, own: Scores, others: Scores) -> Scores:
        """Return the sums, or only our own where the sums leave no node at all."""
        sums = [add_scores(a, b) for a, b in zip(own, others, strict=True)]
        return sums if self._possible(sums) or not self._possible(own) else list(own)

    def _possible(self, scores: Scores) -> bool:
        nodes = self._situation.nodes
        return any(s >= 0 and node.usable for s, node in zip(scores, nodes, strict=True))

    def _follow(self, scores: Scores, wish: Colocation) -> Scores:
        """Return a dependent's scores after its primary has been placed."""
        unit = self._units[self._unit_of[wish.primary]]
        members = members_of(unit)
        named = next((m for m in members if m.id == wish.primary), None)
        if named is None:  # a group: mandatory needs all of it, optional only its beginning
            named = members[-1] if wish.score >= INFINITY else members[0]
        there = self._placements[named.id]
        if there is None:
            after = [add_scores(s, -wish.score) if wish.score > 0 else s for s in scores]
        elif wish.score >= INFINITY:
            after = [s if i == there else -INFINITY for i, s in enumerate(scores)]
        else:
            after = [add_scores(s, wish.score) if i == there else s for i, s in enumerate(scores)]
        optional = abs(wish.score) < INFINITY
        return scores if optional and not self._possible(after) else after

    def _assign(self, unit: Primitive | Group, scores: Scores) -> None:
        members = members_of(unit)
        first = members[0]
        together = isinstance(unit, Group) and unit.collocated
        chain = self._chain(unit.id)
        there: int | None = None
        blocked = False
        for member in members:
            if member is first or not together:
                own = scores if member is first else self._table[member.id]
                there = self._choose(member, own)
            target = there
            if (
                blocked
                or wanted_stopped(self._situation, member)
                or (target is not None and not self._may_be(member, target))
                or (target is not None and member is not first and chain[member.id][target] < 0)
            ):
                target = None
            target = self._quorum(member, self._kept(member, target))
            if together and target is not None and target != there:
                there = target  # the later members belong where this one has to stay
            self._placements[member.id] = target
            if target is not None:
                self._load[target] += 1
            elif isinstance(unit, Group) and unit.ordered:
                blocked = True  # later members need this one

    def _may_be(self, member: Primitive, target: int) -> bool:
        """Return whether a node takes resources, or at least keeps this one."""
        node = self._situation.nodes[target]
        return node.usable or (node.away and target in self._situation.observed[member.id].active)

    def _kept(self, member: Primitive, target: int | None) -> int | None:
        """Return where an unmanaged resource is: it stays there, whatever we think of it."""
        seen = self._situation.observed[member.id]
        if not self._situation.managed(member):
            return seen.active[0] if seen.active else None
        return target

    def _quorum(self, member: Primitive, target: int | None) -> int | None:
        """Return the target that the quorum policy allows."""
        if self._situation.status.have_quorum:
            return target
        policy = self._situation.configuration.options.no_quorum_policy
        if policy is NoQuorumPolicy.IGNORE or not self._situation.managed(member):
            return target
        if policy is NoQuorumPolicy.FREEZE and self._situation.observed[member.id].active:
            return target
        return None

    def _choose(self, primitive: Primitive, scores: Scores) -> int | None:
        nodes = self._situation.nodes
        active = self._situation.observed[primitive.id].active
        current = active[0] if len(active) == 1 else None
        if current is not None and nodes[current].away:
            return current  # its daemon is away for a moment: nothing moves
        candidates = [i for i, node in enumerate(nodes) if node.usable and scores[i] >= 0]
        if not candidates:
            return None
        best = max(scores[i] for i in candidates)
        equal = [i for i in candidates if scores[i] == best]
        if current in equal and best > 0:
            return current
        return min(equal, key=lambda i: (self._load[i], i != current, nodes[i].name))


def _scaled(score: int, factor: int) -> int:
    """Return a dependent's score as it counts for its primary: in the ratio of the colocation."""
    if score <= -INFINITY and factor >= INFINITY:
        return -INFINITY
    product = score * factor
    if not product or (score < 0 and factor < 0):
        return 0
    scaled = round(product / INFINITY)
    return clamp(scaled or (1 if product > 0 else -1))
