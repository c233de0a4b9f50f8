"""A whole cluster in virtual time: the production machines over a faulty network, by a seed.

Every node runs the same `Membership` and `ClusterMember` as the daemons; network, disk and agents
are `adapters.memory` and `sim.network`. The same seed gives the same run, to the last message.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from standfest.adapters.memory.store import MemoryStore
from standfest.adapters.memory.world import MemoryAgentRunner, World
from standfest.config.cib import compile_configuration
from standfest.config.recorded import read
from standfest.core.cib.document import Cib
from standfest.core.membership import effects as membership
from standfest.core.membership.effects import NodeStatus
from standfest.core.membership.machine import Membership
from standfest.core.scheduler.schedule import schedule
from standfest.model.configuration import Clone, Group
from standfest.model.element import Element
from standfest.model.settings import HeartbeatSettings
from standfest.model.status import Status, Version
from standfest.model.time import NANOSECONDS_PER_SECOND, Duration, Instant, earliest
from standfest.runtime.cluster import effects, inputs, protocol
from standfest.runtime.cluster.member import ClusterMember
from standfest.runtime.cluster.settings import ClusterSettings
from standfest.sim.network import Network, Weather

EPOCH_S = 1_700_000_000
"""The simulated wall clock's beginning; only differences count."""
GONE = b'["Gone",{}]'
MAX_STEPS = 5_000_000


@dataclass(slots=True)
class SimNode:
    """One simulated node; `member` is None while its cluster daemon is down, `pulse` its power."""

    name: str
    store: MemoryStore
    generation: int = 0
    pulse: Membership | None = None
    member: ClusterMember | None = None
    runner: MemoryAgentRunner | None = None
    heard: set[str] = field(default_factory=set)
    settled: bool = False
    answers: list[effects.Answer] = field(default_factory=list)
    notes: list[tuple[Instant, effects.Note]] = field(default_factory=list)
    left: bool = False


class SimCluster:
    """Nodes, their network, and what really runs."""

    def __init__(
        self,
        seed: int,
        settings: HeartbeatSettings,
        configuration: Element,
        *,
        links: Iterable[str] = ("eth1",),
        weather: Weather | None = None,
    ) -> None:
        self._source = random.Random(seed)  # noqa: S311  a simulation
        self._settings = settings
        self._configuration = configuration
        self.links = tuple(links)
        self.now: Instant = 0
        self.network = Network(self._source, weather or Weather())
        self.world = _world(configuration)
        self.nodes = {name: SimNode(name, MemoryStore()) for name in settings.nodes}
        self.doubles: list[tuple[Instant, str]] = []
        self._doubled: set[str] = set()
        self._dues: dict[str, Instant | None] = {}  # of nodes to which nothing happened since

    # --- faults ---------------------------------------------------------------------------------

    def power_on(self, name: str) -> None:
        """Start both daemons of a node."""
        node = self.nodes[name]
        self.world.dead.discard(name)
        node.generation += 1
        node.heard.clear()
        node.settled = node.left = False
        node.pulse = Membership(
            name=name,
            uuid=name.encode().ljust(16, b"\0")[:16],
            generation=node.generation,
            settings=self._settings,
            random=self._source,
            links=self.links,
        )
        self._start_member(node)
        self._pulse(node, node.pulse.start(self.now, self.wall))

    def crash(self, name: str) -> None:
        """Cut a node's power; its disk stays."""
        node = self.nodes[name]
        node.pulse = node.member = node.runner = None
        self._touch(node)
        self.world.crash(name)

    def kill_cluster_daemon(self, name: str) -> None:
        """End the cluster daemon alone; what runs goes on, `pulse` tells the others."""
        node = self.nodes[name]
        node.member = node.runner = None
        self._touch(node)
        if node.pulse is not None:
            self._pulse(node, node.pulse.submit(self.now, self.wall, GONE, None))

    def restart_cluster_daemon(self, name: str) -> None:
        """Start the cluster daemon again; it hears from `pulse` who is there."""
        node = self.nodes[name]
        self._start_member(node)
        assert node.member is not None, "just started"
        for other in sorted(node.heard):
            self._member(node, node.member.appear(self.now, self.wall, other))
        if node.settled:
            self._member(node, node.member.settle(self.now, self.wall))

    def restart_pulse(self, name: str) -> None:
        """Kill `pulse` and start it again at once, as the supervisor does."""
        node = self.nodes[name]
        node.generation += 1
        node.heard.clear()
        node.settled = False
        node.pulse = Membership(
            name=name,
            uuid=name.encode().ljust(16, b"\0")[:16],
            generation=node.generation,
            settings=self._settings,
            random=self._source,
            links=self.links,
        )
        self._pulse(node, node.pulse.start(self.now, self.wall))

    def restart_daemons(self, name: str) -> None:
        """Kill all daemons of a node and start them again at once; what runs goes on."""
        self.nodes[name].member = self.nodes[name].runner = None
        self.power_on(name)

    def unplug(self, name: str, link: str) -> None:
        """Pull a cable; the node sees its carrier go."""
        self.network.unplugged.add((name, link))
        self._report_carrier(name)

    def plug(self, name: str, link: str) -> None:
        """Put a cable back."""
        self.network.unplugged.discard((name, link))
        self._report_carrier(name)

    def partition(self, left: Iterable[str], right: Iterable[str]) -> None:
        """Let no datagram pass between two sets of nodes; nobody sees a carrier go."""
        others = tuple(right)
        for one in left:
            for other in others:
                self.network.cut |= {(one, other), (other, one)}

    def heal(self) -> None:
        """End all partitions."""
        self.network.cut.clear()

    def ask(self, name: str, request: protocol.Request) -> None:
        """Have an administrator on a node ask for something."""
        node = self.nodes[name]
        assert node.member is not None, "its cluster daemon runs"
        self._member(node, node.member.ask(self.now, self.wall, 1, request))

    def depart(self, name: str) -> None:
        """Begin an orderly stop."""
        node = self.nodes[name]
        assert node.member is not None, "its cluster daemon runs"
        self._member(node, node.member.depart(self.now, self.wall))

    # --- time -----------------------------------------------------------------------------------

    @property
    def wall(self) -> int:
        """Return simulated seconds since 1970."""
        return EPOCH_S + self.now // NANOSECONDS_PER_SECOND

    def run_for(self, duration: Duration) -> None:
        """Let this much time pass."""
        self._run(self.now + duration, lambda: False)

    def run_until(self, condition: Callable[[], bool], at_most: Duration) -> Duration:
        """Run until the condition holds; return how long that took. Fails after `at_most`."""
        began = self.now
        self._run(began + at_most, condition)
        assert condition(), f"not within {at_most / NANOSECONDS_PER_SECOND:g} s"
        return self.now - began

    def _run(self, end: Instant, condition: Callable[[], bool]) -> None:
        for _ in range(MAX_STEPS):
            if condition():
                return
            due = earliest(self.network.next_arrival(), *self._node_dues())
            if due is None or due > end:
                self.now = max(self.now, end)
                return
            self.now = max(self.now, due)
            self._step()
        raise AssertionError("more steps than a simulation may take")

    def _node_dues(self) -> Iterable[Instant | None]:
        """Return when each node wants to be called: a node is asked again after it was touched."""
        for name, node in self.nodes.items():
            if name not in self._dues:
                self._dues[name] = self._due(node)
        return self._dues.values()

    def _due(self, node: SimNode) -> Instant | None:
        return earliest(
            node.pulse.deadline() if node.pulse else None,
            node.member.deadline() if node.member else None,
            node.runner.deadline() if node.runner else None,
        )

    def _step(self) -> None:
        for arrival in self.network.arrivals(self.now):
            node = self.nodes[arrival.receiver]
            if node.pulse is not None:
                self._pulse(
                    node,
                    node.pulse.on_message(self.now, self.wall, arrival.link, arrival.message),
                )
        for name, node in self.nodes.items():
            if name not in self._dues or _is_due(self._dues[name], self.now):
                self._touch(node)
                self._serve(node)
        doubles = set(self.world.doubles())
        self.doubles += [(self.now, resource) for resource in sorted(doubles - self._doubled)]
        self._doubled = doubles

    def _serve(self, node: SimNode) -> None:
        if node.pulse is not None and _is_due(node.pulse.deadline(), self.now):
            self._pulse(node, node.pulse.on_timer(self.now, self.wall, "0.00 0.00 0.00 1/1 1"))
        if node.runner is not None and _is_due(node.runner.deadline(), self.now):
            for ended in node.runner.poll():
                if node.member is not None:
                    self._member(node, node.member.run_ended(self.now, self.wall, ended))
        if node.member is not None and _is_due(node.member.deadline(), self.now):
            self._member(node, node.member.on_timer(self.now, self.wall))

    def _touch(self, node: SimNode) -> None:
        self._dues.pop(node.name, None)

    # --- effects --------------------------------------------------------------------------------

    def _pulse(self, node: SimNode, wanted: list[membership.MembershipEffect]) -> None:
        self._touch(node)
        for effect in wanted:
            match effect:
                case membership.Transmit(message):
                    for other in self.nodes:
                        for link in self.links:
                            if other != node.name:
                                self.network.send(self.now, node.name, link, other, message)
                case membership.NodeChanged():
                    self._node_changed(node, effect)
                case membership.Paused(duration):
                    node.heard.clear()
                    if node.member is not None:
                        self._member(node, node.member.paused(self.now, self.wall, duration))
                case membership.StreamReset(other) if node.member is not None:
                    self._member(node, node.member.reset(self.now, self.wall, other))
                case membership.Settled():
                    node.settled = True
                    if node.member is not None:
                        self._member(node, node.member.settle(self.now, self.wall))
                case membership.Deliver(sender=sender, payload=payload):
                    if node.member is not None:
                        message_ = protocol.decode(payload)
                        self._member(
                            node, node.member.receive(self.now, self.wall, sender, message_)
                        )
                case _:
                    continue

    def _node_changed(self, node: SimNode, change: membership.NodeChanged) -> None:
        if change.state in (NodeStatus.DEAD, NodeStatus.LEFT):
            node.heard.discard(change.node)
            if node.member is not None:
                left = change.state is NodeStatus.LEFT
                self._member(node, node.member.vanish(self.now, self.wall, change.node, left=left))
        elif change.node not in node.heard:
            node.heard.add(change.node)
            if node.member is not None:
                self._member(node, node.member.appear(self.now, self.wall, change.node))

    def _member(self, node: SimNode, wanted: list[effects.MemberEffect]) -> None:
        self._touch(node)
        for effect in wanted:
            match effect:
                case effects.Send(destination, message):
                    if node.pulse is not None:
                        payload = protocol.encode(message)
                        self._pulse(
                            node, node.pulse.submit(self.now, self.wall, payload, destination)
                        )
                case effects.StartRun(run, operation) if node.runner is not None:
                    node.runner.start(run, operation)
                case effects.KillRun(run) if node.runner is not None:
                    node.runner.kill(run)
                case effects.Save(cib):
                    node.store.save(f"{cib.version.admin_epoch} {cib.version.epoch}".encode())
                case effects.KeepInput():
                    _replay(effect)
                case effects.Answer():
                    node.answers.append(effect)
                case effects.Note():
                    node.notes.append((self.now, effect))
                case effects.LeaveCluster():
                    self._leave(node)
                case _:
                    continue

    def _leave(self, node: SimNode) -> None:
        assert node.pulse is not None, "a node leaves while it has power"
        self._pulse(node, node.pulse.leave(self.now, self.wall))
        node.left = True
        node.pulse = node.member = node.runner = None

    def _start_member(self, node: SimNode) -> None:
        settings = ClusterSettings(
            node.name, tuple(sorted(self._settings.nodes)), "00000000-0000-4000-8000-000000000000"
        )
        cib = Cib(Version(), self._configuration, Status())
        node.member = ClusterMember(settings, self._source.getrandbits(62), cib)
        node.runner = MemoryAgentRunner(node.name, self.world, self._source, lambda: self.now)
        self._touch(node)
        self._report_carrier(node.name)

    def _report_carrier(self, name: str) -> None:
        node = self.nodes[name]
        if node.member is None:
            return
        down = tuple(link for link in self.links if (name, link) in self.network.unplugged)
        isolated = len(down) == len(self.links)
        self._member(node, node.member.carrier(self.now, self.wall, down, isolated=isolated))


def _world(configuration: Element) -> World:
    """Return a world that knows of what there may be several."""
    shared: set[str] = set()
    most: dict[str, int] = {}
    for clone in compile_configuration(configuration)[0].resources:
        if isinstance(clone, Clone) and not clone.globally_unique:
            inner = clone.child.members if isinstance(clone.child, Group) else (clone.child,)
            shared |= {primitive.id for primitive in inner}
            most |= {primitive.id: clone.promoted_max for primitive in inner}
    return World(frozenset(shared), most)


def _replay(kept: effects.KeepInput) -> None:
    """An invariant: what is kept of a decision leads to the same one again."""
    again = schedule(*read(inputs.document(kept), "kept input"), kept.wall)
    assert again.steps == kept.result, "a kept input replays as it was decided"


def _is_due(deadline: Instant | None, now: Instant) -> bool:
    return deadline is not None and deadline <= now
