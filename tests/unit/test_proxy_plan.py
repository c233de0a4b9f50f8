"""The proxy's table: judged changes, numbers, orders, and what is said on its socket."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfest.core.balancer.difference import difference
from standfest.daemons.proxy.orders import Orders
from standfest.daemons.proxy.plan import Plan, staged
from standfest.model.balancing import Method, Protocol
from standfest.model.errors import OperationError, WireError
from standfest.model.forwarding import (
    AddDestination,
    AddService,
    Change,
    DeleteDestination,
    DeleteService,
    Destination,
    DestinationKey,
    Service,
    ServiceKey,
    ServiceOptions,
    SetDestination,
    SetService,
    service_key,
)
from standfest.model.vrrp import Family
from standfest.wire import proxyheader, proxytable
from standfest.wire.proxycontrol import Apply, Edit, Frames, Place, Share, frame

WEB = service_key(Protocol.TCP, IPv4Address("192.0.2.1"), 80)
MAIL = service_key(Protocol.TCP, IPv6Address("2001:db8::1"), 25)
ALPHA = DestinationKey(IPv4Address("10.0.0.1"), 80)
BETA = DestinationKey(IPv6Address("2001:db8::b"), 8080)


def to(weight: int, upper: int = 0, lower: int = 0) -> Destination:
    return Destination(Method(), weight, upper, lower)


def two() -> dict[ServiceKey, Service]:
    return {
        WEB: Service(
            ServiceOptions("wrr", ("proxy-v2",), 50, IPv4Address("255.255.255.0")),
            {ALPHA: to(1), BETA: to(3, 100, 80)},
        ),
        MAIL: Service(ServiceOptions("mh", ("mh-port",), 300, 64, one_packet=True), {}),
    }


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ([DeleteService(WEB)], "TCP 192.0.2.1:80: is not there"),
        ([AddService(WEB, ServiceOptions("lblc"))], "scheduler lblc; expected one of dh fo lc"),
        (
            [AddService(service_key(Protocol.TCP, IPv4Address("192.0.2.1")), ServiceOptions())],
            "TCP 192.0.2.1:0: all ports at once need ipvs or nftables; expected a port",
        ),
        ([AddService(WEB, ServiceOptions("rr", engine="sip"))], "persistence engine sip"),
        ([AddService(WEB, ServiceOptions()), AddService(WEB, ServiceOptions())], "is there"),
        (
            [AddService(WEB, ServiceOptions()), SetDestination(WEB, ALPHA, to(1))],
            "10.0.0.1:80 is not there",
        ),
        (
            [AddService(WEB, ServiceOptions()), DeleteDestination(WEB, ALPHA)],
            "10.0.0.1:80 is not there",
        ),
        (
            [
                AddService(WEB, ServiceOptions()),
                AddDestination(WEB, DestinationKey(IPv4Address("10.0.0.1"), 0), to(1)),
            ],
            "has no port",
        ),
    ],
)
def test_a_change_that_cannot_be_made_is_named(changes: list[Change], complaint: str) -> None:
    with pytest.raises(OperationError, match=complaint.replace("(", r"\(")):
        staged({}, changes)


def test_a_refused_change_leaves_the_table_as_it_was() -> None:
    before = two()
    with pytest.raises(OperationError):
        staged(before, [DeleteDestination(WEB, ALPHA), DeleteDestination(MAIL, ALPHA)])
    assert before == two()


def become(plan: Plan, table: dict[ServiceKey, Service]) -> tuple[Orders, tuple[int, ...]]:
    return plan.become(table, plan.table.keys() | table.keys())


def test_only_what_changed_is_told_to_the_workers() -> None:
    plan = Plan()
    orders, fresh = become(plan, two())
    assert [serve.place.port for serve in orders.serve] == [80, 25]
    assert fresh == (0, 1)
    table = staged(plan.table, [SetDestination(WEB, ALPHA, to(0)), DeleteDestination(WEB, BETA)])
    orders, fresh = become(plan, table)
    assert [(s.number, [t.weight for t in s.targets]) for s in orders.serve] == [(0, [0])]
    assert orders.drop.servers == (1,)
    assert fresh == ()
    orders, _ = become(plan, {MAIL: table[MAIL]})
    assert (orders.serve, orders.cease.services, orders.drop.servers) == ((), (0,), (0,))


def test_a_number_is_not_used_again_soon() -> None:
    plan = Plan()
    numbers = []
    for _ in range(5):
        become(plan, {WEB: Service(ServiceOptions(), {ALPHA: to(1)})})
        numbers.append(plan.servers[WEB, ALPHA])
        become(plan, {})
    assert numbers == [0, 1, 2, 3, 4]


def test_a_successor_has_the_table_with_its_numbers() -> None:
    plan, successor = Plan(), Plan()
    become(plan, {WEB: two()[WEB]})
    become(plan, two())
    successor.restore(plan.everything().serve)
    assert successor.table == two()
    assert (successor.services, successor.servers) == (plan.services, plan.servers)


def test_every_change_survives_being_said() -> None:
    changes: list[Change] = [*difference({}, two()), *difference(two(), {})]
    changes += [SetService(WEB, ServiceOptions("rr")), SetDestination(WEB, ALPHA, to(7))]
    changes.append(DeleteDestination(WEB, BETA))
    said = frame(Apply(tuple(proxytable.edit(change) for change in changes)))
    (heard,) = Frames().feed(said)
    assert proxytable.changes(heard.edits) == changes


def test_a_table_survives_being_said_byte_by_byte() -> None:
    frames = Frames()
    said = frame(proxytable.show(two()))
    heard = [value for byte in said for value in frames.feed(bytes([byte]))]
    assert [proxytable.table(value) for value in heard] == [two()]


@pytest.mark.parametrize(
    "edit",
    [
        Edit("add-service", Place("TCP", "192.0.2.1", 80)),
        Edit("explode", Place("TCP", "192.0.2.1", 80)),
        Edit("delete-service", Place("SCTP", "192.0.2.1", 80)),
        Edit("delete-service", Place("TCP", "192.0.2.256", 80)),
        Edit("delete-service", Place("TCP", "192.0.2.1", 65536)),
        Edit(
            "set-server",
            Place("TCP", "192.0.2.1", 80),
            server=Place("", "10.0.0.1", 80),
            share=Share(-1, 0, 0),
        ),
    ],
)
def test_what_no_proxy_could_do_is_no_change(edit: Edit) -> None:
    with pytest.raises(WireError):
        proxytable.changes([edit])


@given(st.binary(max_size=400))
def test_the_proxys_reader_survives_any_bytes(data: bytes) -> None:
    try:
        for value in Frames().feed(data):
            assert value is not None
    except WireError:
        pass


@given(st.binary(max_size=200))
def test_the_proxys_reader_survives_any_body(body: bytes) -> None:
    with pytest.raises(WireError):
        list(Frames().feed(len(body).to_bytes(4) + body))


def test_a_frame_longer_than_any_is_refused_before_it_is_read() -> None:
    with pytest.raises(WireError, match="oversized"):
        list(Frames().feed(b"\xff\xff\xff\xff"))


def test_a_mask_is_bits_of_an_address() -> None:
    assert proxytable.packed_mask(ServiceOptions(), Family.IPV4) == b"\xff" * 4
    options = ServiceOptions(mask=IPv4Address("255.255.0.255"))
    assert proxytable.packed_mask(options, Family.IPV4) == b"\xff\xff\x00\xff"
    assert (
        proxytable.packed_mask(ServiceOptions(mask=60), Family.IPV6)
        == b"\xff" * 7 + b"\xf0" + b"\0" * 8
    )


def test_the_proxy_header_is_that_of_the_specification() -> None:
    # proxy-protocol.txt section 2.2: signature, 0x21, family and protocol, length, addresses, ports
    assert proxyheader.header(("192.0.2.7", 256), ("192.0.2.1", 80)) == (
        b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc0\x00\x02\x01\x01\x00\x00\x50"
    )
    six = proxyheader.header(("fe80::1%eth0", 1), ("2001:db8::2", 2))
    assert len(six) == 16 + 36
    assert six[12:16] == b"\x21\x21\x00\x24"
    assert six[16:32] == IPv6Address("fe80::1").packed
