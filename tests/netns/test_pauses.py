"""Nodes and single daemons that stand still, in the lab."""

import os
from typing import Any

import pytest
from tests.netns.cases import run_case

TIMEOUT_S = 120

pytestmark = pytest.mark.slow


def run(case: str) -> Any:
    return run_case("pause_case", case, TIMEOUT_S)


def test_a_node_that_wakes_gives_up_its_addresses_and_its_heir_keeps_them() -> None:
    # 0.3 s after it woke nobody hears two answers: a stop takes some tens of milliseconds.
    assert run("whole") == {"heir": True, "paused": True, "twice": 0.0}


@pytest.mark.hunt
@pytest.mark.skipif("STANDFEST_HUNT_SEED" not in os.environ, reason="runs in ./dev hunt only")
def test_a_pulse_that_stands_still_is_ended_and_the_node_gives_up() -> None:
    assert run("pulse") == {"moved": True, "whole": True}


@pytest.mark.hunt
@pytest.mark.skipif("STANDFEST_HUNT_SEED" not in os.environ, reason="runs in ./dev hunt only")
def test_a_cluster_daemon_that_stood_still_starts_anew_and_only_looks() -> None:
    assert run("cluster") == {"again": True, "moved": False, "tasks": ["monitor"]}
