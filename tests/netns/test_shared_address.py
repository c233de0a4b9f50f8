"""The report's shared address (B.12) in the lab: real daemons, real rules, SYN-ACKs on the wire."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="nftables rules need root"),
]


@pytest.mark.parametrize("dialect", ["report", "today"])
def test_a_dead_node_s_half_is_taken_over_and_given_back_unnoticed(dialect: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.netns.shared_case", dialect],
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    if "no namespaces here" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        # Both nodes, one alone, both again: who answers a bucket is who has its instance.
        "as placed": [True, True, True],
        # In each of these times every connection got exactly one SYN-ACK, at all times of one node.
        "not once": [0, 0, 0],
        "by two": 0,
        # 1 s of deadtime, 0.3 s, and what the agent took.
        "outage within": True,
        "unanswered of the survivor's": 0,
        # Only the bucket that moves, and no longer than 0.3 s and what the agents took.
        "unanswered when given back": [True, True],
        # Connections kept open: the survivor's live on through both, in the moved bucket, too.
        "kept": [True, True],
        # The dead node's are reset by the survivor: their clients need not wait.
        "reset": True,
        # 60 connections: 20 to 40 on either node.
        "shares": True,
    }
