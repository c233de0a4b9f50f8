"""Weights that follow counted connections."""

import random

from standfest.core.balancer.counted import SHARES, shares


def test_even_servers_share_evenly() -> None:
    # 3 and 3 open, 6 arrive: 12 / 2 = 6 each, both lack 3.
    assert shares("lc", {"a": 5, "b": 1}, {"a": 3, "b": 3}, 6) == {"a": 60, "b": 60}


def test_weights_count_for_wlc_and_not_for_lc() -> None:
    # 16 in all: a should have 12, b 4.
    assert shares("wlc", {"a": 3, "b": 1}, {}, 16) == {"a": 90, "b": 30}
    assert shares("lc", {"a": 3, "b": 1}, {}, 16) == {"a": 60, "b": 60}


def test_who_has_too_many_gets_none_and_the_others_level_out() -> None:
    # a has 30 of 30 + 10, its part would be 13: it waits. b and c share: (2 + 0 + 10) / 2 = 6 each,
    # so b lacks 4, c 6 of 10: 48 and 72 of 120.
    assert shares("wlc", {"a": 1, "b": 1, "c": 1}, {"a": 30, "b": 2}, 10) == {
        "a": 0,
        "b": 48,
        "c": 72,
    }


def test_never_queue_asks_the_idle_first() -> None:
    assert shares("nq", {"a": 9, "b": 1, "c": 1}, {"a": 1}, 4) == {"b": 60, "c": 60}
    assert shares("nq", {"a": 1, "b": 1}, {"a": 1, "b": 1}, 2) == {"a": 60, "b": 60}


def test_nobody_takes_part_with_weight_0() -> None:
    assert shares("wlc", {"a": 0}, {"a": 5}, 4) == {}


def test_all_slots_are_given_and_counts_level_out() -> None:
    draw = random.Random(20261126)
    for _ in range(50):
        weights = {name: draw.randint(1, 9) for name in "abcde"}
        open_now = {name: draw.randint(0, 400) for name in "abcde"}
        for _ in range(200):  # 200 x 100 are more than 400 x (4 x 9 + 1)
            part = shares("wlc", weights, open_now, 100)
            assert sum(part.values()) == SHARES
            for name, share in part.items():
                open_now[name] += share * 100 // SHARES
        total, weight = sum(open_now.values()), sum(weights.values())
        for name, count in open_now.items():
            # Cut to whole connections, five servers lose at most 5 of 100 a period.
            assert abs(count - total * weights[name] / weight) <= 5
