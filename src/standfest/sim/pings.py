"""Hosts outside a simulated cluster that answer pings, and each node's way to them.

The production machine of `pulse` (core.membership.pings) on every node; requests and replies are
simulated, with the weather's loss. Draws from a source of its own, so that a seed without ping
nodes runs as it ever did.
"""

import random
from collections.abc import Iterable
from typing import TYPE_CHECKING

from standfest.core.membership.pings import Echo, PingEffect, Pings, Reached
from standfest.model.time import Duration, Instant, milliseconds
from standfest.runtime.cluster.member import ClusterMember
from standfest.sim.node import SimNode

if TYPE_CHECKING:
    from standfest.sim.cluster import SimCluster
    from standfest.sim.faults import Fault

MIN_WAY: Duration = milliseconds(1)
MAX_WAY: Duration = milliseconds(5)
"""How long a reply takes."""


class PingTargets:
    """The hosts and the ways to them.

    dead: hosts that do not answer; cut: nodes that reach no host; lasting_dead, lasting_cut: the
    same beyond all faults, until somebody changes it.
    """

    def __init__(self, sim: "SimCluster", seed: int | str) -> None:
        self._sim = sim
        self._source = random.Random(f"{seed}/pings")  # noqa: S311  a simulation
        self._machines: dict[str, Pings] = {}
        self._starts: dict[str, int] = {}
        self.dead: set[str] = set()
        self.cut: set[str] = set()
        self.lasting_dead: frozenset[str] = frozenset()
        self.lasting_cut: frozenset[str] = frozenset()

    def arrange(self, faults: "Iterable[Fault]") -> None:
        """Make it what all active faults together say."""
        self.dead, self.cut = set(self.lasting_dead), set(self.lasting_cut)
        for fault in faults:
            if fault.kind == "target-dies":
                self.dead.update(fault.others)
            elif fault.kind == "way-lost":
                self.cut.add(fault.node)

    def leave(self, dead: Iterable[str], cut: Iterable[str]) -> None:
        """Let these stay as they are whatever faults come and go."""
        self.lasting_dead, self.lasting_cut = frozenset(dead), frozenset(cut)
        self.arrange(())

    def reachable(self, name: str) -> tuple[str, ...]:
        """Return the ping nodes to which a node really has a way now."""
        if name in self.cut:
            return ()
        nodes = self._sim.settings.pinging.nodes
        return tuple(node.name for node in nodes if set(node.hosts) - self.dead)

    # --- a node's pulse -------------------------------------------------------------------------

    def start(self, node: SimNode) -> None:
        """A node's `pulse` begins."""
        if not node.settings.pinging.nodes:
            return
        self._starts[node.name] = node.generation
        machine = self._machines[node.name] = Pings(node.settings.pinging)
        self._perform(node, machine.start(self._local(node)))
        self._wait(node)

    def tell(self, node: SimNode) -> None:
        """A cluster daemon begins: tell it what this `pulse`, not an earlier one, knows."""
        machine = self._machines.get(node.name)
        if machine is None or machine.picture is None:
            return
        if self._lives(node, node.generation):
            self._told(node, machine.picture)

    def _told(self, node: SimNode, picture: Reached) -> None:
        self._sim.tell(node, ClusterMember.pinged, picture.reached, picture.lost)

    def _perform(self, node: SimNode, effects: list[PingEffect]) -> None:
        for effect in effects:
            match effect:
                case Echo(host, sequence):
                    self._ask(node, host, sequence)
                case Reached():
                    self._told(node, effect)
                case _:
                    pass

    def _ask(self, node: SimNode, host: str, sequence: int) -> None:
        loss = self._sim.network.weather.loss
        lost = any(self._source.random() < loss for _way in range(2))
        if lost or node.name in self.cut or host in self.dead:
            return
        start = self._starts[node.name]
        way = self._source.randint(MIN_WAY, MAX_WAY)
        self._sim.later(way, lambda: self._answer(node, start, host, sequence))

    def _answer(self, node: SimNode, start: int, host: str, sequence: int) -> None:
        """A reply arrives; it waits in the socket of a node that stands still."""
        if not self._lives(node, start):
            return
        if self._sim.now < node.paused_until:
            wait = node.paused_until - self._sim.now + milliseconds(1)
            self._sim.later(wait, lambda: self._answer(node, start, host, sequence))
            return
        machine = self._machines[node.name]
        self._perform(node, machine.on_reply(self._local(node), host, sequence))

    def _lives(self, node: SimNode, start: int) -> bool:
        return node.pulse is not None and self._starts[node.name] == start

    def _wait(self, node: SimNode) -> None:
        due = self._machines[node.name].deadline()
        if due is None:
            return
        at: Instant = max(node.clock.simulated(due), node.paused_until)
        start = self._starts[node.name]
        self._sim.later(max(0, at - self._sim.now), lambda: self._serve(node, start))

    def _serve(self, node: SimNode, start: int) -> None:
        if not self._lives(node, start):
            return
        if self._sim.now >= node.paused_until:
            self._perform(node, self._machines[node.name].on_timer(self._local(node)))
        self._wait(node)

    def _local(self, node: SimNode) -> Instant:
        return node.clock.local(self._sim.now)
