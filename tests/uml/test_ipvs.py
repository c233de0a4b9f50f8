"""The ipvs backend on a kernel that has IPVS: User Mode Linux."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from standfest.lab import uml

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
LEAST_SCENARIOS = 14
"""Of the scenarios of all backends; those that IPVS is not asked for are named in the case."""

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(uml.missing()), reason=uml.missing() or "there"),
]


@pytest.mark.skipif(shutil.which("ipvsadm") is None, reason="ipvsadm is not installed")
def test_the_table_that_is_wanted_is_the_one_the_kernel_has() -> None:
    result = uml.run(
        [sys.executable, str(HERE / "ipvs_case.py")],
        modules=uml.IPVS_MODULES,
        environment={"PYTHONPATH": str(SOURCE)},
        timeout_s=100,
    )
    assert result.status == 0, result.output
    assert result.output.strip().splitlines()[-1].strip() == "closed and empty"


def test_what_a_guest_writes_is_gone_with_it(tmp_path: Path) -> None:
    result = uml.run(
        ["sh", "-c", f"echo gone > {tmp_path}/file && cat {tmp_path}/file; exit 7"], timeout_s=60
    )
    assert (result.status, result.output.strip()) == (7, "gone")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(shutil.which("ipvsadm") is None, reason="ipvsadm is not installed")
def test_command_lines_do_and_show_what_ipvsadm_does_and_shows() -> None:
    result = uml.run(
        [sys.executable, str(HERE / "ipvsadm_case.py")],
        modules=uml.IPVS_MODULES,
        environment={"PYTHONPATH": str(SOURCE)},
        timeout_s=150,
    )
    assert result.status == 0, result.output
    assert result.output.strip().splitlines()[-1].strip() == "saved and restored"


@pytest.mark.parametrize("method", ["NAT", "DR", "TUN"])
def test_a_client_sees_what_it_sees_with_every_other_backend(method: str) -> None:
    """tests/netns/test_backends_equal.py, on a kernel with IPVS."""
    result = uml.run(
        [sys.executable, str(HERE / "equal_case.py"), method],
        modules=[*uml.IPVS_MODULES, "ip6_tunnel", "iptable_mangle", "xt_mark"],
        environment={"PYTHONPATH": f"{SOURCE}:{HERE.parents[1]}"},
        timeout_s=240,
    )
    assert result.status == 0, result.output
    assert result.output.count(": as seen with every backend") >= LEAST_SCENARIOS
