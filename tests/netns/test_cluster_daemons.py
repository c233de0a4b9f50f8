"""The real daemons in the lab: killed, flooded, three of them, started and stopped together."""

from typing import Any

import pytest
from tests.netns.cases import run_case

TIMEOUT_S = 240

pytestmark = pytest.mark.slow


def run(case: str) -> Any:
    return run_case("cluster_case", case, TIMEOUT_S)


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
