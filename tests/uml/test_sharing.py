"""Sharing an address by the target CLUSTERIP, on a kernel that still has it: User Mode Linux."""

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


def test_three_nodes_share_by_clusterip_and_take_it_down_a_hundred_times() -> None:
    result = uml.run(
        [sys.executable, str(HERE / "sharing_case.py")],
        modules=MODULES,
        environment={"PYTHONPATH": f"{SOURCE}:{SOURCE.parent}"},
        timeout_s=250,
    )
    assert result.status == 0, result.output
    for said in ("buckets", "answers", "commands", "up_and_down"):
        assert f"{said}: " in result.output, result.output
