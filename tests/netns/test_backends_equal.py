"""One list of scenarios through every backend: a client sees the same.

ipvs is not among them: its kernel runs in User Mode Linux (tests/uml). A backend joins by a line in
CONTENDERS.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from tests.netns import balancing_lab
from tests.netns.balancing_case import ALL, SCENARIOS, Scenario
from tests.netns.balancing_lab import Lab, Make

from standfest.adapters.linux.nftables.backend import NftablesBackend
from standfest.adapters.linux.proxy import ProxyBackend
from standfest.core.balancer.slots import slots
from standfest.model.balancing import Forwarding
from standfest.ports.balancer import BalancerBackend

SKIP = balancing_lab.why_not("nft")
pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(SKIP), reason=SKIP)]


def _nftables() -> BalancerBackend:
    return NftablesBackend(slots)


def _proxy() -> BalancerBackend:
    return ProxyBackend()


@dataclass(frozen=True)
class Contender:
    """One backend by one method; cannot: needs of scenarios that it is not asked for."""

    name: str
    make: Make
    forwarding: Forwarding
    cannot: frozenset[str] = field(default=frozenset())

    def __str__(self) -> str:
        """Return the name of the test."""
        return f"{self.name}-{self.forwarding.value}"


CONTENDERS = (
    Contender("nftables", _nftables, Forwarding.NAT),
    Contender("nftables", _nftables, Forwarding.DIRECT),
    Contender("proxy", _proxy, Forwarding.NAT, frozenset({"mark", "all-ports", "packets"})),
)
assert all(contender.cannot <= ALL for contender in CONTENDERS)


@pytest.fixture(scope="module", params=CONTENDERS, ids=str)
def contest(request: pytest.FixtureRequest) -> Iterator[tuple[Contender, Lab]]:
    """Build a contender's lab."""
    contender: Contender = request.param
    with balancing_lab.lab(contender.make, contender.forwarding) as lab:
        yield contender, lab


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_client_sees(contest: tuple[Contender, Lab], scenario: Scenario) -> None:
    contender, lab = contest
    lacks = sorted(scenario.needs & contender.cannot)
    if lacks:
        pytest.skip(f"{contender.name} does without: {', '.join(lacks)}")
    lab.clear()
    scenario.run(lab)
