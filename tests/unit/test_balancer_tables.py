"""Slot tables, Maglev, and the difference between two tables of services."""

from collections import Counter
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfest.core.balancer import maglev
from standfest.core.balancer.difference import apply, difference
from standfest.core.balancer.slots import by_turn, slots
from standfest.model.balancing import Method, Protocol
from standfest.model.forwarding import (
    AddDestination,
    AddService,
    DeleteDestination,
    DeleteService,
    Destination,
    DestinationKey,
    Service,
    ServiceKey,
    ServiceOptions,
    SetDestination,
    Table,
    service_key,
)
from standfest.model.slots import Choice

NAMES = [f"10.0.0.{number}:80" for number in range(1, 11)]


def test_ten_equal_servers_share_a_maglev_table_within_one_per_cent_of_it() -> None:
    table = maglev.table(dict.fromkeys(NAMES, 1), 1021)
    counts = Counter(table)
    # 1021 / 10 = 102.1; the method fills in turns, so no one is ahead by more than a turn.
    assert set(counts.values()) == {102, 103}


def test_losing_a_server_moves_hardly_any_slot_of_the_others() -> None:
    before = maglev.table(dict.fromkeys(NAMES, 1), 4093)
    after = maglev.table(dict.fromkeys(NAMES[1:], 1), 4093)
    moved = sum(a != b for a, b in zip(before, after, strict=True) if a != NAMES[0])
    assert moved <= 0.02 * 4093


def test_weights_are_shares() -> None:
    counts = Counter(maglev.table({"a": 1, "b": 3}, 251))
    assert counts == {"a": 63, "b": 188}  # rounds of 4 turns: 251 = 62 x 4 + 3, b's third is last


def test_a_server_without_weight_has_no_slot() -> None:
    assert "a" not in maglev.table({"a": 0, "b": 1}, 251)
    assert maglev.table({"a": 0}, 251) == []


def test_a_table_has_a_hundred_slots_a_server() -> None:
    assert [maglev.size_for(n) for n in (2, 3, 10, 40, 163, 600, 5000)] == [
        *(251, 1021, 1021, 4093, 16381, 65537, 65537)
    ]


def test_turns_are_spread_and_proportional() -> None:
    # Smooth weighted round robin of 5:1:1 is a a b a c a a.
    assert by_turn({"a": 5, "b": 1, "c": 1}) == ["a", "a", "b", "a", "c", "a", "a"]
    assert by_turn({"a": 2, "b": 2}) == ["a", "b"]
    assert by_turn({"a": 0}) == []
    # 65535 : 1 is rounded to 1021 : 1 turns at most.
    counts = Counter(by_turn({"a": 65535, "b": 1}))
    assert counts == {"a": 1020, "b": 1}


def test_schedulers_become_choices() -> None:
    weights = {"a": 3, "b": 1}
    assert slots("rr", (), weights).owners == ("a", "b")
    assert Counter(slots("wrr", (), weights).owners) == {"a": 3, "b": 1}
    assert slots("fo", (), weights).owners == ("a",)
    assert slots("sh", (), weights).choice is Choice.SOURCE
    assert slots("mh", ("mh-port",), weights).choice is Choice.SOURCE_PORT
    assert slots("dh", (), weights).choice is Choice.DESTINATION
    with pytest.raises(ValueError, match=r"lblc needs the ipvs backend; expected e\.g\. sh"):
        slots("lblc", (), weights)


# --- differences ---------------------------------------------------------------------------------

KEYS = [service_key(Protocol.TCP, IPv4Address("192.0.2.1"), port) for port in (25, 80, 993)]
SERVERS = [DestinationKey(IPv4Address(f"10.0.0.{n}"), 80) for n in (1, 2, 3)]
WEIGHTS = st.sampled_from([0, 1, 5])
SERVICES = st.builds(
    Service,
    st.sampled_from([ServiceOptions("rr"), ServiceOptions("wlc", timeout=50)]),
    st.dictionaries(
        st.sampled_from(SERVERS), st.builds(Destination, st.just(Method()), WEIGHTS), max_size=3
    ),
)
TABLES = st.dictionaries(st.sampled_from(KEYS), SERVICES, max_size=3)


@given(before=TABLES, after=TABLES)
def test_the_changes_lead_from_one_table_to_the_other(before: Table, after: Table) -> None:
    assert apply(before, difference(before, after)) == after
    assert difference(after, after) == ()


@given(before=TABLES, after=TABLES)
def test_a_service_never_has_nobody_while_it_has_somebody_before_and_after(
    before: Table, after: Table
) -> None:
    def serves(table: Table, key: ServiceKey) -> bool:
        return key in table and any(d.weight for d in table[key].destinations.values())

    kept = [key for key in KEYS if serves(before, key) and serves(after, key)]
    table = dict(before)
    for change in difference(before, after):
        table = apply(table, [change])
        assert all(serves(table, key) for key in kept)


def destination(weight: int) -> Destination:
    return Destination(Method(), weight)


def test_one_changed_weight_is_one_change() -> None:
    options = ServiceOptions("rr")
    before = {KEYS[0]: Service(options, {SERVERS[0]: destination(1), SERVERS[1]: destination(1)})}
    after = {KEYS[0]: Service(options, {SERVERS[0]: destination(1), SERVERS[1]: destination(0)})}
    assert difference(before, after) == (SetDestination(KEYS[0], SERVERS[1], destination(0)),)


def test_a_dead_server_goes_first_unless_nobody_would_be_left() -> None:
    options = ServiceOptions("rr")
    one = {KEYS[0]: Service(options, {SERVERS[0]: destination(1)})}
    other = {KEYS[0]: Service(options, {SERVERS[1]: destination(1)})}
    assert difference(one, other) == (
        AddDestination(KEYS[0], SERVERS[1], destination(1)),
        DeleteDestination(KEYS[0], SERVERS[0]),
    )


def test_what_somebody_else_put_there_stays() -> None:
    options = ServiceOptions("rr")
    theirs = {KEYS[0]: Service(options, {}), KEYS[1]: Service(options, {})}
    mine = {KEYS[2]: Service(options, {})}
    assert difference(theirs, mine, ours={KEYS[1]}) == (
        DeleteService(KEYS[1]),
        AddService(KEYS[2], options),
    )
