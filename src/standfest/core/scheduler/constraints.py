"""Unpack stage: constraints, their sets and tags taken apart into pairs.

Source: facts/formats/SCHEDULER-SPEC.md sections 2, 4 and 8; Pacemaker Explained, "Constraints".
"""

import itertools
import re
from collections.abc import Iterator

from standfest.core.scheduler import values
from standfest.core.scheduler.actions import pseudo, relate, relate_actions
from standfest.core.scheduler.cluster import Cluster, Relation, TicketRule
from standfest.core.scheduler.entities import Colocation, Kind, Location, Resource, Role
from standfest.core.scheduler.resources import ROLES
from standfest.core.scheduler.rules import Facts, next_change, passes
from standfest.model.element import Element
from standfest.model.scores import INFINITY

_INVERSE = {"start": "stop", "stop": "start", "promote": "demote", "demote": "promote"}
_OF_ROLES = ("promote", "demote")
_ORDER = Relation


class ConstraintReader:
    """Reads `<constraints>`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._plain = Facts(cluster.now)

    def read(self, configuration: Element) -> None:
        """Read all constraints."""
        section = configuration.child("constraints")
        for element in section.children if section is not None else ():
            lifetime = element.child("lifetime")
            if lifetime is not None and not self._alive(lifetime):
                continue
            if element.tag == "rsc_location":
                self._location(element)
            elif element.tag == "rsc_colocation":
                self._colocation(element)
            elif element.tag == "rsc_order":
                self._order(element)
            elif element.tag == "rsc_ticket":
                self._ticket(element)

    def _alive(self, lifetime: Element) -> bool:
        rules = [child for child in lifetime.children if child.tag == "rule"]
        for rule in rules:
            self._edge(rule)
        return not rules or any(passes(rule, self._plain) for rule in rules)

    def _edge(self, rule: Element) -> None:
        moment = next_change(rule, self._cluster.now)
        if moment is not None:
            self._cluster.recheck(moment)

    # --- who is meant ---------------------------------------------------------------------------

    def resource(self, name: str | None) -> Resource | None:
        """Return the resource a constraint means: for an instance's id, the whole clone."""
        found = self._cluster.by_id.get(name or "")
        if found is None:
            return None
        if found.clone is not None:
            return found.clone
        return found

    def _named(self, name: str | None) -> list[Resource]:
        """Return a resource, or all that a tag or template stands for."""
        found = self.resource(name)
        if found is not None and not found.removed:
            return [found]
        if name in self._cluster.tags:
            named = [self.resource(member) for member in self._cluster.tags[name or ""]]
            return [resource for resource in named if resource is not None]
        if name in self._cluster.templates:
            return [
                resource
                for primitive in self._all()
                if (resource := self.resource(primitive)) is not None
                and self._cluster.tags.get(f"template:{name}")
                and primitive in self._cluster.tags[f"template:{name}"]
            ]
        return []

    def _all(self) -> Iterator[str]:
        for resource in self._cluster.resources:
            seen = set()
            for leaf in resource.primitives():
                if leaf.base not in seen:
                    seen.add(leaf.base)
                    yield leaf.base

    def _members(self, element: Element) -> list[Resource]:
        found: list[Resource] = []
        for reference in element.children:
            if reference.tag == "resource_ref":
                found += self._named(reference.id)
        return found

    # --- location -------------------------------------------------------------------------------

    def _location(self, element: Element) -> None:
        pattern = element.get("rsc-pattern")
        if pattern is not None:
            invert = pattern.startswith("!")
            try:
                compiled = re.compile(pattern[1:] if invert else pattern)
            except re.error:
                return
            for resource in list(self._cluster.resources):
                match = compiled.search(resource.id)
                if bool(match) != invert:
                    groups = (match[0], *match.groups("")) if match else ()
                    self._locate(element, resource, element.get("role"), groups)
            return
        for part in element.children:
            if part.tag == "resource_set":
                role = part.get("role") or element.get("role")
                for resource in self._members(part):
                    self._locate(element, resource, role, ())
        for resource in self._named(element.get("rsc")):
            self._locate(element, resource, element.get("role"), ())

    def _locate(
        self, element: Element, resource: Resource, role: str | None, groups: tuple[str, ...]
    ) -> None:
        cluster = self._cluster
        node_name = element.get("node")
        discovery = element.get("resource-discovery") or ""
        if node_name is not None:
            node = cluster.node(node_name)
            if node is None:
                return
            score = values.score(element.get("score"), 0)
            self._add(element, resource, _role(role), {node.index: score}, discovery)
            return
        for rule in element.children:
            if rule.tag == "rule":
                self._rule(element, rule, resource, role, groups, discovery)

    def _rule(  # noqa: PLR0917 (a leaf: one rule of one constraint for one resource)
        self,
        element: Element,
        rule: Element,
        resource: Resource,
        role: str | None,
        groups: tuple[str, ...],
        discovery: str,
    ) -> None:
        self._edge(rule)
        attribute = rule.get("score-attribute")
        fixed = values.score(rule.get("score") or element.get("score"), 0)
        scores: dict[int, int] = {}
        for node in self._cluster.nodes:
            facts = Facts(
                self._cluster.now,
                node.attributes,
                parameters=resource.parameters,
                meta=resource.meta,
                groups=groups,
            )
            if not passes(rule, facts):
                continue
            score = fixed
            if attribute is not None:
                name = attribute
                for number, text in enumerate(groups):
                    name = name.replace(f"%{number}", text)
                # A node that has no score of this name is not meant (facts: CIB-MODERN.md).
                score = values.score(node.attributes.get(name, "-INFINITY"), 0)
            scores[node.index] = score
        wanted = _role(rule.get("role") or role)
        self._add(rule, resource, wanted, scores, discovery)

    def _add(
        self,
        element: Element,
        resource: Resource,
        role: Role,
        scores: dict[int, int],
        discovery: str,
    ) -> None:
        location = Location(element.id, role, scores, element)
        location.discovery = discovery
        self._cluster.locations.append((resource, location))

    # --- colocation -----------------------------------------------------------------------------

    def _colocation(self, element: Element) -> None:
        score = values.score(element.get("score"), INFINITY)
        sets = [part for part in element.children if part.tag == "resource_set"]
        if sets:
            self._colocated_sets(element, sets, score)
            return
        dependents = self._named(element.get("rsc"))
        primaries = self._named(element.get("with-rsc"))
        if len(dependents) > 1 and len(primaries) > 1:
            problem = "tags or templates on both sides, constraint left out"
            self._cluster.notes.append(f"{element.id}: {problem}")
            return
        for dependent in dependents:
            for primary in primaries:
                self.collocate(
                    element,
                    dependent,
                    primary,
                    score,
                    roles=(element.get("rsc-role"), element.get("with-rsc-role")),
                )

    def collocate(
        self,
        element: Element,
        dependent: Resource,
        primary: Resource,
        score: int,
        *,
        roles: tuple[str | None, str | None] = (None, None),
    ) -> None:
        """Add one pair."""
        if not score or dependent is primary:
            return
        if primary.bundle is not None and _above_started(roles[1]) is not Role.UNKNOWN:
            primary = primary.bundle  # roles are those of what runs inside
        if dependent.bundle is not None and _above_started(roles[0]) is not Role.UNKNOWN:
            dependent = dependent.bundle
        found = Colocation(element.id, dependent, primary, score)
        found.element = element
        found.dependent_role = _above_started(roles[0])
        found.primary_role = _above_started(roles[1])
        found.attribute = element.get("node-attribute") or "#uname"
        critical = dependent.critical
        found.influence = values.boolean(element.get("influence"), critical)
        self._cluster.colocations.append(found)
        dependent.this_with.append(found)
        primary.with_this.append(found)
        if score <= -INFINITY:
            self._keep_apart(dependent, found.dependent_role, primary, found.primary_role)
            self._keep_apart(primary, found.primary_role, dependent, found.dependent_role)

    def _keep_apart(self, leaver: Resource, left_role: Role, comer: Resource, role: Role) -> None:
        """Let one resource leave a node before the other comes there (rule 4.10)."""
        leaving = ["demote"] if left_role is Role.PROMOTED else ["stop"]
        coming = ["promote"] if role is Role.PROMOTED else ["start"]
        if left_role is Role.UNPROMOTED:
            leaving.append("promote")
        if role is Role.UNPROMOTED:
            coming.append("demote")
        for task in leaving:
            for then_task in coming:
                flags = _ORDER.ORDERED | _ORDER.IF_ON_SAME_NODE
                relate(self._cluster, leaver, task, comer, then_task, flags)

    def _colocated_sets(self, element: Element, sets: list[Element], score: int) -> None:
        previous: Element | None = None
        for part in sets:
            own = values.score(part.get("score"), score)
            role = part.get("role")
            members = self._members(part)
            if _sequential(part):
                for place, member in enumerate(members):
                    others = members[:place] if own < 0 else members[max(0, place - 1) : place]
                    for other in others:
                        self.collocate(element, member, other, own, roles=(role, role))
            if previous is not None:
                self._set_with_set(element, previous, part, score)
            previous = part

    def _set_with_set(self, element: Element, left: Element, right: Element, score: int) -> None:
        dependents, primaries = self._members(left), self._members(right)
        roles = (left.get("role"), right.get("role"))
        if not dependents or not primaries:
            return
        if _sequential(left):
            dependents = dependents[:1]
        if _sequential(right):
            primaries = primaries[-1:]
        for dependent in dependents:
            for primary in primaries:
                self.collocate(element, dependent, primary, score, roles=roles)

    # --- order ----------------------------------------------------------------------------------

    def _order(self, element: Element) -> None:
        kind = _kind(element.get("kind"), element.get("score"))
        symmetrical = values.boolean(element.get("symmetrical"), True) and kind != "Serialize"
        sets = [part for part in element.children if part.tag == "resource_set"]
        if sets:
            self._ordered_sets(element, sets, kind, symmetrical)
            return
        first_task = element.get("first-action") or "start"
        then_task = element.get("then-action") or first_task
        for first in self._named(element.get("first")):
            for then in self._named(element.get("then")):
                self._pair(element, first, then, (first_task, then_task), (kind, symmetrical))

    def _pair(
        self,
        element: Element,
        first: Resource,
        then: Resource,
        tasks: tuple[str, str],
        manner: tuple[str, bool],
    ) -> None:
        first_task, then_task = tasks
        kind, symmetrical = manner
        # Roles are those of what runs inside a bundle.
        if first.bundle is not None and first_task in _OF_ROLES:
            first = first.bundle
        if then.bundle is not None and then_task in _OF_ROLES:
            then = then.bundle
        flags = _flags(kind, first_task, "symmetric" if symmetrical else "asymmetric")
        needed = 0
        if first.kind is Kind.CLONE and first_task in ("start", "promote"):
            needed = first.clone_min
            if not needed and not values.boolean(element.get("require-all"), True):
                needed = 1
        if needed and kind == "Mandatory":
            self._enough(element, first, then, tasks, needed)
        else:
            relate(self._cluster, first, first_task, then, then_task, flags)
        if symmetrical:
            later, earlier = _INVERSE.get(first_task), _INVERSE.get(then_task)
            if later and earlier:
                flags = _flags(kind, earlier, "inverse")
                if kind == "Optional":
                    flags |= _ORDER.IF_FIRST_UNMIGRATABLE
                relate(self._cluster, then, earlier, first, later, flags)

    def _enough(
        self,
        element: Element,
        first: Resource,
        then: Resource,
        tasks: tuple[str, str],
        needed: int,
    ) -> None:
        """Order after so many instances instead of all (rule 6.11)."""
        action = pseudo(
            self._cluster, None, f"clone-one-or-more:order-{element.id}-{then.id}", optional=True
        )
        action.min_runnable = True
        action.required_before = needed
        for instance in first.children:
            flags = _ORDER.MIN_RUNNABLE | _ORDER.THEN_GRAPHED | _ORDER.ORDERED
            relate_actions(self._cluster, instance, action, flags, first_task=tasks[0])
        flags = _flags("Mandatory", tasks[0], "symmetric") | _ORDER.UNRUNNABLE_FIRST_BLOCKS
        flags &= ~_ORDER.FIRST_IMPLIES_THEN
        relate_actions(self._cluster, action, then, flags, then_task=tasks[1])

    def _ordered_sets(
        self, element: Element, sets: list[Element], kind: str, symmetrical: bool
    ) -> None:
        previous: Element | None = None
        for part in sets:
            own_kind = _kind(part.get("kind"), part.get("score")) if part.get("kind") else kind
            both = values.boolean(part.get("symmetrical"), symmetrical)
            if own_kind == "Serialize":
                both = False
            task = part.get("action") or "start"
            members = self._members(part)
            if own_kind == "Serialize":
                # Each before all later ones: two of them must not overlap with a third in between.
                for earlier, later in itertools.combinations(members, 2):
                    self._pair(element, earlier, later, (task, task), (own_kind, False))
            elif _sequential(part):
                for earlier, later in itertools.pairwise(members):
                    self._pair(element, earlier, later, (task, task), (own_kind, both))
            if previous is not None:
                self._set_then_set(element, previous, part, (kind, symmetrical))
            previous = part

    def _set_then_set(
        self, element: Element, left: Element, right: Element, manner: tuple[str, bool]
    ) -> None:
        firsts, thens = self._members(left), self._members(right)
        tasks = (left.get("action") or "start", right.get("action") or "start")
        if not firsts or not thens:
            return
        if not values.boolean(left.get("require-all"), True):
            self._any_of(left, right, tasks, manner)
            return
        if _sequential(left):
            firsts = firsts[-1:]
        if _sequential(right):
            thens = thens[:1]
        for first in firsts:
            for then in thens:
                self._pair(element, first, then, tasks, manner)

    def _any_of(
        self, left: Element, right: Element, tasks: tuple[str, str], manner: tuple[str, bool]
    ) -> None:
        """Order a set after any member of another (rule 8.7)."""
        firsts, thens = self._members(left), self._members(right)
        action = pseudo(self._cluster, None, f"one-or-more:{left.id}", optional=True)
        action.min_runnable = True
        action.required_before = 1
        for first in firsts:
            flags = _ORDER.MIN_RUNNABLE | _ORDER.THEN_GRAPHED | _ORDER.ORDERED
            relate_actions(self._cluster, first, action, flags, first_task=tasks[0])
        for then in thens:
            flags = _ORDER.UNRUNNABLE_FIRST_BLOCKS | _ORDER.ORDERED
            relate_actions(self._cluster, action, then, flags, then_task=tasks[1])
        _, symmetrical = manner
        later, earlier = _INVERSE.get(tasks[0]), _INVERSE.get(tasks[1])
        if symmetrical and later and earlier:
            for then in thens if not _sequential(right) else thens[:1]:
                for first in firsts:
                    backwards = _flags("Optional", earlier, "inverse")
                    relate(self._cluster, then, earlier, first, later, backwards)

    # --- tickets --------------------------------------------------------------------------------

    def _ticket(self, element: Element) -> None:
        ticket = element.get("ticket") or ""
        for part in element.children:
            if part.tag == "resource_set":
                role = part.get("role") or element.get("rsc-role")
                for resource in self._members(part):
                    self._bound(element, resource, ticket, role)
        for resource in self._named(element.get("rsc")):
            self._bound(element, resource, ticket, element.get("rsc-role"))

    def _bound(self, element: Element, resource: Resource, ticket: str, role: str | None) -> None:
        default = "demote" if _role(role) is Role.PROMOTED else "stop"
        policy = element.get("loss-policy") or default
        if policy == "fence" and not self._cluster.options.fencing:
            policy = "stop"
        rule = TicketRule(element.id, resource, ticket, policy)
        rule.role = _role(role)
        self._cluster.ticket_rules.append(rule)


def _role(text: str | None) -> Role:
    return ROLES.get((text or "").lower(), Role.UNKNOWN)


def _above_started(text: str | None) -> Role:
    role = _role(text)
    return Role.UNKNOWN if role is Role.STARTED else role


def _sequential(part: Element) -> bool:
    return values.boolean(part.get("sequential"), True)


def _kind(text: str | None, score: str | None) -> str:
    if text is None:
        if score is None:
            return "Mandatory"
        return "Mandatory" if values.score(score, 0) else "Optional"
    return {"mandatory": "Mandatory", "optional": "Optional", "serialize": "Serialize"}.get(
        text.lower(), "Mandatory"
    )


def _flags(kind: str, first_task: str, symmetry: str) -> int:
    flags = int(_ORDER.ORDERED)
    if kind == "Serialize":
        return _ORDER.ORDERED | _ORDER.SERIALIZE
    if kind == "Mandatory":
        if symmetry == "asymmetric":
            flags |= _ORDER.ASYMMETRIC
        elif symmetry == "symmetric":
            flags |= _ORDER.FIRST_IMPLIES_THEN
            if first_task in ("start", "promote"):
                flags |= _ORDER.UNRUNNABLE_FIRST_BLOCKS
        else:
            flags |= _ORDER.THEN_IMPLIES_FIRST
    return flags
