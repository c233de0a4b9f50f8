"""Which server gets a connection: schedulers by counted connections, thresholds, hashes."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfest.core.balancer.choosing import SCHEDULERS, Chooser, Server

DESTINATION = bytes([192, 0, 2, 1])


def client(number: int, port: int = 40_000) -> bytes:
    return bytes([10, 0, number >> 8, number & 255]) + port.to_bytes(2)


def chooser(scheduler: str, *weights: int, flags: Sequence[str] = ()) -> Chooser:
    servers = [Server(n, f"s{n}", w) for n, w in enumerate(weights)]
    return Chooser(scheduler, flags, servers, turn=count().__next__, full=defaultdict(int))


def fill(by: Chooser, connections: int, avoid: frozenset[int] = frozenset()) -> dict[int, int]:
    """Open connections, none of which ends; return how many each server has."""
    open_now: Counter[int] = Counter()
    for number in range(connections):
        found = by.choose(open_now.__getitem__, avoid, client(number), DESTINATION)
        assert found is not None
        open_now[found] += 1
    return dict(open_now)


@pytest.mark.parametrize(
    ("scheduler", "weights", "expected"),
    [
        ("rr", (1, 5), {0: 5, 1: 5}),  # weights above 0 do not matter
        ("wrr", (1, 4), {0: 2, 1: 8}),
        ("lc", (1, 4), {0: 5, 1: 5}),
        ("wlc", (1, 4), {0: 2, 1: 8}),
        ("sed", (1, 4), {0: 2, 1: 8}),
        ("fo", (1, 4), {1: 10}),
        ("ovf", (2, 4), {1: 5, 0: 3, 2: 0}),  # 5 exceed 4, 3 exceed 2; see the test below
    ],
)
def test_ten_connections_are_spread_as_the_scheduler_says(
    scheduler: str, weights: tuple[int, ...], expected: dict[int, int]
) -> None:
    connections = 8 if scheduler == "ovf" else 10
    found = fill(chooser(scheduler, *weights), connections)
    assert found == {number: n for number, n in expected.items() if n}


def test_overflow_has_nobody_when_all_exceed_their_weights() -> None:
    by = chooser("ovf", 1, 1)
    assert by.choose(lambda _n: 2, (), client(1), DESTINATION) is None


def test_never_queue_takes_an_idle_server_where_the_shortest_delay_waits_for_a_fast_one() -> None:
    counts = {0: 0, 1: 1}  # sed: (0+1)/1 = 1 against (1+1)/4 = 0.5
    assert chooser("sed", 1, 4).choose(counts.__getitem__, (), client(1), DESTINATION) == 1
    assert chooser("nq", 1, 4).choose(counts.__getitem__, (), client(1), DESTINATION) == 0


def test_equals_take_turns_so_that_short_connections_do_not_all_meet_the_first() -> None:
    by = chooser("lc", 1, 1, 1)
    found = Counter(by.choose(lambda _n: 0, (), client(n), DESTINATION) for n in range(30))
    assert found == {0: 10, 1: 10, 2: 10}


@pytest.mark.parametrize("scheduler", ["sh", "mh"])
def test_a_client_keeps_its_server_and_many_clients_use_all(scheduler: str) -> None:
    by = chooser(scheduler, 1, 1, 1)
    first = [by.choose(lambda _n: 0, (), client(n, 1000 + n), DESTINATION) for n in range(300)]
    again = [by.choose(lambda _n: 9, (), client(n, 9000 + n), DESTINATION) for n in range(300)]
    assert first == again
    assert min(Counter(first).values()) > 50  # a third of 300 is 100


def test_with_the_port_flag_a_client_meets_all_servers() -> None:
    by = chooser("mh", 1, 1, flags=["mh-port"])
    met = {by.choose(lambda _n: 0, (), client(1, port), DESTINATION) for port in range(50)}
    assert met == {0, 1}


def test_the_destination_alone_decides_for_dh() -> None:
    by = chooser("dh", 1, 1, 1)
    met = {by.choose(lambda _n: 0, (), client(n), DESTINATION) for n in range(50)}
    assert len(met) == 1


@given(st.sampled_from(sorted(SCHEDULERS)), st.sets(st.integers(0, 3)), st.integers(0, 60_000))
def test_nobody_gets_a_server_that_is_avoided_or_has_no_weight(
    scheduler: str, avoid: set[int], number: int
) -> None:
    by = chooser(scheduler, 1, 2, 3, 0)
    found = by.choose(lambda _n: 0, avoid, client(number), DESTINATION)
    assert (found is None) == ({0, 1, 2} <= avoid)
    assert found not in avoid | {3}


def test_a_full_server_stays_full_until_three_fourths_are_left() -> None:
    by = Chooser(
        "rr",
        (),
        [Server(0, "a", 1, upper=8), Server(1, "b", 1)],
        turn=count().__next__,
        full=defaultdict(int),
    )
    heard = []
    for connections in (7, 8, 6, 5):  # 3/4 of 8 are 6: only below that it is free again
        met = {by.choose({0: connections, 1: 0}.__getitem__, (), client(1), DESTINATION)}
        met.add(by.choose({0: connections, 1: 0}.__getitem__, (), client(1), DESTINATION))
        heard.append(met)
    assert heard == [{0, 1}, {1}, {1}, {0, 1}]


def test_a_lower_threshold_says_when_a_full_server_is_free_again() -> None:
    servers = [Server(0, "a", 9, upper=8, lower=3), Server(1, "b", 1)]
    by = Chooser("fo", (), servers, turn=count().__next__, full=defaultdict(int))
    met = [
        by.choose({0: connections, 1: 0}.__getitem__, (), client(1), DESTINATION)
        for connections in (8, 3, 2)
    ]
    assert met == [1, 1, 0]


def test_two_who_share_the_turn_take_turns_together() -> None:
    turn = count().__next__
    one, other = (
        Chooser(
            "rr", (), [Server(0, "s0", 1), Server(1, "s1", 1)], turn=turn, full=defaultdict(int)
        )
        for _ in "ab"
    )
    met = [by.choose(lambda _n: 0, (), client(1), DESTINATION) for by in (one, other) * 3]
    assert Counter(met) == {0: 3, 1: 3}
    assert met[0] != met[1]


def test_who_is_full_stays_full_when_a_weight_changes() -> None:
    full = {0: 8, 1: 0}
    known: dict[int, int] = defaultdict(int)
    servers = [Server(0, "a", 2, upper=8), Server(1, "b", 1)]
    before = Chooser("fo", (), servers, turn=count().__next__, full=known)
    assert before.choose(full.__getitem__, (), client(1), DESTINATION) == 1
    after = Chooser(
        "fo", (), [Server(0, "a", 3, upper=8), servers[1]], turn=count().__next__, full=known
    )
    assert after.choose({0: 7, 1: 0}.__getitem__, (), client(1), DESTINATION) == 1


def test_a_scheduler_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"scheduler lblc; expected one of dh fo lc mh nq ovf rr"):
        chooser("lblc", 1)
