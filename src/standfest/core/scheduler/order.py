"""Order stage, second half: orderings become links between actions, and their meaning spreads.

A worklist: an action whose flags changed puts its neighbours on it again, so the cost follows the
number of changes. Source: facts/formats/SCHEDULER-SPEC.md section 8.
"""

from collections import deque

from standfest.core.scheduler import assign, colocate
from standfest.core.scheduler.actions import Action, Link, find, make, order_actions
from standfest.core.scheduler.cluster import Cluster, Order, Relation
from standfest.core.scheduler.entities import Kind, Node, Resource, Role
from standfest.core.scheduler.flags import (
    BEGUN,
    DONE,
    asymmetric,
    comes_back,
    deed,
    flags_of,
    interleaved,
    milestone,
    restart,
    within,
)
from standfest.model.scores import INFINITY

FIRST_IMPLIES_THEN = int(Relation.FIRST_IMPLIES_THEN)
THEN_IMPLIES_FIRST = int(Relation.THEN_IMPLIES_FIRST)
PROMOTED_IMPLIES = int(Relation.PROMOTED_THEN_IMPLIES_FIRST)
BLOCKS = int(Relation.UNRUNNABLE_FIRST_BLOCKS)
UNMIGRATABLE = int(Relation.UNMIGRATABLE_THEN_BLOCKS)
ELSE_THEN = int(Relation.FIRST_ELSE_THEN)
STOP_BETWEEN = int(Relation.INTERMEDIATE_STOP)
ASYMMETRIC = int(Relation.ASYMMETRIC)
MIN_RUNNABLE = int(Relation.MIN_RUNNABLE)
SAME_NODE = int(Relation.IF_ON_SAME_NODE)
CANCELS = int(Relation.THEN_CANCELS_FIRST)
SAME_NODE_THEN = int(Relation.FIRST_IMPLIES_SAME_NODE_THEN)
PROBE = int(Relation.NESTED_REMOTE_PROBE)

FIRST, THEN = 1, 2
_EVERY = (
    FIRST_IMPLIES_THEN
    | THEN_IMPLIES_FIRST
    | PROMOTED_IMPLIES
    | BLOCKS
    | UNMIGRATABLE
    | ELSE_THEN
    | STOP_BETWEEN
    | ASYMMETRIC
    | MIN_RUNNABLE
    | SAME_NODE_THEN
    | PROBE
    | CANCELS
)


def apply_orders(cluster: Cluster) -> None:
    """Turn every order into links between the actions that exist."""
    for order in cluster.orders:
        _link(cluster, order)


def _tasks(resource: Resource, task: str) -> list[Action]:
    found = resource.by_key.get(f"{resource.id}_{task}_0")
    return found or []


def _link(cluster: Cluster, order: Order) -> None:
    if order.first_action is not None:
        firsts = [order.first_action]
    else:
        assert order.first is not None, "one of the two is given"
        firsts = _tasks(order.first, order.first_task)
        if not firsts:
            made = _needed(cluster, order.first, order.first_task)
            if made is None:
                return
            firsts = [made]
    if order.then_action is not None:
        thens = [order.then_action]
    else:
        assert order.then is not None, "one of the two is given"
        thens = _tasks(order.then, order.then_task)
    for first in firsts:
        flags = order.flags
        if order.first is not None and order.first is order.then and first.how == "dangling":
            flags &= ~(FIRST_IMPLIES_THEN)
        for then in thens:
            apart = first.node and then.node and first.node is not then.node
            if not (flags & SAME_NODE and apart):
                order_actions(first, then, flags)


def _needed(cluster: Cluster, resource: Resource, task: str) -> Action | None:
    """Return an action that has no place: what waits for it cannot be run."""
    role = colocate.role_of(resource, current=True)
    if task == "stop" and role <= Role.STOPPED:
        return None
    if task == "demote" and role in (Role.STOPPED, Role.UNPROMOTED, Role.UNKNOWN):
        return None
    if task in BEGUN:
        return None
    return make(cluster, resource, task, None, optional=True)


def _where(then: Action) -> Node | None:
    """Return the node on which an action, or a group's milestone, is about what happens."""
    group = then.resource
    if then.node is not None or group is None or group.kind is not Kind.GROUP:
        return then.node
    if BEGUN.get(then.task, then.task) in ("start", "promote"):
        return group.assigned
    return group.running[0] if group.running else None


class Spread:
    """Carries "required" and "runnable" along the links until nothing changes any more."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._queue: deque[Action] = deque()
        self._queued: set[int] = set()
        self._left = 0

    def run(self, actions: list[Action]) -> None:
        """Update all."""
        self._left = 400 * len(actions) + 10_000
        for action in actions:
            self.push(action)
        while self._queue and self._left:
            self._left -= 1
            action = self._queue.popleft()
            self._queued.discard(action.id)
            self._update(action)

    def push(self, action: Action) -> None:
        """Look at an action again."""
        if action.id not in self._queued:
            self._queued.add(action.id)
            self._queue.append(action)

    def _update(self, then: Action) -> None:
        if not then.before:
            return
        before = (then.optional, then.runnable, then.migratable, then.pseudo)
        if then.min_runnable:
            then.runnable_before = 0
            then.runnable = False
        place = 0
        while place < len(then.before):
            link = then.before[place]
            place += 1
            first = link.action.resource
            if link.flags & _EVERY or (
                link.flags and first is not None and first.kind is not Kind.PRIMITIVE
            ):
                self._one(then, link)
        if before != (then.optional, then.runnable, then.migratable, then.pseudo):
            self._then_changed(then, was_runnable=before[1])

    def _then_changed(self, then: Action, *, was_runnable: bool) -> None:
        if was_runnable and not then.runnable:
            self.block_dependents(then)
        self.push(then)
        for link in then.after:
            self.push(link.action)
        self._parents(then)

    def _parents(self, action: Action) -> None:
        """Look at the milestones around an action again."""
        resource = action.resource
        if resource is None or resource.parent is None:
            return
        level: Resource | None = resource.parent
        while level is not None:
            for task in (action.task, DONE.get(action.task, "")):
                above = find(level, task) if task else None
                if above is not None:
                    for link in above.after:
                        self.push(link.action)
            level = level.parent

    def _one(self, then: Action, link: Link) -> None:
        first = link.action
        if link.flags & CANCELS and first.resource is not None and not then.optional:
            first.optional = True
            if first.task.startswith("reload"):
                first.resource.reload = False
        here, there = first.resource, then.resource
        if here is not None and there is not None and here is not there and not within(there, here):
            expanded = milestone(first)
            if expanded is not first:
                if order_actions(expanded, then, link.flags):
                    self.push(then)
                link.flags = int(Relation.NONE)
                return
        flags = flags_of(first, _where(then))
        changed = self._apply(first, then, flags, link)
        if changed & FIRST:
            for other in first.after:
                self.push(other.action)
            self.push(first)
            self._parents(first)

    # --- one link -------------------------------------------------------------------------------

    def _apply(self, first: Action, then: Action, flags: tuple[bool, bool], link: Link) -> int:
        """Apply what a link means; returns which ends changed."""
        kind = link.flags
        optional, runnable = flags
        node = then.node
        changed = 0
        if kind & SAME_NODE_THEN:
            node = first.node
            kind = (kind & ~SAME_NODE_THEN) | FIRST_IMPLIES_THEN
        there = then.resource
        if there is None or there.kind is Kind.PRIMITIVE:
            return self._simple(first, then, flags, kind, link)
        if kind & FIRST_IMPLIES_THEN:
            masked = (optional, True)
            changed |= self._collective(first, then, node, masked, FIRST_IMPLIES_THEN)
        if kind & STOP_BETWEEN:
            changed |= self._collective(first, then, node, flags, STOP_BETWEEN)
        if kind & THEN_IMPLIES_FIRST:
            changed |= self._collective(first, then, node, flags, THEN_IMPLIES_FIRST)
        if kind & PROMOTED_IMPLIES:
            changed |= self._collective(first, then, node, flags, PROMOTED_IMPLIES)
        if kind & MIN_RUNNABLE:
            changed |= self._simple(first, then, flags, MIN_RUNNABLE, link)
        if kind & PROBE and not runnable and first.resource is not None:
            if first.resource.running:
                link.flags = 0
            else:
                changed |= self._collective(first, then, node, flags, BLOCKS)
        if kind & BLOCKS:
            changed |= self._collective(first, then, node, flags, BLOCKS)
        if kind & (UNMIGRATABLE | ELSE_THEN):
            changed |= self._collective(first, then, node, flags, kind & (UNMIGRATABLE | ELSE_THEN))
        if kind & ASYMMETRIC:
            changed |= self._collective(first, then, node, flags, ASYMMETRIC)
        return changed | self._stuck(first, then, runnable, kind)

    def _stuck(self, first: Action, then: Action, runnable: bool, kind: int) -> int:
        """Let nothing follow a stop that will never happen (rule 8.9)."""
        if (
            kind & (FIRST_IMPLIES_THEN | STOP_BETWEEN | THEN_IMPLIES_FIRST)
            and first.resource is not None
            and first.task == "stop"
            and not first.resource.managed
            and first.resource.blocked
            and not runnable
            and then.runnable
        ):
            then.runnable = False
            return THEN
        return 0

    def _simple(
        self, first: Action, then: Action, flags: tuple[bool, bool], kind: int, link: Link
    ) -> int:
        """Apply a link whose `then` is an action of a primitive, or of nobody."""
        optional, runnable = flags
        was_first = (first.optional, first.runnable, first.migratable)
        was_then = (then.optional, then.runnable, then.migratable, then.pseudo)
        if kind & ASYMMETRIC and then.resource is not None and not runnable:
            asymmetric(then)
        if kind & THEN_IMPLIES_FIRST and not then.optional and not optional:
            first.optional = False
            if first.migratable and not then.migratable and comes_back(then):
                first.migratable = False
        promoted = then.resource is not None and then.resource.role is Role.PROMOTED
        if kind & PROMOTED_IMPLIES and not then.optional and promoted:
            first.optional = False
            if first.migratable and not then.migratable:
                first.migratable = False
        if kind & UNMIGRATABLE:
            if not (then.migratable and then.runnable):
                first.runnable = False
            if not then.optional:
                first.optional = False
        if kind & ELSE_THEN and not runnable:
            then.migratable = False
            then.pseudo = False
        if kind & MIN_RUNNABLE and runnable:
            then.runnable_before += 1
            if then.runnable_before >= then.required_before:
                then.runnable = True
        if kind & PROBE and not runnable and first.resource is not None:
            if first.resource.running:
                link.flags &= ~PROBE
            else:
                then.runnable = False
        if kind & BLOCKS and not runnable and then.runnable:
            then.runnable = False
            then.migratable = False
            then.reason = then.reason or first.key
        if (
            kind & FIRST_IMPLIES_THEN
            and not optional
            and then.optional
            and not (first.migratable and first.resource is not None)
        ):
            self._require(then, first)
        if kind & STOP_BETWEEN:
            restart(first, then)
        changed = 0
        if was_first != (first.optional, first.runnable, first.migratable):
            changed |= FIRST
        if was_then != (then.optional, then.runnable, then.migratable, then.pseudo):
            changed |= THEN
        return changed | self._stuck(first, then, runnable, kind)

    def _require(self, then: Action, first: Action) -> None:
        resource = then.resource
        held = resource is not None and not resource.managed and then.node is not None
        if held and not then.interval and then.task != "monitor":
            return
        then.optional = False
        then.reason = then.reason or f"required {first.key}"

    # --- collections ----------------------------------------------------------------------------

    def _collective(
        self, first: Action, then: Action, node: Node | None, flags: tuple[bool, bool], kind: int
    ) -> int:
        """Apply one meaning to a collection's action and to the same action of its children."""
        there = then.resource
        assert there is not None, "only resources are collections"
        link = Link(first, kind)
        here = first.resource
        if (
            there.kind in (Kind.CLONE, Kind.BUNDLE)
            and here is not None
            and here.kind in (Kind.CLONE, Kind.BUNDLE)
            and here is not there
            and interleaved(first, then)
        ):
            return self._interleave(first, then, node, kind)
        changed = self._simple(first, then, flags, kind, link)
        task = BEGUN.get(then.task, then.task)
        if then.task in BEGUN:
            return changed
        for child in there.children:
            action = find(child, task, node)
            if action is None:
                continue
            if child.kind is Kind.PRIMITIVE:
                was_runnable = action.runnable
                result = self._simple(first, action, flags, kind, link)
                if result & THEN:
                    self._then_changed(action, was_runnable=was_runnable)
                    changed |= THEN
                changed |= result & FIRST
            else:
                changed |= self._collective(first, action, node, flags, kind)
        return changed

    def _interleave(self, first: Action, then: Action, node: Node | None, kind: int) -> int:
        """Pair instances by node (rule 6.9)."""
        here, there = first.resource, then.resource
        assert here is not None, "checked by the caller"
        assert there is not None, "checked by the caller"
        current = first.task in ("stopped", "demoted")
        task, done = BEGUN.get(first.task, first.task), BEGUN.get(then.task, then.task)
        changed = 0
        for instance in there.children:
            role = Role.UNKNOWN
            partner = colocate.partner_of(self._cluster, instance, here, role, current=current)
            if partner is None:
                if not current and kind & (FIRST_IMPLIES_THEN | BLOCKS):
                    changed |= self._inhibit(instance)
                continue
            earlier, later = deed(partner, task), find(instance, done, None)
            if earlier is None or later is None:
                continue
            if order_actions(earlier, later, kind | int(Relation.ORDERED)):
                changed |= THEN
            self.push(later)
        return changed

    def _inhibit(self, instance: Resource) -> int:
        """Keep an instance down that has no partner on its node."""
        if colocate.place_of(instance) is None:
            return 0
        assign.unplace(self._cluster, instance)
        for leaf in instance.primitives():
            for action in leaf.actions:
                if action.task in ("start", "promote") or (
                    action.task == "monitor" and action.interval and action.expected != 7
                ):
                    action.runnable = False
                    self.block_dependents(action)
                if action.task == "stop" and action.node is not None and leaf.managed:
                    action.optional = False
                self.push(action)
                for link in action.after:
                    self.push(link.action)
        return THEN

    def block_dependents(self, action: Action) -> None:
        """Keep mandatory dependents from starting beside something that will not (rule 4.11)."""
        resource = action.resource
        if resource is None or action.runnable or action.task not in ("start", "promote"):
            return
        whole = resource.outermost
        for part in whole.children:
            found = find(part, action.task)
            if found is None or found.runnable or part.blocked:
                return  # what goes with a collection is content with any part that may be there
        for colocation in whole.with_this:
            if colocation.score < INFINITY:
                continue
            needs_promotion = colocation.primary_role is Role.PROMOTED
            if needs_promotion != (action.task == "promote"):
                continue
            task = "promote" if colocation.dependent_role is Role.PROMOTED else "start"
            self._block(colocation.dependent, task, action)

    def _block(self, resource: Resource, task: str, cause: Action) -> None:
        for action in _tasks(resource, task):
            if action.runnable:
                action.runnable = False
                action.reason = action.reason or cause.key
                self.block_dependents(action)
                self.push(action)
                for link in action.after:
                    self.push(link.action)
        for child in resource.children:
            self._block(child, task, cause)
