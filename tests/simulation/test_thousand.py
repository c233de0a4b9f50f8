"""A thousand seeds, an hour each: every promise holds in all of them."""

import os

import pytest

from standfest.sim.run import Order, run

SEEDS, CHUNK = 1000, 20
FIRST = int(os.environ.get("STANDFEST_HUNT_SEED", "0")) * SEEDS


def nodes_of(seed: int) -> int:
    """Return how many nodes a seed has: an hour of seven costs twenty times one of two."""
    if seed % 100 == 0:
        return 7
    if seed % 100 == 1:
        return 5
    return 3 if seed % 10 == 2 else 2


def test_all_sizes_are_among_the_seeds() -> None:
    sizes = [nodes_of(seed) for seed in range(SEEDS)]
    # 1000/100, 1000/100, 1000/10, and the others.
    assert {size: sizes.count(size) for size in (7, 5, 3, 2)} == {7: 10, 5: 10, 3: 100, 2: 880}


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_promise_holds_in_a_thousand_hours(first: int) -> None:
    for seed in range(FIRST + first, FIRST + first + CHUNK):
        outcome = run(Order(seed, nodes_of(seed)))
        assert outcome.violation is None, (
            f"{outcome.violation}; standfest sim run --seed {seed} --nodes {nodes_of(seed)}"
        )
        assert len(outcome.faults) == 30  # an hour, 30 faults an hour
