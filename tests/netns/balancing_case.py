"""What every backend of the balancer must do, as seen by a client: the list of scenarios.

Each is a claim about a lab. `Scenario.needs` says what a backend must be able to do for it; a
backend that cannot is not asked. After every change the lab compares `read()` with the core.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from tests.netns.balancing_lab import Lab, close_all, opened

from standfest.model.balancing import Protocol
from standfest.model.forwarding import (
    AddDestination,
    AddService,
    DeleteDestination,
    DeleteService,
    ServiceKey,
    ServiceOptions,
    SetDestination,
    SetService,
)

MANY = 300
"""Connections that are open while a balancer restarts."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One claim; needs: of `six`, `mark`, `all-ports`, `udp`, `persistence`, `hash`, `hidden`.

    hidden: servers that are removed get no packet more, though connections to them are open.
    """

    run: Callable[[Lab], None]
    needs: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Return the claim."""
        return self.run.__name__.replace("_", "-")


def turns_are_taken_one_after_another(lab: Lab) -> None:
    lab.serve(1, 1, 1, 1)
    turns = lab.ask(8)
    assert turns[:4] == turns[4:]
    assert sorted(turns[:4]) == ["rs1", "rs2", "rs3", "rs4"]


def services_do_not_disturb_each_others_turns(lab: Lab) -> None:
    lab.serve(1, 1)
    lab.serve(1, 1, key=lab.key(8080))
    first, second = zip(*((lab.ask(1)[0], lab.ask(1, 8080)[0]) for _ in range(4)), strict=True)
    assert Counter(first) == Counter(second) == {"rs1": 2, "rs2": 2}


def weights_are_shares_of_the_turns(lab: Lab) -> None:
    key = lab.serve(3, 1, 0, options=ServiceOptions("wrr"))
    assert Counter(lab.ask(40)) == {"rs1": 30, "rs2": 10}  # 3 : 1 : 0
    lab.change(SetDestination(key, lab.server(2), lab.weighing(3)))
    assert Counter(lab.ask(40)) == {"rs1": 20, "rs2": 20}


def a_changed_weight_breaks_no_connection(lab: Lab) -> None:
    key = lab.serve(1, 1, 1, options=ServiceOptions("wrr"))
    connections = opened(lab, 30)
    lab.change(SetDestination(key, lab.server(1), lab.weighing(5)))
    lab.change(SetService(key, ServiceOptions("rr")))
    lab.change(AddDestination(key, lab.server(4), lab.weighing(1)))
    assert all(connection.is_alive() for connection in connections)
    close_all(connections)


def a_client_that_persists_stays(lab: Lab) -> None:
    key = lab.serve(1, 1, 1, options=ServiceOptions("rr", timeout=60))
    first = {client: set(lab.ask(3, client=client)) for client in range(6)}
    assert all(len(names) == 1 for names in first.values())
    assert Counter(name for names in first.values() for name in names) == dict.fromkeys(
        ("rs1", "rs2", "rs3"), 2
    )
    # Who is drained loses its clients with their next connection, the others stay.
    lab.change(SetDestination(key, lab.server(1), lab.weighing(0)))
    for client, names in first.items():
        again = set(lab.ask(3, client=client))
        assert len(again) == 1
        assert again == names if names != {"rs1"} else again != names


def clients_of_one_network_persist_together(lab: Lab) -> None:
    mask = IPv4Address("255.255.255.0")
    lab.serve(1, 1, 1, options=ServiceOptions("rr", timeout=60, mask=mask))
    assert len({lab.ask(1, client=client)[0] for client in range(6)}) == 1


def persistence_ends_with_its_time(lab: Lab) -> None:
    import time

    lab.serve(1, 1, options=ServiceOptions("rr", timeout=1))
    conversation = lab.connect()
    conversation.finish()  # as long as it lives it may prolong its client's time
    time.sleep(1.5)
    assert lab.ask(1) != [conversation.server]  # the other's turn


def a_hash_of_the_source_is_steady(lab: Lab) -> None:
    key = lab.serve(1, 1, 1, 1, options=ServiceOptions("sh"))
    chosen = {client: set(lab.ask(3, client=client)) for client in range(10)}
    assert all(len(names) == 1 for names in chosen.values())
    assert len({name for names in chosen.values() for name in names}) > 1
    # Losing one server moves its clients and, with Maglev's table, hardly any other.
    lab.change(DeleteDestination(key, lab.server(2)))
    moved = [
        c
        for c, names in chosen.items()
        if "rs2" not in names and lab.ask(1, client=c)[0] not in names
    ]
    assert len(moved) <= 1


def a_drained_server_keeps_its_connections(lab: Lab) -> None:
    key = lab.serve(1, 1, 1)
    connections = opened(lab, 30)
    lab.change(SetDestination(key, lab.server(1), lab.weighing(0)))
    assert set(lab.ask(12)) == {"rs2", "rs3"}
    assert Counter(c.server for c in connections) == {"rs1": 10, "rs2": 10, "rs3": 10}
    assert all(connection.is_alive() for connection in connections)
    lab.change(SetDestination(key, lab.server(1), lab.weighing(1)))
    assert Counter(lab.ask(12)) == {"rs1": 4, "rs2": 4, "rs3": 4}
    close_all(connections)


def a_removed_server_gets_nothing_more(lab: Lab) -> None:
    key = lab.serve(1, 1, 1)
    connections = opened(lab, 15)
    lab.change(DeleteDestination(key, lab.server(1)))
    assert set(lab.ask(12)) == {"rs2", "rs3"}
    alive = {c.server for c in connections if c.server != "rs1" and c.is_alive()}
    assert alive == {"rs2", "rs3"}
    # Those of rs1 end; nobody waits for a server that is gone.
    assert not any(c.is_alive(1) for c in connections if c.server == "rs1")
    close_all(connections)


def what_nobody_knows_takes_no_turn(lab: Lab) -> None:
    """Leftovers of connections that a removed service had are no connections of the new one."""
    key = lab.serve(1, 1)
    connections = opened(lab, 9)
    lab.change(DeleteService(key))
    key = lab.serve(1, 1)
    first = lab.ask(1)
    assert not any(connection.is_alive(1) for connection in connections)
    assert lab.ask(1) != first
    close_all(connections)


def without_servers_clients_are_refused(lab: Lab) -> None:
    key = lab.serve(1)
    assert lab.ask(2) == ["rs1", "rs1"]
    lab.change(DeleteDestination(key, lab.server(1)))
    assert lab.is_refused()
    lab.change(AddDestination(key, lab.server(2), lab.weighing(0)))
    assert lab.is_refused()
    lab.change(SetDestination(key, lab.server(2), lab.weighing(1)))
    assert lab.ask(2) == ["rs2", "rs2"]


def a_restart_breaks_nothing(lab: Lab) -> None:
    key = lab.serve(2, 1, 1, options=ServiceOptions("wrr", timeout=0))
    connections = opened(lab, MANY)
    lab.restart()
    assert all(connection.is_alive() for connection in connections)
    lab.change(SetDestination(key, lab.server(1), lab.weighing(1)))
    lab.change(DeleteDestination(key, lab.server(3)))
    assert Counter(lab.ask(8)) == {"rs1": 4, "rs2": 4}
    assert all(c.is_alive() for c in connections if c.server != "rs3")
    close_all(connections)


def ipv6_is_balanced_alike(lab: Lab) -> None:
    key = lab.serve(1, 1, 1, key=lab.key(version=6))
    assert Counter(lab.ask(9, version=6)) == {"rs1": 3, "rs2": 3, "rs3": 3}
    lab.change(SetService(key, ServiceOptions("rr", timeout=30, mask=64)))
    assert len({lab.ask(1, version=6, client=client)[0] for client in range(4)}) == 1


def a_firewall_mark_is_a_service(lab: Lab) -> None:
    with lab.marked(7):
        lab.serve(1, 1, key=lab.mark(7))
        found = [*lab.ask(2, 80), *lab.ask(2, 8080)]
        assert Counter(found) == {"rs1": 2, "rs2": 2}


def port_0_is_every_port(lab: Lab) -> None:
    lab.serve(1, 1, key=lab.key(0), options=ServiceOptions("rr", timeout=60))
    assert len({*lab.ask(3, 80), *lab.ask(3, 8080)}) == 1  # one client, one server
    lab.serve(1, 0, 1, key=lab.key(8080))  # a port of its own comes first
    assert Counter(lab.ask(4, 8080)) == {"rs1": 2, "rs3": 2}


def datagrams_are_balanced(lab: Lab) -> None:
    lab.serve(1, 1, 1, key=lab.key(protocol=Protocol.UDP))
    assert Counter(lab.datagrams(9)) == {"rs1": 3, "rs2": 3, "rs3": 3}


def each_server_is_counted(lab: Lab) -> None:
    key = lab.serve(1, 1)
    lab.ask_for_packets()
    connections = opened(lab, 6)
    assert all(connection.is_alive() for connection in connections)
    counted = lab.counters()
    for number in (1, 2):
        counters = counted[key, lab.server(number)]
        assert counters.connections == 3
        assert counters.active == 3
        assert counters.bytes_in >= 36  # "still there?", three times
    close_all(connections)


def packets_are_counted(lab: Lab) -> None:
    key = lab.serve(1)
    lab.ask_for_packets()
    connections = opened(lab, 3)
    assert all(connection.is_alive() for connection in connections)
    assert lab.counters()[key, lab.server(1)].packets_in >= 9  # SYN, ACK, data; three times
    close_all(connections)


def random_changes_are_read_back(lab: Lab) -> None:
    chance = random.Random(20261126)
    keys = [lab.key(80), lab.key(8080)]
    for _ in range(60):
        lab.change(
            *(
                _random_change(lab, chance, key)
                for key in chance.sample(keys, chance.choice((1, 2)))
            )
        )
    for key in lab.table:
        takers = {f"rs{n}" for n in (1, 2, 3, 4) if _weight(lab, key, n) > 0}
        if takers:
            assert set(lab.ask(3, key.port)) <= takers


def _weight(lab: Lab, key: ServiceKey, number: int) -> int:
    value = lab.table[key].destinations.get(lab.server(number, key.port))
    return 0 if value is None else value.weight


def _random_change(lab: Lab, chance: random.Random, key: ServiceKey):  # type: ignore[no-untyped-def]
    options = ServiceOptions(chance.choice(("rr", "wrr")))
    service = lab.table.get(key)
    if service is None:
        return AddService(key, options)
    what = chance.randrange(10)
    if what == 0:
        return DeleteService(key)
    if what == 1:
        return SetService(key, options)
    destination = lab.server(chance.choice((1, 2, 3, 4)), key.port)
    value = lab.weighing(chance.randrange(5))
    if destination not in service.destinations:
        return AddDestination(key, destination, value)
    if what < 5:
        return DeleteDestination(key, destination)
    return SetDestination(key, destination, value)


def _of(*needs: str) -> frozenset[str]:
    return frozenset(needs)


SCENARIOS = (
    Scenario(turns_are_taken_one_after_another),
    Scenario(services_do_not_disturb_each_others_turns),
    Scenario(weights_are_shares_of_the_turns),
    Scenario(a_changed_weight_breaks_no_connection),
    Scenario(a_client_that_persists_stays, _of("persistence")),
    Scenario(clients_of_one_network_persist_together, _of("persistence")),
    Scenario(persistence_ends_with_its_time, _of("persistence")),
    Scenario(a_hash_of_the_source_is_steady, _of("hash")),
    Scenario(a_drained_server_keeps_its_connections),
    Scenario(a_removed_server_gets_nothing_more, _of("hidden")),
    Scenario(what_nobody_knows_takes_no_turn, _of("hidden")),
    Scenario(without_servers_clients_are_refused, _of("refuse")),
    Scenario(a_restart_breaks_nothing),
    Scenario(ipv6_is_balanced_alike, _of("six", "persistence")),
    Scenario(a_firewall_mark_is_a_service, _of("mark")),
    Scenario(port_0_is_every_port, _of("all-ports", "persistence")),
    Scenario(datagrams_are_balanced, _of("udp")),
    Scenario(each_server_is_counted, _of("counters")),
    Scenario(packets_are_counted, _of("counters", "packets")),
    Scenario(random_changes_are_read_back),
)
ALL = frozenset(need for scenario in SCENARIOS for need in scenario.needs)
