"""Buckets as kernels have them: what is expected here is what a kernel has answered."""

from ipaddress import ip_address

import pytest

from standfest.core.sharing.hashing import clusterip_bucket_of
from standfest.model.sharing import Flow, HashMode, Layout


@pytest.mark.parametrize(
    ("mode", "source", "ports", "expected"),
    [
        # Linux 6.1.176's CLUSTERIP with 16 nodes and hash-init 42, its node numbers less 1.
        (HashMode.SOURCE_IP, "10.8.84.18", (62120, 5000), 10),
        (HashMode.SOURCE_IP, "10.8.39.202", (25876, 5001), 11),
        (HashMode.SOURCE_IP, "10.8.167.207", (3165, 5002), 0),
        (HashMode.SOURCE_IP_PORT, "10.8.31.222", (59624, 5000), 10),
        (HashMode.SOURCE_IP_PORT, "10.8.100.163", (51270, 5001), 7),
        (HashMode.SOURCE_IP_PORT, "10.8.183.80", (49162, 5002), 15),
        (HashMode.SOURCE_IP_PORTS, "10.8.42.246", (3631, 5000), 5),
        (HashMode.SOURCE_IP_PORTS, "10.8.22.204", (43597, 5001), 0),
        (HashMode.SOURCE_IP_PORTS, "10.8.216.137", (24962, 5002), 8),
    ],
)
def test_the_old_target_has_buckets_of_its_own(
    mode: HashMode, source: str, ports: tuple[int, int], expected: int
) -> None:
    layout = Layout(mode, 16, 42)
    assert clusterip_bucket_of(layout, Flow(ip_address(source), *ports)) == expected
