"""Which part of the kernel decides who answers, and what the old ones cannot."""

from dataclasses import dataclass

from standfest.adapters.linux.nftables.kernel import NetfilterNetlink
from standfest.adapters.linux.sharing import clusterip, xtcluster
from standfest.adapters.linux.sharing.clusterip import ClusteripFilter
from standfest.adapters.linux.sharing.nftables import NftablesFilter
from standfest.adapters.linux.sharing.rules import RuleSet
from standfest.adapters.linux.sharing.xtcluster import XtClusterFilter
from standfest.model.errors import OperationError
from standfest.model.sharing import MAX_BUCKETS, HashMode, SharedAddress, Target
from standfest.ports.sharing import BucketFilter


@dataclass(frozen=True, slots=True)
class Limits:
    """What a target can do.

    leases: the kernel ends them itself; without, a daemon that hangs goes on answering.
    stays: a connection can stay on its node when its bucket goes.
    """

    buckets: int
    modes: tuple[HashMode, ...]
    leases: bool
    stays: bool


def limits(target: Target) -> Limits:
    """Return what a target can do; AUTO: as nftables, which it chooses wherever that works."""
    match target:
        case Target.AUTO | Target.NFTABLES:
            return Limits(MAX_BUCKETS, tuple(HashMode), leases=True, stays=True)
        case Target.XT_CLUSTER:
            modes = (HashMode.SOURCE_IP,)
            return Limits(xtcluster.MAX_BUCKETS, modes, leases=False, stays=True)
        case Target.CLUSTERIP:
            return Limits(clusterip.MAX_BUCKETS, tuple(HashMode), leases=False, stays=False)


def choose(shared: SharedAddress, target: Target) -> Target:
    """Return what AUTO comes to: nftables, or xt_cluster where this kernel takes no such rules.

    CLUSTERIP is taken only when it is named, because its buckets are others.
    """
    if target is not Target.AUTO:
        return target
    return Target.NFTABLES if _takes_rules(shared) else Target.XT_CLUSTER


def open_filter(shared: SharedAddress, target: Target) -> BucketFilter:
    """Return a filter that is not opened yet; raises OperationError if there cannot be one."""
    match choose(shared, target):
        case Target.AUTO | Target.NFTABLES:
            return NftablesFilter(shared)
        case Target.XT_CLUSTER:
            xtcluster.refuse(shared)
            return XtClusterFilter(shared)
        case Target.CLUSTERIP:
            clusterip.refuse(shared)
            return ClusteripFilter(shared)


def _takes_rules(shared: SharedAddress) -> bool:
    """Return whether the kernel takes our tables, by making and removing some in one go."""
    try:
        kernel = NetfilterNetlink()
    except OperationError:
        return False
    try:
        trial = RuleSet(shared, trial=True)
        made = trial.installation("")
        kernel.commit(kernel.generation(), [*made, *trial.removal(trial.tables)])
    except OperationError:
        return False
    finally:
        kernel.close()
    return True
