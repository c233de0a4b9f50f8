"""The coordinator's half of a cluster daemon: it alone changes the CIB, schedules and commands.

Exists while this node leads. Every other member's history comes with its Join, so a new
coordinator begins with what really runs, not with what its predecessor believed.
"""

from dataclasses import replace

from standfest.core.cib.changes import (
    Change,
    ForgetHistory,
    RecordResult,
    SetNodeState,
    SetTransientAttribute,
)
from standfest.core.cib.replica import Replica, Stored
from standfest.core.scheduler.caution import AWAY
from standfest.model.errors import OperationError
from standfest.model.operations import OperationResult
from standfest.model.status import Join as JoinState
from standfest.model.status import NodeState, Status
from standfest.model.time import Instant, earliest
from standfest.runtime.cluster import links, protocol
from standfest.runtime.cluster.deciding import Deciding
from standfest.runtime.cluster.effects import Level, MemberEffect, Send, note
from standfest.runtime.cluster.failures import failure_changes
from standfest.runtime.cluster.ledger import Ledger
from standfest.runtime.cluster.requests import changes_for, histories
from standfest.runtime.cluster.settings import JOIN_TIMEOUT, ClusterSettings, Standing

Effects = list[MemberEffect]


class Coordinator:
    """Leads one term. All inputs return effects; those sent to its own name are looped back."""

    def __init__(self, settings: ClusterSettings, term: int, replica: Replica) -> None:
        self.ledger = Ledger(settings, term, replica)
        self._deciding = Deciding(self.ledger)
        self._awaited: dict[str, Instant] = {}
        self._joins: dict[str, protocol.Join] = {}
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

    def invite(self, node: str) -> Effects:
        """Ask one member to join (again): it is new, or messages between us may have been lost."""
        return [Send(node, replace(self._lead(), again=node in self.ledger.joined))]

    def hear(self, now: Instant, wall: int, node: str) -> Effects:
        """A node is heard by `pulse`; its cluster daemon joins separately."""
        self.ledger.heard.add(node)
        if not self.ledger.serving:
            return []
        # What runs there is unknown until its cluster daemon joins: forget what we believed.
        changes = (*self._away(node), ForgetHistory(node, ""), self.ledger.quorum())
        return self._apply(now, wall, changes, f"{node} is heard")

    def join(self, now: Instant, wall: int, node: str, message: protocol.Join) -> Effects:
        """A member puts itself under us."""
        if message.term != self.ledger.term:
            return []
        effects: Effects = []
        configuration = message.configuration
        version, written = message.version, message.written
        newer = (version.admin_epoch, written, version.epoch) > self.ledger.replica.rank
        if configuration is not None and newer:
            effects += self.ledger.replicated(
                self.ledger.replica.adopt(configuration, version, written)
            )
            effects.append(note("configuration-adopted", node=node, version=message.version))
        self._awaited.pop(node, None)
        self.ledger.joined.add(node)
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
        gone = (
            SetNodeState(node, False, False, JoinState.DOWN, not left),
            SetTransientAttribute(node, AWAY, None),
        )
        return self._remove(now, wall, node, gone, "left" if left else "lost")

    def abandon(self, now: Instant, wall: int, node: str) -> Effects:
        """A node is heard, but its cluster daemon has gone: touch nothing there."""
        return self._remove(now, wall, node, self._away(node), "without its cluster daemon")

    @staticmethod
    def _away(node: str) -> tuple[Change, ...]:
        return (
            SetNodeState(node, True, False, JoinState.PENDING, True),
            SetTransientAttribute(node, AWAY, "true"),
        )

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
        return effects + self._deciding.consider(now, wall, f"{node} is {why}")

    def _integrate(self, now: Instant, wall: int, why: str) -> Effects:
        """Begin, or go on, with what the members that joined say of themselves."""
        self.ledger.serving = True
        status = self.ledger.replica.cib.status
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
        for node in self.ledger.settings.nodes:
            known = status.node(node) or NodeState(node)
            if node not in self.ledger.joined:
                heard = node in self.ledger.heard
                join = JoinState.PENDING if heard else JoinState.DOWN
                state = replace(known, in_membership=heard, online=False, join=join)
                status = status.with_node(state.with_attribute(AWAY, "true" if heard else None))
        released = list(self._joins)
        self._joins.clear()
        quorum = self.ledger.quorum()
        status = replace(status, have_quorum=quorum.have_quorum, coordinator=quorum.coordinator)
        effects = self.ledger.replicated(self.ledger.replica.set_members(self.ledger.others()))
        effects += self.ledger.replicated(self.ledger.replica.restate(self.ledger.term, status))
        for node in released:
            effects += self._deciding.node_lost(now, wall, node)
        effects += self._publish_links(now, wall)
        for node in list(self._deciding.departing):
            effects += self._mark_departing(now, wall, node)
        return effects + self._deciding.consider(now, wall, why)

    # --- what members report --------------------------------------------------------------------

    def outcome(self, now: Instant, wall: int, node: str, result: OperationResult) -> Effects:
        """An operation ended on a member."""
        if not self.ledger.serving or node not in self.ledger.joined:
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
        changed = self._publish_links(now, wall)
        return effects + changed + (self._deciding.consider(now, wall, "link") if changed else [])

    def stand(self, now: Instant, wall: int, standing: Standing, why: str) -> Effects:
        """This node is isolated, or no longer; the votes have changed."""
        if self.ledger.standing == standing:
            return []
        self.ledger.standing = standing
        if not self.ledger.serving:
            return []
        effects = self.ledger.apply((self.ledger.quorum(),))
        return effects + self._deciding.consider(now, wall, why)

    def stored(self, node: str, message: Stored) -> Effects:
        """A member has a configuration on disk."""
        return self.ledger.replicated(self.ledger.replica.receive_stored(message, node))

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
        try:
            self.ledger.keepers().check(request)
            known = self.ledger.replica.cib
            changes, text = changes_for(request, known, configuration, self.ledger.settings.nodes)
            before = known.version
            effects: Effects = [note("request", request=type(request).__name__, text=text)]
            if isinstance(request, protocol.Standby):
                event = "standby-requested" if request.on else "online-requested"
                effects.append(note(event, node=request.node))
            proposed = self.ledger.replica.propose(self.ledger.term, changes)
        except OperationError as error:
            return [Send(node, protocol.Told(message.id, False, str(error)))]
        after = self.ledger.replica.cib.version
        if (after.admin_epoch, after.epoch) == (before.admin_epoch, before.epoch):
            effects += self.ledger.replicated(proposed)
            effects.append(Send(node, protocol.Told(message.id, True, text)))
        else:
            self.ledger.promise(node, message.id, text)
            effects += self.ledger.replicated(proposed)
        if isinstance(request, protocol.Cleanup):
            for resource in histories(configuration, known.status, request.resource):
                where = [request.node] if request.node else sorted(self.ledger.joined)
                effects += [Send(n, protocol.Forget(self.ledger.term, resource)) for n in where]
        return effects + self._deciding.consider(now, wall, type(request).__name__.lower())

    def depart(self, now: Instant, wall: int, node: str) -> Effects:
        """A member wants to leave in order."""
        if node not in self._deciding.departing:
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

    # --- time -----------------------------------------------------------------------------------

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        return earliest(*self._awaited.values(), self._deciding.deadline())

    def on_timer(self, now: Instant, wall: int) -> Effects:
        """Wait no longer: for joins, for operations, for what a clock decides."""
        effects: Effects = []
        late = [node for node, at in self._awaited.items() if at <= now]
        for node in late:
            del self._awaited[node]
            effects.append(note("join-timeout", Level.WARNING, node=node))
        if late and not self._awaited and self.ledger.joined:
            effects += self._integrate(now, wall, "join timeout")
        return effects + self._deciding.on_timer(now, wall)

    # --- small helpers --------------------------------------------------------------------------

    def _lead(self) -> protocol.Lead:
        cib = self.ledger.replica.cib
        return protocol.Lead(self.ledger.term, cib.version, written=cib.written)

    def _publish_links(self, now: Instant, wall: int) -> Effects:
        status: Status = self.ledger.replica.cib.status
        standby = {
            entry.name
            for entry in self.ledger.configuration().nodes
            if dict(entry.attributes).get("standby") in ("on", "true", "yes", "1")
        }
        watched = links.devices(self.ledger.configuration())
        wanted = links.published(self._down, sorted(self.ledger.joined - standby), watched)
        changes: list[Change] = []
        for (node, attribute), value in sorted(wanted.items()):
            state = status.node(node)
            if (state.attribute(attribute) if state else None) != value:
                changes.append(SetTransientAttribute(node, attribute, value))
        return self.ledger.apply(tuple(changes))

    def _apply(self, now: Instant, wall: int, changes: tuple[Change, ...], why: str) -> Effects:
        effects = self.ledger.apply(changes)
        return effects + (self._deciding.consider(now, wall, why) if why else [])
