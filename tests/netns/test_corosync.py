"""The cluster on Debian's corosync, in the lab: nodes die, are cut off, lose corosync, leave."""

import os
from pathlib import Path
from typing import Any

import pytest
from tests.netns.cases import run_case

TIMEOUT_S = 240
COROSYNC = Path("/usr/sbin/corosync")

pytestmark = [
    pytest.mark.skipif(not COROSYNC.exists(), reason="needs Debian's package corosync"),
    pytest.mark.skipif(os.geteuid() != 0, reason="corosync needs root"),
    pytest.mark.slow,
]


def run(case: str) -> Any:
    return run_case("corosync_case", case, TIMEOUT_S)


@pytest.mark.hunt
@pytest.mark.skipif("STANDFEST_HUNT_SEED" not in os.environ, reason="runs in ./dev hunt only")
def test_a_dead_node_is_taken_over_and_a_minority_stops_and_joins_again() -> None:
    assert run("three") == {
        "distinct": True,
        "quorum": False,
        "itself": "active",
        "stayed": True,
    }


def test_a_node_leaves_in_order_and_lets_go_when_its_corosync_dies_or_hangs() -> None:
    # Token 1000 ms, consensus 1200 ms: others take over 2.2 s after corosync has fallen silent.
    # A dead one is noticed at once, one that hangs after half of that.
    assert run("two") == {
        "left in order": True,
        "stands": "only corosync",
        "let go first": True,
        "reason": "corosync-hangs",
        "stayed": True,
        "twice": 0.0,
    }


@pytest.mark.hunt
@pytest.mark.skipif("STANDFEST_HUNT_SEED" not in os.environ, reason="runs in ./dev hunt only")
def test_a_node_without_daemons_is_left_alone_until_it_is_dead() -> None:
    assert run("alone") == {"untouched": True, "said": "without daemon", "twice": 0.0}


@pytest.mark.hunt
@pytest.mark.skipif("STANDFEST_HUNT_SEED" not in os.environ, reason="runs in ./dev hunt only")
def test_every_daemon_that_is_killed_is_back_and_no_service_was_touched() -> None:
    assert run("killed") == {
        "back": ["log", "ring", "cluster", "supervisor"] * 2,
        "moved": False,
        "interrupted": False,
        "tasks": ["monitor"],
        "twice": 0.0,
    }
