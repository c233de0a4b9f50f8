"""A whole cluster in virtual time: the production machines over a faulty network, by a seed.

Every node runs the same `Membership` and `ClusterMember` as the daemons; network, disk, clocks and
agents are simulated. The same seed gives the same run, to the last message.
"""

import heapq
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Concatenate, ParamSpec

from standfest.adapters.memory.world import MemoryAgentRunner
from standfest.core.cib.document import Cib
from standfest.core.membership import effects as membership
from standfest.core.membership.effects import NodeStatus
from standfest.core.membership.machine import Membership
from standfest.model.element import Element
from standfest.model.settings import HeartbeatSettings
from standfest.model.status import Status, Version
from standfest.model.time import NANOSECONDS_PER_SECOND, Duration, Instant, seconds
from standfest.runtime.cluster import effects, protocol, stored
from standfest.runtime.cluster.member import ClusterMember
from standfest.runtime.cluster.settings import session_of
from standfest.sim.agenda import Agenda
from standfest.sim.clock import EPOCH_S
from standfest.sim.disk import PowerCutError, SimDisk
from standfest.sim.kept import replay
from standfest.sim.network import Arrival, Network, Weather
from standfest.sim.node import MAX_WAITING, NEVER, Pause, SimNode
from standfest.sim.observer import Observer
from standfest.sim.pings import PingTargets
from standfest.sim.power import FenceAgents, PowerSwitch
from standfest.sim.world import world_of

P = ParamSpec("P")
GONE = b'["Gone",{}]'
MAX_STEPS = 50_000_000
RESTART_DELAY: Duration = seconds(1)
"""How soon the supervisor starts a daemon again that could not do its work."""
MAX_PAUSES = 20
LOAD = "0.00 0.00 0.00 1/1 1"


class SimCluster:
    """Nodes, their network, and what really runs."""

    def __init__(
        self,
        seed: int | str,
        settings: HeartbeatSettings,
        configuration: Element,
        *,
        links: Iterable[str] = ("eth1",),
        weather: Weather | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.source = random.Random(seed)  # noqa: S311  a simulation
        self.settings = settings
        self._configuration = configuration
        self.links = tuple(links)
        self.now: Instant = 0
        self.network = Network(self.source, weather or Weather())
        self.world = world_of(configuration)
        self.nodes = {n: SimNode(n, SimDisk(self.source), settings) for n in sorted(settings.nodes)}
        self.doubles: list[tuple[Instant, str]] = []
        self._doubled: set[str] = set()
        self._changes_seen = -1
        self.observer = observer or Observer()
        self._agenda = Agenda()
        self._later: list[tuple[Instant, int, Callable[[], None]]] = []
        self._number = 0
        self.steps = 0
        self.targets = PingTargets(self, seed)
        self.switch = PowerSwitch()
        self._fences = FenceAgents(self)
        self.fences_lied = False
        self.last_silence: Instant = -(2**62)
        self.shaken: set[str] = set()
        self.world.acted = lambda name, operation, code: self.observer.acted(
            self.now, name, operation, code
        )

    # --- faults ---------------------------------------------------------------------------------

    def later(self, delay: Duration, action: Callable[[], None]) -> None:
        """Do something in a while."""
        self._number += 1
        heapq.heappush(self._later, (self.now + delay, self._number, action))

    def power_on(self, name: str) -> None:
        """Start both daemons of a node."""
        node = self.nodes[name]
        self.world.dead.discard(name)
        self.observer.powered(self.now, node)
        node.left = False
        self._start_pulse(node)
        self._start_member(node)
        self._begin_pulse(node)

    def install(self, name: str, settings: HeartbeatSettings) -> None:
        """Bring a further node, without power yet; settings: its own ha.cf."""
        self.nodes[name] = SimNode(name, SimDisk(self.source), settings)

    def crash(self, name: str) -> None:
        """Cut a node's power; of its disk stays what was synced."""
        node = self.nodes[name]
        node.pulse = node.member = node.runner = None
        node.inbox.clear()
        node.waiting.clear()
        node.paused_until = node.member_paused_until = 0
        node.stands_since, node.begun = None, False
        node.disk.power_cut()
        self._agenda.touch(node)
        self.world.crash(name)
        self.observer.crashed(self.now, node)

    def kill_cluster_daemon(self, name: str) -> None:
        """End the cluster daemon alone; what runs goes on, `pulse` tells the others."""
        node = self.nodes[name]
        node.member = node.runner = None
        node.waiting.clear()
        node.member_paused_until = 0
        self._agenda.touch(node)
        self.observer.daemon_died(self.now, node)
        if node.pulse is not None:
            self._submit(node, None, GONE)

    def restart_cluster_daemon(self, name: str) -> None:
        """Start the cluster daemon again; it hears from `pulse` who is there."""
        node = self.nodes[name]
        self._start_member(node)
        for other in sorted(node.heard):
            self.tell(node, ClusterMember.appear, other)
        if node.settled:
            self.tell(node, ClusterMember.settle)

    def restart_pulse(self, name: str) -> None:
        """Kill `pulse` and start it again at once, as the supervisor does."""
        node = self.nodes[name]
        self._start_pulse(node)
        self._begin_pulse(node)

    def restart_daemons(self, name: str) -> None:
        """Kill all daemons of a node and start them again at once; what runs goes on."""
        self.nodes[name].member = self.nodes[name].runner = None
        self.power_on(name)

    def pause(self, name: str, duration: Duration, *, member_only: bool = False) -> None:
        """Let a node's processes, or its cluster daemon alone, stand still.

        `pulse` takes a cluster daemon that shows no life for deadtime for gone, and it ends when
        it can: what it had in hand is not done any more.
        """
        node = self.nodes[name]
        if not node.up:
            return
        until = self.now + duration
        node.pauses = [*node.pauses[-MAX_PAUSES:], Pause(self.now, until, not member_only)]
        if not member_only:
            node.paused_until = max(node.paused_until, until)
            if node.stands_since is None:
                node.stands_since = self.now
        elif until > node.member_paused_until:
            node.member_paused_until = until
            if duration >= self.settings.deadtime:
                self.later(self.settings.deadtime, lambda: self._stalled(node, until))
        self._agenda.touch(node)

    def _stalled(self, node: SimNode, until: Instant) -> None:
        if node.member is not None and node.member_paused_until == until:
            self.kill_cluster_daemon(node.name)
            self.later(until - self.now, lambda: self._restart_if_down(node))

    def _wake(self, node: SimNode, since: Instant) -> None:
        """Notice a pause before anything that came meanwhile is looked at."""
        node.stands_since = None
        if node.pulse is None:
            return
        local = self._local(node)
        if local >= node.pulse.dead_at and self.source.random() < 0.5:
            self.tell(node, ClusterMember.paused, self.now - since)
            if node.waiting:
                node.waiting.insert(0, node.waiting.pop())  # it is the first
        if node.up:  # writing may have been its end
            self._pulse(node, node.pulse.wake(local))

    def stood_still(self, name: str, within: Duration) -> Duration:
        """Return how long a node, or its cluster daemon, stood still in the last `within` ns."""
        pauses = self.nodes[name].pauses
        return sum(
            max(0, min(pause.end, self.now) - max(pause.begin, self.now - within))
            for pause in pauses
        )

    def drift(self, name: str, ppm: int) -> None:
        """Let a node's monotonic clock run too fast by so many millionths."""
        node = self.nodes[name]
        node.clock.drift(self.now, ppm)
        self._agenda.touch(node)

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

    def ask(self, name: str, request: protocol.Request, client: int = 1) -> None:
        """Have an administrator on a node ask for something."""
        assert self.nodes[name].member is not None, "its cluster daemon runs"
        self.observer.asked(self.now, self.nodes[name], client, request)
        self.tell(self.nodes[name], ClusterMember.ask, client, request)

    def depart(self, name: str) -> None:
        """Begin an orderly stop."""
        assert self.nodes[name].member is not None, "its cluster daemon runs"
        self.tell(self.nodes[name], ClusterMember.depart)

    # --- time -----------------------------------------------------------------------------------

    @property
    def wall(self) -> int:
        """Return simulated seconds since 1970."""
        return EPOCH_S + self.now // NANOSECONDS_PER_SECOND

    def run_for(self, duration: Duration) -> None:
        """Let this much time pass."""
        self._run(self.now + duration, None)

    def run_until(self, condition: Callable[[], bool], at_most: Duration) -> Duration:
        """Run until the condition holds; return how long that took. Fails after `at_most`."""
        began = self.now
        self._run(began + at_most, condition)
        assert condition(), f"not within {at_most / NANOSECONDS_PER_SECOND:g} s"
        return self.now - began

    def _run(self, end: Instant, condition: Callable[[], bool] | None) -> None:
        for _ in range(MAX_STEPS):
            if condition is not None and condition():
                return
            due = min(self.network.next_arrival() or NEVER, self._agenda.first())
            if self._later and self._later[0][0] < due:
                due = self._later[0][0]
            if due > end:
                self.now = max(self.now, end)
                return
            self.now = max(self.now, due)
            self._step()
        raise AssertionError("more steps than a simulation may take")

    def _step(self) -> None:
        now = self.now
        self.steps += 1
        for receiver, arrival in self.network.arrivals(now):
            node = self.nodes[receiver]
            if node.pulse is None:
                continue
            if now < node.paused_until:
                if len(node.inbox) < MAX_WAITING:
                    node.inbox.append(arrival)
            else:
                self._arrive(node, arrival)
        while self._later and self._later[0][0] <= now:
            heapq.heappop(self._later)[2]()
        if self._agenda.first() <= now:
            for node in self.nodes.values():
                if node.due() <= now:
                    self._serve(node)
        if self.world.changes != self._changes_seen:
            self._changes_seen = self.world.changes
            doubles = set(self.world.doubles())
            self.doubles += [(now, resource) for resource in sorted(doubles - self._doubled)]
            self._doubled = doubles

    def _arrive(self, node: SimNode, arrival: Arrival) -> None:
        if arrival.damaged:
            self.observer.damaged(self.now, node, arrival)
            return
        if node.pulse is not None:
            self.observer.arrived(self.now, node, arrival)
            now, wall = node.clock.local(self.now), node.clock.wall(self.now)
            self._pulse(node, node.pulse.on_message(now, wall, arrival.link, arrival.message))

    def _serve(self, node: SimNode) -> None:
        """Do what is due; whoever stood still first reads what has arrived meanwhile."""
        now = self.now
        if node.stands_since is not None:
            self._wake(node, node.stands_since)
        while node.inbox and node.pulse is not None:
            self._arrive(node, node.inbox.pop(0))
        if node.pulse is not None and node.due() <= now:
            local = self._local(node)
            at = node.pulse.deadline()
            if at is not None and at <= local:
                self._pulse(node, node.pulse.on_timer(local, self._wall(node), LOAD))
            self._agenda.touch_pulse(node)
        due = node.member_due
        if now < node.member_paused_until or (due is not None and now < due):
            return
        waiting, node.waiting = node.waiting, []
        for tell in waiting:
            tell()
        if node.runner is not None:
            at = node.runner.deadline()
            if at is not None and at <= now:
                for ended in node.runner.poll():
                    self.tell(node, ClusterMember.run_ended, ended)
        if node.member is not None:
            at = node.member.deadline()
            if at is not None and at <= self._local(node):
                self.tell(node, ClusterMember.on_timer)
        self._agenda.touch_member(node)

    def _local(self, node: SimNode) -> Instant:
        return node.clock.local(self.now)

    def _wall(self, node: SimNode) -> int:
        return node.clock.wall(self.now)

    # --- effects --------------------------------------------------------------------------------

    def _pulse(self, node: SimNode, wanted: list[membership.MembershipEffect]) -> None:
        self._agenda.touch_pulse(node)
        for effect in wanted:
            match effect:
                case membership.Transmit(message):
                    self.network.send(self.now, node.name, self.nodes, self.links, message)
                    continue
                case membership.NodeChanged():
                    self._node_changed(node, effect)
                case membership.Paused(duration):
                    node.heard.clear()
                    self.tell(node, ClusterMember.paused, duration)
                case membership.StreamReset(other):
                    self.tell(node, ClusterMember.reset, other)
                case membership.Settled():
                    node.settled = True
                    self.tell(node, ClusterMember.settle)
                case membership.Deliver(sender=sender, payload=payload):
                    self.observer.delivered(self.now, node, effect)
                    self.tell(node, ClusterMember.receive, sender, protocol.decode(payload))
                case _:
                    pass
            self.observer.pulsed(self.now, node, effect)

    def _node_changed(self, node: SimNode, change: membership.NodeChanged) -> None:
        if change.state in (NodeStatus.DEAD, NodeStatus.LEFT):
            node.heard.discard(change.node)
            self.tell(node, ClusterMember.vanish, change.node, left=change.state is NodeStatus.LEFT)
        elif change.node not in node.heard:
            node.heard.add(change.node)
            self.tell(node, ClusterMember.appear, change.node)

    def tell(
        self,
        node: SimNode,
        method: Callable[Concatenate[ClusterMember, Instant, int, P], list[effects.MemberEffect]],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> None:
        """Feed one input to the cluster daemon, now or when it can move again, in their order."""
        if node.member is None:
            return
        if node.waiting or self.now < max(node.member_paused_until, node.paused_until):
            node.waiting.append(lambda: self.tell(node, method, *arguments, **named))
            self._agenda.touch_member(node)
            return
        now, wall = self._local(node), self._wall(node)
        its_own = getattr(node.member, method.__name__)  # a recorder may have wrapped it
        self._member(node, its_own(now, wall, *arguments, **named))

    def _member(self, node: SimNode, wanted: list[effects.MemberEffect]) -> None:
        self._agenda.touch_member(node)
        for effect in wanted:
            try:
                self._perform(node, effect)
            except PowerCutError:
                self.crash(node.name)
            except OSError:  # as the daemon: it ends rather than promise what is not on disk
                self.kill_cluster_daemon(node.name)
                self.later(RESTART_DELAY, lambda: self._restart_if_down(node))
            if node.member is None:
                return

    def _restart_if_down(self, node: SimNode) -> None:
        if node.pulse is not None and node.member is None:
            self.restart_cluster_daemon(node.name)

    def _perform(self, node: SimNode, effect: effects.MemberEffect) -> None:
        self.observer.wanted(self.now, node, effect)
        match effect:
            case effects.Send(destination, message):
                self._submit(node, destination, protocol.encode(message))
            case effects.StartRun(run, operation) if node.runner is not None:
                node.runner.start(run, operation)
            case effects.KillRun(run) if node.runner is not None:
                node.runner.kill(run)
            case effects.FenceRun(number, call):
                self._fences.begin(node, number, call)
            case effects.FenceKill(number):
                self._fences.kill(node, number)
            case effects.Save(cib, promised):
                node.disk.save(stored.to_bytes(cib, promised))
            case effects.KeepInput():
                if self.observer.replays:
                    replay(effect)
            case effects.Answer():
                node.answers.append(effect)
            case effects.Note():
                node.notes.append((self.now, effect))
            case effects.Enrolled(nodes, removed) | effects.Acquaint(nodes, removed):
                if isinstance(effect, effects.Enrolled):  # remembered, also over a restart
                    node.settings = replace(node.settings, nodes=nodes, removed=removed)
                if node.pulse is not None:
                    now, wall = self._local(node), self._wall(node)
                    self._pulse(node, node.pulse.enroll(now, wall, nodes, removed))
            case effects.LeaveCluster():
                self._leave(node)
            case _:
                pass

    def _submit(self, node: SimNode, destination: str | None, payload: bytes) -> None:
        if node.pulse is not None:
            self.observer.submitted(self.now, node, destination, payload)
            now, wall = self._local(node), self._wall(node)
            self._pulse(node, node.pulse.submit(now, wall, payload, destination))

    def _leave(self, node: SimNode) -> None:
        assert node.pulse is not None, "a node leaves while it has power"
        self._pulse(node, node.pulse.leave(self._local(node), self._wall(node)))
        node.left, node.begun = True, False
        node.pulse = node.member = node.runner = None
        self._agenda.touch(node)
        self.observer.left(self.now, node)

    def _start_pulse(self, node: SimNode) -> None:
        node.generation += 1
        node.heard.clear()
        node.settled = False
        node.pulse = Membership(
            name=node.name,
            uuid=node.name.encode().ljust(16, b"\0")[:16],
            generation=node.generation,
            settings=node.settings,
            random=self.source,
            links=self.links,
        )
        self.observer.pulse_started(self.now, node)

    def _begin_pulse(self, node: SimNode) -> None:
        assert node.pulse is not None, "just started"
        self._pulse(node, node.pulse.start(self._local(node), self._wall(node)))
        self.targets.start(node)

    def _start_member(self, node: SimNode) -> None:
        kept = node.disk.load()
        known = (
            stored.Stored(Cib(Version(), self._configuration, Status()), (0, ""))
            if kept is None
            else stored.from_bytes(kept)
        )
        started = self._wall(node) * NANOSECONDS_PER_SECOND + self.now % NANOSECONDS_PER_SECOND
        node.start_member(session_of(started, self.source.getrandbits(62)), known)
        node.runner = MemoryAgentRunner(node.name, self.world, self.source, lambda: self.now)
        self._agenda.touch(node)
        self.observer.daemon_started(self.now, node)
        self._report_carrier(node.name)
        self.targets.tell(node)

    def _report_carrier(self, name: str) -> None:
        node = self.nodes[name]
        down = tuple(link for link in self.links if (name, link) in self.network.unplugged)
        self.tell(node, ClusterMember.carrier, down, isolated=len(down) == len(self.links))
