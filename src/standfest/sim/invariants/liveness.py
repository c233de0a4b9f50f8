"""What must be true again some time after the last fault, and stay so."""

from standfest.model.configuration import Clone, Configuration, Group
from standfest.model.time import NANOSECONDS_PER_SECOND, Instant, in_seconds, seconds
from standfest.runtime.cluster import effects
from standfest.runtime.cluster.asks import ASK_TIMEOUT
from standfest.runtime.cluster.protocol import Request
from standfest.sim.invariants.base import Invariant
from standfest.sim.node import SimNode
from standfest.sim.scene import UNMANAGED, Scene

ASKED_TOLERANCE = seconds(1)


class Recovered(Invariant):
    """Everything that can run does."""

    name = "recovered"
    promise = "after the last fault every resource runs where it should, within the computed bound"

    def settled(self) -> None:
        """Look after the faults."""
        self.compare()

    def compare(self) -> None:
        """Compare with what really runs."""
        world, up = self.sim.world, {n for n, node in self.sim.nodes.items() if node.up}
        for top in self.configuration.resources:
            inner = top.child if isinstance(top, Clone) else top
            members = inner.members if isinstance(inner, Group) else (inner,)
            for primitive in members:
                if primitive.id == UNMANAGED:
                    continue
                where = sorted(world.on(primitive.id))
                if isinstance(top, Clone):
                    if set(where) != up:
                        raise self.broken(f"{primitive.id} runs on {where}, not on {sorted(up)}")
                elif len(where) != 1:
                    raise self.broken(f"{primitive.id} runs on {where or 'no node'}")


class FailsOver(Recovered):
    """What all the faults left is a cluster still: it survives a node."""

    name = "fails-over"
    promise = "of a cluster that has recovered one more node may die, and everything runs elsewhere"

    def settled(self) -> None:
        """`recovered` looks."""

    def bereaved(self) -> None:
        """Look where nodes that are left may act at all."""
        if self.scene.outlives_a_node:
            self.compare()


class TakesPart(Invariant):
    """A node that was away is a full member again, without manual work."""

    name = "takes-part-again"
    promise = "every node that has power is a synchronised member under the one coordinator"

    def settled(self) -> None:
        """Look at every daemon, and at what the CIB says of its node."""
        nodes = [node for node in self.sim.nodes.values() if node.up]
        leaders = {n.member.leader if n.member is not None else "" for n in nodes}
        if len(leaders) != 1 or "" in leaders:
            raise self.broken(f"coordinators: {sorted(leaders)}")
        versions = {str(node.member.cib.version) for node in nodes if node.member is not None}
        for node in nodes:
            member = node.member
            if member is None or not member.synchronised:
                raise self.broken(f"{node.name} is not synchronised")
            state = member.cib.status.node(node.name)
            if state is None or not (state.in_membership and state.online):
                raise self.broken(f"{node.name} is not online in its own CIB")
        if len(versions) != 1:
            raise self.broken(f"versions {sorted(versions)}")


class NoPingPong(Invariant):
    """What is well stays as it is."""

    name = "no-ping-pong"
    promise = "once recovered, nothing is started or stopped any more"

    def __init__(self, scene: Scene, configuration: Configuration) -> None:
        super().__init__(scene, configuration)
        self._before = (0, 0)

    def settled(self) -> None:
        """Count."""
        self._before = (self.sim.world.starts, self.sim.world.stops)

    def rested(self) -> None:
        """Count again."""
        after = (self.sim.world.starts, self.sim.world.stops)
        if after != self._before:
            starts, stops = after[0] - self._before[0], after[1] - self._before[1]
            raise self.broken(f"{starts} starts and {stops} stops while nothing happened")


class MakesProgress(Invariant):
    """What was done, and did not help, does not help when it is done again at once."""

    name = "makes-progress"
    promise = "no coordinator decides the same again and again while nothing new is known"

    def wanted(self, now: Instant, node: SimNode, effect: effects.MemberEffect) -> None:
        """Wait for its own word: it stops there."""
        del now
        if isinstance(effect, effects.Note) and effect.event == "no-progress":
            raise self.broken(f"{node.name} has decided the same too often")


class NoStorm(Invariant):
    """Members that answer each other at once, and again, have no time for anything else."""

    name = "no-storm"
    promise = "no cluster daemon sends more than 100 messages for each node within a second"

    def __init__(self, scene: Scene, configuration: Configuration) -> None:
        super().__init__(scene, configuration)
        self._most = 100 * len(scene.names)
        self._sent: dict[str, tuple[int, int]] = {}

    def wanted(self, now: Instant, node: SimNode, effect: effects.MemberEffect) -> None:
        """Count what is sent in this second."""
        if not isinstance(effect, effects.Send):
            return
        second, count = self._sent.get(node.name, (0, 0))
        if now // NANOSECONDS_PER_SECOND != second:
            second, count = now // NANOSECONDS_PER_SECOND, 0
        self._sent[node.name] = second, count + 1
        if count >= self._most:
            raise self.broken(f"{node.name} has sent {count} messages within a second")


class Answered(Invariant):
    """Nobody waits for ever."""

    name = "answered"
    promise = "every request of an administrator is answered, at the latest after its timeout"

    def __init__(self, scene: Scene, configuration: Configuration) -> None:
        super().__init__(scene, configuration)
        self._open: dict[tuple[str, int], Instant] = {}

    def asked(self, now: Instant, node: SimNode, client: int, request: Request) -> None:
        """A clock starts."""
        del request
        self._open[node.name, client] = now

    def wanted(self, now: Instant, node: SimNode, effect: effects.MemberEffect) -> None:
        """A clock stops; a late answer is one that came too late."""
        if isinstance(effect, effects.Answer):
            since = self._open.pop((node.name, effect.client), now)
            bound = ASK_TIMEOUT + ASKED_TOLERANCE + self.sim.stood_still(node.name, now - since)
            if now - since > bound:
                raise self.broken(f"{node.name} answers after {in_seconds(now - since):.1f} s")

    def daemon_died(self, now: Instant, node: SimNode) -> None:
        """A command whose daemon died sees its connection closed: that is an answer."""
        del now
        self._open = {key: at for key, at in self._open.items() if key[0] != node.name}

    def daemon_started(self, now: Instant, node: SimNode) -> None:
        """Nothing from before is open."""
        self.daemon_died(now, node)

    def settled(self) -> None:
        """Nothing may be open for longer than its timeout."""
        for (name, _), since in self._open.items():
            if self.sim.now - since > ASK_TIMEOUT + ASKED_TOLERANCE:
                raise self.broken(
                    f"{name} has not answered for {in_seconds(self.sim.now - since):.0f} s"
                )
