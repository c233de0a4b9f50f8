"""Which part of the kernel decides who answers. AUTO: nftables."""

from standfest.adapters.linux.sharing.nftables import NftablesFilter
from standfest.model.errors import OperationError
from standfest.model.sharing import SharedAddress, Target
from standfest.ports.sharing import BucketFilter


def open_filter(shared: SharedAddress, target: Target) -> BucketFilter:
    """Return a filter that has not been opened yet; raises OperationError."""
    match target:
        case Target.AUTO | Target.NFTABLES:
            return NftablesFilter(shared)
        case Target.XT_CLUSTER | Target.CLUSTERIP:
            raise OperationError(f"this version does not share addresses by {target.value}")
