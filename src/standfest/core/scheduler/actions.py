"""Actions: made once per resource, task and node, and ordered among each other.

Source: facts/formats/SCHEDULER-SPEC.md sections 8, 10.3 and 12.
"""

from standfest.core.scheduler.cluster import Cluster, Order, Relation
from standfest.core.scheduler.entities import Kind, Need, Node, OperationConfig, Resource, Role


class Link:
    """An ordering as seen from one end: the action at the other end, and what it means."""

    __slots__ = ("action", "flags")

    def __init__(self, action: "Action", flags: int) -> None:
        self.action = action
        self.flags = flags


class Action:
    """One vertex of the transition graph, wanted or (still) optional.

    key: `RESOURCE_TASK_INTERVAL`; node: where it happens, None for milestones and actions that
    have no place yet. optional: not needed so far. runnable: may happen. pseudo: nobody does it.
    migratable: may be part of a live migration.
    """

    __slots__ = (
        "after",
        "before",
        "before_by_action",
        "config",
        "expected",
        "how",
        "id",
        "implied",
        "interval",
        "key",
        "listed",
        "looped",
        "meta",
        "migratable",
        "min_runnable",
        "needs",
        "node",
        "optional",
        "print_always",
        "pseudo",
        "reason",
        "required_before",
        "resource",
        "runnable",
        "runnable_before",
        "task",
    )

    def __init__(
        self, id: int, resource: Resource | None, task: str, key: str, node: Node | None
    ) -> None:
        self.id = id
        self.resource = resource
        self.task = task
        self.key = key
        self.node = node
        self.interval = 0  # ms
        self.config: OperationConfig | None = None
        self.needs = Need.NOTHING
        self.optional = True
        self.runnable = True
        self.pseudo = False
        self.migratable = False
        self.min_runnable = False  # runnable once `required_before` of its predecessors are
        self.required_before = 0
        self.runnable_before = 0
        self.print_always = False
        self.implied = False  # a stop or demote that fencing makes happen
        self.how = ""  # of a fencing: reboot, off, on
        self.expected: int | None = None  # exit code; None: 0
        self.reason = ""
        self.meta: dict[str, str] = {}
        self.before: list[Link] = []
        self.before_by_action: dict[int, Link] = {}
        self.after: list[Link] = []
        self.listed = False
        self.looped = False  # waits, directly or not, for itself: never begins

    def require(self) -> None:
        """Make it happen."""
        self.optional = False

    def block(self, reason: str = "") -> None:
        """Keep it from happening."""
        self.runnable = False
        self.reason = self.reason or reason

    def __repr__(self) -> str:
        """Return key and node, for debugging."""
        return f"<{self.key}@{self.node.name if self.node else ''}>"


def key_of(resource: Resource, task: str, interval: int = 0) -> str:
    """Return `RESOURCE_TASK_INTERVAL`."""
    return f"{resource.id}_{task}_{interval}"


def make(
    cluster: Cluster,
    resource: Resource,
    task: str,
    node: Node | None,
    *,
    optional: bool,
    interval: int = 0,
    config: OperationConfig | None = None,
) -> Action:
    """Return the action for resource, task, interval and node; made if there is none yet.

    Asking again with optional=False makes it required; with True it stays what it is. Actions of an
    unmanaged resource stay optional. Whether it is runnable is judged anew each time
    (SCHEDULER-SPEC 10.3; a node that is offline or pending runs nothing).
    """
    key = f"{resource.id}_{task}_{interval}"
    name = node.name if node is not None else ""
    action = cluster.keyed.get((key, name))
    if action is None:
        action = Action(len(cluster.actions), resource, task, key, node)
        action.interval = interval
        action.config = config or _config_of(resource, task, interval)
        if task in ("start", "promote"):
            action.needs = resource.needs if resource.needs <= Need.FENCING else Need.FENCING
        cluster.actions.append(action)
        cluster.keyed[key, name] = action
        resource.actions.append(action)
        resource.by_key.setdefault(key, []).append(action)
    if not optional and (resource.managed or node is None or interval):
        action.optional = False
    if not action.pseudo:
        _judge(cluster, action, resource, node)
    return action


def _config_of(resource: Resource, task: str, interval: int) -> OperationConfig | None:
    for config in resource.operations:
        if config.name == task and config.interval == interval:
            return config
    return None


def _judge(cluster: Cluster, action: Action, resource: Resource, node: Node | None) -> None:
    """Decide whether the action could be run now."""
    if node is None:
        action.runnable = False
    elif not node.online and (not node.is_guest or node.remote_requires_reset):
        action.block(f"{node.name} is offline")
    elif node.pending:
        action.block(f"{node.name} is pending")
    elif action.needs is Need.NOTHING:
        action.runnable = True
    else:
        policy = quorum_policy(cluster, resource)
        if policy == "stop":
            action.block("no quorum")
        elif policy == "freeze" and (
            not active_somewhere(resource.outermost) or resource.next_role > resource.role
        ):
            action.block("quorum freeze")
        else:
            action.runnable = True


def quorum_policy(cluster: Cluster, resource: Resource) -> str:
    """Return what a lack of quorum means for the resource: `ignore`, `freeze` or `stop`."""
    policy = cluster.options.no_quorum_policy
    if cluster.quorate:
        return "ignore"
    if policy == "demote":
        if resource.role >= Role.UNPROMOTED:
            resource.next_role = min(resource.next_role, Role.UNPROMOTED)
            return "ignore"
        return "stop"
    if policy in ("suicide", "fence"):
        return "stop"
    return policy


def active_somewhere(resource: Resource) -> bool:
    """Return whether the resource (all of a group, any instance) is active, as far as is known."""
    if resource.kind is Kind.PRIMITIVE:
        return any(node.online or node.unclean for node in resource.running)
    return any(active_somewhere(child) for child in resource.children)


def pseudo(cluster: Cluster, resource: Resource | None, task: str, *, optional: bool) -> Action:
    """Return a milestone such as `G_running_0`, made if there is none yet."""
    key = f"{resource.id}_{task}_0" if resource is not None else task
    action = cluster.keyed.get((key, ""))
    if action is None:
        action = Action(len(cluster.actions), resource, task, key, None)
        action.pseudo = True
        cluster.actions.append(action)
        cluster.keyed[key, ""] = action
        if resource is not None:
            resource.actions.append(action)
            resource.by_key.setdefault(key, []).append(action)
    if not optional:
        action.optional = False
    return action


def find(resource: Resource, task: str, node: Node | None = None) -> Action | None:
    """Return the resource's one-shot action for a task; with `node`, the one there.

    An action without a place matches every node.
    """
    found = resource.by_key.get(f"{resource.id}_{task}_0")
    if not found:
        return None
    if node is None:
        return found[0]
    for action in found:
        if action.node is node:
            return action
    for action in found:
        if action.node is None:
            return action
    return None


def order_actions(first: Action, then: Action, flags: int) -> bool:
    """Order two actions; returns False when they were ordered like this already."""
    if not flags or first is then:
        return False
    known = then.before_by_action.get(first.id)
    if known is not None:
        if known.flags & flags == flags:
            return False
        known.flags |= flags
        for link in first.after:
            if link.action is then:
                link.flags |= flags
        return True
    link = Link(first, int(flags))
    then.before.append(link)
    then.before_by_action[first.id] = link
    first.after.append(Link(then, int(flags)))
    return True


def relate(  # noqa: PLR0917 (a sentence: this, its task, then that, its task)
    cluster: Cluster,
    first: Resource,
    first_task: str,
    then: Resource,
    then_task: str,
    flags: int,
) -> None:
    """Order one resource's task before another's, once all actions are made (order stage)."""
    cluster.orders.append(Order(first, first_task, None, then, then_task, None, int(flags)))


def relate_actions(
    cluster: Cluster,
    first: Action | Resource,
    then: Action | Resource,
    flags: int,
    *,
    first_task: str = "",
    then_task: str = "",
) -> None:
    """Order two ends, each an action, or a resource with a task."""
    cluster.orders.append(
        Order(
            first if isinstance(first, Resource) else first.resource,
            first_task if isinstance(first, Resource) else first.key,
            None if isinstance(first, Resource) else first,
            then if isinstance(then, Resource) else then.resource,
            then_task if isinstance(then, Resource) else then.key,
            None if isinstance(then, Resource) else then,
            int(flags),
        )
    )


STARTING = Relation.ORDERED | Relation.FIRST_IMPLIES_THEN | Relation.UNRUNNABLE_FIRST_BLOCKS
RISES = {Role.STARTED: "start", Role.UNPROMOTED: "start", Role.PROMOTED: "promote"}
