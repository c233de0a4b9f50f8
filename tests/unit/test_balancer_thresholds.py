"""Upper thresholds, where the data plane does not heed them itself."""

from dataclasses import replace

from tests.unit.counting_world import World, server

from standfest.model.time import seconds
from standfest.runtime.balancer.assignment import Assignment


def test_a_data_plane_that_counts_is_left_alone() -> None:
    world = World("wlc", server(1, weight=3, upper=5), server(2), counts=True)
    world.carry((12, 10), (8, 2))
    world.run(5)
    assert (world.weights(), world.counted) == ([3, 1], 0)


def test_who_has_no_threshold_needs_no_counting() -> None:
    world = World("wrr", server(1), server(2))
    world.run(5)
    assert (world.weights(), world.counted) == ([1, 1], 0)


def test_a_full_server_is_closed_until_it_is_below_its_lower_threshold() -> None:
    limited = server(1, upper=10, lower=5)
    world = World("rr", limited, server(2))
    for second, (open_now, weight) in enumerate([(9, 1), (10, 0), (5, 0), (4, 1)]):
        world.carry((0, open_now), (0, 0))
        world.run(second)
        assert world.weights() == [weight, 1], second


def test_without_a_lower_threshold_it_is_three_quarters_of_the_upper() -> None:
    world = World("rr", server(1, upper=8), server(2))
    for second, (open_now, weight) in enumerate([(8, 0), (6, 0), (5, 1)]):
        world.carry((0, open_now), (0, 0))
        world.run(second)
        assert world.weights() == [weight, 1], second


def test_a_successor_takes_a_full_server_for_full_and_not_for_drained() -> None:
    world = World("rr", server(1, upper=8), server(2))
    world.carry((0, 8), (0, 0))
    world.run(0)
    assert world.weights() == [0, 1]
    world.carry((0, 0), (0, 0))
    world.begin()
    world.run(1)
    assert world.weights() == [1, 1]


def test_a_threshold_that_a_reload_takes_away_closes_nobody() -> None:
    world = World("rr", server(1, upper=8), server(2))
    world.carry((0, 8), (0, 0))
    world.run(0)
    assert world.weights() == [0, 1]
    old = world.assignment.balancer
    service = replace(old.services[0], servers=(server(1), server(2)))
    again = Assignment(replace(old, services=(service,)))
    world.perform(seconds(1), world.machine.reload(seconds(1), again))
    assert world.weights() == [1, 1]
