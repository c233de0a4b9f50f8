"""The XDP backend: what its daemon sees, changes and finds again."""

import sys
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from tests.netns import xdp_bench as bench
from tests.netns.xdp_bench import (
    ACK,
    FIN,
    Director,
    destination,
    more,
    new,
    service,
    value,
)

from standfest.adapters.linux.xdp.backend import XdpBackend
from standfest.core.balancer.slots import slots
from standfest.model.balancing import Forwarding
from standfest.model.errors import OperationError
from standfest.model.forwarding import (
    AddDestination,
    DeleteDestination,
    DeleteService,
    ServiceOptions,
    SetDestination,
    SetService,
)
from standfest.model.vrrp import Family

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(bench.why_not()), reason=bench.why_not())]


# --- what the daemon sees -------------------------------------------------------------------------


def test_what_is_carried_is_counted(xdp_director: Director) -> None:
    key = service(xdp_director, 1, 1)
    for port in (40000, 40001, 40002):
        new(xdp_director, port)
    more(xdp_director, 40000)
    more(xdp_director, 40001, FIN | ACK)
    counters = xdp_director.backend.counters()
    first, second = (counters[key, destination(n)] for n in (1, 2))
    assert first.connections + second.connections == 3
    assert first.packets_in + second.packets_in == 5
    assert first.bytes_in + second.bytes_in == 5 * 40
    assert (first.active + second.active, first.inactive + second.inactive) == (1, 2)


def test_a_new_server_begins_with_nothing(xdp_director: Director) -> None:
    key = service(xdp_director, 1)
    new(xdp_director, 40000)
    xdp_director.backend.apply([DeleteService(key)])
    service(xdp_director, 1)
    assert xdp_director.backend.counters()[key, destination(1)].connections == 0


def test_a_daemon_that_starts_again_finds_everything_and_no_connection_moves(
    xdp_director: Director,
) -> None:
    key = service(
        xdp_director, 1, 2, 3, options=ServiceOptions("wrr", timeout=50, mask=IPv4Address(0))
    )
    service(xdp_director, 1, 0, family=6, forwarding=Forwarding.TUNNEL)
    table = xdp_director.backend.read()
    xdp_director.backend.apply([SetService(key, ServiceOptions("wrr"))])
    before = {port: new(xdp_director, port) for port in range(40000, 40020)}
    xdp_director.backend.apply([SetService(key, table[key].options)])
    xdp_director.restart()
    assert xdp_director.backend.read() == table
    assert {port: more(xdp_director, port) for port in before} == before
    xdp_director.backend.apply([SetDestination(key, destination(1), value(0))])
    assert {port: more(xdp_director, port) for port in before} == before


def test_changes_that_a_crash_cut_off_are_completed_by_the_next_daemon(
    xdp_director: Director,
) -> None:
    key = service(xdp_director, 1, 0)
    with pytest.MonkeyPatch.context() as patch:
        tables = xdp_director.backend._tables
        patch.setattr(tables, "_write_table", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            xdp_director.backend.apply(
                [
                    SetDestination(key, destination(1), value(0)),
                    SetDestination(key, destination(2), value(1)),
                ]
            )
    assert new(xdp_director, 40000) == 1  # the slots are as they were
    xdp_director.restart()
    assert new(xdp_director, 40001) == 2


def test_a_change_that_cannot_be_leaves_everything_as_it_was(xdp_director: Director) -> None:
    key = service(xdp_director, 1)
    table = xdp_director.backend.read()
    nat = value(1, Forwarding.NAT)
    with pytest.raises(OperationError, match="not NAT"):
        xdp_director.backend.apply(
            [DeleteDestination(key, destination(1)), AddDestination(key, destination(2), nat)]
        )
    assert xdp_director.backend.read() == table
    assert new(xdp_director, 40000) == 1


def test_one_weight_of_a_large_table_changes_only_slots_of_its_server(
    xdp_director: Director,
) -> None:
    key = service(xdp_director, 100, 100, 100, 100, options=ServiceOptions("mh"))
    known = xdp_director.backend._tables.known[key]
    first, size = known.record.first, known.record.size
    before = xdp_director.backend._tables._slots[first : first + size].tolist()
    xdp_director.backend.apply([SetDestination(key, destination(1), value(90))])
    after = xdp_director.backend._tables._slots[first : first + size].tolist()
    changed = sum(old != fresh for old, fresh in zip(before, after, strict=True))
    assert xdp_director.backend._tables.known[key].record.first == first
    # Its share goes from 1/4 to 9/39, 1.9 % of the slots; Maglev moves a few others with them.
    assert 0 < changed < 0.08 * size


def test_a_directory_of_other_sizes_is_not_taken_over(
    xdp_director: Director, tmp_path: Path
) -> None:
    with bench.bpf_directory(tmp_path / "bpf") as directory:
        backend = XdpBackend(slots, interfaces=("eth0",), directory=directory)
        backend.close(keep=True)
        sizes = {Family.IPV4: 1024, Family.IPV6: 1024}
        with pytest.raises(OperationError, match=r"flows4 has type, key, value and entries .*1024"):
            XdpBackend(slots, interfaces=("eth0",), directory=directory, connections=sizes)


def test_turns_go_by_shares_until_the_service_changes(xdp_director: Director) -> None:
    backend = xdp_director.backend
    key = service(xdp_director, 1, 1, options=ServiceOptions("lc"))
    table = backend.read()
    backend.share({key: {destination(1): 30, destination(2): 90}})
    assert backend.read() == table
    spread = [new(xdp_director, port) for port in range(40000, 40012)]
    assert sorted(spread) == [1] * 3 + [2] * 9
    backend.share({key: {destination(1): 0, destination(2): 120}})
    assert {new(xdp_director, port) for port in range(41000, 41012)} == {2}
    backend.apply([SetDestination(key, destination(2), value(0))])
    assert {new(xdp_director, port) for port in range(42000, 42012)} == {1}


def test_a_packet_that_another_cpu_has_overtaken_is_no_stranger(xdp_director: Director) -> None:
    service(xdp_director, 1, options=ServiceOptions("rr", timeout=50))
    assert new(xdp_director, 40000) == 1
    flows = xdp_director.backend._tables.maps["flows4"]
    clients = xdp_director.backend._tables.maps["clients4"]
    for one in (flows, clients):
        keys_bytes, value_bytes = one.shape.key_bytes, one.shape.value_bytes
        for keys, values in list(one.batches()):
            for at in range(len(keys) // keys_bytes):
                entry = bytearray(values[at * value_bytes : (at + 1) * value_bytes])
                seen = int.from_bytes(entry[8:12], sys.byteorder) + 1
                entry[8:12] = seen.to_bytes(4, sys.byteorder)
                one.put(keys[at * keys_bytes : (at + 1) * keys_bytes], bytes(entry))
    assert more(xdp_director, 40000) == 1
