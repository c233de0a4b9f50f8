"""The coordinator's half of a cluster daemon: it alone changes the CIB, schedules and commands.

Exists while this node leads. Every other member's history comes with its Join, so a new
coordinator begins with what really runs, not with what its predecessor believed.
"""

from collections.abc import Iterator
from dataclasses import replace

from standfest.core.cib.changes import (
    Change,
    ForgetHistory,
    RecordResult,
    SetNodeState,
    SetTransientAttribute,
)
from standfest.core.cib.document import rank
from standfest.core.cib.replica import Replica, Stored
from standfest.core.fencing.effects import Confirmed, Failed, Withdrawn
from standfest.core.scheduler.caution import AWAY, BRIEFLY
from standfest.model.configuration import NoQuorumPolicy
from standfest.model.errors import Ground, OperationError
from standfest.model.fencing import FencingRecord
from standfest.model.operations import OperationResult
from standfest.model.status import Join as JoinState
from standfest.model.status import NodeState
from standfest.model.time import Instant, earliest
from standfest.runtime.cluster import links, protocol
from standfest.runtime.cluster.absence import Absence
from standfest.runtime.cluster.deciding import Deciding
from standfest.runtime.cluster.effects import Level, MemberEffect, Send, note
from standfest.runtime.cluster.electorate import Electorate
from standfest.runtime.cluster.failures import failure_changes
from standfest.runtime.cluster.fencing import Fencing
from standfest.runtime.cluster.fencing import Result as FencingResult
from standfest.runtime.cluster.ledger import Ledger
from standfest.runtime.cluster.partition import Partition
from standfest.runtime.cluster.reach import Reach
from standfest.runtime.cluster.requests import changes_for, noted, orders_for
from standfest.runtime.cluster.settings import ABSENCE_PATIENCE, JOIN_TIMEOUT, ClusterSettings
from standfest.runtime.cluster.ticketing import latest
from standfest.runtime.cluster.trials import Trials

Effects = list[MemberEffect]


class Coordinator:
    """Leads one term. All inputs return effects; those sent to its own name are looped back."""

    def __init__(
        self,
        settings: ClusterSettings,
        term: int,
        replica: Replica,
        partition: Partition,
        fenced: tuple[FencingRecord, ...] | None = None,
        *,
        numbers: Iterator[int],
    ) -> None:
        """Begin a term; numbers: of transitions, never used twice by one daemon."""
        self.ledger = Ledger(settings, term, replica, partition)
        self._fencing = Fencing(self.ledger, fenced)
        self._deciding = Deciding(self.ledger, self._fencing, numbers)
        self._electorate = Electorate(self.ledger, autojoin=settings.autojoin)
        self.reach = Reach(self.ledger)
        self._absence = Absence(self.ledger)
        self._trials = Trials(self.ledger)
        self._awaited: dict[str, Instant] = {}
        self._joins: dict[str, protocol.Join] = {}
        self._early: list[tuple[str, OperationResult]] = []
        self._invitations: dict[str, int] = {}
        self._down: dict[str, tuple[str, ...]] = {}

    # --- who is there ---------------------------------------------------------------------------

    def begin(self, now: Instant, participants: tuple[str, ...], heard: set[str]) -> Effects:
        """Call all participants to join; `heard` are the nodes that `pulse` hears."""
        self.ledger.heard = set(heard)
        self._awaited = dict.fromkeys(participants, now + JOIN_TIMEOUT)
        lead = self._lead()
        return [
            note("coordinator", node=self.ledger.settings.name, term=self.ledger.term),
            Send(None, lead),
            Send(self.ledger.settings.name, lead),
        ]

    def invite(self, node: str, *, lost: bool = True) -> Effects:
        """Ask one member to join; lost: messages between us may have been, so join once more."""
        if lost and node in self._invitations:
            self._invitations[node] += 1
            self._deciding.invited(node)
        return [Send(node, replace(self._lead(), invitation=self._invitations.get(node, 0)))]

    def hear(self, now: Instant, wall: int, node: str) -> Effects:
        """A node is heard by `pulse`; its cluster daemon joins separately."""
        self.ledger.heard.add(node)
        if node in self.ledger.joined:  # its cluster daemon was faster than its heartbeat
            return self.judge(now, wall, f"{node} is heard")
        # It may take itself for joined: what it said before it was heard was not looked at.
        self._invitations[node] = self._invitations.get(node, 0) + 1
        if not self.ledger.serving:
            return []
        # What runs there is unknown until its cluster daemon joins: forget what we believed.
        away = self._absence.away(now, node, self._absence.arrival)
        changes = (*away, ForgetHistory(node, ""), self.ledger.quorum())
        effects = self._apply(now, wall, changes, f"{node} is heard")
        return effects + self._followed(now, wall, self._fencing.news(now, wall))

    def join(self, now: Instant, wall: int, node: str, message: protocol.Join) -> Effects:
        """A member puts itself under us."""
        if message.term != self.ledger.term:
            return []
        if message.invitation < self._invitations.get(node, 0):
            return self.invite(node, lost=False)  # what it says is older than what we have asked
        effects: Effects = []
        configuration = message.configuration
        version, written = message.version, message.written
        newer = rank(version, written) > self.ledger.replica.rank
        if configuration is not None and newer:
            effects += self.ledger.replicated(
                self.ledger.replica.adopt(configuration, version, written)
            )
            effects.append(note("configuration-adopted", node=node, version=message.version))
        self._awaited.pop(node, None)
        self._absence.over(node)
        self.ledger.joined.add(node)
        self._invitations.setdefault(node, 0)
        self.ledger.heard.add(node)
        self._joins[node] = message
        self._down[node] = message.down
        if self.ledger.serving or not self._awaited:
            effects += self._integrate(now, wall, f"{node} joined")
        return effects

    def lose(self, now: Instant, wall: int, node: str, *, left: bool) -> Effects:
        """A node is dead, or has left in order."""
        self.ledger.heard.discard(node)
        self._depart_done(node)
        self._absence.over(node)
        # One that we give up without its noticing takes itself for joined: it must join once more.
        if node in self._invitations:
            self._invitations[node] += 1
        expected = not left and self._absence.expected(node)
        gone = (
            SetNodeState(node, False, False, JoinState.DOWN, expected),
            SetTransientAttribute(node, AWAY, None),
        )
        if left:  # nothing runs there, whatever we were not told of its last stops
            return self._remove(now, wall, node, (*gone, ForgetHistory(node, "")), "left")
        return self._remove(now, wall, node, gone, "lost")

    def abandon(self, now: Instant, wall: int, node: str, *, restarted: bool = False) -> Effects:
        """A node is heard, but its cluster daemon has gone: touch nothing there.

        restarted: the next one has spoken; it may wait as long as one of a node that just came.
        """
        self._depart_done(node)  # the next one says so itself, if it is to leave, too
        patience = self._absence.arrival if restarted else ABSENCE_PATIENCE
        away = self._absence.away(now, node, patience)
        return self._remove(now, wall, node, away, "without its cluster daemon")

    def _remove(
        self, now: Instant, wall: int, node: str, changes: tuple[Change, ...], why: str
    ) -> Effects:
        self.ledger.joined.discard(node)
        self._joins.pop(node, None)
        self._down.pop(node, None)
        awaited = self._awaited.pop(node, None) is not None
        if not self.ledger.serving:
            return self._integrate(now, wall, "all joined") if awaited and not self._awaited else []
        effects = self.ledger.replicated(self.ledger.replica.set_members(self.ledger.others()))
        effects += self.ledger.apply((*changes, self.ledger.quorum()))
        effects += self._deciding.node_lost(now, wall, node)
        effects += self._followed(now, wall, self._fencing.member_lost(now, wall, node))
        effects += self._stand_down(wall) + self._enrolled(now, wall)
        return effects + self._deciding.consider(now, wall, f"{node} is {why}")

    def _integrate(self, now: Instant, wall: int, why: str) -> Effects:
        """Begin, or go on, with what the members that joined say of themselves."""
        first, self.ledger.serving = not self.ledger.serving, True
        status = latest(self.ledger.replica.cib.status, self._joins.values())
        for node, message in sorted(self._joins.items()):
            known = status.node(node) or NodeState(node)
            kept = tuple(
                (name, value)
                for name, value in known.attributes
                if not name.startswith(links.ATTRIBUTE_PREFIX) and name not in (AWAY, "shutdown")
            )
            status = status.with_node(
                NodeState(node, True, True, JoinState.MEMBER, True, message.history, kept)
            )
        fences = self._absence.fences
        for node in {*self.ledger.roster().nodes, *self.ledger.heard} - self.ledger.joined:
            heard, left = node in self.ledger.heard, node in self.ledger.partition.left
            if fences and not heard and not left and status.node(node) is None:
                continue  # never seen: whether it is to be fenced is the scheduler's to say
            known = status.node(node) or NodeState(node, expected=heard)
            if left:  # its goodbye came when nobody led here
                known = replace(known, expected=False, history=())
            join = JoinState.PENDING if heard else JoinState.DOWN
            state = replace(known, in_membership=heard, online=False, join=join)
            if heard and first:  # our copy may be old: what it does meanwhile nobody told us
                state = replace(state, history=())
            if heard and fences:
                self._absence.begin(now, node)
            mark = (BRIEFLY if fences else "true") if heard else None
            status = status.with_node(state.with_attribute(AWAY, mark))
        joins = dict(self._joins)
        self._joins.clear()
        self._trials.look(now, wall)
        quorum = self.ledger.quorum()
        status = replace(status, have_quorum=quorum.have_quorum, coordinator=quorum.coordinator)
        # Before the whole CIB: whoever gets that knows what was fenced before, and tells no agent.
        effects = self._fencing.publish() if self._fencing.tells else []
        effects += self.ledger.replicated(self.ledger.replica.set_members(self.ledger.others()))
        effects += self.ledger.replicated(self.ledger.replica.restate(self.ledger.term, status))
        effects += self._electorate.restate()
        for node, message in joins.items():
            effects += self._deciding.joined(now, wall, node, message.pending)
        effects += self._publish_links() + self.reach.begin(now)
        early, self._early = self._early, []
        for node, result in early:
            effects += self.outcome(now, wall, node, result)
        for node in list(self._deciding.departing):
            effects += self._mark_departing(now, wall, node)
        effects += self._followed(now, wall, self._fencing.news(now, wall))
        effects += self._electorate.welcome() + self._enrolled(now, wall)
        return effects + self._deciding.consider(now, wall, why)

    # --- what members report --------------------------------------------------------------------

    def outcome(self, now: Instant, wall: int, node: str, result: OperationResult) -> Effects:
        """An operation ended on a member; news of what it said when it joined, before we serve."""
        if node not in self.ledger.joined:
            return []
        if not self.ledger.serving:
            self._early.append((node, result))
            return []
        fatal = self.ledger.configuration().options.start_failure_is_fatal
        state = self.ledger.state(node)
        failed = failure_changes(state, result, wall, start_failure_is_fatal=fatal)
        effects: Effects = []
        if failed:
            effects.append(
                note(
                    "operation-failed",
                    Level.WARNING,
                    node=node,
                    resource=result.operation.resource,
                    task=result.operation.task,
                    rc=result.exit_code,
                    status=result.status.name.lower(),
                    reason=result.exit_reason,
                )
            )
        effects += self.ledger.apply((RecordResult(node, result), *failed))
        if result.operation.agent.standard == "stonith":
            effects += self._followed(now, wall, self._fencing.news(now, wall))
        return effects + self._deciding.outcome(now, wall, node, result, failed=bool(failed))

    def report_links(self, now: Instant, wall: int, node: str, down: tuple[str, ...]) -> Effects:
        """A member's devices lost or regained their carrier."""
        if node not in self.ledger.joined or self._down.get(node) == down:
            return []
        before = self._down.get(node, ())
        self._down[node] = down
        effects: Effects = [
            note("link-down", Level.WARNING, node=node, device=device)
            for device in down
            if device not in before
        ]
        effects += [note("link-up", node=node, device=d) for d in before if d not in down]
        if not self.ledger.serving:
            return effects
        changed = self._publish_links()
        return effects + changed + (self._deciding.consider(now, wall, "link") if changed else [])

    def judge(self, now: Instant, wall: int, why: str) -> Effects:
        """This partition may do something else now: acted on at once."""
        if not self.ledger.serving:
            return []
        effects = self.ledger.apply((*self.ledger.goodbyes(), self.ledger.quorum()))
        effects += self._stand_down(wall) + self._electorate.welcome() + self._enrolled(now, wall)
        return effects + self._deciding.consider(now, wall, why)

    def stored(self, now: Instant, wall: int, node: str, message: Stored) -> Effects:
        """A member has a configuration on disk."""
        effects = self.ledger.replicated(self.ledger.replica.receive_stored(message, node))
        return effects + self._enrolled(now, wall)

    def _enrolled(self, now: Instant, wall: int) -> Effects:
        """Go on with a change of the nodes, if one is under way and was waited for."""
        effects, node = self._electorate.advance()
        if not node:
            return effects
        self._invitations.pop(node, None)
        return effects + self._deciding.consider(now, wall, f"{node} is on the roster, or off it")

    def resynchronise(self, node: str) -> Effects:
        """A member is out of step."""
        return (
            [Send(node, self.ledger.replica.synchronisation(self.ledger.term))]
            if self.ledger.serving
            else []
        )

    # --- administrators -------------------------------------------------------------------------

    def ask(self, now: Instant, wall: int, node: str, message: protocol.Ask) -> Effects:
        """An administrator wants something; answered when every member has it on disk."""
        if not self.ledger.serving:
            return [Send(node, protocol.Told(message.id, False, "the cluster is just forming"))]
        configuration = self.ledger.configuration()
        request = message.request
        if isinstance(request, protocol.FencingRequest):
            return self._ask_fencing(now, wall, node, message.id, request)
        if isinstance(request, protocol.RosterRequest):
            asked = self._electorate.ask(node, message.id, request)
            return asked + self._enrolled(now, wall)
        try:
            self.ledger.keepers().check(request)
            known = self.ledger.replica.cib
            nodes = self.ledger.roster().nodes
            changes, text = changes_for(request, known, configuration, nodes, wall, node)
            before, effects = known.version, noted(request, text)
            proposed = self.ledger.replica.propose(self.ledger.term, changes)
        except OperationError as error:
            return [Send(node, protocol.Told(message.id, False, str(error), error.ground))]
        after = self.ledger.replica.cib.version
        same = (after.admin_epoch, after.epoch) == (before.admin_epoch, before.epoch)
        version = self.ledger.replica.awaited if same else after
        if version is None:
            effects.append(Send(node, protocol.Told(message.id, True, text)))
        else:  # one that changes nothing is kept as soon as what it relies on is
            self.ledger.promise(node, message.id, text, version)
        effects += self.ledger.replicated(proposed)
        self._trials.look(now, wall)
        effects += orders_for(request, self.ledger.term, configuration, known.status)
        effects += self._followed(now, wall, self._fencing.news(now, wall))
        return effects + self._deciding.consider(now, wall, type(request).__name__.lower())

    def depart(self, now: Instant, wall: int, node: str) -> Effects:
        """A member wants to leave in order."""
        if node in self._deciding.departing:
            return []  # it asks again, since its coordinator may have changed
        self._deciding.departing.append(node)
        if not self.ledger.serving:
            return []
        effects: Effects = [note("departure-requested", node=node)]
        effects += self._mark_departing(now, wall, node)
        return effects + self._deciding.consider(now, wall, f"{node} leaves")

    def _mark_departing(self, now: Instant, wall: int, node: str) -> Effects:
        return self.ledger.apply((SetTransientAttribute(node, "shutdown", str(wall)),))

    def _depart_done(self, node: str) -> None:
        if node in self._deciding.departing:
            self._deciding.departing.remove(node)

    # --- fencing --------------------------------------------------------------------------------

    def fence_ended(self, now: Instant, wall: int, message: protocol.Fenced) -> Effects:
        """A member has called a fence agent for us."""
        return self._followed(now, wall, self._fencing.ended(now, wall, message))

    def _ask_fencing(
        self, now: Instant, wall: int, origin: str, number: int, request: protocol.FencingRequest
    ) -> Effects:
        """An administrator wants a node fenced, or has seen to it; answered at once."""
        node = request.node
        nodes = self.ledger.roster().nodes
        if isinstance(request, protocol.FenceForget) and (not node or self._fencing.knows(node)):
            effects, text = self._fencing.forget(node, origin)
            return [*effects, Send(origin, protocol.Told(number, True, text))]
        if node not in nodes:
            known = ", ".join(nodes)
            text = f"no node {node}; expected one of: {known}"
            return [Send(origin, protocol.Told(number, False, text, Ground.NO_SUCH))]
        if isinstance(request, protocol.FenceNode):
            effects, busy = self._fencing.request(now, wall, node, request.action, origin=origin)
            text = f"{node} is being fenced ({request.action})"
            if not busy:
                text = f"{node} cannot be fenced: no device is for it"
            return [*effects, Send(origin, protocol.Told(number, busy, text))]
        if node in self.ledger.joined:
            text = f"{node} takes part in the cluster; stop it first, or `standfest fence {node}`"
            return [Send(origin, protocol.Told(number, False, text))]
        effects = self._followed(now, wall, self._fencing.confirm(wall, node, origin))
        return [*effects, Send(origin, protocol.Told(number, True, f"{node} counts as fenced"))]

    def _followed(self, now: Instant, wall: int, result: FencingResult) -> Effects:
        """Draw the consequences of what has become of fencing."""
        effects, endings = result
        for ending in endings:
            match ending:
                case Confirmed(action="on"):
                    opened = SetTransientAttribute(ending.target, "#node-unfenced", str(wall))
                    effects += self.ledger.apply((opened,))
                    effects += self._deciding.fenced(now, wall, ending)
                case Confirmed():
                    effects += self._fenced(now, wall, ending)
                case Failed() | Withdrawn():
                    target, action = ending.target, ending.action
                    effects += self._deciding.fencing_failed(now, wall, target, action)
        return effects

    def _fenced(self, now: Instant, wall: int, done: Confirmed) -> Effects:
        """Nothing runs on a node any more: it is as if it had left, and all forgotten."""
        node = done.target
        self.ledger.joined.discard(node)
        for kept in (self._joins, self._down, self._awaited):
            kept.pop(node, None)
        self._depart_done(node)
        if node in self.ledger.heard:  # it will fall silent, or was not fenced at all
            self._absence.begin(now, node, ABSENCE_PATIENCE)
        attributes = [name for name, _ in self.ledger.state(node).attributes]
        changes: list[Change] = [SetTransientAttribute(node, name, None) for name in attributes]
        changes.append(SetNodeState(node, False, False, JoinState.DOWN, False))
        changes.append(ForgetHistory(node, ""))
        replica = self.ledger.replica
        effects = self.ledger.replicated(replica.set_members(self.ledger.others()))
        effects += self.ledger.apply(tuple(changes))
        effects += self._followed(now, wall, self._fencing.member_lost(now, wall, node))
        return effects + self._deciding.fenced(now, wall, done)

    def _stand_down(self, wall: int) -> Effects:
        """Without quorum begin no more fencing, unless the configuration wants that."""
        options = self.ledger.configuration().options
        ignored = options.no_quorum_policy is NoQuorumPolicy.IGNORE
        if self.ledger.partition.isolated or not (self.ledger.quorum().have_quorum or ignored):
            return self._fencing.stand_down(wall)
        return []

    def _miss(self, now: Instant, wall: int) -> Effects:
        """Wait no longer for daemons of nodes that are heard."""
        effects: Effects = []
        for node in self._absence.missed(now):
            if self.ledger.state(node).in_membership:
                effects.append(note("absent-for-too-long", Level.WARNING, node=node))
                missed = (
                    SetNodeState(node, True, False, JoinState.PENDING, True),
                    SetTransientAttribute(node, AWAY, "true"),
                )
                effects += self._apply(now, wall, missed, f"{node} does not join")
            else:
                # It was fenced, and is heard all the same: whatever it runs, it has to say so.
                effects.append(note("fenced-and-heard", Level.WARNING, node=node))
                effects += self.invite(node)
                self._absence.begin(now, node, ABSENCE_PATIENCE)
        return effects

    # --- time -----------------------------------------------------------------------------------

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        return earliest(
            *self._awaited.values(),
            self._absence.deadline(),
            self._deciding.deadline(),
            self._fencing.deadline(),
            self.reach.deadline(),
            self._trials.deadline(),
        )

    def on_timer(self, now: Instant, wall: int) -> Effects:
        """Wait no longer: for joins, for operations, for what a clock decides."""
        effects: Effects = []
        late = [node for node, at in self._awaited.items() if at <= now]
        for node in late:
            del self._awaited[node]
            effects.append(note("join-timeout", Level.WARNING, node=node))
        if late and not self._awaited and self.ledger.joined:
            effects += self._integrate(now, wall, "join timeout")
        effects += self._miss(now, wall)
        if news := self._trials.on_timer(now, wall):
            effects += news + self._deciding.consider(now, wall, "taken back")
        effects += self._followed(now, wall, self._fencing.on_timer(now, wall))
        if news := self.reach.on_timer(now):
            effects += news + self._deciding.consider(now, wall, "ping nodes")
        if self._deciding.rechecks(now):
            effects += self._followed(now, wall, self._fencing.news(now, wall))
        return effects + self._deciding.on_timer(now, wall)

    # --- small helpers --------------------------------------------------------------------------

    def _lead(self) -> protocol.Lead:
        cib = self.ledger.replica.cib
        return protocol.Lead(self.ledger.term, cib.version, written=cib.written)

    def _publish_links(self) -> Effects:
        ledger = self.ledger
        configuration, status = ledger.configuration(), ledger.replica.cib.status
        return ledger.apply(links.changes(configuration, status, self._down, ledger.joined))

    def _apply(self, now: Instant, wall: int, changes: tuple[Change, ...], why: str) -> Effects:
        effects = self.ledger.apply(changes)
        return effects + (self._deciding.consider(now, wall, why) if why else [])
