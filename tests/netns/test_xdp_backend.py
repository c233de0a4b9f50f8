"""The xdp backend end to end: a client, a director and three real servers on one bridge."""

import hashlib
import os
import socket
from collections import Counter
from collections.abc import Iterator

import pytest
from tests.netns import xdp_bench as bench
from tests.netns.xdp_lab import LONG_PORT, PORT, VIP, Download, Lab, destination

from standfest.adapters.linux.xdp.backend import XdpBackend
from standfest.adapters.linux.xdp.programs import Mode
from standfest.model.balancing import Forwarding, Method, Protocol
from standfest.model.forwarding import (
    AddDestination,
    AddService,
    Change,
    DeleteDestination,
    Destination,
    ServiceKey,
    ServiceOptions,
    SetDestination,
    service_key,
)

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(bench.why_not()), reason=bench.why_not())]

NAMES = ("rs1", "rs2", "rs3")


@pytest.fixture(scope="module", params=[Mode.NATIVE, Mode.GENERIC], ids=["native", "generic"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The machines, with programs in the driver or in the stack."""
    with bench.bpf_directory(tmp_path_factory.mktemp("xdp") / "bpf") as directory:
        machines = Lab(directory, request.param)
        try:
            machines.build()
            machines.take_tunnels()
            yield machines
        finally:
            machines.clear()


@pytest.fixture
def backend(lab: Lab) -> Iterator[XdpBackend]:
    """A director's backend; what it has left is removed."""
    backend = lab.start()
    yield backend
    backend.close(keep=False)


@pytest.fixture(params=[4, 6], ids=["ipv4", "ipv6"])
def family(request: pytest.FixtureRequest) -> int:
    """Return the IP version."""
    return int(request.param)


@pytest.fixture(params=[Forwarding.DIRECT, Forwarding.TUNNEL], ids=["dr", "tun"])
def forwarding(request: pytest.FixtureRequest) -> Forwarding:
    """Return the method."""
    found: Forwarding = request.param
    return found


def add(
    lab: Lab,
    backend: XdpBackend,
    family: int,
    forwarding: Forwarding,
    *weights: int,
    scheduler: str = "wrr",
    port: int = PORT,
    protocol: Protocol = Protocol.TCP,
) -> ServiceKey:
    """Add a service with servers of these weights."""
    key = service_key(protocol, VIP[family], port)
    changes: list[Change] = [AddService(key, ServiceOptions(scheduler))]
    for number, weight in enumerate(weights, start=1):
        value = Destination(Method(forwarding), weight)
        changes.append(AddDestination(key, destination(number, family), value))
    with lab.inside("director"):
        backend.apply(changes)
    return key


def apply(lab: Lab, backend: XdpBackend, *changes: Change) -> None:
    """Make changes on the director."""
    with lab.inside("director"):
        backend.apply(changes)


def test_requests_are_spread_by_weight(
    lab: Lab, backend: XdpBackend, forwarding: Forwarding, family: int
) -> None:
    add(lab, backend, family, forwarding, 2, 1, 1)
    assert Counter(lab.ask(family) for _ in range(12)) == {"rs1": 6, "rs2": 3, "rs3": 3}


def test_downloads_of_a_drained_server_come_to_their_end(
    lab: Lab, backend: XdpBackend, forwarding: Forwarding
) -> None:
    key = add(lab, backend, 4, forwarding, 1, 1, 1, port=LONG_PORT)
    downloads = [Download(lab.connect(4, LONG_PORT)) for _ in range(6)]
    idle = Destination(Method(forwarding), 0)
    apply(lab, backend, SetDestination(key, destination(1, 4), idle))
    later = [Download(lab.connect(4, LONG_PORT)) for _ in range(6)]
    assert sorted(one.server for one in downloads) == sorted(NAMES * 2)
    assert {one.server for one in later} == {"rs2", "rs3"}
    for one in (*downloads, *later):
        one.join(10)
    assert [one.complete for one in (*downloads, *later)] == [True] * 12


def test_no_connection_goes_to_a_removed_server_and_its_own_end(
    lab: Lab, backend: XdpBackend, forwarding: Forwarding
) -> None:
    key = add(lab, backend, 4, forwarding, 1, 1, 1)
    open_ones = [lab.connect(4) for _ in range(6)]
    owners = [one.recv(3).decode() for one in open_ones]
    apply(lab, backend, DeleteDestination(key, destination(1, 4)))
    assert {lab.ask(4) for _ in range(12)} == {"rs2", "rs3"}
    for one, owner in zip(open_ones, owners, strict=True):
        one.sendall(b"still there?")
        if owner == "rs1":
            with pytest.raises(ConnectionResetError):
                one.recv(100)  # whoever gets the packet now does not know the connection
        else:
            assert one.recv(100) == b"still there?"
        one.close()


def test_open_connections_outlive_the_daemon_and_its_successor_adopts_them(
    lab: Lab, forwarding: Forwarding, family: int
) -> None:
    backend = lab.start()
    key = add(lab, backend, family, forwarding, 1, 1, 1)
    open_ones = [lab.connect(family) for _ in range(30)]
    assert Counter(one.recv(3).decode() for one in open_ones) == dict.fromkeys(NAMES, 10)
    table = backend.read()
    backend.close(keep=True)
    for one in open_ones[:10]:
        one.sendall(b"nobody is there")
        assert one.recv(100) == b"nobody is there"
    assert lab.ask(family) in NAMES
    backend = lab.start()
    assert backend.read() == table
    idle = Destination(Method(forwarding), 0)
    apply(lab, backend, SetDestination(key, destination(1, family), idle))
    for one in open_ones:
        one.sendall(b"somebody is again")
        assert one.recv(100) == b"somebody is again"
    assert {lab.ask(family) for _ in range(6)} == {"rs2", "rs3"}
    with lab.inside("director"):
        counters = backend.counters()
    assert counters[key, destination(1, family)].active == 10
    for one in open_ones:
        one.close()
    backend.close(keep=False)


def test_a_large_upload_through_a_tunnel_finds_the_size_that_fits(
    lab: Lab, backend: XdpBackend, family: int
) -> None:
    add(lab, backend, family, Forwarding.TUNNEL, 1)
    data = os.urandom(1 << 20)
    received = hashlib.sha256()
    with lab.connect(family) as endpoint:
        endpoint.recv(3)
        for begin in range(0, len(data), 65536):
            endpoint.sendall(data[begin : begin + 65536])
            missing = 65536
            while missing:
                part = endpoint.recv(missing)
                received.update(part)
                missing -= len(part)
    assert received.digest() == hashlib.sha256(data).digest()


def test_datagrams_are_balanced(lab: Lab, backend: XdpBackend, forwarding: Forwarding) -> None:
    add(lab, backend, 4, forwarding, 1, 1, 1, protocol=Protocol.UDP)
    owners: list[str] = []
    for _ in range(6):
        with lab.inside("client"):
            endpoint = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with endpoint:
            endpoint.settimeout(5)
            endpoint.connect((str(VIP[4]), PORT))
            answers = set()
            for _ in range(3):
                endpoint.send(b"who?")
                answers.add(endpoint.recv(100).decode())
        assert len(answers) == 1
        owners += answers
    assert Counter(owners) == dict.fromkeys(NAMES, 2)


def test_weights_change_under_traffic_without_losing_a_connection(
    lab: Lab, backend: XdpBackend, forwarding: Forwarding
) -> None:
    key = add(lab, backend, 4, forwarding, 1, 1, 1, scheduler="mh")
    for weight in range(40):
        value = Destination(Method(forwarding), weight % 7)
        apply(lab, backend, SetDestination(key, destination(1 + weight % 2, 4), value))
        assert lab.ask(4) in NAMES


def test_a_backend_that_ends_for_good_leaves_nothing_behind(lab: Lab) -> None:
    backend = lab.start()
    add(lab, backend, 4, Forwarding.DIRECT, 1)
    with lab.inside("director"):
        assert "xdp" in bench.ip("link", "show", "dev", "eth0")
    backend.close(keep=False)
    with lab.inside("director"):
        assert "xdp" not in bench.ip("link", "show", "dev", "eth0")
        assert not list(lab.directory.glob("v1-*"))
