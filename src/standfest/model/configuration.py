"""What an administrator configured, as far as those must know who do not decide.

Compiled from XML by `config.cib` for what executes, shows and watches: agents, parameters, what is
in what. Options hold their effective values without time: sets that depend on a rule do not count.
`core.scheduler` reads the document itself (docs/adr/0011). Source: facts/formats/CIB-MODERN.md.
"""

from dataclasses import dataclass, field
from enum import Enum

from standfest.model.fencing import FencingPlan
from standfest.model.operations import Agent
from standfest.model.scores import INFINITY
from standfest.model.time import Duration, seconds

MAX_INSTANCES = 1000
"""The most instances of one clone, and replicas of one bundle: of 64 nodes each has more than
anybody wants, and deciding about so many takes less than a second."""


class NoQuorumPolicy(Enum):
    """What a partition without quorum does with its resources."""

    STOP = "stop"
    FREEZE = "freeze"
    IGNORE = "ignore"
    DEMOTE = "demote"
    SUICIDE = "suicide"


class TargetRole(Enum):
    """What an administrator wants a resource to be."""

    STARTED = "Started"
    STOPPED = "Stopped"
    PROMOTED = "Promoted"
    UNPROMOTED = "Unpromoted"


class OnFail(Enum):
    """Reaction to a failed operation, mildest first."""

    IGNORE = "ignore"
    DEMOTE = "demote"
    RESTART = "restart"
    RESTART_CONTAINER = "restart-container"
    BLOCK = "block"
    STOP = "stop"
    STANDBY = "standby"
    FENCE = "fence"


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """crm_config, defaults filled in."""

    symmetric_cluster: bool = True
    no_quorum_policy: NoQuorumPolicy = NoQuorumPolicy.STOP
    stonith_enabled: bool = True
    stonith_timeout: Duration = seconds(60)
    stonith_max_attempts: int = 10
    start_failure_is_fatal: bool = True
    maintenance_mode: bool = False
    stop_all_resources: bool = False
    enable_startup_probes: bool = True
    stop_orphan_resources: bool = True
    cluster_delay: Duration = seconds(60)
    batch_limit: int = 0
    recheck_interval: Duration = seconds(900)


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """One `<node>`; attributes are the permanent ones (`standby`, ...)."""

    id: str
    name: str
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class OperationEntry:
    """One `<op>`; interval 0 configures the one-shot form. `timeout` already has its default."""

    id: str
    name: str
    interval: Duration
    timeout: Duration
    on_fail: OnFail | None = None  # None: the default for this operation
    enabled: bool = True
    role: str = ""
    start_delay: Duration = 0
    parameters: tuple[tuple[str, str], ...] = ()  # e.g. OCF_CHECK_LEVEL


@dataclass(frozen=True, slots=True)
class ResourceOptions:
    """Meta-attributes with their effective values."""

    priority: int = 0
    target_role: TargetRole = TargetRole.STARTED
    is_managed: bool = True
    maintenance: bool = False
    resource_stickiness: int = 0
    migration_threshold: int = INFINITY
    failure_timeout: Duration = 0
    critical: bool = True


@dataclass(frozen=True, slots=True)
class Primitive:
    """One resource that an agent manages."""

    id: str
    agent: Agent
    parameters: tuple[tuple[str, str], ...] = ()
    operations: tuple[OperationEntry, ...] = ()
    options: ResourceOptions = field(default_factory=ResourceOptions)
    default_timeout: Duration = seconds(20)


@dataclass(frozen=True, slots=True)
class Group:
    """Primitives that stay together and start in order (members' options already inherit)."""

    id: str
    members: tuple[Primitive, ...]
    options: ResourceOptions = field(default_factory=ResourceOptions)
    ordered: bool = True
    collocated: bool = True


@dataclass(frozen=True, slots=True)
class Clone:
    """A resource with several instances; `options`: its own meta-attributes, sorted by name.

    Instances of a globally unique clone have histories of their own, `ID:NUMBER`; those of others
    share their primitive's id, one at most on each node.
    """

    id: str
    child: Primitive | Group
    options: tuple[tuple[str, str], ...] = ()
    promotable: bool = False
    promoted_max: int = 1
    globally_unique: bool = False


Resource = Primitive | Group | Clone


@dataclass(frozen=True, slots=True)
class Configuration:
    """All of it, in document order."""

    options: ClusterOptions = field(default_factory=ClusterOptions)
    nodes: tuple[NodeEntry, ...] = ()
    resources: tuple[Resource, ...] = ()
    fencing: FencingPlan = field(default_factory=FencingPlan)

    def primitives(self) -> tuple[Primitive, ...]:
        """Return all primitives, members of groups and clones included, in document order."""
        found: list[Primitive] = []
        for resource in self.resources:
            inner = resource.child if isinstance(resource, Clone) else resource
            found.extend(inner.members if isinstance(inner, Group) else (inner,))
        return tuple(found)
