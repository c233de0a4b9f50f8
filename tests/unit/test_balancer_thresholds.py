"""Upper thresholds, where the data plane does not heed them itself."""

from dataclasses import replace
from ipaddress import IPv4Address

from standfest.adapters.memory.balancer import MemoryBackend
from standfest.model.balancing import (
    AddressService,
    BalancerSettings,
    Protocol,
    RealServer,
    VirtualService,
)
from standfest.model.forwarding import Counters, DestinationKey, service_key
from standfest.model.time import Instant, seconds
from standfest.runtime.balancer.adoption import Ledger
from standfest.runtime.balancer.assignment import Assignment
from standfest.runtime.balancer.balancing import Balancing
from standfest.runtime.balancer.effects import Apply, Count, Effects

VIP = IPv4Address("192.0.2.1")
WEB = service_key(Protocol.TCP, VIP, 80)
NAMES = [DestinationKey(IPv4Address(f"10.0.0.{n}"), 80) for n in (1, 2)]


def server(number: int, *, weight: int = 1, upper: int = 0, lower: int = 0) -> RealServer:
    return RealServer(
        IPv4Address(f"10.0.0.{number}"),
        80,
        weight=weight,
        upper_threshold=upper,
        lower_threshold=lower,
    )


class World:
    """A balancer over a data plane that looks servers up and does not count."""

    def __init__(self, scheduler: str, *servers: RealServer, counts: bool = False) -> None:
        service = VirtualService(AddressService(VIP, 80), scheduler=scheduler, servers=servers)
        self.backend = MemoryBackend()
        self.counted = 0
        self.assignment = Assignment(BalancerSettings(services=(service,)))
        self.counts = counts
        self.begin()

    def begin(self) -> None:
        self.machine = Balancing(self.assignment, counts=self.counts)
        self.perform(0, self.machine.start(0, self.backend.read(), Ledger()))

    def perform(self, now: Instant, effects: Effects) -> None:
        for effect in effects:
            match effect:
                case Apply(changes):
                    self.backend.apply(changes)
                case Count():
                    self.counted += 1
                    self.perform(now, self.machine.counted(now, self.backend.counters()))
                case _:
                    pass

    def carry(self, *figures: tuple[int, int]) -> None:
        """Set (begun, open) of each server."""
        self.backend.carried = {
            (WEB, name): Counters(connections=begun, active=open_now)
            for name, (begun, open_now) in zip(NAMES, figures, strict=True)
        }

    def run(self, until_s: int) -> None:
        while (at := self.machine.deadline()) is not None and at <= seconds(until_s):
            self.perform(at, self.machine.on_timer(at))

    def weights(self) -> list[int]:
        destinations = self.backend.table[WEB].destinations
        return [destinations[name].weight for name in NAMES]


def test_a_data_plane_that_counts_is_left_alone() -> None:
    world = World("wlc", server(1, weight=3, upper=5), server(2), counts=True)
    world.carry((12, 10), (8, 2))
    world.run(5)
    assert (world.weights(), world.counted) == ([3, 1], 0)


def test_who_has_no_threshold_needs_no_counting() -> None:
    world = World("wlc", server(1), server(2))
    world.run(5)
    assert (world.weights(), world.counted) == ([1, 1], 0)


def test_a_full_server_is_closed_until_it_is_below_its_lower_threshold() -> None:
    limited = server(1, upper=10, lower=5)
    world = World("rr", limited, server(2))
    for second, (open_now, weight) in enumerate([(9, 1), (10, 0), (5, 0), (4, 1)]):
        world.carry((0, open_now), (0, 0))
        world.run(second)
        assert world.weights() == [weight, 1], second


def test_without_a_lower_threshold_it_is_three_quarters_of_the_upper() -> None:
    world = World("rr", server(1, upper=8), server(2))
    for second, (open_now, weight) in enumerate([(8, 0), (6, 0), (5, 1)]):
        world.carry((0, open_now), (0, 0))
        world.run(second)
        assert world.weights() == [weight, 1], second


def test_a_successor_takes_a_full_server_for_full_and_not_for_drained() -> None:
    world = World("rr", server(1, upper=8), server(2))
    world.carry((0, 8), (0, 0))
    world.run(0)
    assert world.weights() == [0, 1]
    world.carry((0, 0), (0, 0))
    world.begin()
    world.run(1)
    assert world.weights() == [1, 1]


def test_a_threshold_that_a_reload_takes_away_closes_nobody() -> None:
    world = World("rr", server(1, upper=8), server(2))
    world.carry((0, 8), (0, 0))
    world.run(0)
    assert world.weights() == [0, 1]
    old = world.assignment.balancer
    service = replace(old.services[0], servers=(server(1), server(2)))
    again = Assignment(replace(old, services=(service,)))
    world.perform(seconds(1), world.machine.reload(seconds(1), again))
    assert world.weights() == [1, 1]
