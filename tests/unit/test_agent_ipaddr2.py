"""IPaddr2: a plain address, and as a clone's instance one bucket of a shared one."""

import pytest

from standfest.adapters.memory.host import MemoryHost
from standfest.agents.invoke import invoke, parameters_of
from standfest.agents.ipaddr2 import IPaddr2, derived_mac
from standfest.agents.registry import built_in
from standfest.model.sharing import Answering, Established, HashMode
from standfest.ports.host import Address, Link

OK, GENERIC, NOT_CONFIGURED, NOT_RUNNING = 0, 1, 6, 7

REPORT = {
    "ip": "123.123.123.1",
    "mac": "01:02:03:04:05:06",
    "clusterip_hash": "sourceip-sourceport",
    "nic": "eth0",
    "cidr_netmask": "24",
}
"""Appendix B.12."""


def machine() -> MemoryHost:
    return MemoryHost(Link("eth0", 2, up=True, carrier=True, mac=b"\2\0\0\0\0\1"))


def instance(number: int, **changes: str) -> dict[str, str]:
    clone = {"clone": str(number), "clone_max": "2", "globally_unique": "true"}
    return REPORT | {f"CRM_meta_{name}": value for name, value in clone.items()} | changes


def run(host: MemoryHost, action: str, values: dict[str, str]) -> int:
    return invoke(IPaddr2, action, values, host)


def answered(host: MemoryHost) -> Answering | None:
    found = host.filters.get("ip_123.123.123.1")
    return found[1] if found is not None else None


def test_the_report_s_type_names_this_agent() -> None:
    assert built_in("IPAddr2") is IPaddr2


def test_the_environment_s_clone_number_reaches_the_agent() -> None:
    environment = {"OCF_RESKEY_ip": "10.0.0.1", "OCF_RESKEY_CRM_meta_clone": "1", "PATH": "/bin"}
    assert parameters_of(environment) == {"ip": "10.0.0.1", "CRM_meta_clone": "1"}


def test_without_a_clone_it_is_a_plain_address() -> None:
    host = machine()
    actions = ("monitor", "start", "start", "monitor", "stop", "stop", "monitor")
    codes = [run(host, action, REPORT) for action in actions]
    assert codes == [NOT_RUNNING, OK, OK, OK, OK, OK, NOT_RUNNING]
    assert host.filters == {}


def test_each_instance_answers_its_own_bucket() -> None:
    host = machine()
    assert run(host, "monitor", instance(0)) == NOT_RUNNING
    assert [run(host, "start", instance(0)), run(host, "start", instance(0))] == [OK, OK]
    assert answered(host) == Answering(frozenset({0}))
    assert run(host, "monitor", instance(0)) == OK
    assert run(host, "monitor", instance(1)) == NOT_RUNNING
    assert run(host, "start", instance(1)) == OK
    assert answered(host) == Answering(frozenset({0, 1}))
    assert run(host, "monitor", instance(1)) == OK
    # The rules are there before the address; the neighbours get the shared MAC address.
    assert host.log[:4] == [
        "rules",
        "address 123.123.123.1",
        "answer [0]",
        "announce 123.123.123.1 01:02:03:04:05:06",
    ]
    shared = host.filters["ip_123.123.123.1"][0]
    assert (shared.layout.mode, shared.layout.buckets) == (HashMode.SOURCE_IP_PORT, 2)
    assert (shared.mac.hex(), shared.interface) == ("010203040506", "eth0")
    assert [str(address) for address in shared.addresses] == ["123.123.123.1/24"]


def test_the_last_instance_takes_the_address_with_it_before_the_rules() -> None:
    host = machine()
    for number in (0, 1):
        run(host, "start", instance(number))
    host.log.clear()
    assert run(host, "stop", instance(1)) == OK
    # Connections of bucket 1 that are established here stay here.
    assert answered(host) == Answering(frozenset({0}), former=frozenset({1}))
    assert run(host, "monitor", instance(1)) == NOT_RUNNING
    assert run(host, "monitor", instance(0)) == OK
    assert run(host, "stop", instance(1)) == OK
    assert answered(host) == Answering(frozenset({0}), former=frozenset({1}))
    assert run(host, "stop", instance(0)) == OK
    assert host.log[-2:] == ["no address 123.123.123.1", "no rules"]
    assert [run(host, "stop", instance(number)) for number in (0, 1)] == [OK, OK]
    assert (host.held, host.filters) == ([], {})


def test_a_bucket_that_comes_back_is_no_longer_a_former_one() -> None:
    host = machine()
    for action, number in (("start", 0), ("start", 1), ("stop", 1), ("start", 1)):
        assert run(host, action, instance(number)) == OK
    assert answered(host) == Answering(frozenset({0, 1}))


def test_a_dead_node_s_connections_are_reset_by_who_takes_its_bucket_over() -> None:
    host = machine()
    run(host, "start", instance(0))
    assert run(host, "start", instance(1, CRM_meta_lost_on="node-2")) == OK
    assert answered(host) == Answering(frozenset({0}), orphaned=frozenset({1}))
    assert run(host, "monitor", instance(1)) == OK
    assert run(host, "stop", instance(0)) == OK
    assert answered(host) == Answering(orphaned=frozenset({1}), former=frozenset({0}))
    assert run(host, "stop", instance(1)) == OK
    assert (host.held, host.filters) == ([], {})


def test_connections_move_with_their_bucket_where_that_is_wanted() -> None:
    host = machine()
    for number in (0, 1):
        run(host, "start", instance(number, clusterip_established="move"))
    run(host, "stop", instance(1, clusterip_established="move"))
    assert answered(host) == Answering(frozenset({0}))
    assert host.filters["ip_123.123.123.1"][0].established is Established.MOVE


def test_an_address_without_its_filter_is_a_failure_and_stop_takes_it_away() -> None:
    host = machine()
    host.held.append(Address("eth0", "123.123.123.1", 24))  # it would answer everybody
    assert run(host, "monitor", instance(0)) == GENERIC
    assert run(host, "stop", instance(0)) == OK
    assert host.held == []


def test_a_lost_cable_is_a_failure() -> None:
    host = machine()
    run(host, "start", instance(0))
    host.links["eth0"] = Link("eth0", 2, up=True, carrier=False, mac=b"\2\0\0\0\0\1")
    assert run(host, "monitor", instance(0)) == GENERIC
    assert run(host, "start", instance(1)) == GENERIC


def test_the_route_goes_with_the_last_instance() -> None:
    host = machine()
    for number in (0, 1):
        run(host, "start", instance(number, gateway="123.123.123.254"))
    run(host, "stop", instance(0, gateway="123.123.123.254"))
    assert host.route == ("123.123.123.254", "eth0")
    run(host, "stop", instance(1, gateway="123.123.123.254"))
    assert host.route is None


def test_with_other_parameters_it_is_made_anew() -> None:
    host = machine()
    for number in (0, 1):
        run(host, "start", instance(number))
    changed = {"clusterip_hash": "sourceip"}
    assert run(host, "monitor", instance(0, **changed)) == GENERIC
    assert run(host, "start", instance(0, **changed)) == OK
    shared, found = host.filters["ip_123.123.123.1"]
    assert (shared.layout.mode, found) == (HashMode.SOURCE_IP, Answering(frozenset({0})))


def test_a_unique_address_is_counted_from_the_parameter() -> None:
    host = machine()
    run(host, "start", instance(1, unique_clone_address="true"))
    assert [address.ip for address in host.held] == ["123.123.123.2"]
    assert host.filters == {}


def test_without_a_mask_of_its_own_an_address_has_a_name_and_a_mac_address() -> None:
    host = machine()
    values = {name: v for name, v in instance(0).items() if name not in ("mac", "cidr_netmask")}
    assert run(host, "start", {**values, "ip": "2001:db8::1"}) == OK
    (shared, _answering) = host.filters["ip_2001_db8__1"]
    assert shared.is_multicast
    assert [str(address) for address in shared.addresses] == ["2001:db8::1/128"]


@pytest.mark.parametrize(
    "change",
    [
        {"clusterip_hash": "destip"},
        {"mac": "01:02:03"},
        {"mac": "ff:ff:ff:ff:ff:ff"},
        {"clusterip_seed": "4294967296"},
        {"clusterip_established": "keep"},
        {"clusterip_target": "ebtables"},
        {"CRM_meta_clone": "2"},
        {"CRM_meta_clone_max": "4097"},
        {"CRM_meta_globally_unique": "false"},
    ],
)
def test_what_cannot_be_right_is_refused(change: dict[str, str]) -> None:
    host = machine()
    assert run(host, "start", instance(0, **change)) == NOT_CONFIGURED
    assert host.log == []


@pytest.mark.parametrize(
    ("ip", "prefix", "broadcast", "mac"),
    [
        # As resource-agents 4.12 told iptables, watched from outside.
        ("192.0.2.1", 24, "", "55:b1:2b:fb:cd:ef"),
        ("192.0.2.3", 24, "", "c1:0e:cd:f9:6c:dc"),  # the digest begins c2
        ("192.0.2.4", 24, "192.0.2.255", "0d:2b:c5:17:ea:71"),
        ("192.0.2.6", 24, "", "51:c8:f5:e7:b5:a4"),  # the digest begins 56
    ],
)
def test_the_derived_mac_address_is_the_one_that_neighbours_may_know(
    ip: str, prefix: int, broadcast: str, mac: str
) -> None:
    assert derived_mac(ip, prefix, broadcast).hex(":") == mac
