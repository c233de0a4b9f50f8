"""Virtual routers on a simulated LAN: one owner, takeover by the formula, groups together."""

import random
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from standfest.model.director import DirectorSettings
from standfest.model.time import milliseconds, seconds
from standfest.model.vrrp import InstanceSettings, VirtualAddress
from standfest.sim.lan import Lan, Weather


def gw(priority: int, **change: object) -> DirectorSettings:
    """Return a director with one instance of VRID 51 on eth0."""
    instance = InstanceSettings(
        name="gw",
        interface="eth0",
        vrid=51,
        version=3,
        priority=priority,
        addresses=(VirtualAddress(IPv4Address("10.0.0.100"), 24),),
    )
    return DirectorSettings(instances=(replace(instance, **change),))  # type: ignore[arg-type]


def lan_of(seed: int, weather: Weather | None = None, **priorities: int) -> Lan:
    lan = Lan(random.Random(seed), weather)
    for name, priority in priorities.items():
        lan.router(name, gw(priority))
    return lan


@given(seed=st.integers(0, 2**32))
@hypothesis_settings(max_examples=50)
def test_the_best_backup_takes_over_when_the_active_crashes(seed: int) -> None:
    lan = lan_of(seed, alice=200, bob=150, carol=100)
    lan.run_for(seconds(10))
    assert lan.active() == ["alice"]
    # Alice waits 3 x 1 s + 56/256 s = 3.21875 s, then says so every second: 9.21875 s is the last.
    lan.crash("alice")
    took = lan.run_until(lambda: lan.active() == ["bob"], at_most=seconds(4))
    # Bob waits 3 x 1 s + 106/256 s = 3.4140625 s after it arrived, 1 to 5 ms after 9.21875 s:
    # 12.6328125 s and 1 to 5 ms, 2.6328125 s after the crash at 10 s.
    assert milliseconds(2633) <= took <= milliseconds(2638)


@pytest.mark.parametrize(
    ("version", "interval", "priority", "waits"),
    [
        (3, seconds(1), 150, 3_414_062_500),  # 3 s + 106/256 s
        (3, milliseconds(100), 100, 360_937_500),  # 300 ms + 156/256 x 100 ms = 60.9375 ms
        (3, milliseconds(10), 200, 32_187_500),  # 30 ms + 56/256 x 10 ms = 2.1875 ms
        (3, seconds(3), 253, 9_035_156_250),  # 9 s + 3/256 x 3 s = 35.15625 ms
        (3, milliseconds(40_950), 1, 163_640_039_062),  # 122.85 s + 255/256 x 40.95 s
        (2, seconds(1), 100, 3_609_375_000),  # 3 s + 156/256 s
        (2, seconds(3), 100, 9_609_375_000),  # 9 s + 156/256 s: of a second, not of the interval
    ],
)
def test_the_takeover_is_as_late_as_the_formula_says(
    version: int, interval: int, priority: int, waits: int
) -> None:
    """Each packet takes 1 ms: the takeover comes so long after the last one arrived."""
    lan = Lan(random.Random(1), Weather(0.0, milliseconds(1), milliseconds(1)))
    lan.router("alice", gw(254, version=version, advert_interval=interval))
    lan.router("bob", gw(priority, version=version, advert_interval=interval))
    lan.run_for(20 * interval)
    assert lan.active() == ["alice"]
    lan.run_for(milliseconds(2))  # nothing is on its way
    lan.crash("alice")
    said, _, _ = lan.routers["alice"].sent[-1]
    lan.run_until(lambda: lan.active() == ["bob"], at_most=10 * interval)
    assert lan.now == said + milliseconds(1) + waits


@given(seed=st.integers(0, 2**32))
@hypothesis_settings(max_examples=50)
def test_a_resigning_active_is_replaced_after_the_skew_time(seed: int) -> None:
    lan = lan_of(seed, alice=200, bob=150, carol=100)
    lan.run_for(seconds(10))
    lan.call("alice", lambda director, now: director.stop(now))
    assert lan.active() == []
    took = lan.run_until(lambda: lan.active() == ["bob"], at_most=seconds(1))
    # 106/256 s = 414.0625 ms, after 1 to 5 ms on the way.
    assert milliseconds(415) <= took <= milliseconds(420)


@given(seed=st.integers(0, 2**32), preempt=st.booleans())
@hypothesis_settings(max_examples=50)
def test_the_better_router_takes_back_only_when_it_may(seed: int, preempt: bool) -> None:
    lan = Lan(random.Random(seed))
    lan.router("alice", gw(200, preempt=preempt))
    lan.router("bob", gw(150))
    lan.run_for(seconds(10))
    lan.crash("alice")
    lan.run_for(seconds(10))
    assert lan.active() == ["bob"]
    lan.restart("alice")
    lan.run_for(seconds(10))
    assert lan.active() == (["alice"] if preempt else ["bob"])
