"""The report's chapter 5.3 on this machine's kernel, without IPVS: nftables, xdp and the proxy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.netns import xdp_bench as bench
from tests.netns.vrrp_lab import why_not

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
why = why_not("dovecot", "nginx", "nft", "openssl", "postfix", "unshare")
pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(why), reason=why or "there"),
]
INSIDE = 'mount -t tmpfs run /run && mkdir /run/netns && exec "$@"'
APART = (
    pytest.mark.hunt,
    pytest.mark.skipif("STANDFEST_HUNT_SEED" not in os.environ, reason="runs in ./dev hunt only"),
)
"""A minute each: a full run has to end within 25."""
DRIVERS = pytest.mark.skipif(bool(bench.why_not()), reason=bench.why_not() or "there")


@pytest.mark.parametrize(
    ("kind", "backend"),
    [
        ("NAT", "nftables"),
        pytest.param("DR", "nftables", marks=APART),
        pytest.param("DR", "xdp", marks=(DRIVERS, *APART)),
        pytest.param("TUN", "xdp", marks=(DRIVERS, *APART)),
        pytest.param("NAT", "proxy", marks=APART),
    ],
)
def test_two_directors_carry_mail_and_web_and_each_other(kind: str, backend: str) -> None:
    namespaces = ("--net", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc")
    case = ROOT / "tests" / "uml" / "lvs_case.py"
    result = subprocess.run(
        [
            *("unshare", *namespaces, "--", "sh", "-c", INSIDE, "sh"),
            *(sys.executable, str(case), kind, backend),
        ],
        capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    found = json.loads(result.stdout.strip().splitlines()[-1])
    assert found["outage_s"] < 4.5, found
    # A proxy's connections end in it: they live on without its controller, not without its machine.
    survivors = 0 if backend == "proxy" else 20
    assert found["dialogues_survived"] == f"{survivors} of 20", found
    print(found)
