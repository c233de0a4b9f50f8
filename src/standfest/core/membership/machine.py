"""Liveness and reliable messages between nodes, as heartbeat 3.0.6 speaks them.

A machine without I/O: `pulse` feeds it verified messages and the time and performs its effects.
Only `status` messages count for liveness, and the deadtime applied to a node is the one that it
announces itself. Source: facts/HEARTBEAT-WIRE.md sections 3 and 5 to 8.
"""

from typing import Protocol

from standfest.core.membership.effects import (
    Deliver,
    Dropped,
    LinkChanged,
    MembershipEffect,
    NodeChanged,
    NodeStatus,
    Paused,
    Reason,
    Refusal,
    Settled,
    StreamReset,
)
from standfest.core.membership.peer import Link, Peer
from standfest.core.membership.receiver import LOST, Arrival, Receiver
from standfest.core.membership.rhythm import Rhythm
from standfest.core.membership.sender import PAYLOAD_TYPE, fragments
from standfest.core.membership.voice import Fields, Voice
from standfest.model.message import Message, parse_number
from standfest.model.settings import MAX_NODES, Autojoin, HeartbeatSettings, is_node_name
from standfest.model.time import (
    Duration,
    Instant,
    earliest,
    in_milliseconds,
    milliseconds,
    seconds,
)

ACKNOWLEDGE_EVERY = 10
REPAIRS = ("NS_rexmit", "NS_nak_rexmit")
"""Messages about the stream that something follows from; nothing does from NS_ackmsg."""
MIN_PATIENCE_MS, MAX_PATIENCE_MS = 5, 20
MAX_ANNOUNCED_DEADTIME: Duration = seconds(86_400)
NEVER: Instant = 2**63

Effects = list[MembershipEffect]


class Random(Protocol):
    """The part of random.Random that the machine needs."""

    def randint(self, a: int, b: int, /) -> int:
        """Return an integer N with a <= N <= b."""


class Membership:
    """One node's part; `now` is monotonic ns, `wall` seconds since 1970."""

    def __init__(
        self,
        *,
        name: str,
        uuid: bytes,
        generation: int,
        settings: HeartbeatSettings,
        random: Random,
        links: tuple[str, ...],
    ) -> None:
        self._name = name
        self._uuid = uuid
        self._settings = settings
        self._random = random
        self._voice = Voice(name, uuid, generation, len(settings.nodes) + settings.hopfudge)
        self._beat_at: Instant | None = None
        self._spoke: Instant = 0  # when we last beat
        keepalive, deadtime = settings.keepalive, settings.deadtime
        self._patient: Duration = deadtime - min(keepalive // 2, deadtime // 8)
        self._status = NodeStatus.INIT
        self._settled = False
        self._peers = {node: self._peer(node) for node in settings.nodes if node != name}
        self._nodes, self._removed = settings.nodes, settings.removed
        self._answered: dict[str, Instant] = {}
        self._due: Instant | None = None  # not later than anything is due; None: to be computed
        del links  # every link that a message comes over is known from then on

    @property
    def peers(self) -> tuple[Peer, ...]:
        """Return what is known of each other node, to be read only."""
        return tuple(self._peers.values())

    @property
    def _takes_in(self) -> bool:
        """Return whether who was not named may join by itself."""
        return self._settings.autojoin is not Autojoin.NONE

    @property
    def dead_at(self) -> Instant:
        """Return when we count as dead, if we do not beat before.

        A little less than a deadtime after we did: a heartbeat that leaves then may come too late.
        """
        if self._beat_at is None:
            return NEVER
        return self._spoke + self._patient

    # --- inputs ---------------------------------------------------------------------------------

    def start(self, now: Instant, wall: int) -> Effects:
        """Begin to beat."""
        self._due = None
        for peer in self._peers.values():
            peer.give_up_at = now + self._settings.initdead
        self._beat_at = now + self._settings.keepalive
        effects = self._beat(now, wall)
        self._status = NodeStatus.UP
        return effects + self._beat(now, wall) + self._settle()

    def greet(self, now: Instant, wall: int) -> Effects:
        """Beat once more, for somebody who cannot wait for the next heartbeat."""
        return [] if self._beat_at is None else self._beat(now, wall)

    def leave(self, now: Instant, wall: int) -> Effects:
        """Say that we leave in order, and fall silent."""
        self._beat_at = self._due = None
        own: Fields = (("t", "shutdone"), ("st", "dead"))
        return [self._voice.numbered(wall, own)]

    def submit(self, now: Instant, wall: int, payload: bytes, destination: str | None) -> Effects:
        """Send a payload to one node, or to all; raises OperationError when it is too large."""
        return [self._voice.numbered(wall, own, destination) for own in fragments(payload)]

    def wake(self, now: Instant) -> Effects:
        """Return Paused when our own heartbeats stayed away for so long that we count as dead.

        To be called before anything else that has come meanwhile is looked at.
        """
        if now < self.dead_at:
            return []
        self._due = None
        silence = now - self._spoke
        self._spoke = now
        self._beat_at = now
        for peer in self._peers.values():
            if peer.status is None:
                peer.give_up_at = now + self._settings.initdead
            elif peer.alive:
                peer.status = NodeStatus.DEAD  # Paused says it; heard again, it has healed
            for _, link in peer.up():
                link.up = False
        return [Paused(silence)]

    def on_timer(self, now: Instant, wall: int, load: str) -> Effects:
        """Beat, and judge every node's silence."""
        self._due = None
        self._voice.load = load
        effects = self.wake(now)
        if self._beat_at is not None and self._beat_at <= now:
            effects += self._beat(now, wall)
            missed = (now - self._beat_at) // self._settings.keepalive
            self._beat_at += (missed + 1) * self._settings.keepalive
        for peer in self._peers.values():
            effects += self._judge(now, wall, peer)
        return effects + self._settle()

    def on_message(self, now: Instant, wall: int, link: str, message: Message) -> Effects:
        """Take a message whose signature is good.

        After a pause it is not looked at, only Paused comes: it may be as old as the pause is long.
        """
        if paused := self.wake(now):
            return paused
        head = message.head
        source = head.source
        if source == self._name:
            return []  # our own broadcast
        peer = self._peers.get(source or "")
        if peer is None and source:
            peer = self._newcomer(now, source)
        if peer is None or head.kind is None:
            return [
                *self._refuse(now, wall, source),
                Dropped((source or "")[:64], Refusal.UNKNOWN_NODE),
            ]
        effects = self._hear(now, wall, link, peer, message)
        if self._due is not None:
            due = peer.deadline()
            if due is not None and due < self._due:
                self._due = due
        return effects

    def _hear(self, now: Instant, wall: int, link: str, peer: Peer, message: Message) -> Effects:
        """Take a message of a node that belongs here."""
        head = message.head
        kind, generation = head.kind, head.generation
        assert kind is not None, "messages without a kind are dropped"
        if generation is None or not head.timed:
            return [Dropped(peer.name, Refusal.INCOMPLETE)]
        if generation < peer.generation:
            return [Dropped(peer.name, Refusal.OLD_GENERATION)]
        if peer.status is NodeStatus.LEFT and generation == peer.generation:
            return [Dropped(peer.name, Refusal.DEPARTED)]
        effects: Effects = []
        if kind.startswith("NS_"):
            if generation == peer.generation and kind in REPAIRS:
                effects += self._control(now, wall, peer, kind, message)
            return effects + self._hear_link(now, peer, link, None)
        number = head.number
        if number is None:
            return [Dropped(peer.name, Refusal.INCOMPLETE)]
        if generation > peer.generation:
            effects += self._new_generation(now, peer, generation)
        arrival = peer.receiver.accept(now, number, message, self._patience())
        if arrival is Arrival.DUPLICATE:
            # The second link's copy of the latest proves that link; older ones may be replays.
            latest = peer.alive and number == peer.receiver.highest
            return effects + (self._hear_link(now, peer, link, number) if latest else [])
        effects += self._hear_link(now, peer, link, number)
        if kind == "status" and arrival is Arrival.NEW:
            effects += self._heartbeat(now, peer, message)
            if peer.refuses:
                # What ends it may have been lost for good, and is not said by itself again.
                effects.append(self._voice.numbered(wall, (("t", "reqnodes"),), peer.name))
        elif kind == "status" and peer.alive:
            peer.last_heartbeat = now  # overtaken by a later message, or sent again: it lives
        effects += self._in_order(now, wall, peer)
        if number % ACKNOWLEDGE_EVERY == peer.acknowledge and peer.receiver.complete:
            own: Fields = (("t", "NS_ackmsg"), ("dest", peer.name), ("ackseq", f"{number:x}"))
            effects.append(self._voice.control(wall, own))
        return effects + self._settle()

    def enroll(
        self, now: Instant, wall: int, nodes: tuple[str, ...], removed: tuple[str, ...]
    ) -> Effects:
        """The cluster has these nodes from now on; removed: who is not to come back by itself."""
        self._due = None
        effects: Effects = []
        for name in sorted(set(self._peers) - set(nodes)):
            if self._takes_in and name not in removed:
                continue  # it came by itself, and is on its way to be one
            peer = self._peers.pop(name)
            if peer.alive:
                effects += self._give_up(peer, Reason.REMOVED)
        self._nodes, self._removed = nodes, removed
        self._voice.ttl = len(nodes) + self._settings.hopfudge
        for name in nodes:
            if name in self._peers or name == self._name:
                continue
            peer = self._peers[name] = self._peer(name)
            peer.give_up_at = now + self._settings.initdead
            if self._settled:
                peer.status = NodeStatus.DEAD  # until it is heard: nobody waits for it
            effects.append(self._voice.nodes(wall, self._nodes, self._removed, name))
        return effects + self._settle()

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due, or a moment before that; NEVER is the end of time.

        What a node's heartbeat puts off is noticed only then: this is asked for at each datagram.
        """
        if self._due is None:
            due = earliest(self._beat_at, *(peer.deadline() for peer in self._peers.values()))
            self._due = NEVER if due is None else due
        return None if self._due == NEVER else self._due

    # --- who belongs here -----------------------------------------------------------------------

    def _newcomer(self, now: Instant, name: str) -> Peer | None:
        """Take in a node that nobody named, where that is allowed: its message was authentic."""
        if not self._takes_in or name in self._removed or not is_node_name(name):
            return None
        if len(self._peers) >= MAX_NODES:
            return None
        peer = self._peers[name] = self._peer(name)
        peer.give_up_at = now + self._settings.initdead
        self._due = None
        return peer

    def _refuse(self, now: Instant, wall: int, name: str | None) -> Effects:
        """Say to a node that does not belong here that it does not: it must not count us in."""
        if self._beat_at is None or not name or not is_node_name(name):
            return []
        if now < self._answered.get(name, now):
            return []
        if name not in self._answered and len(self._answered) >= MAX_NODES:
            self._answered.clear()
        self._answered[name] = now + self._settings.keepalive
        return [self._voice.nodes(wall, self._nodes, self._removed, name)]

    def _belong(self, peer: Peer, message: Message) -> Effects:
        """A node says who belongs to its cluster: where we do not, it does not hear us."""
        nodes = (message.text("nodelist") or "").split()
        removed = (message.text("delnodelist") or "").split()
        refused, peer.refuses = peer.refuses, self._name not in nodes or self._name in removed
        if not peer.refuses:
            # What it sent meanwhile was not taken.
            return [StreamReset(peer.name)] if refused else []
        if peer.alive or peer.status is None:
            return self._give_up(peer, Reason.REFUSES)
        return []

    def _give_up(self, peer: Peer, reason: Reason) -> Effects:
        peer.status = NodeStatus.DEAD
        effects = self._cut(peer)
        return [*effects, NodeChanged(peer.name, NodeStatus.DEAD, peer.generation, reason)]

    # --- liveness -------------------------------------------------------------------------------

    def _beat(self, now: Instant, wall: int) -> Effects:
        self._spoke = now
        own: Fields = (
            ("t", "status"),
            ("st", self._status.value),
            ("dt", f"{in_milliseconds(self._settings.deadtime):x}"),
            ("protocol", "1"),
        )
        return [self._voice.numbered(wall, own)]

    def _heartbeat(self, now: Instant, peer: Peer, message: Message) -> Effects:
        effects: Effects = []
        announced = parse_number(message.text("dt"), 16)
        if announced:
            peer.deadtime = min(milliseconds(announced), MAX_ANNOUNCED_DEADTIME)
        if peer.alive:
            silence = now - peer.last_heartbeat
            effects += peer.rhythm.beat(now, peer.name, silence, peer.deadtime)
        peer.last_heartbeat = now
        if peer.refuses:
            return effects  # nothing of ours gets through to it: it is not there for us
        try:
            status = NodeStatus(message.text("st"))
        except ValueError:
            status = NodeStatus.UP
        if status in (NodeStatus.DEAD, NodeStatus.LEFT):
            status = NodeStatus.UP  # it speaks
        if status is peer.status:
            return effects
        before, peer.status = peer.status, status
        healed = before is NodeStatus.DEAD and not peer.returned
        peer.returned = False
        reason = Reason.HEALED if healed else Reason.HEARD
        effects.append(NodeChanged(peer.name, status, peer.generation, reason))
        if healed:
            effects.append(StreamReset(peer.name))
        return effects

    def _new_generation(self, now: Instant, peer: Peer, generation: int) -> Effects:
        """The node has started (again): its numbers begin anew, what we had of it is void.

        That is news of its life, too: its first heartbeats may have been overtaken.
        """
        peer.last_heartbeat = now
        peer.generation = generation
        peer.refuses = False
        peer.receiver = self._receiver()
        for link in peer.links.values():
            link.restart()
        if not peer.alive:
            peer.returned = True
            if peer.status is NodeStatus.LEFT:
                peer.status = NodeStatus.DEAD  # until its first heartbeat
            return []
        assert peer.status is not None, "an alive node has a status"
        changed = NodeChanged(peer.name, peer.status, generation, Reason.RESTARTED)
        return [changed, StreamReset(peer.name)]

    def _judge(self, now: Instant, wall: int, peer: Peer) -> Effects:
        effects: Effects = []
        if peer.status is None and peer.give_up_at <= now:
            peer.status = NodeStatus.DEAD
            effects.append(NodeChanged(peer.name, NodeStatus.DEAD, 0, Reason.NEVER_HEARD))
        if not peer.alive and not peer.refuses:
            return effects
        for name, link in peer.up():
            if link.heard + peer.deadtime <= now:
                link.up = False
                effects.append(LinkChanged(peer.name, name, False))
        if peer.alive and peer.last_heartbeat + peer.deadtime <= now:
            return effects + self._give_up(peer, Reason.SILENT)
        for number in peer.receiver.requests(now):
            own: Fields = (
                ("t", "NS_rexmit"),
                ("dest", peer.name),
                ("firstseq", str(number)),  # decimal, unlike all other numbers
                ("lastseq", str(number)),
            )
            effects.append(self._voice.control(wall, own))
        if peer.receiver.lost:
            effects += peer.rhythm.lose(now, peer.name, peer.receiver.lost)
            peer.receiver.lost = 0
        return effects + self._in_order(now, wall, peer)

    def _hear_link(self, now: Instant, peer: Peer, name: str, number: int | None) -> Effects:
        link = peer.links.get(name)
        if link is None:
            link = peer.links[name] = Link(now, up=False)
        if number is not None:
            link.count(number)
        if not link.up:
            link.up, link.heard = True, now
            return [LinkChanged(peer.name, name, True)]
        link.longest = max(link.longest, now - link.heard)
        link.heard = now
        return []

    @staticmethod
    def _cut(peer: Peer) -> Effects:
        """Nothing comes from a node any more, over none of its links."""
        names = sorted(name for name, _ in peer.up())
        for name in names:
            peer.links[name].up = False
        return [LinkChanged(peer.name, name, False) for name in names]

    def _settle(self) -> Effects:
        if self._settled or any(peer.status is None for peer in self._peers.values()):
            return []
        self._settled = True
        self._status = NodeStatus.ACTIVE
        return [Settled()]

    # --- messages -------------------------------------------------------------------------------

    def _in_order(self, now: Instant, wall: int, peer: Peer) -> Effects:
        effects: Effects = self._broken(peer)
        for message in peer.receiver.in_order():
            kind = message.head.kind
            if kind == "status":
                continue  # counted when it came
            if message is LOST:
                if effects[-1:] != [StreamReset(peer.name)]:  # many are given up at once
                    effects.append(StreamReset(peer.name))
                continue
            if kind == "shutdone":
                peer.status = NodeStatus.LEFT
                self._cut(peer)
                changed = NodeChanged(peer.name, NodeStatus.LEFT, peer.generation, Reason.LEFT)
                effects.append(changed)
            elif not self._for_us(message):
                continue
            elif kind == PAYLOAD_TYPE:
                payload = peer.receiver.assemble(message)
                if payload is not None and not peer.refuses:
                    effects.append(Deliver(peer.name, peer.generation, payload))
            elif kind == "reqnodes":
                effects.append(self._voice.nodes(wall, self._nodes, self._removed, peer.name))
            elif kind == "repnodes":
                effects += self._belong(peer, message)
        return effects

    def _control(self, now: Instant, wall: int, peer: Peer, kind: str, message: Message) -> Effects:
        if not self._for_us(message):
            return []
        if kind == "NS_nak_rexmit":
            lost = parse_number(message.text("firstseq"), 16)
            if lost is not None:
                peer.receiver.give_up(lost)
                return self._in_order(now, wall, peer)
        if kind == "NS_rexmit":
            first = parse_number(message.text("firstseq"), 10)
            last = parse_number(message.text("lastseq"), 10)
            if first is not None and last is not None:
                return list(self._voice.again(now, wall, peer.name, first, last))
        return []

    def _broken(self, peer: Peer) -> Effects:
        if not peer.receiver.broken:
            return []
        peer.receiver.broken = False
        return [StreamReset(peer.name)]

    def _for_us(self, message: Message) -> bool:
        uuid = message.binary("destuuid")
        if uuid is not None and any(uuid):
            return uuid == self._uuid
        destination = message.text("dest")
        return destination is None or destination == self._name

    def _patience(self) -> Duration:
        return milliseconds(self._random.randint(MIN_PATIENCE_MS, MAX_PATIENCE_MS))

    def _peer(self, name: str) -> Peer:
        settings = self._settings
        rhythm = Rhythm(settings.keepalive, settings.warntime)
        acknowledge = self._random.randint(0, ACKNOWLEDGE_EVERY - 1)
        return Peer(name, settings.deadtime, self._receiver(), rhythm, acknowledge)

    def _receiver(self) -> Receiver:
        return Receiver(self._settings.max_rexmit_delay)
