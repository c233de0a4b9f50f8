"""Shares that follow connections, where the data plane does not choose by them itself."""

from dataclasses import replace

from tests.unit.counting_world import World, server

from standfest.model.time import seconds
from standfest.runtime.balancer.assignment import Assignment


def test_a_data_plane_that_counts_is_told_nothing() -> None:
    world = World("lc", server(1), server(2), counts=True)
    world.carry((20, 10), (10, 0))
    world.run(5)
    assert (world.told, world.counted) == ([], 0)


def test_who_needs_no_connections_is_not_counted() -> None:
    world = World("mh", server(1), server(2))
    world.run(5)
    assert (world.told, world.counted) == ([], 0)


def test_shares_level_out_what_is_open_by_what_came() -> None:
    world = World("wlc", server(1), server(2))
    world.carry((0, 0), (0, 0))
    world.run(0)
    world.carry((10, 0), (10, 10))
    world.run(1)
    # 20 came; with 20 more each should have 15, so they lack 15 and 5: 90 and 30 of 120.
    assert world.told == [[60, 60], [90, 30]]


def test_what_came_before_the_first_count_is_not_expected_again() -> None:
    world = World("lc", server(1), server(2))
    world.carry((1_000_000, 0), (1_000_000, 10))
    world.run(0)
    # 10 open, 2 expected at least: 6 each, which the second has long since.
    assert world.told == [[120, 0]]


def test_counters_that_begin_anew_are_no_arrivals() -> None:
    world = World("lc", server(1), server(2))
    world.carry((500, 4), (500, 4))
    world.run(0)
    world.carry((0, 4), (0, 4))
    world.run(1)
    assert world.told == [[60, 60]]


def test_equal_shares_are_told_again_only_while_connections_come() -> None:
    world = World("lc", server(1), server(2))
    for second, begun in enumerate([0, 2, 2, 2, 4]):
        world.carry((begun, 0), (begun, 0))
        world.run(second)
    assert (world.told, world.counted) == ([[60, 60]] * 3, 5)


def test_one_count_serves_thresholds_and_shares() -> None:
    world = World("wlc", server(1, upper=8), server(2))
    world.carry((8, 8), (0, 0))
    world.run(3)
    assert (world.weights(), world.counted) == ([0, 1], 4)
    # Who is full has no share at all: it is not even asked what it lacks.
    assert world.told == [[0, 120]]


def test_a_changed_service_is_told_its_shares_again() -> None:
    world = World("lc", server(1), server(2))
    world.carry((0, 0), (9, 9))
    world.run(1)
    assert world.told == [[120, 0]]
    old = world.assignment.balancer
    service = replace(old.services[0], servers=(server(1, weight=5), server(2)))
    again = Assignment(replace(old, services=(service,)))
    world.perform(seconds(1), world.machine.reload(seconds(1), again))
    world.run(2)
    assert world.told == [[120, 0], [120, 0]]


def test_nothing_is_told_while_the_kernel_refuses() -> None:
    world = World("lc", server(1), server(2))
    world.run(0)
    world.machine.refused(seconds(1), "share", world.backend.read())
    world.carry((0, 0), (9, 9))
    world.run(5)
    assert world.told == [[60, 60]]
    world.run(7)  # at 6 s it is tried again, the next count is at 7 s at the latest
    assert world.told == [[60, 60], [120, 0]]
