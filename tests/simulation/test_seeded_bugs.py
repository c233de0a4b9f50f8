"""The checkers bite: every seeded bug breaks the invariant that is on record for it.

A production change draws chance in another order, so a recorded order may not meet the bug any
more: then a few more seeds are tried before the test fails (`python -m tests.simulation.bugs
--search NAME` records a new one).
"""

import os
from pathlib import Path

import pytest
from tests.simulation.bugs import harness
from tests.simulation.bugs.__main__ import table
from tests.simulation.bugs.catalogue import BUGS

RECORDED = harness.recorded()
PAGE = Path(__file__).parents[2] / "docs" / "guide" / "seeded-bugs.md"
OTHER_SEEDS = range(12)
FEW = (
    "deadtime-off-by-one",
    "duplicate-delivered",
    "damaged-datagram-accepted",
    "promise-not-kept",
    "contradictions-believed",
    "acknowledged-before-sync",
    "acknowledged-alone",
    "fencing-skipped",
    "inputs-not-waited-for",
    "unmanaged-unknown",
    "secret-in-a-note",
)
"""Those that `./dev test` tries, of different checkers; `./dev hunt` tries all."""
HUNTING = "STANDFEST_HUNT_SEED" in os.environ


def test_every_bug_is_a_change_of_the_code_as_it_is() -> None:
    for bug in BUGS.values():
        compile(bug.patched(), bug.module, "exec")


def test_at_least_forty_are_caught_and_the_page_names_them() -> None:
    assert set(RECORDED) == set(BUGS)
    assert len(RECORDED) >= 40
    assert "\n".join(table()) in PAGE.read_text(), "python -m tests.simulation.bugs prints it"


def test_the_code_as_it_is_passes_what_catches_bugs() -> None:
    orders = dict.fromkeys(RECORDED[name].order for name in (RECORDED if HUNTING else FEW))
    assert harness.simulate(None, orders) is None


@pytest.mark.hunt
@pytest.mark.parametrize("name", BUGS if HUNTING else FEW)
def test_a_seeded_bug_is_caught(name: str) -> None:
    known = RECORDED[name]
    caught = harness.simulate(name, [known.order])
    if caught is not None:
        assert caught.checker == known.checker, caught.what
    else:
        caught = harness.simulate(name, harness.candidates(name, OTHER_SEEDS))
        assert caught is not None, f"nothing broke; {known.order} broke {known.checker}"
