"""One scheduling run: its options, and everything that its stages share.

Nothing of it outlives the run.
"""

from collections.abc import Mapping
from enum import IntFlag
from typing import TYPE_CHECKING

from standfest.core.scheduler.entities import Colocation, Location, Node, Resource, Role
from standfest.core.scheduler.ledger import Cause, Ledger
from standfest.model.element import Element
from standfest.model.history import Entry, Recorded

if TYPE_CHECKING:
    from standfest.core.scheduler.actions import Action
    from standfest.core.scheduler.resources import Reader


class Relation(IntFlag):
    """What an ordering between two actions means beyond their order, if both happen."""

    NONE = 0
    ORDERED = 1
    FIRST_IMPLIES_THEN = 2
    THEN_IMPLIES_FIRST = 4
    PROMOTED_THEN_IMPLIES_FIRST = 8
    UNRUNNABLE_FIRST_BLOCKS = 16
    UNMIGRATABLE_THEN_BLOCKS = 32
    FIRST_ELSE_THEN = 64
    INTERMEDIATE_STOP = 128
    ASYMMETRIC = 256
    MIN_RUNNABLE = 512
    IF_ON_SAME_NODE = 1024
    IF_ON_SAME_NODE_OR_TARGET = 2048
    SERIALIZE = 4096
    THEN_CANCELS_FIRST = 8192
    FIRST_IMPLIES_SAME_NODE_THEN = 16384
    NESTED_REMOTE_PROBE = 32768
    GUEST_ALLOWED = 65536
    IF_FIRST_UNMIGRATABLE = 131072
    THEN_GRAPHED = 262144  # `then` is shown in the graph if `first` is required
    FIRST_GRAPHED = 524288


class Options:
    """crm_config with defaults filled in, as the scheduler needs them."""

    __slots__ = (
        "cluster_delay",
        "concurrent_fencing",
        "enable_startup_probes",
        "fencing",
        "fencing_action",
        "fencing_timeout",
        "given",
        "have_watchdog",
        "health_base",
        "health_scores",
        "health_strategy",
        "maintenance_mode",
        "no_quorum_policy",
        "pending_timeout",
        "placement",
        "priority_fencing_delay",
        "remove_after_stop",
        "shutdown_lock",
        "shutdown_lock_limit",
        "startup_fencing",
        "stop_all",
        "stop_removed_actions",
        "stop_removed_resources",
        "symmetric",
        "watchdog_timeout",
    )

    def __init__(self) -> None:
        self.given: Mapping[str, str] = {}
        self.symmetric = True
        self.no_quorum_policy = "stop"
        self.fencing = True
        self.fencing_action = "reboot"
        self.fencing_timeout = 60_000
        self.have_watchdog = False
        self.watchdog_timeout = 0
        self.concurrent_fencing = True
        self.startup_fencing = True
        self.priority_fencing_delay = 0
        self.pending_timeout = 0
        self.maintenance_mode = False
        self.stop_all = False
        self.stop_removed_resources = True
        self.stop_removed_actions = True
        self.remove_after_stop = False
        self.enable_startup_probes = True
        self.placement = "default"
        self.shutdown_lock = False
        self.shutdown_lock_limit = 0
        self.health_strategy = "none"
        self.health_base = 0
        self.health_scores: Mapping[str, int] = {}
        self.cluster_delay = 60_000


class TicketRule:
    """One `<rsc_ticket>` for one resource."""

    __slots__ = ("id", "loss_policy", "resource", "role", "ticket")

    def __init__(self, id: str, resource: Resource, ticket: str, loss_policy: str) -> None:
        self.id = id
        self.resource = resource
        self.ticket = ticket
        self.role = Role.UNKNOWN
        self.loss_policy = loss_policy


class Order:
    """One ordering between actions that may not exist yet.

    first, then: resources (None: the action is given). first_task, then_task: keys without node.
    """

    __slots__ = ("first", "first_action", "first_task", "flags", "then", "then_action", "then_task")

    def __init__(  # noqa: PLR0917 (the fields of one value)
        self,
        first: Resource | None,
        first_task: str,
        first_action: "Action | None",
        then: Resource | None,
        then_task: str,
        then_action: "Action | None",
        flags: int,
    ) -> None:
        self.first = first
        self.first_task = first_task
        self.first_action = first_action
        self.then = then
        self.then_task = then_task
        self.then_action = then_action
        self.flags = flags


class Replica:
    """One replica of a bundle; `key` names it in what is shown."""

    __slots__ = ("connection", "container", "inner", "key")

    def __init__(self, key: str, container: Resource) -> None:
        self.key = key
        self.container = container
        self.connection: Resource | None = None
        self.inner: Resource | None = None


class Bundle:
    """One bundle with its replicas."""

    __slots__ = ("id", "replicas")

    def __init__(self, id: str) -> None:
        self.id = id
        self.replicas: list[Replica] = []


class Cluster:
    """Everything of one scheduling run."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.options = Options()
        self.quorate = False
        self.dc: Node | None = None
        self.nodes: list[Node] = []
        self.node_by_name: dict[str, Node] = {}
        self.node_by_id: dict[str, Node] = {}
        self.resources: list[Resource] = []  # outermost ones, in document order
        self.assignment_order: list[Resource] = []  # the same, as they were assigned
        self.by_id: dict[str, Resource] = {}
        self.bundles: list[Bundle] = []
        self.bundle_orders: list[tuple[Resource, Resource]] = []
        self.hidden: set[str] = set()  # parts of bundles, shown as replicas
        self.tags: dict[str, list[str]] = {}
        self.templates: dict[str, Element] = {}
        self.tickets: dict[str, object] = {}
        self.ticket_rules: list[TicketRule] = []
        self.locations: list[tuple[Resource, Location]] = []
        self.colocations: list[Colocation] = []
        self.actions: list[Action] = []
        self.keyed: dict[tuple[str, str], Action] = {}
        self.orders: list[Order] = []
        self.recorded: Recorded | None = None
        self.reader: Reader | None = None  # of resources and their options
        self.have_fence_device = False
        self.have_unfencing = False
        self.have_remote = False
        self.recheck_at: int | None = None
        self.notes: list[str] = []
        self.fence_by_node: dict[int, Action] = {}
        self.stops_needed: list[Resource] = []
        self.no_quorum_panic = False
        self.removed_entries: list[tuple[Resource, Node, Entry]] = []
        self.failures: list[tuple[Resource, Node, Entry]] = []  # entries that count, in that order
        self.ledger: Ledger | None = None  # only a run that is asked why keeps one

    def recheck(self, moment: int) -> None:
        """Note that the outcome may change at `moment` by the passing of time alone."""
        if moment > self.now and (self.recheck_at is None or moment < self.recheck_at):
            self.recheck_at = moment

    def note(
        self,
        resource: Resource,
        cause: Cause,
        by: object = None,
        values: Mapping[int, int] | None = None,
    ) -> None:
        """Say what has just changed the scores of a resource and of what is in it."""
        if self.ledger is not None:
            self.ledger.note(resource, cause, by, values)

    def note_rank(self, instance: Resource, cause: Cause, by: object, claim: int) -> None:
        """Say what an instance's claim to be promoted has just become, and through what."""
        if self.ledger is not None:
            self.ledger.rank(instance, cause, by, claim)

    def node(self, name: str) -> Node | None:
        """Return the node with this name, or with this id."""
        return self.node_by_name.get(name) or self.node_by_id.get(name)
