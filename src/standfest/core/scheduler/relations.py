"""Order stage, first half: the orderings that a resource's own structure implies.

Source: facts/formats/SCHEDULER-SPEC.md sections 5.1, 6.12, 6.14, 7.8 and 8.
"""

from standfest.core.scheduler import remotes
from standfest.core.scheduler.actions import pseudo, relate
from standfest.core.scheduler.cluster import Cluster, Relation
from standfest.core.scheduler.entities import Colocation, Kind, Resource, Role
from standfest.model.scores import INFINITY

R = Relation
NEEDED = R.ORDERED | R.FIRST_IMPLIES_THEN | R.UNRUNNABLE_FIRST_BLOCKS
BEGIN = R.ORDERED | R.FIRST_GRAPHED
END = R.ORDERED | R.THEN_GRAPHED


def collocate_internally(cluster: Cluster) -> None:
    """Tie the members of groups together; before anything is assigned."""
    for resource in cluster.resources:
        _collocate(cluster, resource)


def _collocate(cluster: Cluster, resource: Resource) -> None:
    if resource.kind is Kind.GROUP and resource.collocated:
        for earlier, later in zip(resource.children, resource.children[1:], strict=False):
            tie = Colocation("#group-members", later, earlier, INFINITY)
            tie.influence = later.critical
            later.this_with.append(tie)
            earlier.with_this.append(tie)
    for child in resource.children:
        _collocate(cluster, child)


def relate_internally(cluster: Cluster) -> None:
    """Order the tasks of every resource among each other, and a collection's with its members'."""
    for resource in cluster.resources:
        internal(cluster, resource)


def internal(cluster: Cluster, resource: Resource) -> None:
    """Order one resource's tasks."""
    match resource.kind:
        case Kind.PRIMITIVE:
            _primitive(cluster, resource)
        case Kind.GROUP:
            _group(cluster, resource)
        case Kind.CLONE:
            _clone(cluster, resource)
            if resource.element.tag == "bundle" and resource.bundle is not None:
                _bundle(cluster, resource, resource.bundle)
        case Kind.BUNDLE:
            pass  # taken apart when it was read


def _primitive(cluster: Cluster, resource: Resource) -> None:
    if not resource.managed:
        return
    flags = R.ORDERED | R.FIRST_IMPLIES_THEN | R.INTERMEDIATE_STOP
    relate(cluster, resource, "stop", resource, "start", flags)
    if resource.promotable or resource.role > Role.UNPROMOTED:
        relate(cluster, resource, "demote", resource, "stop", R.PROMOTED_THEN_IMPLIES_FIRST | 1)
        # What is promoted and has to be started again, comes back promoted.
        again = R.ORDERED | R.UNRUNNABLE_FIRST_BLOCKS | R.FIRST_IMPLIES_THEN
        relate(cluster, resource, "start", resource, "promote", again)
    remotes.relate_container(cluster, resource)


def _around(cluster: Cluster, resource: Resource) -> None:
    """Order the milestones of a collection."""
    blocks = R.ORDERED | R.UNRUNNABLE_FIRST_BLOCKS
    relate(cluster, resource, "stopped", resource, "start", R.ORDERED)
    relate(cluster, resource, "start", resource, "running", blocks)
    relate(cluster, resource, "stop", resource, "stopped", blocks)
    if resource.promotable:
        relate(cluster, resource, "demote", resource, "demoted", blocks)
        relate(cluster, resource, "start", resource, "promote", blocks)
        relate(cluster, resource, "promote", resource, "promoted", blocks)
        relate(cluster, resource, "demoted", resource, "stop", R.ORDERED)


def _group(cluster: Cluster, group: Resource) -> None:
    _around(cluster, group)
    previous: Resource | None = None
    last_active: Resource | None = None
    for member in group.children:
        internal(cluster, member)
        down = BEGIN
        after_down = END
        if previous is None and group.ordered:
            after_down = R.ORDERED | R.FIRST_IMPLIES_THEN
        if group.promotable:
            relate(cluster, group, "demote", member, "demote", down)
            relate(cluster, member, "demote", group, "demoted", after_down)
            relate(cluster, member, "promote", group, "promoted", NEEDED | R.THEN_GRAPHED)
            relate(cluster, group, "promote", member, "promote", BEGIN)
        relate(cluster, group, "stop", member, "stop", down)
        relate(cluster, member, "stop", group, "stopped", after_down)
        relate(cluster, group, "start", member, "start", BEGIN)
        relate(cluster, member, "start", group, "running", NEEDED | R.THEN_GRAPHED)
        if group.ordered and previous is not None:
            _member_after(cluster, group, previous, member)
        if member.running:
            if (
                group.ordered
                and previous is not None
                and not previous.running
                and last_active is not None
                and last_active.running
            ):
                relate(cluster, member, "stop", last_active, "stop", R.ORDERED)
            last_active = member
        previous = member


def _member_after(cluster: Cluster, group: Resource, previous: Resource, member: Resource) -> None:
    relate(cluster, previous, "start", member, "start", NEEDED)
    relate(cluster, member, "stop", previous, "stop", R.ORDERED | R.INTERMEDIATE_STOP)
    if not previous.running and member.running:
        flags = R.ORDERED | R.THEN_IMPLIES_FIRST | R.UNRUNNABLE_FIRST_BLOCKS
        relate(cluster, member, "stop", previous, "start", flags)
    if group.promotable:
        relate(cluster, previous, "promote", member, "promote", NEEDED)
        relate(cluster, member, "demote", previous, "demote", R.ORDERED)


def _clone(cluster: Cluster, clone: Resource) -> None:
    _around(cluster, clone)
    before: list[Resource] = []  # not only the one before: it may have nothing to do
    for instance in sorted(clone.children, key=lambda child: child.instance):
        internal(cluster, instance)
        flags = BEGIN | R.UNRUNNABLE_FIRST_BLOCKS
        relate(cluster, clone, "start", instance, "start", flags)
        relate(cluster, instance, "start", clone, "running", R.ORDERED | R.THEN_GRAPHED)
        relate(cluster, clone, "stop", instance, "stop", BEGIN)
        relate(cluster, instance, "stop", clone, "stopped", R.ORDERED | R.THEN_GRAPHED)
        if clone.promotable:
            relate(cluster, clone, "promote", instance, "promote", BEGIN)
            relate(cluster, instance, "promote", clone, "promoted", END)
            relate(cluster, clone, "demote", instance, "demote", BEGIN)
            relate(cluster, instance, "demote", clone, "demoted", END)
        for other in before if clone.ordered else ():
            relate(cluster, other, "start", instance, "start", R.ORDERED)
            relate(cluster, instance, "stop", other, "stop", R.ORDERED)
            if clone.promotable:
                relate(cluster, other, "promote", instance, "promote", R.ORDERED)
                relate(cluster, instance, "demote", other, "demote", R.ORDERED)
        before.append(instance)


def _bundle(cluster: Cluster, bundle: Resource, inner: Resource) -> None:
    """Count what runs inside as part of a bundle: begun after it, complete before it."""
    for begin, end in (("start", "running"), ("stop", "stopped")):
        relate(cluster, bundle, begin, inner, begin, BEGIN)
        relate(cluster, inner, end, bundle, end, END)


def milestones(cluster: Cluster, resource: Resource) -> None:
    """Make a collection's own pseudo actions for what its members do (SCHEDULER-SPEC 12)."""
    for begin, end, role_tasks in (
        ("start", "running", ("start",)),
        ("stop", "stopped", ("stop",)),
        ("promote", "promoted", ("promote",)),
        ("demote", "demoted", ("demote",)),
    ):
        if begin in ("promote", "demote") and not resource.promotable:
            continue
        wanted = [
            action
            for leaf in resource.primitives()
            for action in leaf.actions
            if action.task in role_tasks
        ]
        required = any(not action.optional for action in wanted)
        runnable = any(action.runnable for action in wanted)
        pseudo(cluster, resource, begin, optional=not required)
        last = pseudo(cluster, resource, end, optional=not required)
        if resource.kind is Kind.CLONE and begin in ("start", "promote"):
            last.runnable = runnable
        for child in resource.children:
            if child.kind is not Kind.PRIMITIVE and begin == "start":
                milestones(cluster, child)
    if resource.kind is Kind.CLONE and resource.promotable:
        _switch(cluster, resource)


def _switch(cluster: Cluster, clone: Resource) -> None:
    """Promote only when all that is to be demoted or stopped has been (rule 7.8)."""
    relate(cluster, clone, "demoted", clone, "promote", R.ORDERED)
    relate(cluster, clone, "stopped", clone, "promote", R.ORDERED)
    relate(cluster, clone, "running", clone, "promote", R.ORDERED)
    relate(cluster, clone, "demoted", clone, "start", R.ORDERED)
