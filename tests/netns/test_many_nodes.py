"""Eight and sixteen whole nodes on one machine: soon active, one that fails is missed in time."""

import os

import pytest
from tests.netns.cases import run_case

TIMEOUT_S = 240

pytestmark = pytest.mark.slow


def judge(nodes: int) -> None:
    found = run_case("many_case", str(nodes), TIMEOUT_S)
    assert found["active"] <= 5, found
    # Deadtime is 2 s; the last of the others may be half a second later.
    assert found["missed"][1] <= 2.5, found
    assert found["online"] == nodes - 1, found
    assert found["died"] == 1, found  # nobody else was given up, and nobody for an instant


def test_eight_nodes_are_soon_active_and_a_failed_one_is_missed_in_time() -> None:
    judge(8)


@pytest.mark.hunt
@pytest.mark.skipif("STANDFEST_HUNT_SEED" not in os.environ, reason="runs in ./dev hunt only")
def test_sixteen_nodes_are_soon_active_and_a_failed_one_is_missed_in_time() -> None:
    judge(16)
