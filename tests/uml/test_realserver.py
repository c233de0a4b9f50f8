"""`standfest realserver` on a kernel with IPVS, dummy and ipip: User Mode Linux."""

import shutil
import sys
from pathlib import Path

import pytest

from standfest.lab import uml

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(uml.missing()), reason=uml.missing() or "there"),
    pytest.mark.skipif(shutil.which("ipvsadm") is None, reason="ipvsadm is not installed"),
]


def test_nat_dr_and_tunnels_serve_clients_when_two_commands_have_set_them_up() -> None:
    result = uml.run(
        [sys.executable, str(HERE / "realserver_case.py")],
        modules=(*uml.IPVS_MODULES, "ip6_tunnel"),
        environment={"PYTHONPATH": f"{SOURCE}:{SOURCE.parent}"},
        timeout_s=250,
    )
    assert result.status == 0, result.output
    assert result.output.split() == ["NAT", "DR", "TUN"], result.output
