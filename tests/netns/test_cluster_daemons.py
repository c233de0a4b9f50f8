"""The real daemons in the lab: killed, flooded, three of them, started and stopped together."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 240

pytestmark = pytest.mark.slow


def run(case: str) -> Any:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.netns.cluster_case", case],
        check=False,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    if "no namespaces here" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_every_daemon_that_is_killed_is_back_and_no_service_was_touched() -> None:
    assert run("daemons") == {
        "back": ["log", "pulse", "cluster", "supervisor"] * 2,
        "moved": False,
        "interrupted": False,
        "tasks": ["monitor"],  # what a restarted daemon does is look
        "twice": 0.0,
    }


def test_malformed_datagrams_are_dropped_and_counted() -> None:
    # 400 datagrams to each node: random bytes, a wrong signature, cut short, 60,004 bytes.
    assert run("garbage") == {
        "refused": 400,
        "reasons": 4,
        "traceback": False,
        "secret": False,
        "moved": False,
        "heard": ["node-1", "node-2"],
    }


def test_three_nodes_lose_two_and_a_killed_one_takes_part_again() -> None:
    assert run("three") == {"distinct": 2, "stayed": True, "last": True}


def test_nodes_started_together_serve_and_one_stopped_in_order_hands_over() -> None:
    assert run("together") == {"recovered": True, "left in order": [True], "twice": 0.0}


def test_what_each_daemon_recorded_is_decided_again_after_a_failover() -> None:
    assert run("recorded") == {
        # Two of the node that failed; two of the other one, and two of its killed daemons.
        "exit": [0] * 6,
        "endings": ["decided as recorded"],
        "death": True,
        "takeover": True,
        "printed": [],
        "in pulse": [],
        "secret": False,
    }


def test_a_node_that_dies_while_pulse_restarts_is_taken_over_after_initdead() -> None:
    assert run("blind") == {"heard": True}
