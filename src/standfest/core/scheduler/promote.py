"""Allocate stage: which instances of a promotable clone are promoted.

Source: facts/formats/SCHEDULER-SPEC.md section 7.
"""

from functools import cmp_to_key

from standfest.core.scheduler import colocate, values, wishes
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import Node, Resource, Role
from standfest.core.scheduler.ledger import Cause
from standfest.model.scores import INFINITY, add_scores


def promotion_score(resource: Resource, node: Node) -> int | None:
    """Return the promotion score on a node, a group's members' summed; None without any."""
    if resource.children:
        found = [promotion_score(child, node) for child in resource.children]
        known = [score for score in found if score is not None]
        total = 0
        for score in known:
            total = add_scores(total, score)
        return total if known else None
    if not _applies(resource, node):
        return None
    if resource.home is not None and resource.meta.get("container-attribute-target") == "host":
        node = node.host
    record = resource.history.get(node.index)
    recorded = record.id if record is not None else resource.id
    names = [recorded, resource.history_id]
    if not resource.globally_unique:
        names.append(resource.base)  # of unique instances, each has its own score
    for name in names:
        text = node.attributes.get(f"master-{name}")
        if text is None:
            text = node.attributes.get(f"promoted-{name}")
        if text is not None:
            return values.score(text, 0)
    return None


def _applies(resource: Resource, node: Node) -> bool:
    """Return whether a node's score is about this instance.

    Instances of an anonymous clone are interchangeable: the score is about the one that is active
    there, or about any if the node is known to have none. While nothing at all is known of an
    instance, as when a cluster starts, every node's score counts.
    """
    clone = resource.clone
    if clone is None or resource.allowed[node.index] < 0:
        return False
    if not resource.running and not resource.known_on:
        return True  # nothing has been seen of it anywhere yet: scores may be permanent ones
    if not clone.globally_unique:
        alike = [leaf for leaf in clone.primitives() if leaf.base == resource.base]
        active = [leaf for leaf in alike if node in leaf.running]
        if resource in active:
            return True
        if not active and any(node.index in leaf.known_on for leaf in alike):
            return True
    if not resource.running and not resource.known_on:
        return True
    return node.index in resource.known_on or node in resource.running


def add_scores_of_promotion(cluster: Cluster, clone: Resource) -> None:
    """Let good promotion scores attract instances, too (rule 7.4)."""
    if clone.promotion_scored:
        return
    clone.promotion_scored = True
    for instance in clone.children:
        for node in cluster.nodes:
            if not node.usable or instance.allowed[node.index] < 0:
                continue
            score = promotion_score(instance, node)
            if score is None:
                continue
            if score > 0:
                value = add_scores(instance.allowed[node.index], score)
                instance.allowed[node.index] = value
                for child in instance.children:
                    child.allowed[node.index] = add_scores(child.allowed[node.index], score)
                    break
                cluster.note(instance, Cause.PROMOTION, None, {node.index: score})
            if score > instance.priority and score > 0:
                instance.priority = score


def set_roles(cluster: Cluster, clone: Resource) -> None:
    """Choose the instances to promote, and set every instance's next role."""
    clone.count_on = {}
    for instance in clone.children:
        _start_from_unpromoted(instance)
        place = colocate.place_of(instance)
        _priority(cluster, instance, place)
    order = _sorted(cluster, clone)
    promoted = 0
    for instance in order:
        node = _may_promote(cluster, clone, instance) if promoted < clone.promoted_max else None
        if node is None:
            continue
        if (
            instance.role < Role.PROMOTED
            and not cluster.quorate
            and cluster.options.no_quorum_policy == "freeze"
        ):
            continue
        clone.count_on[node.index] = clone.count_on.get(node.index, 0) + 1
        promoted += 1
        _set(instance, Role.PROMOTED)
    for instance in clone.children:
        _finish(instance)


def _start_from_unpromoted(instance: Resource) -> None:
    for leaf in (instance, *instance.children):
        if leaf.role is Role.STARTED:
            leaf.role = Role.UNPROMOTED
    for leaf in instance.primitives():
        if leaf.assigned is None:
            leaf.next_role = Role.STOPPED
        elif leaf.next_role in (Role.UNKNOWN, Role.STARTED):
            leaf.next_role = Role.UNPROMOTED
            leaf.compatible = True  # decided by us, may be raised
        elif leaf.next_role is Role.UNPROMOTED:
            leaf.compatible = False  # by target-role, or because promoting it has failed
        else:
            leaf.compatible = leaf.next_role is Role.PROMOTED


def _set(instance: Resource, role: Role) -> None:
    instance.next_role = role
    for leaf in instance.primitives():
        if leaf.next_role is not Role.STOPPED:
            leaf.next_role = role


def _finish(instance: Resource) -> None:
    if instance.children:
        instance.next_role = max(leaf.next_role for leaf in instance.primitives())


def _priority(cluster: Cluster, instance: Resource, place: Node | None) -> None:
    leaves = instance.primitives()
    if place is None or all(leaf.next_role is Role.STOPPED for leaf in leaves):
        instance.promotion_priority = -INFINITY
        cluster.note_rank(instance, Cause.STOPPED, place, -INFINITY)
        return
    if _stays_promoted(instance):
        instance.promotion_priority = INFINITY  # it stays promoted, whatever others have
        cluster.note_rank(instance, Cause.OTHER, place, INFINITY)
        return
    if not all(leaf.compatible for leaf in leaves if leaf.next_role is not Role.STOPPED):
        instance.promotion_priority = -INFINITY
        cluster.note_rank(instance, Cause.OTHER, place, -INFINITY)
        return
    score = promotion_score(instance, place)
    instance.promotion_priority = -1 if score is None else score
    cluster.note_rank(instance, Cause.PROMOTION, score, instance.promotion_priority)
    for location in instance.locations:
        if location.role is Role.PROMOTED and place.index in location.scores:
            priority = add_scores(instance.promotion_priority, location.scores[place.index])
            instance.promotion_priority = priority
            cluster.note_rank(instance, Cause.LOCATION, location, priority)
    target = instance if not instance.children else instance.children[0]
    if target is not instance:
        target.promotion_priority = instance.promotion_priority
    for colocation in colocate.colocations_of(instance):
        if colocation.dependent_role > Role.STARTED:
            colocate.apply(cluster, colocation, target, colocation.primary)
            claim = target.promotion_priority
            cluster.note_rank(instance, Cause.COLOCATION, colocation, claim)
    instance.promotion_priority = target.promotion_priority


def _stays_promoted(instance: Resource) -> bool:
    """Return whether nobody demotes an instance: it has a role that others could have."""
    promoted = colocate.role_of(instance, current=True) is Role.PROMOTED
    return promoted and not all(leaf.managed for leaf in instance.primitives())


def _sorted(cluster: Cluster, clone: Resource) -> list[Resource]:
    """Return the instances, the first candidates for promotion first."""
    table = list(clone.allowed)
    for instance in clone.children:
        instance.sort_index = instance.promotion_priority
        place = colocate.place_of(instance)
        if place is None or instance.sort_index < 0:
            continue
        table[place.index] = add_scores(table[place.index], instance.sort_index)
    before, clone.allowed = clone.allowed, table
    _note_claims(cluster, clone, Cause.INSTANCES, None)
    # What the clone itself goes with has been counted in the instances' priorities.
    for colocation in colocate.dependents_of(clone):
        if colocation.primary_role is Role.PROMOTED and colocation.has_influence():
            clone.allowed = wishes.merged(
                cluster,
                colocation.dependent,
                clone,
                clone.allowed,
                colocation,
                colocation.score / INFINITY,
                positive=True,
            )
            _note_claims(cluster, clone, Cause.WISH, colocation)
    for instance in clone.children:
        place = colocate.place_of(instance)
        if place is not None and instance.sort_index >= 0 and not _stays_promoted(instance):
            instance.sort_index = clone.allowed[place.index]
    clone.allowed = before

    def compare(one: Resource, other: Resource) -> int:
        if one.sort_index != other.sort_index:
            return -1 if one.sort_index > other.sort_index else 1
        was, were = colocate.role_of(one, current=True), colocate.role_of(other, current=True)
        if was != were:
            return -1 if was > were else 1
        return 0

    return sorted(clone.children, key=cmp_to_key(compare))


def _note_claims(cluster: Cluster, clone: Resource, cause: Cause, by: object) -> None:
    """Say what the scores of the clone as a whole, and others' wishes, add to the claims."""
    for instance in clone.children if cluster.ledger is not None else ():
        place = colocate.place_of(instance)
        if place is not None and instance.sort_index >= 0:
            cluster.note_rank(instance, cause, by, clone.allowed[place.index])


def _may_promote(cluster: Cluster, clone: Resource, instance: Resource) -> Node | None:
    """Return the node on which an instance may be promoted (rule 7.5)."""
    leaves = instance.primitives()
    place = colocate.place_of(instance)
    if place is None:
        return None
    if not all(leaf.managed for leaf in leaves):
        if colocate.role_of(instance, current=True) is Role.PROMOTED:
            return place
        return None
    if instance.sort_index < 0 or instance.promotion_priority < 0 or not place.usable:
        return None
    if any(leaf.assigned is None for leaf in leaves):
        return None
    if clone.count_on.get(place.index, 0) >= clone.promoted_node_max:
        return None
    if not cluster.quorate and cluster.options.no_quorum_policy == "demote":
        return None
    return place
