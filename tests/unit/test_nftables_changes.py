"""From changes to transactions: what differs is touched and nothing else, or it is refused."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfest.adapters.linux.nftables import image as im
from standfest.adapters.linux.nftables import plane as pl
from standfest.adapters.linux.nftables.image import Image
from standfest.adapters.linux.nftables.ingress import Hop, Interface
from standfest.adapters.linux.nftables.plane import Path, Plane
from standfest.adapters.linux.nftables.rules import Shape, choice, known
from standfest.adapters.linux.nftables.transaction import Transaction
from standfest.core.balancer.slots import slots
from standfest.model.balancing import Forwarding, Method, Protocol
from standfest.model.errors import OperationError
from standfest.model.forwarding import (
    AddDestination,
    AddService,
    Change,
    DeleteDestination,
    DeleteService,
    Destination,
    DestinationKey,
    IPAddress,
    ServiceKey,
    ServiceOptions,
    SetDestination,
    SetService,
    service_key,
)
from standfest.model.slots import Choice
from standfest.model.vrrp import Family
from standfest.wire import netlink as nl
from standfest.wire import nftables as nft

NAT = Plane(Family.IPV4)
EMPTY = Image(1, {}, frozenset(), frozenset())
WEB = service_key(Protocol.TCP, IPv4Address("192.0.2.1"), 80)
DIRECT, TUNNEL = Method(Forwarding.DIRECT), Method(Forwarding.TUNNEL)


def server(number: int) -> DestinationKey:
    return DestinationKey(ip_address(f"10.0.0.{number}"), 80)


def service(options: ServiceOptions, *weights: int, key: ServiceKey = WEB) -> list[Change]:
    found: list[Change] = [AddService(key, options)]
    for number, weight in enumerate(weights, 1):
        found.append(AddDestination(key, server(number), Destination(Method(), weight)))
    return found


def changed(image: Image, changes: Iterable[Change]) -> Transaction:
    transaction = Transaction(image, slots)
    transaction.apply(list(changes))
    return transaction


def having(*changes: Change) -> Image:
    return changed(EMPTY, changes).image()


def touched(transaction: Transaction) -> Counter[tuple[str, str]]:
    """Return how many elements are added to and removed from each map, and the other messages."""
    words = {nft.NEW_ELEMENTS: "add", nft.DELETE_ELEMENTS: "remove"}
    found: Counter[tuple[str, str]] = Counter()
    for message in transaction.messages():
        kind = message.kind & 0xFF
        if kind in words:
            parts = nl.values(message.body[4:])
            count = sum(1 for _ in nl.attributes(parts[3]))
            found[words[kind], nl.string(parts, 2)] += count
        else:
            found["message", str(kind)] += 1
    return found


def test_one_changed_weight_touches_the_slots_that_change_and_the_server() -> None:
    # wrr of 1 and 3 is b b a b, of 3 and 1 a a b a: all four slots but none are both a server's
    before = having(*service(ServiceOptions("wrr"), 1, 3, 4))
    change = SetDestination(WEB, server(3), Destination(Method(), 4, upper=100))
    assert touched(changed(before, [change])) == {("remove", "servers"): 1, ("add", "servers"): 1}


def test_a_weight_moves_its_share_of_a_hash_table_and_no_rule() -> None:
    before = having(*service(ServiceOptions("mh"), 1, 1))
    change = SetDestination(WEB, server(2), Destination(Method(), 2))
    found = touched(changed(before, [change]))
    # Of 251 slots the second server has 125 and gets 167: 42, and what Maglev's table moves beside.
    moved = found["add", "slots-1"]
    assert 42 <= moved <= 60
    assert found == {
        ("remove", "slots-1"): moved,
        ("add", "slots-1"): moved,
        ("remove", "servers"): 1,
        ("add", "servers"): 1,
    }


def test_weight_0_takes_a_server_from_the_table_and_leaves_its_address() -> None:
    before = having(*service(ServiceOptions("rr"), 1, 1, 1))
    change = SetDestination(WEB, server(3), Destination(Method(), 0))
    transaction = changed(before, [change])
    found = touched(transaction)
    assert found["remove", "taking"] == 1
    assert found["add", "servers"] == found["remove", "servers"] == 1
    assert found["message", str(nft.DELETE_RULE)] == 1  # two turns are another rule than three
    assert transaction.released == []


def test_a_removed_server_is_released() -> None:
    before = having(*service(ServiceOptions("rr"), 1, 1))
    mark = before.services[WEB].servers[server(1)]
    transaction = changed(before, [DeleteDestination(WEB, server(1))])
    assert transaction.released == [mark]
    assert mark & pl.SERVER_MASK == pl.SERVER_MARKS
    assert transaction.image().services[WEB].servers.keys() == {server(2)}


def test_numbers_are_not_given_again_while_they_are_in_use() -> None:
    image = having(*service(ServiceOptions("rr"), 1, 1, 1))
    taken = set(image.services[WEB].servers.values())
    image = changed(image, [DeleteDestination(WEB, server(1))]).image()
    image = changed(image, [AddDestination(WEB, server(9), Destination(Method(), 1))]).image()
    marks = image.services[WEB].servers
    assert len(set(marks.values())) == 3
    assert marks[server(9)] not in taken


def test_a_removed_service_leaves_nothing() -> None:
    before = having(*service(ServiceOptions("rr", timeout=60), 1, 1))
    found = touched(changed(before, [DeleteService(WEB)]))
    assert found["message", str(nft.DELETE_CHAIN)] == 2
    assert found["message", str(nft.DELETE_SET)] == 2  # its slots and its clients
    assert found["remove", "requests"] == found["remove", "answers"] == 2  # two servers


def test_persistence_that_begins_and_ends_makes_and_removes_its_map() -> None:
    before = having(*service(ServiceOptions("rr"), 1))
    begins = changed(before, [SetService(WEB, ServiceOptions("rr", timeout=60))])
    assert touched(begins)["message", str(nft.NEW_SET)] == 1
    ends = changed(begins.image(), [SetService(WEB, ServiceOptions("rr"))])
    assert touched(ends)["message", str(nft.DELETE_SET)] == 1


def test_another_method_moves_a_service_to_the_other_table() -> None:
    before = having(*service(ServiceOptions("rr"), 1))
    change = SetDestination(WEB, server(1), Destination(DIRECT, 1))
    after = changed(before, [change]).image()
    assert after.services[WEB].plane.direct
    assert after.table()[WEB].destinations == {server(1): Destination(DIRECT, 1)}


@dataclass
class Net:
    """A network as a test wants it."""

    names: frozenset[str] = frozenset({"eth0"})
    index: int = 2

    def interfaces(self) -> frozenset[Interface]:
        return frozenset(Interface(name, ethernet=True) for name in self.names)

    def hop(self, address: IPAddress) -> Hop:
        return Hop(self.index, address)


def at_ingress(image: Image, net: Net, *changes: Change) -> Transaction:
    transaction = Transaction(image, slots, net)
    transaction.apply(list(changes))
    return transaction


DIRECTLY: list[Change] = [
    AddService(WEB, ServiceOptions("rr")),
    *(AddDestination(WEB, server(n), Destination(DIRECT, 1)) for n in (1, 2)),
]


def test_direct_routing_is_at_ingress_unless_a_mark_decides_or_the_kernel_cannot() -> None:
    assert at_ingress(EMPTY, Net(), *DIRECTLY).image().services[WEB].plane.path is Path.INGRESS
    before = having(*DIRECTLY)
    assert before.services[WEB].plane.path is Path.COPIED
    mark = service_key(Protocol.NONE, None, mark=7, family=Family.IPV4)
    one = AddDestination(mark, server(1), Destination(DIRECT, 1))
    by_mark: list[Change] = [AddService(mark, ServiceOptions()), one]
    assert at_ingress(EMPTY, Net(), *by_mark).image().services[mark].plane.path is Path.COPIED
    # Whoever is connected stays where it is.
    change = SetDestination(WEB, server(1), Destination(DIRECT, 2))
    assert at_ingress(before, Net(), change).image().services[WEB].plane.path is Path.COPIED


def test_a_changed_weight_at_ingress_leaves_the_servers_address_and_its_counter() -> None:
    before = at_ingress(EMPTY, Net(), *DIRECTLY).image()
    change = SetDestination(WEB, server(1), Destination(DIRECT, 0))
    found = touched(at_ingress(before, Net(), change))
    assert found["add", "devices"] == found["remove", "devices"] == found["remove", "taking"] == 1
    assert found["add", "hosts"] == found["remove", "hosts"] == 0


def test_what_the_network_changes_is_followed_and_nothing_else() -> None:
    made = at_ingress(EMPTY, Net(), *DIRECTLY)
    assert made.messages()
    before = made.image()
    assert before.chains == {before.services[WEB].plane: frozenset({"from-eth0"})}
    same = Transaction(before, slots, Net())
    same.surround()
    assert same.messages() == []
    other = Transaction(before, slots, Net(frozenset({"eth1"}), 3))
    other.surround()
    found = touched(other)
    # Both servers are behind another interface; one chain goes, one with two rules comes.
    assert found == {
        ("remove", "devices"): 2,
        ("add", "devices"): 2,
        ("message", str(nft.DELETE_CHAIN)): 1,
        ("message", str(nft.NEW_CHAIN)): 1,
        ("message", str(nft.NEW_RULE)): 2,
    }
    assert other.image().services[WEB].hops[server(1)].interface == 3


def test_a_table_of_another_layout_is_replaced() -> None:
    foreign = Image(1, {}, frozenset(), frozenset({NAT}))
    messages = changed(foreign, service(ServiceOptions("rr"), 1)).messages()
    assert [m.kind & 0xFF for m in messages[:2]] == [nft.DELETE_TABLE, nft.NEW_TABLE]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            [*service(ServiceOptions("lblc"), 1)],
            "TCP 192.0.2.1:80: scheduler lblc needs the ipvs backend; expected e.g. sh",
        ),
        (
            [*service(ServiceOptions()), AddDestination(WEB, server(1), Destination(TUNNEL, 1))],
            "TCP 192.0.2.1:80: nftables cannot forward by TUN; expected NAT or DR, or the ipvs or"
            " xdp backend",
        ),
        (
            [*service(ServiceOptions(), 1), AddDestination(WEB, server(2), Destination(DIRECT, 1))],
            "TCP 192.0.2.1:80: servers by NAT and by DR; expected one method per service",
        ),
        (
            [*service(ServiceOptions(one_packet=True), 1)],
            "TCP 192.0.2.1:80: one-packet scheduling by NAT needs the ipvs backend; expected DR",
        ),
        (
            [*service(ServiceOptions(engine="sip"), 1)],
            "TCP 192.0.2.1:80: persistence engine sip needs the ipvs backend; expected none",
        ),
        ([DeleteService(WEB)], "remove TCP 192.0.2.1:80: no such service"),
        (
            [*service(ServiceOptions()), SetDestination(WEB, server(1), Destination(Method(), 1))],
            "change 10.0.0.1:80 of TCP 192.0.2.1:80: no such server",
        ),
        (
            [*service(ServiceOptions()), *service(ServiceOptions())],
            "add TCP 192.0.2.1:80: it is there already",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(changes: list[Change], problem: str) -> None:
    with pytest.raises(OperationError) as refused:
        changed(EMPTY, changes)
    assert str(refused.value) == problem


# --- what stands in the kernel -------------------------------------------------------------------

OPTIONS = st.builds(
    ServiceOptions,
    st.sampled_from(["rr", "wrr", "mh"]),
    st.sampled_from([(), ("mh-port",), ("mh-fallback", "mh-port")]),
    st.integers(0, 10**6),
    st.one_of(st.none(), st.ip_addresses(v=4), st.integers(1, 128)),
    one_packet=st.booleans(),
)
SERVERS = st.builds(DestinationKey, st.ip_addresses(), st.integers(0, 65535))
VALUES = st.builds(
    Destination,
    st.sampled_from([Method(), DIRECT]),
    st.integers(0, 65535),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
)


@given(OPTIONS)
def test_options_are_read_back_from_a_comment(options: ServiceOptions) -> None:
    assert im.read_options(im.options_comment(options)) == options


@given(st.integers(1, 2**32 - 1), SERVERS, VALUES)
def test_a_server_is_read_back_from_a_comment(
    number: int, key: DestinationKey, value: Destination
) -> None:
    comment = im.server_comment(number, key, value)
    assert len(comment) < nft.MAX_COMMENT
    assert im.read_server(comment) == (number, key, value)


@given(st.text(max_size=100))
def test_any_other_comment_is_an_error_of_one_line(comment: str) -> None:
    with pytest.raises(OperationError) as refused:
        im.read_server(f"{comment} by hand")
    assert "\n" not in str(refused.value)


@given(
    st.sampled_from([Protocol.TCP, Protocol.UDP, Protocol.SCTP]),
    st.ip_addresses(),
    st.integers(0, 65535),
)
def test_a_service_is_read_back_from_its_key(
    protocol: Protocol, ip: IPv4Address, port: int
) -> None:
    key = service_key(protocol, ip, port)
    name, encoded = im.key_of(key)
    assert im.read_key(Plane(key.family), name, encoded) == key


@given(
    st.sampled_from(pl.PLANES),
    st.sampled_from(list(Choice)),
    st.sampled_from(["TCP", "UDP", ""]),
    st.integers(0, 1000),
    st.booleans(),
)
def test_every_rule_fits_into_the_registers_and_the_kernels_limit(
    plane: Plane, how: Choice, protocol: str, count: int, persistent: bool
) -> None:
    options = ServiceOptions(timeout=60 if persistent else 0)
    shape = Shape(1, protocol, replace(options, scheduler=""), how, count)
    found = [*known(plane, shape), *choice(plane, shape)]
    strays = how in (Choice.TURN, Choice.RANDOM) and protocol != "UDP"
    assert max(map(len, found)) <= 128  # NFT_RULE_MAXEXPRS
    # Those that copy know connections by themselves; at ingress they are known before the service.
    own = (3 if protocol == "TCP" else 1) if plane.path is pl.Path.COPIED else 0
    assert len(found) == (count > 0) + persistent + own + strays + 2
