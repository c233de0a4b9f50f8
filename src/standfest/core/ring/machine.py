"""A process group on a ring as the cluster daemon knows `pulse`: heard, lost, reset, settled.

What the group, the ring and the votes report comes in any order between them, so nothing is told
from a single report: the view is told again from what is known whenever something changes, and
only when the votes have judged the ring that it belongs to. So no node is given up in a partition
that has just lost its quorum, and no quorum is told before the nodes that bring it.
Source: ours (docs/adr/0031); cpg_overview(3) for what a group promises.
"""

from collections import deque
from dataclasses import dataclass, field

from standfest.core.ring.effects import (
    Deliver,
    Departed,
    Dropped,
    Effects,
    Heard,
    Isolated,
    Lost,
    Multicast,
    Mute,
    Reset,
    Settled,
    Unnamed,
    Verdict,
)
from standfest.core.ring.fragments import Assembly, cut
from standfest.model.errors import OperationError
from standfest.model.ring import (
    Absence,
    Beat,
    Farewell,
    Fragment,
    GroupChanged,
    GroupMessage,
    Process,
    QuorumChanged,
    RingChanged,
)
from standfest.model.time import Duration, Instant, earliest, seconds

FRAGMENT_BYTES = 64 * 1024
BEATS = 8
"""So many messages to ourselves are sent in the time after which others give us up."""
RESTART_WAIT: Duration = seconds(2)
"""How long a node's process may be away before its cluster daemon counts as gone."""
VOTES_WAIT: Duration = seconds(2)
"""How long the votes may take to judge a new ring; then it has no quorum."""
CONNECT_WAIT: Duration = seconds(3)
"""How long a missing corosync is waited for before everything is let go."""
SETTLE_WAIT: Duration = seconds(10)
"""How long a new ring without quorum waits for others before it counts as all there is."""
GATHER_WAIT: Duration = seconds(3)
"""How long nodes that are in the ring may take to join the group before they count as absent."""
FAREWELL_WAIT: Duration = seconds(2)
MAX_HELD = 100_000
"""Messages that may wait for the votes; more means that something never ends."""


Names = tuple[tuple[int, str], ...]
"""Node numbers with the names that they have in corosync's nodelist."""


@dataclass(slots=True)
class Peer:
    """A node that the cluster daemon was told of; pid 0 while its process is away."""

    pid: int
    since: int
    assembly: Assembly = field(default_factory=Assembly)
    mute_at: Instant | None = None
    mute: bool = False


class Ring:
    """All inputs take `now` and return effects."""

    def __init__(self, now: Instant) -> None:
        """Begin without a connection; for `CONNECT_WAIT` nothing is made of that."""
        self.connected = False
        self.why_cut = ""
        self._me = 0
        self._names: dict[int, str] = {}
        self._has_votes = True
        self._patience: Duration = seconds(6)
        self._forget_ring()
        self._told_sequence = 0
        self._verdict: Verdict | None = None
        self._isolated = False
        self._settled = False
        self._settle_by: Instant | None = now + CONNECT_WAIT
        self._message = 0
        self._number = self._beat_needed = 0
        self._beat_at: Instant | None = None
        self._heard_ourselves: Instant = now
        self._leave_by: Instant | None = None

    def _forget_ring(self) -> None:
        self._sequence = self._needed = 0
        self._nodes: frozenset[int] = frozenset()
        self._votes: QuorumChanged | None = None
        self._group: dict[int, int] = {}
        self._peers: dict[int, Peer] = {}
        self._gone: set[int] = set()
        self._left: set[Process] = set()
        self._held: deque[tuple[Process, GroupMessage]] = deque()
        self._votes_by: Instant | None = None
        self._gather_by: Instant | None = None
        self._asked_names: frozenset[int] = frozenset()

    # --- what others may want to know -----------------------------------------------------------

    @property
    def nodes(self) -> dict[str, str]:
        """Return every node of the list and how it stands, for `standfest status --links`."""
        return {name: self._standing(node) for node, name in sorted(self._names.items())}

    def _standing(self, node: int) -> str:
        if node == self._me:
            return "active" if self.connected and not self.why_cut else "cut off"
        peer = self._peers.get(node)
        if peer is not None:
            return "active" if peer.pid else "without daemon"
        return "only corosync" if node in self._nodes else "dead"

    @property
    def quorate(self) -> bool:
        """Return what the cluster daemon has been told of the votes."""
        return self._verdict is not None and self._verdict.quorate

    def picture(self) -> Effects:
        """Return all that has been told so far, for a cluster daemon that begins or comes back."""
        effects: Effects = [] if self._verdict is None else [self._verdict]
        effects.append(Isolated(self._isolated))
        if self._sequence and not self.why_cut:
            missing = self._names.keys() - self._nodes - {self._me}
            effects += [Lost(self._names[node], False) for node in sorted(missing)]
        for node, peer in sorted(self._peers.items()):
            effects.append(Heard(self._names[node]))
            if peer.mute:
                effects.append(Mute(self._names[node]))
        return [*effects, Settled()] if self._settled else effects

    # --- what corosync reports ------------------------------------------------------------------

    def connect(
        self,
        now: Instant,
        me: int,
        names: Names,
        *,
        patience: Duration,
        has_votes: bool,
    ) -> Effects:
        """We are in the group; what it and the ring are comes next."""
        self._forget_ring()
        self._me, self._names = me, dict(names)
        self._patience, self._has_votes = patience, has_votes
        self.connected, self.why_cut = True, ""
        self._settle_by = None if self._settled else now + SETTLE_WAIT
        self._gather_by = now + GATHER_WAIT
        self._votes_by = now + VOTES_WAIT
        self._heard_ourselves = self._beat_at = now
        return []

    def disconnect(self, now: Instant, why: str) -> Effects:
        """Corosync is gone: so is everybody."""
        if not self.connected:
            return []
        self.connected = False
        self._beat_at = None
        return self._cut(now, why)

    def name(self, now: Instant, names: Names) -> Effects:
        """The list of nodes was read again."""
        self._names |= dict(names)
        return self._view(now)

    def ring(self, now: Instant, change: RingChanged) -> Effects:
        """The ring has changed."""
        joined = frozenset(change.nodes) - self._nodes
        self._sequence, self._nodes = change.sequence, frozenset(change.nodes)
        self._needed = max(self._needed, change.sequence)
        if joined:
            self._gather_by = now + GATHER_WAIT
        self._votes_by = now + VOTES_WAIT
        return self._view(now)

    def group(self, now: Instant, change: GroupChanged) -> Effects:
        """The group has changed."""
        for process, absence in change.gone:
            if absence is Absence.NODE_DOWN:
                self._gone.add(process.node)
                if process.node in self._nodes:  # the ring without it has not been told yet
                    self._needed = max(self._needed, self._sequence + 1)
                    self._votes_by = now + VOTES_WAIT
        self._group = {process.node: process.pid for process in change.members}
        self._left &= set(change.members)
        return self._view(now)

    def quorum(self, now: Instant, change: QuorumChanged) -> Effects:
        """The votes have judged a ring, perhaps one that is told only after this."""
        self._votes = change
        if change.sequence > self._sequence:
            self._votes_by = now + VOTES_WAIT
        return self._view(now)

    def receive(self, now: Instant, sender: Process, message: GroupMessage) -> Effects:
        """A message of a member, perhaps our own."""
        if sender.node == self._me:
            return self._own(now, message)
        if self._held or not self._ready(now) or self._to_come(sender):
            if len(self._held) >= MAX_HELD:
                return [Dropped("ring-held")]
            self._held.append((sender, message))
            return []
        return self._take(sender, message)

    # --- what the cluster daemon wants ----------------------------------------------------------

    def submit(self, now: Instant, payload: bytes, destination: str) -> Effects:
        """Send to a node, or to all when it is empty; raises OperationError for an unknown one."""
        if not self.connected or self.why_cut:
            return []  # whoever asked has been told that nobody is there
        number = 0
        if destination:
            known = {name: node for node, name in self._names.items()}
            if destination not in known:
                raise OperationError(f"no node {destination} in corosync's nodelist")
            number = known[destination]
        self._message += 1
        parts = cut(
            payload,
            FRAGMENT_BYTES,
            ring=self._told_sequence,
            destination=number,
            message=self._message,
        )
        return [Multicast(part) for part in parts]

    def leave(self, now: Instant) -> Effects:
        """Say that this node has handed over everything; Departed when all know."""
        if not self.connected or self.why_cut:
            return [Departed()]
        self._leave_by = now + FAREWELL_WAIT
        return [Multicast(Farewell())]

    # --- time -----------------------------------------------------------------------------------

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        waits = [peer.mute_at for peer in self._peers.values()]
        return earliest(
            *waits,
            self._beat_at,
            self._votes_by,
            self._gather_by,
            self._settle_by,
            self._leave_by,
        )

    def on_timer(self, now: Instant) -> Effects:
        """Do what is due."""
        effects: Effects = []
        if self._settle_by is not None and self._settle_by <= now:
            self._settle_by = None
            if not self.connected:
                effects += [*self._cut(now, "no-corosync"), *self._settle()]
        if self._leave_by is not None and self._leave_by <= now:
            self._leave_by = None
            effects.append(Departed())
        if self._beat_at is not None and self._beat_at <= now:
            effects += self._beat(now, late=now - self._beat_at)
        effects += self._view(now)
        for name in ("_votes_by", "_gather_by"):
            at = getattr(self, name)
            if at is not None and at <= now:
                setattr(self, name, None)
        return effects

    def _beat(self, now: Instant, *, late: Duration) -> Effects:
        """Speak to ourselves; judge whether we still hear ourselves, and whether we stood still."""
        effects: Effects = []
        if late > self._patience:
            effects += self._cut(now, "paused")
        elif now - self._heard_ourselves > 2 * self._patience:
            # While a ring is formed anew nothing is carried for `patience`, for twice that when
            # another node fails meanwhile.
            effects += self._cut(now, "ring-silent")
        self._beat_at = now + self._patience // BEATS
        self._number += 1
        return [*effects, Multicast(Beat(self._number))]

    def stall(self, now: Instant) -> Effects:
        """Corosync does not answer at all: whether others still have us is not known."""
        return self._cut(now, "corosync-hangs") if self.connected else []

    # --- telling --------------------------------------------------------------------------------

    def _cut(self, now: Instant, why: str) -> Effects:
        """Everybody may be acting without us: say so, and hear nobody until we hear ourselves."""
        self.why_cut = why
        self._beat_needed = self._number + 1
        effects: Effects = self._say_verdict(quorate=False, reason=why)
        if not self._isolated:
            self._isolated = True
            effects.append(Isolated(True))
        for node in sorted(self._peers):
            effects.append(Lost(self._names[node], False))
        self._peers.clear()
        self._held.clear()
        if self._leave_by is not None:
            self._leave_by = now
        return effects

    def _own(self, now: Instant, message: GroupMessage) -> Effects:
        match message:
            case Beat(number):
                self._heard_ourselves = now
                if self.why_cut and self.connected and number >= self._beat_needed:
                    self.why_cut = ""
                    return self._view(now)
                return []
            case Farewell():
                if self._leave_by is None:
                    return []
                self._leave_by = None
                return [Departed()]
            case Fragment():
                return []

    def _ready(self, now: Instant) -> bool:
        """Return whether what is known belongs together: the votes have judged this ring."""
        if not self.connected or self.why_cut or not self._sequence or self._me not in self._group:
            return False
        return self._judged or self._votes_by is None or self._votes_by <= now

    @property
    def _judged(self) -> bool:
        """Return whether the votes speak of the ring that was told last."""
        if not self._has_votes:
            return self._needed <= self._sequence
        votes = self._votes
        return votes is not None and self._needed <= votes.sequence == self._sequence

    def _quorate(self) -> tuple[bool, str]:
        if not self._has_votes:
            known = self._names.keys() | {self._me}
            return 2 * len(self._nodes & known) > len(known), "no-majority"
        if self._votes is None or not self._judged:
            return False, "no-votes"
        return self._votes.quorate, "no-quorum"

    def _gathered(self, now: Instant) -> bool:
        """Return whether every node of the ring is in the group, or had its time to join."""
        if self._nodes <= self._group.keys() or self._gather_by is None:
            return True
        return self._gather_by <= now

    def _view(self, now: Instant) -> Effects:
        effects: Effects = []
        if self._votes is not None and not self._votes.quorate and self.connected:
            # Bad news at once; good news only with the nodes that bring it.
            effects += self._say_verdict(quorate=False, reason=self.why_cut or "no-quorum")
        if not self._ready(now):
            return effects
        quorate, reason = self._quorate()
        if not quorate:
            effects += self._say_verdict(quorate=False, reason=reason)
        effects += self._losses(now)
        self._told_sequence = self._sequence
        effects += self._arrivals()
        while self._held and not self._to_come(self._held[0][0]):
            effects += self._take(*self._held.popleft())
        if not self._gathered(now):
            return effects
        if quorate:
            effects += self._say_verdict(quorate=True, reason="")
        if self._isolated:
            self._isolated = False
            effects.append(Isolated(False))
        if quorate or self._settle_by is None:
            effects += self._settle()
        return effects

    def _losses(self, now: Instant) -> Effects:
        effects: Effects = []
        for node, peer in sorted(self._peers.items()):
            if node in self._gone or node not in self._nodes:
                del self._peers[node]
                effects.append(Lost(self._names[node], False))
            elif node not in self._group:
                if peer.pid:
                    peer.pid, peer.mute_at = 0, now + RESTART_WAIT
                elif peer.mute_at is not None and peer.mute_at <= now:
                    peer.mute_at, peer.mute = None, True
                    effects.append(Mute(self._names[node]))
        self._gone.clear()
        return effects

    def _arrivals(self) -> Effects:
        effects: Effects = []
        unnamed = frozenset(self._group.keys() - self._names.keys())
        if unnamed != self._asked_names:
            self._asked_names = unnamed
            if unnamed:
                effects.append(Unnamed(tuple(sorted(unnamed))))
        for node, pid in sorted(self._group.items()):
            if node == self._me or node not in self._nodes or node in unnamed:
                continue
            if Process(node, pid) in self._left:
                continue
            peer = self._peers.get(node)
            if peer is None:
                self._peers[node] = Peer(pid, self._sequence)
                effects.append(Heard(self._names[node]))
            elif peer.pid != pid:
                self._peers[node] = Peer(pid, peer.since)
                effects.append(Reset(self._names[node]))
        return effects

    def _to_come(self, sender: Process) -> bool:
        """Return whether a member is in the group, but not yet in the ring that was told last."""
        return sender.node not in self._nodes and self._group.get(sender.node) == sender.pid

    def _take(self, sender: Process, message: GroupMessage) -> Effects:
        peer = self._peers.get(sender.node)
        if peer is None or peer.pid != sender.pid:
            return [] if isinstance(message, Beat) else [Dropped("ring-stranger")]
        match message:
            case Beat():
                return []
            case Farewell():
                self._left.add(sender)
                del self._peers[sender.node]
                return [Lost(self._names[sender.node], True)]
            case Fragment(ring=ring, destination=destination):
                if destination not in (0, self._me):
                    return []
                if ring < peer.since:
                    return [Dropped("ring-stale")]  # meant for the ring in which we had lost it
                broken = peer.assembly.broken
                payload = peer.assembly.add(message)
                if peer.assembly.broken > broken:
                    return [Dropped("ring-parts")]
                return [] if payload is None else [Deliver(self._names[sender.node], payload)]

    def _say_verdict(self, *, quorate: bool, reason: str) -> Effects:
        verdict = Verdict(quorate, reason)
        if self._verdict == verdict or (
            self._verdict is not None and not quorate and not self._verdict.quorate
        ):
            return []
        self._verdict = verdict
        return [verdict]

    def _settle(self) -> Effects:
        if self._settled:
            return []
        self._settled = True
        return [Settled()]
