"""Direct routing where packets come in: interfaces that come and go, frames, fragments, errors."""

import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from tests.netns import balancing_lab
from tests.netns.balancing_lab import CLIENTS, VIP, Lab, opened
from tests.netns.frames import checksum, mac_of, send_first_segment

from standfest.adapters.linux.nftables.backend import NftablesBackend
from standfest.core.balancer.slots import slots
from standfest.model.balancing import Forwarding, Protocol
from standfest.model.forwarding import ServiceOptions

SKIP = balancing_lab.why_not("nft")
pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(SKIP), reason=SKIP)]
LATE, SIDE = "10.7.0.1", "10.7.0.2"
NOBODY = "02:00:00:00:00:99"


@pytest.fixture(scope="module")
def shared() -> Iterator[Lab]:
    with balancing_lab.lab(lambda: NftablesBackend(slots), Forwarding.DIRECT) as lab:
        yield lab


@pytest.fixture
def lab(shared: Lab) -> Iterator[Lab]:
    yield shared
    shared.clear()
    shared.client.ip("neigh", "flush", "dev", "eth0", "nud", "permanent")


def follow(lab: Lab) -> None:
    backend = lab.backend
    assert isinstance(backend, NftablesBackend)
    with lab.director.inside():
        backend.follow()


def virtual_address_is_at(lab: Lab, mac: str) -> None:
    lab.client.ip("neigh", "replace", str(VIP[4]), "lladdr", mac, "dev", "eth0")


def test_an_interface_that_comes_later_is_served(lab: Lab) -> None:
    lab.serve(1, 1)
    there = ("type", "veth", "peer", "name", "side", "netns", lab.client.name)
    lab.director.ip("link", "add", "late", *there)
    for machine, name, address in ((lab.director, "late", LATE), (lab.client, "side", SIDE)):
        machine.ip("address", "add", f"{address}/24", "dev", name)
        machine.ip("link", "set", name, "up")
        machine.sysctl(**{f"net__ipv4__conf__{one}__rp_filter": 0 for one in ("all", "eth0")})
    lab.client.ip("route", "add", f"{VIP[4]}/32", "via", LATE)
    assert lab.is_refused()  # it goes up to the director, who has no such server itself
    follow(lab)
    assert Counter(lab.ask(4)) == {"rs1": 2, "rs2": 2}
    lab.director.ip("link", "delete", "late")
    follow(lab)
    assert "late" not in lab.director.execute("nft", "list", "ruleset")
    assert Counter(lab.ask(4)) == {"rs1": 2, "rs2": 2}  # by the switch again


def test_connections_outlive_an_interface_that_is_made_anew(lab: Lab) -> None:
    """Under its old name it has another number, by which packets would leave."""
    lab.serve(1, 1)
    connections = opened(lab, 6)
    before = lab.director.ip("-o", "link", "show", "eth0").split(":")[0]
    mac = mac_of(lab.director, "eth0")
    lab.director.ip("link", "delete", "eth0")
    end = ("type", "veth", "peer", "name", "eth0", "address", mac, "netns", lab.director.name)
    lab.switch.ip("link", "add", "again", *end)
    lab.switch.ip("link", "set", "again", "master", "br0", "up")
    lab.director.ip("link", "set", "eth0", "up")
    lab.address_director()
    assert lab.director.ip("-o", "link", "show", "eth0").split(":")[0] != before
    follow(lab)
    assert all(connection.is_alive() for connection in connections)
    assert Counter(lab.ask(4)) == {"rs1": 2, "rs2": 2}
    balancing_lab.close_all(connections)


def test_a_virtual_routers_own_interface_is_served(lab: Lab) -> None:
    lab.serve(1, 1)
    mac = "00:00:5e:00:01:33"
    lab.director.ip("link", "add", "vrrp.51", "link", "eth0", "address", mac, "type", "macvlan")
    lab.director.ip("link", "set", "vrrp.51", "up")
    follow(lab)
    virtual_address_is_at(lab, mac)
    assert Counter(lab.ask(4)) == {"rs1": 2, "rs2": 2}
    lab.director.ip("link", "delete", "vrrp.51")


def test_frames_for_others_are_not_taken(lab: Lab) -> None:
    """Whoever looks at a network's frames does not send them on."""
    lab.serve(1, 1)
    lab.director.ip("link", "set", "eth0", "promisc", "on")
    virtual_address_is_at(lab, NOBODY)
    with pytest.raises(TimeoutError):
        lab.connect(patience_s=1)
    virtual_address_is_at(lab, mac_of(lab.director, "eth0"))
    assert len(lab.ask(1)) == 1
    lab.director.ip("link", "set", "eth0", "promisc", "off")


def test_frames_with_a_vlans_tag_are_another_interfaces(lab: Lab) -> None:
    """The kernel takes the tag off before we see it; sent on, it would be there again."""
    key = lab.serve(1)
    for tag, packets in ((b"\x81\x00\x00\x07", 0), (b"", 1)):
        send_first_segment(lab, tag)
        time.sleep(0.1)
        assert lab.counters()[key, lab.server(1)].packets_in == packets


@pytest.mark.parametrize("version", [4, 6])
def test_fragments_follow_the_first(lab: Lab, version: int) -> None:
    """4,000 bytes are three packets of 1,500; whose server a datagram is, only the first says."""
    lab.serve(1, 1, key=lab.key(version=version, protocol=Protocol.UDP))
    found = []
    for number in range(4):
        with lab.client.inside():
            family = socket.AF_INET6 if version == 6 else socket.AF_INET
            made = socket.socket(family, socket.SOCK_DGRAM)
        with made:
            made.settimeout(2)
            made.bind((str(CLIENTS[version][0]), 30000 + number))
            made.connect((str(VIP[version]), 80))
            for part in (1, 2):  # the first datagram of a connection, and another
                made.send(b"%d" % part * 4000)
                name, said = made.recv(5000).decode().split()
                assert said == str(part) * 4000
                found.append(name)
    assert Counter(found) == {"rs1": 4, "rs2": 4}


@pytest.mark.parametrize("version", [4, 6])
def test_errors_about_answers_go_to_the_server(lab: Lab, version: int) -> None:
    """A router on the way to the client says "too big" to the virtual address: the server hears."""
    lab.serve(1, 1, key=lab.key(version=version))
    before = {number: errors_heard(lab, number, version) for number in (1, 2)}
    with lab.connect(version=version) as conversation:
        tell_too_big(lab, version, *conversation.address())
        assert conversation.is_alive()
        heard = {f"rs{n}": errors_heard(lab, n, version) - before[n] for n in (1, 2)}
    assert heard == {"rs1": 0, "rs2": 0} | {conversation.server: 1}


def errors_heard(lab: Lab, number: int, version: int) -> int:
    """Return how often a server has been told that something was unreachable or too big."""
    name = "snmp6" if version == 6 else "snmp"
    text = lab.servers[number].execute("cat", f"/proc/net/{name}")
    if version == 6:
        return int(text.split("Icmp6InPktTooBigs")[1].split()[0])
    names, values = (line.split() for line in text.splitlines() if line.startswith("Icmp:"))
    return int(values[names.index("InDestUnreachs")])


def tell_too_big(lab: Lab, version: int, client: str, port: int) -> None:
    """Send what a router sends when the server's answer is longer than 1,300 bytes."""
    virtual = VIP[version].packed
    segment = struct.pack(">HHII", 80, port, 0, 0)
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    there = socket.inet_pton(family, client)
    if version == 6:
        quoted = struct.pack(">IHBB", 6 << 28, 1400, 6, 60) + virtual + there + segment
        message = struct.pack(">BBHI", 2, 0, 0, 1300) + quoted
        protocol = socket.IPPROTO_ICMPV6  # the kernel fills the checksum in
    else:
        head = struct.pack(">BBHHHBBH", 0x45, 0, 1400, 1, 0x4000, 60, 6, 0)
        message = struct.pack(">BBHHH", 3, 4, 0, 0, 1300) + head + virtual + there + segment
        message = message[:2] + struct.pack(">H", checksum(message)) + message[4:]
        protocol = socket.IPPROTO_ICMP
    with lab.client.inside(), socket.socket(family, socket.SOCK_RAW, protocol) as sender:
        sender.sendto(message, (str(VIP[version]), 0))


def test_a_service_of_single_packets_remembers_nothing(lab: Lab) -> None:
    options = ServiceOptions("rr", one_packet=True)
    lab.serve(1, 1, key=lab.key(protocol=Protocol.UDP), options=options)
    assert Counter(lab.datagrams(4)) == {"rs1": 2, "rs2": 2}
    assert sum(c.inactive + c.active for c in lab.counters().values()) == 0
