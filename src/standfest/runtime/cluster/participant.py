"""One node's cluster daemon without I/O: carries each machine's effects to the next one's input.

Every member elects, keeps a replica of the CIB and executes; the coordinator's half exists while
this node leads. The same object runs in the daemon and in the simulator.
"""

from collections import deque
from itertools import count

from standfest.core.cib.document import Cib, rank
from standfest.core.cib.replica import Replica, Sync, Update
from standfest.core.executor.machine import Executor
from standfest.core.fencing.hand import Hand
from standfest.core.membership.election import (
    Elected,
    Election,
    ElectionEffect,
    Hello,
    Promised,
    SayHello,
)
from standfest.model.fencing import FencingRecord
from standfest.model.quorum import QuorumWord
from standfest.model.time import Duration, Instant, earliest, in_milliseconds, seconds
from standfest.ports.agents import RunEnded
from standfest.ports.fencing import FenceEnded
from standfest.runtime.cluster import protocol
from standfest.runtime.cluster.asks import Asks
from standfest.runtime.cluster.conditions import Conditions
from standfest.runtime.cluster.coordinator import Coordinator
from standfest.runtime.cluster.dispatch import to_coordinator
from standfest.runtime.cluster.effects import (
    Answer,
    LeaveCluster,
    Level,
    MemberEffect,
    Save,
    Send,
    note,
)
from standfest.runtime.cluster.partition import Partition
from standfest.runtime.cluster.settings import FOLLOW_TIMEOUT, MAX_LOCAL_STEPS, ClusterSettings
from standfest.runtime.cluster.surrender import Surrender
from standfest.runtime.cluster.translate import executed, handed, obeyed, replicated

Effects = list[MemberEffect]


class Participant:
    """All inputs take `now` (monotonic ns) and `wall` (seconds since 1970) and return effects."""

    def __init__(
        self,
        settings: ClusterSettings,
        session: int,
        cib: Cib,
        promised: tuple[int, str] = (0, ""),
        now: Instant = 0,
    ) -> None:
        self.settings = settings
        self.name = settings.name
        self.replica = Replica(cib)
        self.election = Election(self.name, session, promised)
        self.election.rank = self.replica.rank
        self.executor = Executor()
        self.hand = Hand()
        self.fenced: tuple[FencingRecord, ...] | None = None
        self.partition = Partition(settings, now, cib.configuration)
        self.coordinator: Coordinator | None = None
        self._heard: set[str] = set()
        self._leads: dict[str, protocol.Lead] = {}
        self._synchronised = False
        self._follow_until: Instant | None = None
        self.conditions = Conditions(settings.pinging)
        self._asks = Asks()
        self._departing = False
        self._depart_again: Instant | None = None
        self._rejoin_at: Instant | None = None
        self._surrender: Surrender | None = None
        self._joined = (0, 0)  # term, invitation
        self._sessions: dict[str, int] = {}
        self._numbers = count(1)

    # --- what the daemon may want to know -------------------------------------------------------

    @property
    def cib(self) -> Cib:
        """Return this node's copy of the CIB."""
        return self.replica.cib

    @property
    def leader(self) -> str:
        """Return the coordinator's name, or the empty string while there is none."""
        return self.election.coordinator

    @property
    def synchronised(self) -> bool:
        """Return whether this copy of the CIB is the coordinator's."""
        if self.coordinator is not None:
            return self.coordinator.ledger.serving
        return self._synchronised

    def devices(self) -> tuple[str, ...]:
        """Return the network devices that carry cluster addresses."""
        return self.partition.devices

    # --- what `pulse` reports -------------------------------------------------------------------

    def settle(self, now: Instant, wall: int) -> Effects:
        """All nodes have been heard, or given up."""
        return self._run(now, wall, self._elect(now, wall, self.election.settle(now)))

    def appear(self, now: Instant, wall: int, node: str) -> Effects:
        """A node is heard; again when `pulse` was restarted and hears it anew."""
        if node in self._heard:
            return self.reset(now, wall, node)
        self._heard.add(node)
        if self._alone:
            return []  # an old packet: no cable is plugged in; or we have not given up all yet
        return self._run(now, wall, self._appeared(now, wall, node))

    def vanish(self, now: Instant, wall: int, node: str, *, left: bool) -> Effects:
        """A node is dead, or has left in order; nothing new for an isolated node."""
        known, alone, effects = node in self._heard, self._alone, list[MemberEffect]()
        self._heard.discard(node)
        if known and not alone:
            effects = self._vanished(now, wall, node, left=left)
        elif left and not alone and self.coordinator is not None:  # heard for its goodbye only
            effects = self.coordinator.lose(now, wall, node, left=True)
        self.partition.left |= {node} if left else set()
        return self._run(now, wall, effects)

    def reset(self, now: Instant, wall: int, node: str) -> Effects:
        """Messages between us and a node may have been lost: state everything again."""
        effects: Effects = [note("stream-reset", node=node)]
        if self.coordinator is not None:
            effects += self.coordinator.invite(node)
        elif node == self.leader:
            self._synchronised, self._follow_until = False, now
            self._leads.pop(node, None)  # orders may be lost: it has to call us again
        return self._run(now, wall, effects)

    def receive(
        self, now: Instant, wall: int, sender: str, message: protocol.ClusterMessage
    ) -> Effects:
        """A message of another member's cluster daemon."""
        return self._run(now, wall, self._dispatch(now, wall, sender, message))

    def paused(self, now: Instant, wall: int, duration: Duration) -> Effects:
        """This node stood still for so long: the others have declared it dead and recovered.

        It owns nothing any more. Addresses are released first, then everything is stopped in
        order; when nothing is left it joins whoever is heard. Nobody is, until `appear` says so.
        """
        effects: Effects = [note("paused", Level.WARNING, ms=in_milliseconds(duration))]
        if len(self.partition.roster.nodes) == 1:
            return effects
        others = sorted(self._heard)
        self._heard.clear()
        if self._surrender is not None:
            return effects  # both daemons noticed the same pause: it is being given up already
        until = now + self.settings.initdead
        self._surrender = Surrender(self.name, self.executor, until, duration)
        effects += self._surrender.begin(now, wall, self.partition.configuration)
        return self._run(now, wall, effects + self._isolate(now, wall, others, "paused"))

    def carrier(self, now: Instant, wall: int, down: tuple[str, ...], *, isolated: bool) -> Effects:
        """The devices without carrier; isolated: no device of this node has one.

        An isolated node lets go of everything at once, before the others miss its heartbeats and
        take over. When a cable is back it waits until it hears somebody, or for `initdead`.
        """
        self.conditions.down = down
        effects: Effects = []
        if isolated and (not self.partition.isolated or self._rejoin_at is not None):
            effects.append(note("isolated", Level.WARNING))
            self._surrender = None
            effects += self._isolate(now, wall, sorted(self._heard), "isolated")
        elif not isolated and self._alone and self._surrender is None:
            effects += self._listen(now, wall, self.settings.initdead)
        return self._run(now, wall, effects + self.conditions.links(self.leader))

    def pinged(
        self, now: Instant, wall: int, reached: tuple[str, ...], lost: tuple[str, ...]
    ) -> Effects:
        """The ping nodes that this node reaches, and those that it does not."""
        self.conditions.reached, self.conditions.lost = reached, lost
        return self._run(now, wall, self.conditions.reach(self.leader))

    def _appeared(self, now: Instant, wall: int, node: str) -> Effects:
        effects: Effects = [note("member-heard", node=node), *self.partition.appear(now, node)]
        if self.coordinator is not None:
            effects += self.coordinator.hear(now, wall, node)
        effects += self._elect(now, wall, self.election.appear(now, node))
        return effects + self._rejoin(now, wall)

    def _vanished(self, now: Instant, wall: int, node: str, *, left: bool) -> Effects:
        self._leads.pop(node, None)
        event = "member-left" if left else "member-lost"
        effects: Effects = [note(event, Level.INFO if left else Level.WARNING, node=node)]
        effects += self.partition.vanish(now, node, left=left)
        if self.coordinator is not None:
            effects += self.coordinator.lose(now, wall, node, left=left)
        return effects + self._elect(now, wall, self.election.vanish(now, node))

    @property
    def _alone(self) -> bool:
        """Return whether nobody counts as heard: without a cable, or before all is given up."""
        return self.partition.isolated and self._rejoin_at is None

    def _isolate(self, now: Instant, wall: int, others: list[str], why: str) -> Effects:
        self.partition.isolated, self._rejoin_at = True, None
        effects: Effects = []
        if self.coordinator is not None:
            effects += self.coordinator.judge(now, wall, why)
        for node in others:
            effects += self._vanished(now, wall, node, left=False)
        return effects

    def _listen(self, now: Instant, wall: int, patience: Duration) -> Effects:
        """Isolation may end: when somebody is heard, at the latest after `patience`."""
        self._surrender, self._rejoin_at = None, now + patience
        return [e for node in sorted(self._heard) for e in self._appeared(now, wall, node)]

    def _rejoin(self, now: Instant, wall: int) -> Effects:
        """Isolation is over: somebody is heard again, or there is nobody."""
        if not self.partition.isolated:
            return []
        self.partition.isolated, self._rejoin_at = False, None
        if self.coordinator is None:
            return []
        return self.coordinator.judge(now, wall, "link is back")

    # --- quorum ---------------------------------------------------------------------------------

    def tell(self, now: Instant, wall: int, word: QuorumWord) -> Effects:
        """Something that quorum depends on is so now; acted on at once."""
        return self._judged(now, wall, self.partition.tell(now, word))

    def expire(self, now: Instant, wall: int) -> Effects:
        """To be called before any other input: quorum that rests on a promise may be over."""
        return self._judged(now, wall, self.partition.on_timer(now))

    def _judged(self, now: Instant, wall: int, news: Effects) -> Effects:
        if news and self.coordinator is not None:
            news = news + self.coordinator.judge(now, wall, "votes")
        return self._run(now, wall, news) if news else []

    # --- what happens on this node --------------------------------------------------------------

    def run_ended(self, now: Instant, wall: int, ended: RunEnded) -> Effects:
        """An agent's process has ended."""
        effects = self.executor.on_run_ended(
            now, wall, ended.run, ended.exit_code, ended.reason, ended.killed
        )
        return self._run(now, wall, executed(self.name, self.leader, effects))

    def fence_ended(self, now: Instant, wall: int, ended: FenceEnded) -> Effects:
        """A fence agent's process has ended."""
        told = self.hand.on_ended(ended.number, succeeded=ended.succeeded, reason=ended.reason)
        return self._run(now, wall, handed(self.leader, told))

    def ask(self, now: Instant, wall: int, client: int, request: protocol.Request) -> Effects:
        """An administrator on this node wants something."""
        if not self.leader:
            return [Answer(client, False, "no coordinator yet; try again in a few seconds")]
        asked = protocol.Ask(self._asks.begin(now, client), request)
        return self._run(now, wall, [Send(self.leader, asked)])

    def depart(self, now: Instant, wall: int) -> Effects:
        """This node shall leave in order: hand over, then LeaveCluster."""
        self._departing = True
        return self._run(now, wall, [note("departing"), *self._depart(now)])

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        return earliest(
            self.election.deadline(),
            self.executor.deadline(),
            self.hand.deadline(),
            self.partition.quorum.deadline(),
            self.coordinator.deadline() if self.coordinator is not None else None,
            self._follow_until,
            self._depart_again,
            self._rejoin_at,
            self._surrender.until if self._surrender is not None else None,
            self._asks.deadline(),
        )

    def on_timer(self, now: Instant, wall: int) -> Effects:
        """Do what is due."""
        effects = self._judged(now, wall, self.partition.on_timer(now))
        effects += executed(self.name, self.leader, self.executor.on_timer(now, wall))
        effects += handed(self.leader, self.hand.on_timer(now))
        at = self.election.deadline()
        if at is not None and at <= now:
            effects += self._elect(now, wall, self.election.on_timer(now))
        if self.coordinator is not None:
            effects += self.coordinator.on_timer(now, wall)
        if self._follow_until is not None and self._follow_until <= now:
            effects += self._follow_again(now, wall)
        if self._depart_again is not None and self._depart_again <= now:
            effects += self._depart(now)
        if self._rejoin_at is not None and self._rejoin_at <= now:
            effects += self._rejoin(now, wall)
        return self._run(now, wall, [*effects, *self._asks.on_timer(now)])

    # --- messages -------------------------------------------------------------------------------

    def _dispatch(
        self, now: Instant, wall: int, sender: str, message: protocol.ClusterMessage
    ) -> Effects:
        if isinstance(message, Sync | Update | protocol.Order):
            joined = sender == self.leader and message.term == self._joined[0]
            if not joined or self.election.promised != (message.term, sender):
                return []
            return self._obey(now, wall, sender, message)
        match message:
            case Hello():
                return self._hear_hello(now, wall, sender, message)
            case protocol.Lead():
                return self._hear_lead(now, wall, sender, message)
            case protocol.Gone():
                return self._hear_gone(now, wall, sender)
            case protocol.Told():
                return [*self._asks.told(message)]
            case protocol.Released():
                return self._leave() if self._departing and sender == self.leader else []
            case _:
                if self.coordinator is None:
                    return []
                return to_coordinator(self.coordinator, now, wall, sender, message)

    def _obey(
        self, now: Instant, wall: int, sender: str, message: Sync | Update | protocol.Order
    ) -> Effects:
        match message:
            case protocol.Execute() | protocol.Cancel() | protocol.Forget() | protocol.Fail():
                return obeyed(self.name, self.executor, self.leader, now, wall, message)
            case protocol.Fence(term, run, call):
                return handed(self.leader, self.hand.begin(now, term, run, call))
            case protocol.FencingHistory(records=records):
                self.fenced = records
                return []
            case Update():
                if sender == self.name or not self._synchronised:
                    return []
                changed = self.replica.receive_update(message, sender)
                return replicated(changed, self.election.promised)
            case Sync():
                self._synchronised = True
                self._follow_until = None
                if sender == self.name:
                    return []
                changed = self.replica.receive_sync(message, sender)
                return replicated(changed, self.election.promised)

    def _hear_hello(self, now: Instant, wall: int, sender: str, hello: Hello) -> Effects:
        effects: Effects = []
        known = self._sessions.get(sender, hello.session)
        self._sessions[sender] = hello.session
        if self.coordinator is not None and known != hello.session:
            effects += self.coordinator.abandon(now, wall, sender, restarted=True)
        effects += self._elect(now, wall, self.election.hear(now, sender, hello))
        if self.coordinator is not None and (
            hello.seeking or sender not in self.coordinator.ledger.joined
        ):
            effects += self.coordinator.invite(sender, lost=hello.seeking)
        return effects

    def _hear_lead(self, now: Instant, wall: int, sender: str, lead: protocol.Lead) -> Effects:
        self._leads[sender] = lead
        if sender == self.name:
            return self._join(now, wall)
        effects = self._elect(now, wall, self.election.acknowledge(now, sender, lead.term))
        following = self.leader == sender and self.coordinator is None
        term, invitation = self._joined
        if following and (lead.term != term or lead.invitation > invitation):
            effects += self._join(now, wall)
        return effects

    def _hear_gone(self, now: Instant, wall: int, sender: str) -> Effects:
        effects: Effects = [note("member-without-cluster", Level.WARNING, node=sender)]
        self._leads.pop(sender, None)
        if self.coordinator is not None:
            effects += self.coordinator.abandon(now, wall, sender)
        return effects + self._elect(now, wall, self.election.abandon(now, sender))

    # --- election and joining -------------------------------------------------------------------

    def _elect(self, now: Instant, wall: int, wanted: list[ElectionEffect]) -> Effects:
        effects: Effects = []
        for effect in wanted:
            match effect:
                case SayHello(hello, destination):
                    effects.append(Send(destination, hello))
                case Promised():
                    effects.append(Save(self.cib, self.election.promised))
                case Elected(node, term, mine):
                    effects.append(note("elected", node=node, term=term))
                    self._synchronised = False
                    self._joined = (0, 0)
                    self.coordinator = None
                    if mine:
                        self._follow_until = None
                        known = self.settings, term, self.replica, self.partition, self.fenced
                        self.coordinator = Coordinator(*known, numbers=self._numbers)
                        effects += self.coordinator.begin(
                            now, self.election.participants, self._heard
                        )
                    elif node in self._leads:
                        effects += self._join(now, wall)
                    else:
                        self._follow_until = now + FOLLOW_TIMEOUT
        return effects

    def _join(self, now: Instant, wall: int) -> Effects:
        """Put ourselves under the coordinator; everything it must know of us goes along."""
        lead = self._leads[self.leader]
        if lead.term < self.election.term:
            self._follow_until = now + FOLLOW_TIMEOUT
            return []
        promised = self.election.promise(lead.term, self.leader)
        if promised is None:  # promised to another: the coordinator has to begin a later term
            self._follow_until = now + FOLLOW_TIMEOUT
            self._joined = (lead.term, lead.invitation)  # said once to each Lead, not in a circle
            return [Send(self.leader, self.election.hello())]
        effects: Effects = self._elect(now, wall, promised)
        self.election.term = lead.term
        self._synchronised = False
        self._joined = (lead.term, lead.invitation)
        if self.leader != self.name:
            self._follow_until = now + FOLLOW_TIMEOUT
        version = self.cib.version
        newer = self.replica.rank > rank(lead.version, lead.written)
        configuration = self.cib.configuration if newer else None
        history, written = self.executor.history(), self.cib.written
        down, tickets = self.conditions.down, self.cib.status.tickets
        known = version, history, down, configuration, written, lead.invitation, tickets
        # Its number first: the Join may be what is waited for before anything is decided.
        effects += self.conditions.reach(self.leader)
        effects.append(Send(self.leader, protocol.Join(lead.term, *known)))
        if self._departing:
            effects.append(Send(self.leader, protocol.Depart()))
        return effects

    def _follow_again(self, now: Instant, wall: int) -> Effects:
        self._follow_until = None
        if self._synchronised or not self.leader or self.leader == self.name:
            return []
        self._follow_until = now + FOLLOW_TIMEOUT
        joined = self._join(now, wall) if self.leader in self._leads else []
        if any(isinstance(e, Send) and isinstance(e.message, protocol.Join) for e in joined):
            return joined
        return [Send(self.leader, self.election.hello(seeking=True))]  # it may lead no more

    # --- leaving --------------------------------------------------------------------------------

    def _depart(self, now: Instant) -> Effects:
        """Ask to be released, again after a while: the coordinator may change meanwhile."""
        self._depart_again = now + FOLLOW_TIMEOUT
        if self.leader:
            return [Send(self.leader, protocol.Depart())]
        if self.settings.succeeds or any(entries for _, entries in self.executor.history()):
            return []  # something may run here: only a coordinator can hand it over
        return self._leave()

    def _leave(self) -> Effects:
        self._depart_again = None
        self._departing = False
        return [note("released"), LeaveCluster()]

    # --- plumbing -------------------------------------------------------------------------------

    def _run(self, now: Instant, wall: int, effects: Effects) -> Effects:
        """Loop messages to ourselves back, in order, until only effects for the world are left."""
        result, pending, steps = list[MemberEffect](), deque(effects), 0
        while pending or self._state(now, wall, pending):
            effect = pending.popleft()
            if not (isinstance(effect, Send) and effect.destination == self.name):
                result.append(effect)
                continue
            steps += 1
            assert steps <= MAX_LOCAL_STEPS, "a loop of messages to ourselves"
            pending.extend(self._dispatch(now, wall, self.name, effect.message))
        surrender = self._surrender
        if surrender is not None and surrender.over(now, self.partition.configuration, result):
            patience = min(self.settings.initdead, max(surrender.slept, seconds(1)))
            result += self._run(now, wall, self._listen(now, wall, patience))
        news = self.partition.configured(now, self.cib.configuration)
        return result + self._judged(now, wall, news)

    def _state(self, now: Instant, wall: int, pending: deque[MemberEffect]) -> bool:
        """Tell the election what it has to say of us; return whether that led to anything."""
        self.election.rank = self.replica.rank
        backed = self.coordinator is not None and self.coordinator.ledger.backed
        pending.extend(self._elect(now, wall, self.election.back(backed=backed)))
        return bool(pending)
