"""What `pulse` promises: who is dead, and that payloads come whole and in order."""

from dataclasses import dataclass, field

from standfest.core.membership import effects as membership
from standfest.core.membership.effects import Reason
from standfest.core.membership.peer import ALIVE
from standfest.model.configuration import Configuration
from standfest.model.errors import WireError
from standfest.model.keys import Key, Keyring, SignatureMethod
from standfest.model.time import Instant, in_seconds, milliseconds
from standfest.sim.invariants.base import Invariant
from standfest.sim.network import Arrival
from standfest.sim.node import SimNode
from standfest.sim.scene import Scene
from standfest.wire import heartbeat

TOLERANCE = milliseconds(1)
"""Between the deadline and its being seen, without a pause; clocks are rounded to nanoseconds."""


MANY = 500
"""So many payloads that arrived are remembered before they are forgotten."""


class Deadtime(Invariant):
    """The configured deadtime is the bound, to both sides."""

    name = "deadtime"
    promise = "a node is declared dead after deadtime without a heartbeat, not before and not later"

    def __init__(self, scene: Scene, configuration: Configuration) -> None:
        super().__init__(scene, configuration)
        self._newest: dict[tuple[str, str], tuple[tuple[int, int], Instant]] = {}
        self._heard: dict[tuple[str, str], Instant] = {}
        self._read: dict[tuple[str, str], dict[tuple[int, int], None]] = {}
        self._highest: dict[tuple[str, str], tuple[int, int]] = {}

    def arrived(self, now: Instant, node: SimNode, arrival: Arrival) -> None:
        """Remember when a heartbeat came, by the receiver's clock; one that came before is none."""
        head = arrival.message.head
        if head.number is None:
            return
        pair, number = (node.name, head.source or ""), (head.generation or 0, head.number)
        local = node.clock.local(now)
        overtaken = number <= self._highest.get(pair, (0, 0))
        if not overtaken:
            self._highest[pair] = number
        if head.kind != "status":
            return
        read = self._read.setdefault(pair, {})
        if number not in read:
            read[number] = None
            if len(read) > MANY:
                del read[next(iter(read))]
            self._heard[pair] = local
        if not overtaken:
            self._newest[pair] = number, local

    def pulse_started(self, now: Instant, node: SimNode) -> None:
        """A new process has heard nobody."""
        del now
        self._newest = {p: known for p, known in self._newest.items() if p[0] != node.name}
        self._highest = {p: known for p, known in self._highest.items() if p[0] != node.name}
        self._read = {pair: known for pair, known in self._read.items() if pair[0] != node.name}

    def pulsed(self, now: Instant, node: SimNode, effect: membership.MembershipEffect) -> None:
        """Look at every declaration of death; who comes, or restarts, is alive."""
        if not isinstance(effect, membership.NodeChanged):
            return
        if effect.state in ALIVE:
            self._heard[node.name, effect.node] = node.clock.local(now)
        if effect.reason is not Reason.SILENT:
            return
        pair, local = (node.name, effect.node), node.clock.local(now)
        # One that was overtaken may count, but need not: it is no news of an hour before.
        silent = local - self._newest.get(pair, ((0, 0), 0))[1]
        if silent < self.scene.deadtime:
            raise self.broken(
                f"{node.name} declares {effect.node} dead after {in_seconds(silent):.3f} s"
            )
        silent = local - self._heard.get(pair, 0)
        slack = TOLERANCE + self.sim.stood_still(node.name, silent)
        if silent > self.scene.deadtime + slack:
            raise self.broken(
                f"{node.name} declares {effect.node} dead only after {in_seconds(silent):.3f} s"
            )


@dataclass(slots=True)
class _Stream:
    """What one node sent to another.

    at: the places where the receiver may be, since payloads repeat; open: something may be missing,
    and was said to be.
    """

    sent: list[bytes] = field(default_factory=list)
    at: set[int] = field(default_factory=lambda: {0})
    open: bool = True

    def take(self, payload: bytes) -> bool:
        """Move on by one delivered payload; False when it cannot be the next one."""
        sent = self.sent
        first = min(self.at)
        places = range(first, len(sent)) if self.open else self.at
        self.at = {i + 1 for i in places if i < len(sent) and sent[i] == payload}
        self.open = False
        if not self.at:
            return False
        first = min(self.at)
        if first > MANY:
            del sent[:first]
            self.at = {i - first for i in self.at}
        return True


class Delivery(Invariant):
    """Messages between cluster daemons are reliable, or a reset says that they were not."""

    name = "whole-and-in-order"
    promise = "payloads arrive once and in order, or the stream is reset"

    def __init__(self, scene: Scene, configuration: Configuration) -> None:
        super().__init__(scene, configuration)
        self._streams = {(a, b): _Stream() for a in scene.names for b in scene.names if a != b}

    def submitted(self, now: Instant, node: SimNode, destination: str | None, data: bytes) -> None:
        """Remember what is on its way."""
        del now
        for other in self.scene.names:
            if other != node.name and destination in {None, other}:
                self._streams[node.name, other].sent.append(data)

    def delivered(self, now: Instant, node: SimNode, effect: membership.Deliver) -> None:
        """Compare with what was sent."""
        del now
        if not self._streams[effect.sender, node.name].take(effect.payload):
            raise self.broken(
                f"{node.name} gets a payload of {effect.sender} that is not the next, unnoticed"
            )

    def pulsed(self, now: Instant, node: SimNode, effect: membership.MembershipEffect) -> None:
        """A reset, and a node's coming or going, say that something may be missing."""
        del now
        if isinstance(effect, membership.StreamReset | membership.NodeChanged):
            self._streams[effect.node, node.name].open = True

    def pulse_started(self, now: Instant, node: SimNode) -> None:
        """What a dead process sent need not arrive; what was for it may reach the new one again."""
        del now
        for (_, receiver), stream in self._streams.items():
            if receiver == node.name:
                stream.at = {0}
        for pair, stream in self._streams.items():
            stream.open = stream.open or node.name in pair


class DamageNoticed(Invariant):
    """A datagram that was changed on its way is none."""

    name = "damage-noticed"
    promise = "a datagram with a flipped bit is never taken for what was sent"

    KEYRING = Keyring(1, (Key(1, SignatureMethod.SHA1, b"simulated key"),))

    def damaged(self, now: Instant, node: SimNode, arrival: Arrival) -> None:
        """Write it, damage it, read it."""
        del now
        written = bytearray(heartbeat.encode(arrival.message, self.KEYRING))
        source = self.sim.source
        written[source.randrange(len(written))] ^= 1 << source.randrange(8)
        try:
            read = heartbeat.decode(bytes(written), self.KEYRING)
        except WireError:
            return
        if read != arrival.message:
            raise self.broken(f"{node.name} took a damaged {arrival.message.text('t')} for good")


class OneView(Invariant):
    """In the end all see the same."""

    name = "one-view"
    promise = "when the network is whole, all members agree on who is there"

    def settled(self) -> None:
        """Compare what everybody's `pulse` says with who has power."""
        up = {name for name, node in self.sim.nodes.items() if node.up}
        for name in sorted(up):
            missing = up - self.sim.nodes[name].heard - {name}
            ghosts = self.sim.nodes[name].heard - up
            if missing or ghosts:
                seen = f"does not hear {sorted(missing)}" if missing else f"hears {sorted(ghosts)}"
                raise self.broken(f"{name} {seen}")
