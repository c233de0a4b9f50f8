"""A power switch in virtual time, which all fence agents reach: it fails, is slow, and lies."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from standfest.model.fencing import FenceCall
from standfest.model.time import Duration, Instant, milliseconds, seconds
from standfest.ports.fencing import FenceEnded
from standfest.runtime.cluster.member import ClusterMember
from standfest.sim.node import SimNode

if TYPE_CHECKING:
    from standfest.sim.cluster import SimCluster

SWITCH_TAKES: Duration = milliseconds(300)
MIN_BOOT, MAX_BOOT = seconds(15), seconds(60)


@dataclass(slots=True)
class PowerSwitch:
    """takes: how long a call lasts; failures: how many calls still fail; broken: every call does.

    lies: says that the node is off and leaves it on. boots: whether a node that was switched off
    and on again starts its daemons. calls: (when, caller, call); done: (when, target).
    """

    takes: Duration = SWITCH_TAKES
    failures: int = 0
    broken: bool = False
    lies: bool = False
    boots: bool = False
    calls: list[tuple[Instant, str, FenceCall]] = field(default_factory=list)
    done: list[tuple[Instant, str]] = field(default_factory=list)

    def act(self, now: Instant, target: str, cut: Callable[[], None]) -> bool:
        """Do what was called for; return whether the agent says so."""
        if self.broken or self.failures > 0:
            self.failures -= self.failures > 0
            return False
        self.done.append((now, target))
        if not self.lies:
            cut()
        return True

    def boot_time(self, source: random.Random) -> Duration | None:
        """Return after which time a node that was switched off is up again."""
        return source.randrange(MIN_BOOT, MAX_BOOT) if self.boots else None


class FenceAgents:
    """The fence agents of all nodes; each calls the one switch."""

    def __init__(self, sim: "SimCluster") -> None:
        self._sim = sim
        self._running: set[tuple[str, int]] = set()

    def begin(self, node: SimNode, number: int, call: FenceCall) -> None:
        """Have an agent call the switch; what has reached it is done, whoever called."""
        sim = self._sim
        sim.switch.calls.append((sim.now, node.name, call))
        generation, run = node.generation, (node.name, number)
        self._running.add(run)
        on_its_way = sim.switch.takes // 2

        def reached() -> None:
            if node.up and node.generation == generation:
                sim.later(sim.switch.takes - on_its_way, done)

        def done() -> None:
            said = sim.switch.act(sim.now, call.target, lambda: self._cut_power(call.target))
            if run in self._running and node.generation == generation:
                self._running.discard(run)
                ended = FenceEnded(number, said, "" if said else "the switch is out of order")
                sim.tell(node, ClusterMember.fence_ended, ended)

        sim.later(on_its_way, reached)

    def kill(self, node: SimNode, number: int) -> None:
        """End an agent; what it has begun is done all the same."""
        self._running.discard((node.name, number))

    def _cut_power(self, name: str) -> None:
        sim = self._sim
        if sim.nodes[name].up:
            sim.crash(name)
        sim.observer.fenced(sim.now, name)
        boots = sim.switch.boot_time(sim.source)
        if boots is not None:
            sim.later(boots, lambda: self._boot(name))

    def _boot(self, name: str) -> None:
        if not self._sim.nodes[name].up:
            self._sim.power_on(name)
