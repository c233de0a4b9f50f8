"""Fencing for real: a hung node is recovered only after the switch's agent has exited 0."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 240

pytestmark = pytest.mark.slow


def test_a_hung_and_a_cut_off_node_are_recovered_only_after_their_power_is_gone() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.netns.fencing_case"],
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    last = (done.stderr.strip().splitlines() or [""])[-1]
    if "no namespaces here" in last or "no overlay" in last:
        pytest.skip(last)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    # Two attempts are refused; the words of the command line are none: "$#" is 0.
    hung, other = result["asked"][0].split()[1], result["asked"][-1].split()[1]
    assert {hung, other} == {"socket-1", "socket-2"}
    assert result.pop("asked") == [
        *[f"reboot {hung} SECRET 0"] * 3,
        f"reboot {other} SECRET 0",
    ]
    assert (
        result.pop("reason")
        == [
            f"power by node-{other[-1]}: the switch does not take ***",
        ]
        * 2
    )
    assert result == {
        "confirming refused": [1, True],
        "victims": [True, True],
        "states": [[True, "done", 2]],
        "early": [],
        "stayed": True,
        "secret": False,
        "twice": 0.0,
        "within": True,
    }
