"""A configuration that reaches the routers one by one never leaves two Active (ADR 14)."""

import random
from dataclasses import dataclass
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from standfest.model.director import DirectorSettings
from standfest.model.time import Duration, Instant, milliseconds, seconds
from standfest.model.vrrp import InstanceSettings, VirtualAddress
from standfest.sim.lan import Lan, Weather

ONE, TWO, THREE = (VirtualAddress(IPv4Address(f"10.0.0.10{n}"), 24) for n in (1, 2, 3))
ALIEN = VirtualAddress(IPv4Address("10.9.9.9"), 24)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one router has before and after the change."""

    priority: int
    preempt: bool
    version: int

    def settings(self, *addresses: VirtualAddress) -> DirectorSettings:
        instance = InstanceSettings(
            name="gw",
            interface="eth0",
            vrid=51,
            version=self.version,
            priority=self.priority,
            preempt=self.preempt,
            addresses=addresses,
        )
        return DirectorSettings(instances=(instance,))


class TwoOwners:
    """Measures for how long two routers own the same address at the same time."""

    def __init__(self, lan: Lan) -> None:
        self._lan = lan
        self._since: Instant | None = None
        self.longest: Duration = 0

    def __call__(self) -> None:
        held = [router.owned.get("gw", set()) for router in self._lan.routers.values()]
        if sum(map(len, held)) == len(set().union(*held)):
            self._since = None
            return
        self._since = self._lan.now if self._since is None else self._since
        self.longest = max(self.longest, self._lan.now - self._since)


def rolled_out(
    seed: int, before: tuple[VirtualAddress, ...], after: tuple[VirtualAddress, ...]
) -> tuple[Lan, TwoOwners]:
    """Change the addresses of 2 to 4 routers, one by one, 0 to 10 s apart, in any order."""
    rng = random.Random(seed)
    lan = Lan(rng, Weather(0.0, milliseconds(1), milliseconds(5)))
    version = rng.choice((2, 3))
    plans = {
        f"r{number}": Plan(rng.choice((50, 100, 150)), rng.random() < 0.7, version)
        for number in range(rng.randint(2, 4))
    }
    for name, plan in plans.items():
        lan.router(name, plan.settings(*before))
    lan.run_for(seconds(12))
    assert len(lan.active()) == 1
    owners = TwoOwners(lan)
    lan.watch(owners)
    for name in rng.sample(sorted(plans), len(plans)):
        new = plans[name].settings(*after)
        lan.call(name, lambda director, now, new=new: director.reload(now, new))  # type: ignore[misc]
        lan.run_for(rng.choice((0, milliseconds(300), seconds(1), seconds(10))))
    lan.run_for(seconds(12))
    return lan, owners


@given(seed=st.integers(0, 2**48))
@hypothesis_settings(max_examples=60)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((ONE,), (ONE, TWO)),
        ((ONE, TWO), (TWO,)),
        ((ONE, TWO), (TWO, THREE)),
        ((ONE, TWO), (TWO, ONE)),
    ],
)
def test_addresses_that_change_router_by_router_never_have_two_owners(
    before: tuple[VirtualAddress, ...], after: tuple[VirtualAddress, ...], seed: int
) -> None:
    lan, owners = rolled_out(seed, before, after)
    (active,) = lan.active()
    assert lan.routers[active].owned["gw"] == {address.ip for address in after}
    # Nobody had lost sight of the Active, so nobody became Active beside it.
    assert owners.longest == 0


@given(seed=st.integers(0, 2**48))
@hypothesis_settings(max_examples=60)
def test_a_change_to_other_addresses_altogether_is_a_change_of_cluster(seed: int) -> None:
    """Old and new routers have an Active each until the last is new, but no address has two."""
    lan, owners = rolled_out(seed, (ONE,), (ALIEN,))
    assert len(lan.active()) == 1
    # Among the old and among the new ones a better router takes over as always: each of two that
    # begin in the same moment needs one packet, 5 ms at most, to send the other away.
    assert owners.longest <= milliseconds(10)
