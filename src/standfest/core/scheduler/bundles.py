"""Unpack stage: bundles. Read so far only as something that exists; not scheduled yet."""

from typing import TYPE_CHECKING

from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import Resource

if TYPE_CHECKING:
    from standfest.core.scheduler.resources import Reader


def read_bundle(reader: "Reader", bundle: Resource) -> None:
    """Note that a bundle is there."""
    reader.cluster.notes.append(f"bundle {bundle.id} is not scheduled yet")


def relate_bundle(cluster: Cluster, bundle: Resource) -> None:
    """Order nothing: see `read_bundle`."""
