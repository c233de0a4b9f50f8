"""What is said must be so at that moment: on disk, given up, at peace."""

from standfest.core.cib.replica import Stored as StoredMessage
from standfest.core.membership import effects as membership
from standfest.core.membership.effects import Reason
from standfest.model.configuration import Configuration
from standfest.model.operations import ExitCode, Operation
from standfest.model.time import Duration, Instant, in_seconds, seconds
from standfest.runtime.cluster import effects, protocol, stored
from standfest.runtime.cluster.links import ADDRESS_TYPES
from standfest.runtime.cluster.protocol import Request
from standfest.sim.invariants.base import Invariant
from standfest.sim.invariants.replication import asked_value, kept_value
from standfest.sim.network import Arrival
from standfest.sim.node import SimNode
from standfest.sim.scene import Scene

CLOCKS: Duration = seconds(1)
"""What two clocks may differ in while a node stands still."""
LONG_FENCED: Duration = seconds(120)
"""What was begun before a goodbye may go on for so long."""
BUSY: Duration = seconds(45)
"""So long a stop may wait for what runs on the same resource: an agent's timeout, and another's."""


class OnDiskWhenSaid(Invariant):
    """A word about a disk is worth what a power cut in the next instant leaves."""

    name = "on-disk-when-said"
    promise = "a configuration or a promised term is synced before anybody is told that it is kept"

    def wanted(self, now: Instant, node: SimNode, effect: effects.MemberEffect) -> None:
        """Look at every message that says so."""
        del now
        disk = node.disk
        if not isinstance(effect, effects.Send) or disk.lies or disk.lost or disk.owes:
            return
        match effect.message:
            case StoredMessage(_, version):
                kept = _read(disk.durable())
                epoch = (version.admin_epoch, version.epoch)
                has = kept.cib.version if kept is not None else None
                if has is None or (has.admin_epoch, has.epoch) != epoch:
                    raise self.broken(f"{node.name} says that it has {version}, its disk {has}")
            case protocol.Join(term=term):
                kept = _read(disk.durable())
                promised = kept.promised[0] if kept is not None else 0
                if promised < term:
                    raise self.broken(
                        f"{node.name} joins in term {term}, its disk knows of {promised}"
                    )
            case _:
                pass


class KeptByMost(Invariant):
    """One acknowledgement too early is a change lost some day."""

    name = "kept-by-most"
    promise = "a change is acknowledged once more than half of the nodes have it on disk"

    def __init__(self, scene: Scene, configuration: Configuration) -> None:
        super().__init__(scene, configuration)
        self._open: dict[tuple[str, int], tuple[str, str]] = {}

    def asked(self, now: Instant, node: SimNode, client: int, request: Request) -> None:
        """Remember it, unless something else about the same is open: one may undo the other."""
        del now
        found = asked_value(request)
        if found is not None:
            others = {k: v for k, v in self._open.items() if v[0] != found[0] or v == found}
            alone = len(others) == len(self._open)
            self._open = {**others, (node.name, client): found} if alone else others

    def wanted(self, now: Instant, node: SimNode, effect: effects.MemberEffect) -> None:
        """Read the disks at every acknowledgement."""
        del now
        if not isinstance(effect, effects.Answer):
            return
        found = self._open.pop((node.name, effect.client), None)
        if found is None or not effect.accepted or self.scene.may_split:
            return
        disks = [other.disk for other in self.sim.nodes.values()]
        if any(disk.lies or disk.lost or disk.owes for disk in disks):
            return
        kept = [_read(disk.durable()) for disk in disks]
        have = sum(1 for k in kept if k and kept_value(k.cib.configuration, found[0]) == found[1])
        if 2 * have <= len(disks):
            raise self.broken(
                f"{found[0]} = {found[1] or 'not set'!r} is acknowledged, "
                f"{have} of {len(disks)} disks have it"
            )


class GivesUpAfterPause(Invariant):
    """Who stood still for so long counts as dead: others may answer for its addresses by now."""

    name = "gives-up-after-pause"
    promise = "a node that was paused beyond deadtime notices, and stops the addresses it started"

    def __init__(self, scene: Scene, configuration: Configuration) -> None:
        super().__init__(scene, configuration)
        self._addresses = {
            primitive.id
            for primitive in configuration.primitives()
            if primitive.agent.type.lower() in ADDRESS_TYPES
        }
        self._started: dict[str, set[str]] = {name: set() for name in scene.names}
        self._owed: dict[str, tuple[set[str], Instant]] = {}
        self._noticed: dict[str, Instant] = {}

    def daemon_started(self, now: Instant, node: SimNode) -> None:
        """A new process does not know what the one before has started."""
        del now
        self._started[node.name] = set()
        self._owed.pop(node.name, None)

    def wanted(self, now: Instant, node: SimNode, effect: effects.MemberEffect) -> None:
        """What is being stopped is given up; what is not after a while never was meant to be."""
        if isinstance(effect, effects.StartRun) and effect.operation.task == "stop":
            self._started[node.name].discard(effect.operation.resource)
        owed, since = self._owed.get(node.name, (set(), now))
        owed = owed & self._started[node.name]
        if not owed:
            self._owed.pop(node.name, None)
        elif now - since > BUSY + self.sim.stood_still(node.name, now - since):
            raise self.broken(
                f"{node.name} has not stopped {min(owed)} {in_seconds(now - since):.1f} s after "
                "it was paused"
            )

    def acted(self, now: Instant, node: str, operation: Operation, code: ExitCode) -> None:
        """Remember what this process has started, as far as it runs."""
        del now
        name = operation.resource
        if operation.task == "start" and code is ExitCode.OK and name in self._addresses:
            self._started[node].add(name)

    def pulse_started(self, now: Instant, node: SimNode) -> None:
        """A new process has noticed all that was before."""
        self._noticed[node.name] = now

    def arrived(self, now: Instant, node: SimNode, arrival: Arrival) -> None:
        """Whoever reads on after a long pause has noticed it."""
        del arrival
        until = node.paused_until
        if not 0 < until < now:
            return
        begin = min(p.begin for p in node.pauses if p.whole and p.end == until)
        if until - begin > self.scene.deadtime + CLOCKS and self._noticed[node.name] <= begin:
            raise self.broken(f"{node.name} stood still for {in_seconds(until - begin):.1f} s")

    def pulsed(self, now: Instant, node: SimNode, effect: membership.MembershipEffect) -> None:
        """A pause has been noticed."""
        if not isinstance(effect, membership.Paused):
            return
        self._noticed[node.name] = now
        if node.member is not None:
            self._owed[node.name] = (set(self._started[node.name]), now)


class LeftInPeace(Invariant):
    """Who says goodbye has nothing left that could do harm."""

    name = "left-in-peace"
    promise = "a node whose goodbye was heard is not waited for, and not fenced"

    def __init__(self, scene: Scene, configuration: Configuration) -> None:
        super().__init__(scene, configuration)
        self._told: set[tuple[str, str]] = set()
        self._knows: set[tuple[str, str]] = set()
        self._fenced: dict[str, Instant] = {}

    def arrived(self, now: Instant, node: SimNode, arrival: Arrival) -> None:
        """A goodbye that is the next message of its sender cannot be missed."""
        del now
        message, pulse = arrival.message, node.pulse
        if message.head.kind != "shutdone" or pulse is None:
            return
        peer = next((p for p in pulse.peers if p.name == message.text("src")), None)
        if peer is None or not peer.alive or message.text("hg") != f"{peer.generation:x}":
            return
        next_one = (
            peer.receiver.complete and message.text("seq") == f"{peer.receiver.highest + 1:x}"
        )
        if next_one:
            self._told.add((node.name, peer.name))

    def pulsed(self, now: Instant, node: SimNode, effect: membership.MembershipEffect) -> None:
        """Look at what becomes of it."""
        del now
        if isinstance(effect, membership.Paused):
            self._forget(node.name)
        if not isinstance(effect, membership.NodeChanged):
            return
        pair = node.name, effect.node
        if effect.reason is Reason.SILENT and pair in self._told:
            raise self.broken(f"{node.name} heard the goodbye of {effect.node}, and gives it up")
        self._told.discard(pair)
        self._knows.discard(pair)
        if effect.state is membership.NodeStatus.LEFT:
            self._knows.add(pair)

    def pulse_started(self, now: Instant, node: SimNode) -> None:
        """A new process knows nothing, and is somebody else."""
        del now
        self._forget(node.name)

    def daemon_started(self, now: Instant, node: SimNode) -> None:
        """The same."""
        self.pulse_started(now, node)

    def _forget(self, name: str) -> None:
        self._told = {pair for pair in self._told if name not in pair}
        self._knows = {pair for pair in self._knows if name not in pair}

    def wanted(self, now: Instant, node: SimNode, effect: effects.MemberEffect) -> None:
        """Look at every call of a fence agent; one under way is brought to its end."""
        if not isinstance(effect, effects.FenceRun):
            return
        target = effect.call.target
        before = self._fenced.get(target)
        self._fenced[target] = now
        others = [n.name for n in self.sim.nodes.values() if n.up and n.name != target]
        known = all((name, target) in self._knows for name in others)
        if known and (before is None or now - before > LONG_FENCED):
            raise self.broken(f"{node.name} fences {target}, which left in order")


def _read(content: bytes | None) -> stored.Stored | None:
    return None if content is None else stored.from_bytes(content)
