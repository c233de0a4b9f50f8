"""Colocate stage: how the place of one resource raises or lowers another's scores.

Source: facts/formats/SCHEDULER-SPEC.md section 4.
"""

from enum import IntEnum
from functools import cmp_to_key

from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import Colocation, Kind, Node, Resource, Role
from standfest.core.scheduler.ledger import Cause
from standfest.model.scores import INFINITY, add_scores

HOST = "#host"
"""As #uname, but a bundle's nodes count as the nodes that its containers are on."""


class Effect(IntEnum):
    """What a colocation changes of its dependent."""

    NOTHING = 0
    PLACE = 1
    ROLE = 2


# --- which colocations count ---------------------------------------------------------------------


def colocations_of(resource: Resource) -> list[Colocation]:
    """Return those in which the resource, or what it is part of, is the dependent."""
    found = _dependent_in(resource, resource)
    return found if len(found) < 2 else sorted(found, key=cmp_to_key(_by_primary))


def _dependent_in(resource: Resource, asked: Resource) -> list[Colocation]:
    parent = resource.parent
    if resource.kind is Kind.GROUP and resource is not asked:
        if not resource.children or asked is resource.children[0]:
            found = list(resource.this_with)
            return found + _dependent_in(parent, asked) if parent is not None else found
        # A later member follows the first one; not if an unmanaged one breaks the chain.
        for member in resource.children:
            if member is asked:
                return []
            if not member.managed:
                return [c for c in resource.this_with if c.score == INFINITY]
        return []
    if parent is None:
        return list(resource.this_with)
    return resource.this_with + _dependent_in(parent, asked)


def dependents_of(resource: Resource) -> list[Colocation]:
    """Return those in which the resource, or what it is part of, is the primary."""
    found = _primary_in(resource, resource)
    return found if len(found) < 2 else sorted(found, key=cmp_to_key(_by_dependent))


def _primary_in(resource: Resource, asked: Resource) -> list[Colocation]:
    parent = resource.parent
    grouped = resource.kind is Kind.GROUP and resource is not asked
    if grouped and (not resource.children or asked is not resource.children[-1]):
        return []
    if parent is None:
        return list(resource.with_this)
    if parent.kind is Kind.CLONE:
        # Dependents of a clone are considered for the clone as a whole.
        return resource.with_this + (_primary_in(parent, asked) if parent.with_this else [])
    return resource.with_this + _primary_in(parent, asked)


def _compare(one: Resource, other: Resource) -> int:
    if one.priority != other.priority:
        return -1 if one.priority > other.priority else 1
    if one.kind != other.kind:
        return -1 if one.kind > other.kind else 1
    if one.is_clone and one.promotable != other.promotable:
        return -1 if one.promotable else 1
    return 0


def _by_id(one: Colocation, other: Colocation) -> int:
    return (one.id > other.id) - (one.id < other.id)


def _by_primary(one: Colocation, other: Colocation) -> int:
    return _compare(one.primary, other.primary) or _by_id(one, other)


def _by_dependent(one: Colocation, other: Colocation) -> int:
    return _compare(one.dependent, other.dependent) or _by_id(one, other)


# --- a primary's place and its dependents --------------------------------------------------------


def effect_of(colocation: Colocation, dependent: Resource, primary: Resource) -> Effect:
    """Return what a colocation changes now (rule 4.6)."""
    if primary.unassigned:
        return Effect.NOTHING
    if (
        colocation.dependent_role >= Role.UNPROMOTED
        and dependent.promotable
        and dependent.clone is not None
        and not dependent.unassigned
    ):
        return Effect.ROLE
    if not dependent.unassigned:
        return Effect.NOTHING
    wanted = colocation.dependent_role
    if wanted is not Role.UNKNOWN and wanted != dependent.next_role:
        return Effect.NOTHING
    wanted = colocation.primary_role
    if wanted is not Role.UNKNOWN and wanted != primary.next_role:
        return Effect.NOTHING
    return Effect.PLACE


def apply(cluster: Cluster, colocation: Colocation, dependent: Resource, primary: Resource) -> None:
    """Let the primary's place change the scores, or promotion priority, of a dependent."""
    if dependent.kind is Kind.GROUP:
        if dependent.collocated:
            if dependent.children:
                apply(cluster, colocation, dependent.children[0], primary)
        elif colocation.score < INFINITY:
            for member in dependent.children:
                apply(cluster, colocation, member, primary)
        return
    if dependent.kind in (Kind.CLONE, Kind.BUNDLE):
        return  # its instances see to it
    match primary.kind:
        case Kind.PRIMITIVE:
            _to_primitive(cluster, colocation, dependent, primary)
        case Kind.GROUP:
            _to_group(cluster, colocation, dependent, primary)
        case Kind.CLONE | Kind.BUNDLE:
            _to_instances(cluster, colocation, dependent, primary)
    cluster.note(dependent, Cause.COLOCATION, colocation)


def _to_primitive(
    cluster: Cluster, colocation: Colocation, dependent: Resource, primary: Resource
) -> None:
    effect = effect_of(colocation, dependent, primary)
    if effect is Effect.PLACE:
        _change_scores(cluster, colocation, dependent, primary)
    elif effect is Effect.ROLE:
        _change_priority(colocation, dependent, primary)


def value_on(node: Node, attribute: str) -> str | None:
    """Return what is compared: the node's name, or an attribute of it."""
    node = node.ground
    return node.name if attribute in ("#uname", HOST) else node.attributes.get(attribute)


def _change_scores(
    cluster: Cluster, colocation: Colocation, dependent: Resource, primary: Resource
) -> None:
    score, attribute = colocation.score, colocation.attribute
    table = dependent.allowed
    place = primary.assigned
    if place is None:
        if score < 0:
            return
        work = [add_scores(-score, value) for value in table]
    elif attribute == "#uname" and dependent.home is None:
        index = place.ground.index
        if score >= INFINITY:
            work = [-INFINITY] * len(table)
            work[index] = table[index]
        else:
            work = list(table)
            work[index] = add_scores(score, table[index])
    else:
        wanted = value_on(place, attribute)
        work = list(table)
        for node in cluster.nodes:
            same = value_on(node, attribute) == wanted
            if same and score < INFINITY:
                work[node.index] = add_scores(score, table[node.index])
            elif not same and score >= INFINITY:
                work[node.index] = add_scores(-score, table[node.index])
    if abs(score) >= INFINITY or any_usable(cluster, work):
        dependent.allowed = work


def any_usable(cluster: Cluster, table: list[int]) -> bool:
    """Return whether the scores leave a node that can be used."""
    return any(score >= 0 and node.usable for score, node in zip(table, cluster.nodes, strict=True))


def _change_priority(colocation: Colocation, dependent: Resource, primary: Resource) -> None:
    """Let the primary's place count for promotion (rule 7.3)."""
    if dependent.assigned is None:
        return
    score, attribute = colocation.score, colocation.attribute
    place = primary.assigned
    if place is None or value_on(dependent.assigned, attribute) != value_on(place, attribute):
        if score >= INFINITY and colocation.dependent_role is Role.PROMOTED:
            dependent.promotion_priority = -INFINITY
        return
    wanted = colocation.primary_role
    if wanted is not Role.UNKNOWN and wanted != primary.next_role:
        return
    if colocation.dependent_role is Role.UNPROMOTED:
        score = -score
    dependent.promotion_priority = add_scores(score, dependent.promotion_priority)


def _to_group(
    cluster: Cluster, colocation: Colocation, dependent: Resource, group: Resource
) -> None:
    if group.unassigned or not group.children:
        return
    if group.collocated:
        member = group.children[-1] if colocation.score >= INFINITY else group.children[0]
        apply(cluster, colocation, dependent, member)
    elif colocation.score < INFINITY:
        for member in group.children:
            apply(cluster, colocation, dependent, member)


def place_of(resource: Resource, *, current: bool = False) -> Node | None:
    """Return where a resource will be (or is): for a collection, its first member's place."""
    if resource.kind is Kind.PRIMITIVE:
        if current:
            return resource.running[0] if resource.running else None
        return resource.assigned
    for child in resource.children:
        node = place_of(child, current=current)
        if node is not None:
            return node
    return None


def role_of(resource: Resource, *, current: bool = False) -> Role:
    """Return the highest role in a resource."""
    if resource.kind is Kind.PRIMITIVE:
        return resource.role if current else resource.next_role
    return max((role_of(c, current=current) for c in resource.children), default=Role.UNKNOWN)


def _to_instances(
    cluster: Cluster, colocation: Colocation, dependent: Resource, primary: Resource
) -> None:
    if primary.unassigned:
        return
    role = colocation.primary_role
    if primary.promotable and role > Role.STARTED:
        _to_promotable(cluster, colocation, dependent, primary)
        return
    if interleaves(colocation):
        partner = partner_of(cluster, dependent, primary, Role.UNKNOWN, current=False)
        if partner is not None:
            apply(cluster, colocation, dependent, partner)
        elif colocation.score >= INFINITY and dependent.unassigned:
            dependent.allowed = [-INFINITY] * len(dependent.allowed)
        return
    if colocation.score >= INFINITY:
        if not dependent.unassigned:
            return
        places = []
        for instance in primary.children:
            node = place_of(instance)
            if node is not None and not instance.blocked:
                places.append(node)
        _intersect(cluster, colocation, dependent, places)
        return
    for instance in primary.children:
        apply(cluster, colocation, dependent, instance)


def _intersect(
    cluster: Cluster, colocation: Colocation, dependent: Resource, places: list[Node]
) -> None:
    attribute = colocation.attribute
    wanted = {value_on(node, attribute) for node in places}
    for node in cluster.nodes:
        if value_on(node, attribute) not in wanted:
            dependent.allowed[node.index] = -INFINITY


def _share(
    colocation: Colocation, dependent: Resource, chosen: list[tuple[Node, Resource]]
) -> None:
    """Let the dependent prefer, of several promoted instances' nodes, the one they prefer."""
    if colocation.attribute != "#uname":
        return
    for node, instance in chosen:
        leaf = next(iter(instance.primitives()))
        index = node.ground.index
        dependent.allowed[index] = add_scores(dependent.allowed[index], leaf.allowed[node.index])


def _to_promotable(
    cluster: Cluster, colocation: Colocation, dependent: Resource, primary: Resource
) -> None:
    """Let only instances that will have the right role attract the dependent."""
    role = colocation.primary_role
    chosen = [
        (place, instance)
        for instance in primary.children
        if role_of(instance) == role and (place := place_of(instance)) is not None
    ]
    both = colocation.dependent_role is Role.PROMOTED and role is Role.PROMOTED
    if not both and dependent.unassigned:
        wanted = colocation.dependent_role
        if wanted is Role.UNKNOWN or wanted == dependent.next_role:
            if colocation.score >= INFINITY:
                _intersect(cluster, colocation, dependent, [node for node, _ in chosen])
                _share(colocation, dependent, chosen)
                return
            for _, instance in chosen:
                apply(cluster, colocation, dependent, instance)
        return
    if not dependent.unassigned and dependent.assigned is not None:
        attribute = colocation.attribute
        here = value_on(dependent.assigned, attribute)
        if any(value_on(node, attribute) == here for node, _ in chosen):
            score = colocation.score
            if colocation.dependent_role is Role.UNPROMOTED:
                score = -score
            dependent.promotion_priority = add_scores(dependent.promotion_priority, score)
        elif colocation.score >= INFINITY and colocation.dependent_role is Role.PROMOTED:
            dependent.promotion_priority = -INFINITY


def interleaves(colocation: Colocation) -> bool:
    """Return whether instances pair up node by node."""
    dependent, primary = colocation.dependent, colocation.primary
    return (
        dependent.kind in (Kind.CLONE, Kind.BUNDLE)
        and primary.kind in (Kind.CLONE, Kind.BUNDLE)
        and (dependent.interleave or dependent.kind is Kind.BUNDLE)
        and dependent.clone_node_max == primary.clone_node_max
    )


def partner_of(
    cluster: Cluster, resource: Resource, collection: Resource, role: Role, *, current: bool
) -> Resource | None:
    """Return the instance of a collection that shares a node with the resource."""
    node = place_of(resource, current=current)
    if node is not None and resource.home is not None:
        node = node.host
    if node is not None:
        return _instance_on(collection, node, role, current=current)
    counted = cluster.options.placement != "minimal"
    active = resource.running[0] if resource.running else None

    def rank(node: Node) -> tuple[int, int, bool, int]:
        score = -resource.allowed[node.index] if node.usable else INFINITY
        return (score, node.count if counted else 0, node is not active, node.index)

    allowed = (node for node in cluster.nodes if resource.allowed[node.index] > -INFINITY)
    order = sorted(allowed, key=rank)
    for candidate in order:
        found = _instance_on(collection, candidate, role, current=current)
        if found is not None:
            return found
    return None


def _instance_on(collection: Resource, node: Node, role: Role, *, current: bool) -> Resource | None:
    for instance in collection.children:
        if role is not Role.UNKNOWN and role_of(instance, current=current) != role:
            continue
        place = place_of(instance, current=current)
        if instance.home is not None and place is not None:
            place = place.host
        if not instance.blocked and place is node:
            return instance
    return None
