"""Room for slots, and the plan of changes: what the xdp backend decides without a kernel."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfest.adapters.linux.xdp.arena import Arena
from standfest.adapters.linux.xdp.plan import plan
from standfest.core.balancer.slots import slots
from standfest.model.balancing import Forwarding, Method, Protocol, TunnelType
from standfest.model.errors import OperationError
from standfest.model.forwarding import (
    AddDestination,
    AddService,
    Change,
    DeleteDestination,
    DeleteService,
    Destination,
    DestinationKey,
    Service,
    ServiceOptions,
    SetDestination,
    service_key,
)

WEB = service_key(Protocol.TCP, ip_address("192.0.2.1"), 80)
ONE, TWO = (DestinationKey(ip_address(f"10.9.0.1{n}"), 80) for n in (1, 2))
DIRECT = Destination(Method(Forwarding.DIRECT), 1)
OPTIONS = ServiceOptions("rr")


def test_runs_are_taken_first_fit_and_neighbours_grow_together_again() -> None:
    arena = Arena(10, [(0, 3)])
    assert [arena.take(2), arena.take(5)] == [3, 5]  # 3..4 and 5..9: full
    with pytest.raises(OperationError, match="no room for 1 slots; the longest run has 0"):
        arena.take(1)
    arena.give(3, 2)
    arena.give(0, 3)
    assert arena.take(5) == 0  # 0..2 and 3..4 are one run


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 20)), max_size=80))
def test_runs_never_overlap_and_nothing_is_lost(steps: list[tuple[bool, int]]) -> None:
    arena = Arena(64)
    held: list[tuple[int, int]] = []
    for give, count in steps:
        if give and held:
            arena.give(*held.pop(count % len(held)))
            continue
        try:
            held.append((arena.take(count), count))
        except OperationError:
            continue
        used = [slot for first, size in held for slot in range(first, first + size)]
        assert len(set(used)) == len(used)
        assert max(used) < 64
    for run in held:
        arena.give(*run)
    assert arena.take(64) == 0


def test_a_plan_is_what_all_changes_come_to() -> None:
    table = {WEB: Service(OPTIONS, {ONE: DIRECT})}
    idle = Destination(Method(Forwarding.DIRECT), 0)
    changes: list[Change] = [AddDestination(WEB, TWO, DIRECT), SetDestination(WEB, ONE, idle)]
    assert plan(table, changes, slots) == {WEB: Service(OPTIONS, {ONE: idle, TWO: DIRECT})}
    assert plan(table, [*changes, DeleteDestination(WEB, ONE)], slots) == {
        WEB: Service(OPTIONS, {TWO: DIRECT})
    }
    assert plan(table, [*changes, DeleteService(WEB)], slots) == {WEB: None}
    assert table == {WEB: Service(OPTIONS, {ONE: DIRECT})}


@pytest.mark.parametrize(
    ("destination", "told"),
    [
        (Destination(Method(Forwarding.NAT), 1), "not NAT; expected backend nftables or ipvs"),
        (Destination(Method(Forwarding.TUNNEL, TunnelType.GUE), 1), "as ipip, not gue"),
        (Destination(Method(Forwarding.DIRECT), 65536), "weight 65536; expected 0..65535"),
    ],
)
def test_what_a_server_cannot_be_reached_by_names_who_can(
    destination: Destination, told: str
) -> None:
    with pytest.raises(OperationError, match=told):
        plan({WEB: Service(OPTIONS, {})}, [AddDestination(WEB, ONE, destination)], slots)


def test_what_a_service_cannot_have_names_the_alternative() -> None:
    mark = service_key(Protocol.NONE, None, mark=5)
    six = DestinationKey(ip_address("fd00::1"), 80)
    cases: list[tuple[Change, str]] = [
        (AddService(mark, OPTIONS), "FWM 5: xdp sees no marks; expected backend ipvs or nftables"),
        (AddService(WEB, ServiceOptions("lblc")), "lblc needs the ipvs backend; expected e.g. sh"),
        (AddService(WEB, ServiceOptions("rr", engine="sip")), "engine sip is not in xdp"),
        (AddService(WEB, ServiceOptions("rr", flags=("f" * 65,))), "longer than 64 bytes"),
        (AddDestination(WEB, six, DIRECT), "keeps a service's family"),
    ]
    for change, told in cases:
        table = {} if isinstance(change, AddService) else {WEB: Service(OPTIONS, {})}
        with pytest.raises(OperationError, match=told):
            plan(table, [change], slots)


def test_changes_to_what_is_not_there_are_refused() -> None:
    there = {WEB: Service(OPTIONS, {ONE: DIRECT})}
    with pytest.raises(OperationError, match="no such service"):
        plan({}, [AddDestination(WEB, ONE, DIRECT)], slots)
    with pytest.raises(OperationError, match="no such server"):
        plan(there, [DeleteDestination(WEB, TWO)], slots)
    with pytest.raises(OperationError, match="no such server"):
        plan(there, [SetDestination(WEB, TWO, DIRECT)], slots)
    with pytest.raises(OperationError, match="there already"):
        plan(there, [AddDestination(WEB, ONE, DIRECT)], slots)
    with pytest.raises(OperationError, match="there already"):
        plan(there, [AddService(WEB, OPTIONS)], slots)
