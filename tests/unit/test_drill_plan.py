"""The report's files -> what the lab builds: literals for both examples and for three nodes."""

from pathlib import Path

import pytest

from standfest.config import cib, hacf
from standfest.daemons import reading, seed
from standfest.lab.network import Wiring
from standfest.lab.plan import LabPlan, Network, make_plan
from standfest.model.element import Element
from standfest.model.errors import ConfigError
from standfest.model.settings import HeartbeatSettings

EXAMPLES = Path(__file__).parents[2] / "examples"


def plan_of(directory: Path, settings: HeartbeatSettings | None = None) -> LabPlan:
    chosen = settings or reading.heartbeat_settings(directory)[0]
    element = seed.from_files(sorted(directory.glob("cib*.xml")), chosen.nodes).cib.configuration
    configuration, _ = cib.compile_configuration(element)
    return make_plan(chosen, element, configuration, str(directory))


def parameters(element: Element, primitive: str) -> dict[str, str]:
    owner = next(e for e in element.walk() if e.tag == "primitive" and e.id == primitive)
    attributes = owner.child("instance_attributes")
    assert attributes is not None
    pairs = attributes.all("nvpair")
    return {pair.get("name") or "": pair.get("value") or "" for pair in pairs}


def test_the_mail_server_has_two_networks_and_the_client_is_its_gateway() -> None:
    plan = plan_of(EXAMPLES / "mail-server")
    assert plan.nodes == ("node-1", "node-2")
    own = (("node-1", "192.168.0.50"), ("node-2", "192.168.0.51"))
    assert plan.networks == (
        Network("eth0", 24, (), "123.123.123.254", heartbeat=False, watcher="123.123.123.253"),
        Network("eth1", 24, own, "192.168.0.254", heartbeat=True, watcher="192.168.0.253"),
    )
    assert (plan.public_device, plan.heartbeat_device) == ("eth0", "eth1")


def test_the_mail_servers_clients_use_smtp_and_imap_at_the_public_address() -> None:
    plan = plan_of(EXAMPLES / "mail-server")
    used = [(s.name, s.address, s.probe.protocol, s.probe.port) for s in plan.services]
    assert used == [
        ("postfix", "123.123.123.1", "smtp", 25),
        ("xinetd", "123.123.123.1", "imap", 143),
    ]
    assert [(a.ip, a.device) for a in plan.addresses] == [
        ("192.168.0.1", "eth1"),
        ("123.123.123.1", "eth0"),
    ]


def test_nfs_mounts_become_bind_mounts_and_the_notes_say_so() -> None:
    plan = plan_of(EXAMPLES / "mail-server")
    assert parameters(plan.configuration, "mail-homes") == {
        "device": "/opt/standfest-lab/shared/mail-homes",
        "directory": "/home",
        "fstype": "none",
        "options": "bind",
    }
    assert [note.split(" is ")[0] for note in plan.notes] == [
        "mail-homes: 192.168.0.3:/export/mail/home",
        "mail-spool: 192.168.0.3:/export/mail/spool",
    ]


def test_a_disk_without_options_becomes_a_bind_mount_with_them() -> None:
    plan = plan_of(EXAMPLES / "nfs-server")
    found = parameters(plan.configuration, "nfs-exports")
    assert (found["fstype"], found["options"], found["directory"]) == ("none", "bind", "/export")


def test_the_nfs_server_is_asked_by_rpc_at_its_public_address() -> None:
    plan = plan_of(EXAMPLES / "nfs-server")
    used = [(s.name, s.address, s.probe.protocol, s.probe.port) for s in plan.services]
    assert used == [("nfs", "123.123.123.3", "rpc", 2049)]


def test_resources_that_are_no_mounts_are_left_as_they_are() -> None:
    plan = plan_of(EXAMPLES / "mail-server")
    assert parameters(plan.configuration, "public") == {
        "ip": "123.123.123.1",
        "netmask": "24",
        "nic": "eth0",
        "gateway": "123.123.123.254",
    }


def test_three_nodes_that_broadcast_get_addresses_made_up_for_them() -> None:
    settings, _ = hacf.parse("crm on\nnode a b c\nbcast eth2\n", "ha.cf")
    plan = plan_of(EXAMPLES / "mail-server", settings)
    assert plan.nodes == ("a", "b", "c")
    network = plan.network("eth2")  # eth0, eth1, eth2: the third network, so 10.99.2.0/24
    assert network.addresses == (("a", "10.99.2.50"), ("b", "10.99.2.51"), ("c", "10.99.2.52"))
    assert network.client == "10.99.2.254"


def test_an_installation_without_a_service_is_refused() -> None:
    settings, _ = reading.heartbeat_settings(EXAMPLES / "mail-server")
    empty = Element("configuration")
    configuration, _ = cib.compile_configuration(empty)
    with pytest.raises(ConfigError, match="no service that a client could use"):
        make_plan(settings, empty, configuration, "cib.xml")


def test_cables_of_hosts_whose_names_end_alike_have_different_names() -> None:
    ports = [Wiring.port(host, "eth0") for host in ("web-node-1", "db-node-1", "node-1")]
    assert len(set(ports)) == 3
    assert all(len(port) <= 15 for port in ports)  # IFNAMSIZ - 1
