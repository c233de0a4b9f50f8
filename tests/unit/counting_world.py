"""A balancer over a data plane that only looks servers up, and is told what was counted."""

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
from standfest.runtime.balancer.effects import Apply, Count, Effects, Share

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
    """One service of two servers. told: the shares of both, as often as the data plane is told."""

    def __init__(self, scheduler: str, *servers: RealServer, counts: bool = False) -> None:
        service = VirtualService(AddressService(VIP, 80), scheduler=scheduler, servers=servers)
        self.backend = MemoryBackend()
        self.counted = 0
        self.told: list[list[int]] = []
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
                case Share(shares):
                    self.backend.share(shares)
                    self.told.append([shares[WEB].get(name, 0) for name in NAMES])
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
