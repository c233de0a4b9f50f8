"""One list of scenarios through every backend: a client sees the same.

ipvs has the same list in User Mode Linux, which has its kernel (tests/uml). A backend joins by a
line in CONTENDERS.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.netns import balancing_lab, xdp_bench, xdp_lab
from tests.netns.balancing_case import ALL, SCENARIOS, Scenario
from tests.netns.balancing_lab import Lab, Make

from standfest.adapters.linux.nftables.backend import NftablesBackend
from standfest.adapters.linux.proxy import ProxyBackend
from standfest.adapters.linux.xdp.backend import XdpBackend
from standfest.adapters.linux.xdp.unwrap import TunnelEnd
from standfest.core.balancer.slots import slots
from standfest.model.balancing import Forwarding
from standfest.ports.balancer import BalancerBackend

SKIP = balancing_lab.why_not("nft")
pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(SKIP), reason=SKIP)]


def _nftables() -> BalancerBackend:
    return NftablesBackend(slots)


def _proxy() -> BalancerBackend:
    return ProxyBackend()


BPF = Path(tempfile.gettempdir()) / f"standfest-bpf-{os.getpid()}"


def _xdp() -> BalancerBackend:
    return XdpBackend(slots, interfaces=("eth0",), directory=BPF)


@contextlib.contextmanager
def _drivers(lab: Lab) -> Iterator[None]:
    """Make virtual interfaces do what cards do, and the servers take tunnels."""
    with lab.client.inside():
        xdp_lab.whole_frames("eth0")
    with lab.switch.inside():
        for number in range(1, len(lab.machines)):
            xdp_lab.receive_from_drivers(f"port{number}")
    ends = []
    for machine in lab.servers.values() if lab.forwarding is Forwarding.TUNNEL else ():
        for name in ("all", "eth0"):
            machine.sysctl(**{f"net__ipv4__conf__{name}__rp_filter": 0})
        with machine.inside():
            ends.append(TunnelEnd(interfaces=("eth0",), directory=BPF))
            for address in balancing_lab.VIP.values():
                ends[-1].add(address)
    try:
        yield
    finally:
        for end in ends:
            end.close(keep=False)
        lab.destroy()
        xdp_bench.unmount(BPF)
        BPF.rmdir()


@contextlib.contextmanager
def _as_it_is(_lab: Lab) -> Iterator[None]:
    yield


@dataclass(frozen=True)
class Contender:
    """One backend by one method; cannot: needs of scenarios that it is not asked for.

    around: what its lab needs besides.
    """

    name: str
    make: Make
    forwarding: Forwarding
    cannot: frozenset[str] = field(default=frozenset())
    around: Callable[[Lab], contextlib.AbstractContextManager[None]] = _as_it_is

    def __str__(self) -> str:
        """Return the name of the test."""
        return f"{self.name}-{self.forwarding.value}"


CONTENDERS = (
    Contender("nftables", _nftables, Forwarding.NAT),
    Contender("nftables", _nftables, Forwarding.DIRECT),
    Contender("xdp", _xdp, Forwarding.DIRECT, frozenset({"mark"}), _drivers),
    Contender("xdp", _xdp, Forwarding.TUNNEL, frozenset({"mark"}), _drivers),
    Contender("proxy", _proxy, Forwarding.NAT, frozenset({"mark", "all-ports", "packets"})),
)
assert all(contender.cannot <= ALL for contender in CONTENDERS)


@pytest.fixture(scope="module", params=CONTENDERS, ids=str)
def contest(request: pytest.FixtureRequest) -> Iterator[tuple[Contender, Lab]]:
    """Build a contender's lab."""
    contender: Contender = request.param
    with balancing_lab.lab(contender.make, contender.forwarding) as lab, contender.around(lab):
        yield contender, lab


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_client_sees(contest: tuple[Contender, Lab], scenario: Scenario) -> None:
    contender, lab = contest
    lacks = sorted(scenario.needs & contender.cannot)
    if lacks:
        pytest.skip(f"{contender.name} does without: {', '.join(lacks)}")
    lab.clear()
    scenario.run(lab)
