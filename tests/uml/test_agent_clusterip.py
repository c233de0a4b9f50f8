"""The cluster's agent on a kernel that still has the target CLUSTERIP: User Mode Linux."""

import shutil
import sys
from pathlib import Path

import pytest

from standfest.lab import uml

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
MODULES = ("veth", "bridge", "ipt_CLUSTERIP", "iptable_filter")

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(uml.missing()), reason=uml.missing() or "there"),
    pytest.mark.skipif(
        shutil.which("iptables-legacy") is None, reason="iptables-legacy is not installed"
    ),
]


def test_instances_are_the_kernels_local_nodes() -> None:
    result = uml.run(
        [sys.executable, str(HERE / "agent_clusterip_case.py")],
        modules=MODULES,
        environment={"PYTHONPATH": f"{SOURCE}:{SOURCE.parent}"},
        timeout_s=150,
    )
    assert result.status == 0, result.output
    for said in ("each its own", "one for both", "by hand", "given back"):
        assert said in result.output, result.output
