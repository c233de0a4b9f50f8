"""What a scheduling run works on: nodes, resources and constraints, all mutable.

One run makes them, its stages fill them in, and nothing outlives it. Plain slots and integer node
indices: a cluster of 32 nodes and 5,000 resources has 160,000 pairs of them.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from standfest.model.element import Element
from standfest.model.scores import INFINITY

if TYPE_CHECKING:
    from standfest.core.scheduler.actions import Action
    from standfest.model.history import ResourceRecord

ABSENT: Final = -2 * INFINITY
"""Score of a node that is not in a resource's table at all (opt-in clusters)."""


class Role(IntEnum):
    """What a resource is on a node; a higher role includes the lower ones."""

    UNKNOWN = 0
    STOPPED = 1
    STARTED = 2
    UNPROMOTED = 3
    PROMOTED = 4


class Kind(IntEnum):
    """What a resource is made of; compared when colocations are sorted."""

    PRIMITIVE = 1
    GROUP = 2
    CLONE = 3
    BUNDLE = 4


class OnFail(IntEnum):
    """Reaction to a failed operation, mildest first (Pacemaker Explained, "Operation options")."""

    IGNORE = 0
    DEMOTE = 1
    RESTART = 2
    RESET_REMOTE = 3
    RESTART_CONTAINER = 4
    BAN = 5
    BLOCK = 6
    STOP = 7
    STANDBY = 8
    FENCE = 9


class Need(IntEnum):
    """What must be the case before a resource may be started."""

    NOTHING = 0
    QUORUM = 1
    FENCING = 2
    UNFENCING = 3


class Node:
    """One cluster, remote or guest node. `index` is its place in all score tables."""

    __slots__ = (
        "attributes",
        "away",
        "banned",
        "before",
        "capacity",
        "connection",
        "count",
        "discovery",
        "expected",
        "health",
        "id",
        "index",
        "is_guest",
        "is_remote",
        "load_stopped",
        "maintenance",
        "name",
        "online",
        "pending",
        "priority",
        "reason",
        "record",
        "remote_maintenance",
        "remote_requires_reset",
        "remote_was_fenced",
        "revocable",
        "running",
        "shutdown",
        "standby",
        "standby_on_fail",
        "unclean",
        "unpacked",
    )

    def __init__(self, index: int, id: str, name: str) -> None:
        self.index = index
        self.id = id
        self.name = name
        self.attributes: dict[str, str] = {}
        self.capacity: dict[str, int] = {}
        self.connection: Resource | None = None
        self.record: object | None = None
        self.is_remote = False
        self.is_guest = False
        self.online = False
        self.unclean = False
        self.reason = ""
        self.before = ""  # its state in one word, before anything was decided
        self.revocable = False  # fenced only if its connection cannot be established
        self.expected = False
        self.pending = False
        self.away = False  # heard, but what it does cannot be told or changed for now (`caution`)
        self.standby = False
        self.standby_on_fail = False
        self.maintenance = False
        self.remote_maintenance = False
        self.remote_requires_reset = False
        self.remote_was_fenced = False
        self.shutdown = False
        self.discovery = True
        self.unpacked = False
        self.banned = False
        self.health = 0
        self.priority = 0
        self.count = 0
        self.running: list[Resource] = []
        self.load_stopped: Action | None = None

    @property
    def usable(self) -> bool:
        """Return whether a resource may be placed here, whatever its scores say."""
        return not (
            not self.online
            or self.shutdown
            or self.unclean
            or self.standby
            or self.maintenance
            or self.pending
            or (self.is_guest and self._homeless)
        )

    @property
    def _homeless(self) -> bool:
        """Return whether it is decided that a guest node's container has no place."""
        container = self.connection.container if self.connection is not None else None
        return container is not None and not container.unassigned and container.assigned is None

    @property
    def host(self) -> "Node":
        """Return the node that a guest node is on, as far as it is known; itself if it is none."""
        if not self.is_guest or self.connection is None:
            return self
        connection = self.connection
        whole = connection if connection.container is None else connection.container
        if whole.assigned is not None:
            return whole.assigned
        return whole.running[0] if whole.running else self

    @property
    def ground(self) -> "Node":
        """Return what counts for colocation: for a bundle's node the host of its container.

        Nothing but the bundle's inside can be on a bundle's node, so with it means beside it.
        """
        return self.host if self.in_bundle else self

    @property
    def in_bundle(self) -> bool:
        """Return whether it is the inside of a bundle's container."""
        connection = self.connection
        container = connection.container if connection is not None else None
        return container is not None and container.parent is not None

    def __repr__(self) -> str:
        """Return the name, for debugging."""
        return f"<{self.name}>"


class Resource:
    """A primitive, group, clone, clone instance or bundle.

    allowed: score per node index. running: where it is active now. role, next_role: before and
    after. `assigned` is decided by the allocate stage; `unassigned` says that it has not been yet.
    """

    __slots__ = (
        "actions",
        "agent",
        "allow_migrate",
        "allowed",
        "allowed_copy",
        "assigned",
        "assigning",
        "base",
        "blocked",
        "bundle",
        "by_key",
        "changed",
        "changed_monitors",
        "child_is_group",
        "children",
        "clone",
        "clone_max",
        "clone_min",
        "clone_node_max",
        "collocated",
        "compatible",
        "container",
        "count_on",
        "critical",
        "dangling",
        "detect_loop",
        "discovery",
        "element",
        "exclusive",
        "expired",
        "failed",
        "failure_ignored",
        "failure_timeout",
        "fence_device",
        "fillers",
        "fresh",
        "globally_unique",
        "history",
        "history_id",
        "home",
        "id",
        "instance",
        "interleave",
        "is_guest_container",
        "kind",
        "known_on",
        "locations",
        "lock_node",
        "lock_time",
        "maintenance",
        "managed",
        "merging",
        "meta",
        "migration_threshold",
        "multiple_active",
        "needs",
        "next_reason",
        "next_role",
        "notify",
        "operations",
        "ordered",
        "other_agent_on",
        "parameters",
        "parameters_by_node",
        "parent",
        "partial_source",
        "partial_target",
        "pending_node",
        "pending_task",
        "priority",
        "promotable",
        "promoted_max",
        "promoted_node_max",
        "promotion_priority",
        "promotion_scored",
        "provides",
        "reconnect_interval",
        "reload",
        "remote_node",
        "removed",
        "restart_type",
        "restarting",
        "role",
        "running",
        "sort_index",
        "start_pending",
        "stickiness",
        "stop_unexpected",
        "target_role",
        "this_with",
        "unassigned",
        "utilization",
        "with_this",
    )

    def __init__(self, id: str, kind: Kind, element: Element, parent: "Resource | None") -> None:
        self.id = id
        self.base = id  # without the instance number
        self.history_id = id
        self.kind = kind
        self.element = element
        self.parent = parent
        self.children: list[Resource] = []
        self.instance = -1
        self.agent = ("", "", "")
        self.meta: Mapping[str, str] = {}
        self.parameters: Mapping[str, str] = {}
        self.parameters_by_node: dict[int, Mapping[str, str]] | None = None
        self.operations: list[OperationConfig] = []
        self.utilization: dict[str, int] = {}
        # --- options
        self.priority = 0
        self.stickiness = 0
        self.migration_threshold = INFINITY
        self.failure_timeout = 0  # seconds
        self.critical = True
        self.managed = True
        self.maintenance = False
        self.blocked = False
        self.allow_migrate = False
        self.multiple_active = "stop_start"
        self.restart_type = "ignore"
        self.needs = Need.NOTHING
        self.target_role = Role.UNKNOWN
        self.fence_device = False
        self.provides = ""
        self.removed = False
        self.ordered = True
        self.collocated = True
        self.interleave = False
        self.notify = False
        self.promotable = False
        self.globally_unique = False
        self.clone_max = 0
        self.clone_node_max = 1
        self.clone_min = 0
        self.promoted_max = 1
        self.promoted_node_max = 1
        self.child_is_group = False
        self.clone: Resource | None = None
        self.bundle: Resource | None = None
        self.home: Node | None = None  # the guest node of an instance inside a bundle
        self.container: Resource | None = None
        self.fillers: list[Resource] = []
        self.remote_node: Node | None = None
        self.reconnect_interval = 0
        self.is_guest_container = False
        # --- state
        self.role = Role.UNKNOWN
        self.next_role = Role.UNKNOWN
        self.next_reason = ""
        self.running: list[Node] = []
        self.known_on: set[int] = set()
        self.failed = False
        self.failure_ignored = False
        self.start_pending = False
        self.pending_task = ""
        self.pending_node: Node | None = None
        self.partial_source: Node | None = None
        self.partial_target: Node | None = None
        self.dangling: list[Node] = []
        self.stop_unexpected = False
        self.reload = False
        self.changed = False  # its parameters, in a way that takes a restart
        self.changed_monitors: set[tuple[str, int, int]] = set()
        self.restarting = False
        self.fresh = False
        self.lock_node: Node | None = None
        self.lock_time = 0
        self.expired: set[int] = set()
        self.other_agent_on: set[int] = set()  # nodes where it runs with another agent than it has
        self.history: dict[int, ResourceRecord] = {}
        # --- decisions
        self.allowed: list[int] = []
        self.allowed_copy: list[int] | None = None
        self.discovery: dict[int, str] | None = None
        self.exclusive = False
        self.count_on: dict[int, int] = {}
        self.locations: list[Location] = []
        self.this_with: list[Colocation] = []
        self.with_this: list[Colocation] = []
        self.unassigned = True
        self.assigning = False
        self.assigned: Node | None = None
        self.merging = False
        self.detect_loop = False
        self.compatible = False
        self.sort_index = 0
        self.promotion_priority = 0
        self.promotion_scored = False
        self.actions: list[Action] = []
        self.by_key: dict[str, list[Action]] = {}

    @property
    def is_clone(self) -> bool:
        """Return whether it has instances."""
        return self.kind is Kind.CLONE

    def __repr__(self) -> str:
        """Return the id, for debugging."""
        return f"<{self.id}>"

    @property
    def top(self) -> "Resource":
        """Return the outermost resource around this one (bundles not counted)."""
        top = self
        while top.parent is not None and top.parent.kind is not Kind.BUNDLE:
            top = top.parent
        return top

    @property
    def outermost(self) -> "Resource":
        """Return the outermost resource around this one."""
        top = self
        while top.parent is not None:
            top = top.parent
        return top

    def primitives(self) -> "list[Resource]":
        """Return the primitives in it, itself if it is one."""
        if self.kind is Kind.PRIMITIVE:
            return [self]
        return [leaf for child in self.children for leaf in child.primitives()]


class OperationConfig:
    """One `<op>`, options of op_defaults already in `meta`. interval, timeout, start_delay: ms."""

    __slots__ = (
        "element",
        "enabled",
        "id",
        "interval",
        "meta",
        "name",
        "on_fail",
        "role",
        "timeout",
    )

    def __init__(self, name: str, interval: int) -> None:
        self.id = ""
        self.name = name
        self.interval = interval
        self.timeout = 20_000
        self.role = ""
        self.on_fail = ""
        self.enabled = True
        self.meta: Mapping[str, str] = {}
        self.element: Element | None = None


class Location:
    """Scores for nodes by one constraint or rule; `role` limits it to that role."""

    __slots__ = ("discovery", "element", "id", "role", "scores")

    def __init__(self, id: str, role: Role, scores: dict[int, int], element: Element) -> None:
        self.id = id
        self.role = role
        self.scores = scores
        self.discovery = ""
        self.element = element


class Colocation:
    """`dependent` is placed relative to `primary`."""

    __slots__ = (
        "attribute",
        "dependent",
        "dependent_role",
        "element",
        "id",
        "influence",
        "primary",
        "primary_role",
        "score",
    )

    def __init__(self, id: str, dependent: Resource, primary: Resource, score: int) -> None:
        self.id = id
        self.dependent = dependent
        self.primary = primary
        self.score = score
        self.dependent_role = Role.UNKNOWN
        self.primary_role = Role.UNKNOWN
        self.attribute = "#uname"
        self.influence = True
        self.element: Element | None = None

    def has_influence(self, resource: Resource | None = None) -> bool:
        """Return whether the dependent's wishes count for the primary (influence, critical)."""
        primary = resource or self.primary
        if (
            self.dependent.container is not None
            and self.dependent.remote_node is not None
            and not primary.failed
            and len(primary.running) == 1
        ):
            return False
        return self.influence or not primary.running
