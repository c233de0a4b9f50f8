"""The coordinator's half of a cluster daemon: it alone changes the CIB, schedules and commands.

Exists while this node leads. Every other member's history comes with its Join, so a new
coordinator begins with what really runs, not with what its predecessor believed.
"""

from dataclasses import replace

from standfest.config.cib import compile_configuration
from standfest.core.cib.changes import (
    Change,
    ForgetHistory,
    ForgetRecurring,
    RecordResult,
    SetNodeState,
    SetQuorum,
    SetTransientAttribute,
)
from standfest.core.cib.replica import Committed, Persist, Replica, ReplicaEffect, Stored
from standfest.core.scheduler.caution import AWAY
from standfest.core.scheduler.schedule import Schedule, schedule
from standfest.core.transition.effects import (
    Cancel,
    Execute,
    Finished,
    Outcome,
    Perform,
    TransitionEffect,
)
from standfest.core.transition.machine import Transition
from standfest.model.configuration import Configuration
from standfest.model.element import Element
from standfest.model.errors import OperationError
from standfest.model.graph import Action
from standfest.model.operations import OperationResult
from standfest.model.status import Join as JoinState
from standfest.model.status import NodeState, Status
from standfest.model.time import Instant, earliest, seconds
from standfest.runtime.cluster import inputs, links, protocol
from standfest.runtime.cluster.effects import KeepInput, Level, MemberEffect, Save, Send, note
from standfest.runtime.cluster.failures import failure_changes, forget_failures
from standfest.runtime.cluster.requests import Keepers, changes_for, histories
from standfest.runtime.cluster.settings import JOIN_TIMEOUT, ClusterSettings

Effects = list[MemberEffect]
MAX_REPEATS = 10
"""How often the same may be decided in one instant before it counts as going in circles."""


class Coordinator:
    """Leads one term. All inputs return effects; those sent to its own name are looped back."""

    def __init__(self, settings: ClusterSettings, term: int, replica: Replica) -> None:
        self.settings = settings
        self.term = term
        self.replica = replica
        self.isolated = False
        self.joined: set[str] = set()
        self._heard: set[str] = set()
        self._awaited: dict[str, Instant] = {}
        self.serving = False
        self._joins: dict[str, protocol.Join] = {}
        self._down: dict[str, tuple[str, ...]] = {}
        self._asked: dict[object, list[tuple[str, int, str]]] = {}
        self._departing: list[str] = []
        self._transition = Transition(seconds(60))
        self._number = 0
        self._executed = 0
        self._again = ""
        self._recheck_wall: int | None = None
        self._recheck_at: Instant | None = None
        self._compiled: tuple[Element, Configuration] | None = None
        self._effective: tuple[Element, bool, Element] | None = None
        self._unfenced: set[str] = set()
        self._decided: tuple[Instant, tuple[str, ...]] = (0, ())
        self._repeats = 0

    # --- who is there ---------------------------------------------------------------------------

    def begin(self, now: Instant, participants: tuple[str, ...], heard: set[str]) -> Effects:
        """Call all participants to join; `heard` are the nodes that `pulse` hears."""
        self._heard = set(heard)
        self._awaited = dict.fromkeys(participants, now + JOIN_TIMEOUT)
        lead = self._lead()
        return [
            note("coordinator", node=self.settings.name, term=self.term),
            Send(None, lead),
            Send(self.settings.name, lead),
        ]

    def invite(self, node: str) -> Effects:
        """Ask one member to join (again): it is new, or messages between us may have been lost."""
        return [Send(node, replace(self._lead(), again=node in self.joined))]

    def hear(self, now: Instant, wall: int, node: str) -> Effects:
        """A node is heard by `pulse`; its cluster daemon joins separately."""
        self._heard.add(node)
        if not self.serving:
            return []
        # What runs there is unknown until its cluster daemon joins: forget what we believed.
        changes = (*self._away(node), ForgetHistory(node, ""), self._quorum())
        return self._apply(now, wall, changes, f"{node} is heard")

    def join(self, now: Instant, wall: int, node: str, message: protocol.Join) -> Effects:
        """A member puts itself under us."""
        if message.term != self.term:
            return []
        effects: Effects = []
        configuration = message.configuration
        version, written = message.version, message.written
        newer = (version.admin_epoch, written, version.epoch) > self.replica.rank
        if configuration is not None and newer:
            effects += self._replicated(self.replica.adopt(configuration, version, written))
            effects.append(note("configuration-adopted", node=node, version=message.version))
        self._awaited.pop(node, None)
        self.joined.add(node)
        self._heard.add(node)
        self._joins[node] = message
        self._down[node] = message.down
        if self.serving or not self._awaited:
            effects += self._integrate(now, wall, f"{node} joined")
        return effects

    def lose(self, now: Instant, wall: int, node: str, *, left: bool) -> Effects:
        """A node is dead, or has left in order."""
        self._heard.discard(node)
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
        self.joined.discard(node)
        self._joins.pop(node, None)
        self._down.pop(node, None)
        awaited = self._awaited.pop(node, None) is not None
        if not self.serving:
            return self._integrate(now, wall, "all joined") if awaited and not self._awaited else []
        effects = self._replicated(self.replica.set_members(self._others()))
        effects += self._apply(now, wall, (*changes, self._quorum()), "")
        effects += self._commanded(now, wall, self._transition.on_node_lost(now, node))
        return effects + self._consider(now, wall, f"{node} is {why}")

    def _integrate(self, now: Instant, wall: int, why: str) -> Effects:
        """Begin, or go on, with what the members that joined say of themselves."""
        self.serving = True
        status = self.replica.cib.status
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
        for node in self.settings.nodes:
            known = status.node(node) or NodeState(node)
            if node not in self.joined:
                heard = node in self._heard
                join = JoinState.PENDING if heard else JoinState.DOWN
                state = replace(known, in_membership=heard, online=False, join=join)
                status = status.with_node(state.with_attribute(AWAY, "true" if heard else None))
        released = list(self._joins)
        self._joins.clear()
        quorum = self._quorum()
        status = replace(status, have_quorum=quorum.have_quorum, coordinator=quorum.coordinator)
        effects = self._replicated(self.replica.set_members(self._others()))
        effects += self._replicated(self.replica.restate(self.term, status))
        for node in released:
            effects += self._commanded(now, wall, self._transition.on_node_lost(now, node))
        effects += self._publish_links(now, wall)
        for node in list(self._departing):
            effects += self._mark_departing(now, wall, node)
        return effects + self._consider(now, wall, why)

    # --- what members report --------------------------------------------------------------------

    def outcome(self, now: Instant, wall: int, node: str, result: OperationResult) -> Effects:
        """An operation ended on a member."""
        if not self.serving or node not in self.joined:
            return []
        fatal = self._configuration().options.start_failure_is_fatal
        state = self._state(node)
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
        effects += self._apply(now, wall, (RecordResult(node, result), *failed), "")
        effects += self._commanded(now, wall, self._transition.on_result(now, node, result))
        if failed and not self._again and not self._transition.idle:
            effects += self._consider(now, wall, f"{result.operation.resource} failed")
        elif self._transition.idle:
            effects += self._consider(now, wall, f"news of {result.operation.resource}")
        return effects

    def report_links(self, now: Instant, wall: int, node: str, down: tuple[str, ...]) -> Effects:
        """A member's devices lost or regained their carrier."""
        if node not in self.joined or self._down.get(node) == down:
            return []
        before = self._down.get(node, ())
        self._down[node] = down
        effects: Effects = [
            note("link-down", Level.WARNING, node=node, device=device)
            for device in down
            if device not in before
        ]
        effects += [note("link-up", node=node, device=d) for d in before if d not in down]
        if not self.serving:
            return effects
        changed = self._publish_links(now, wall)
        return effects + changed + (self._consider(now, wall, "link") if changed else [])

    def isolate(self, now: Instant, wall: int, *, isolated: bool) -> Effects:
        """Every link of this node has lost its carrier, or one is back."""
        if self.isolated == isolated:
            return []
        self.isolated = isolated
        if not self.serving:
            return []
        effects = self._apply(now, wall, (self._quorum(),), "")
        return effects + self._consider(now, wall, "isolated" if isolated else "link is back")

    def stored(self, node: str, message: Stored) -> Effects:
        """A member has a configuration on disk."""
        return self._replicated(self.replica.receive_stored(message, node))

    def resynchronise(self, node: str) -> Effects:
        """A member is out of step."""
        return [Send(node, self.replica.synchronisation(self.term))] if self.serving else []

    # --- administrators -------------------------------------------------------------------------

    def ask(self, now: Instant, wall: int, node: str, message: protocol.Ask) -> Effects:
        """An administrator wants something; answered when every member has it on disk."""
        if not self.serving:
            return [Send(node, protocol.Told(message.id, False, "the cluster is just forming"))]
        configuration = self._configuration()
        request = message.request
        try:
            self._keepers().check(request)
            known = self.replica.cib
            changes, text = changes_for(request, known, configuration, self.settings.nodes)
            before = known.version
            effects: Effects = [note("request", request=type(request).__name__, text=text)]
            if isinstance(request, protocol.Standby):
                event = "standby-requested" if request.on else "online-requested"
                effects.append(note(event, node=request.node))
            proposed = self.replica.propose(self.term, changes)
        except OperationError as error:
            return [Send(node, protocol.Told(message.id, False, str(error)))]
        after = self.replica.cib.version
        if (after.admin_epoch, after.epoch) == (before.admin_epoch, before.epoch):
            effects += self._replicated(proposed)
            effects.append(Send(node, protocol.Told(message.id, True, text)))
        else:
            self._asked.setdefault(after, []).append((node, message.id, text))
            effects += self._replicated(proposed)
        if isinstance(request, protocol.Cleanup):
            for resource in histories(configuration, known.status, request.resource):
                where = [request.node] if request.node else sorted(self.joined)
                effects += [Send(n, protocol.Forget(self.term, resource)) for n in where]
        return effects + self._consider(now, wall, type(request).__name__.lower())

    def _keepers(self) -> Keepers:
        policy = self._configuration().options.no_quorum_policy
        return Keepers(self.settings, frozenset(self.joined | {self.settings.name}), policy)

    def depart(self, now: Instant, wall: int, node: str) -> Effects:
        """A member wants to leave in order."""
        if node not in self._departing:
            self._departing.append(node)
        if not self.serving:
            return []
        effects: Effects = [note("departure-requested", node=node)]
        effects += self._mark_departing(now, wall, node)
        return effects + self._consider(now, wall, f"{node} leaves")

    def _mark_departing(self, now: Instant, wall: int, node: str) -> Effects:
        return self._apply(now, wall, (SetTransientAttribute(node, "shutdown", str(wall)),), "")

    def _depart_done(self, node: str) -> None:
        if node in self._departing:
            self._departing.remove(node)

    # --- scheduling -----------------------------------------------------------------------------

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        return earliest(*self._awaited.values(), self._transition.deadline(), self._recheck_at)

    def on_timer(self, now: Instant, wall: int) -> Effects:
        """Wait no longer: for joins, for operations, for what a clock decides."""
        effects: Effects = []
        late = [node for node, at in self._awaited.items() if at <= now]
        for node in late:
            del self._awaited[node]
            effects.append(note("join-timeout", Level.WARNING, node=node))
        if late and not self._awaited and self.joined:
            effects += self._integrate(now, wall, "join timeout")
        effects += self._commanded(now, wall, self._transition.on_timer(now))
        if self._recheck_at is not None and self._recheck_at <= now:
            self._recheck_at = None
            effects += self._consider(now, wall, "recheck")
        return effects

    def _consider(self, now: Instant, wall: int, why: str) -> Effects:
        """Schedule now, or as soon as the running transition has ended."""
        if not self.serving:
            return []
        if not self._transition.idle:
            self._again = why
            return self._commanded(now, wall, self._transition.abort(now, why))
        return self._schedule(now, wall, why)

    def _schedule(self, now: Instant, wall: int, why: str) -> Effects:
        self._again = ""
        configuration = self._configuration()
        cib = replace(self.replica.cib, configuration=self._to_schedule())
        plan = schedule(cib.configuration, inputs.recorded(cib), wall)
        kept = KeepInput(cib, wall, plan.steps)
        lamented = self._lament(plan)
        options = configuration.options
        wait = inputs.recheck_after(options.recheck_interval, plan.recheck_at, wall)
        self._recheck_at = now + wait if wait else None
        if not plan.graph.actions:
            return [*lamented, *self._rest(), kept]
        self._number += 1
        self._executed = 0
        # What ends in the same instant and is then decided again would go on for ever.
        self._repeats = self._repeats + 1 if self._decided == (now, plan.steps) else 0
        self._decided = (now, plan.steps)
        if self._repeats > MAX_REPEATS:
            return [*lamented, note("no-progress", Level.ERROR, actions=len(plan.steps)), kept]
        effects: Effects = [
            *lamented,
            note(
                "transition-started",
                number=self._number,
                actions=len(plan.graph.actions),
                reason=why,
            ),
        ]
        self._transition = Transition(options.cluster_delay, batch_limit=options.batch_limit)
        begun = self._transition.begin(now, self._number, self.settings.instance, plan.graph)
        return [*effects, *self._commanded(now, wall, begun), kept]

    def _lament(self, plan: Schedule) -> Effects:
        """Say once which nodes should be fenced: what they ran is not recovered before."""
        wanted = {event.node: event.reason for event in plan.events if event.op == "fence"}
        fresh = sorted(wanted.keys() - self._unfenced)
        self._unfenced = set(wanted)
        return [
            note("fencing-needed", Level.ERROR, node=node, reason=wanted[node]) for node in fresh
        ]

    def _commanded(self, now: Instant, wall: int, wanted: list[TransitionEffect]) -> Effects:
        """Perform what the transition wants."""
        effects: Effects = []
        for effect in wanted:
            match effect:
                case Execute(node=node, operation=operation):
                    self._executed += 1
                    effects.append(Send(node, protocol.Execute(self.term, operation)))
                case Cancel(node=node, resource=resource, task=task, interval=interval):
                    self._executed += 1
                    over = ForgetRecurring(node, resource, task, interval)
                    effects += self._apply(now, wall, (over,), "")
                    effects.append(Send(node, protocol.Cancel(self.term, resource, task, interval)))
                case Perform(action=action):
                    self._executed += 1
                    effects += self._perform(now, wall, action)
                case Finished():
                    effects += self._finished(now, wall, effect)
        return effects

    def _perform(self, now: Instant, wall: int, action: Action) -> Effects:
        effects: Effects = []
        if action.task == "lrm_delete":
            effects = self._apply(now, wall, (ForgetHistory(action.node, action.resource),), "")
            effects.append(Send(action.node, protocol.Forget(self.term, action.resource)))
        elif action.task == "clear_failcount":
            forgotten = forget_failures(self._state(action.node), action.resource)
            effects = self._apply(now, wall, forgotten, "")
        return effects + self._commanded(now, wall, self._transition.on_done(now, action.id))

    def _finished(self, now: Instant, wall: int, finished: Finished) -> Effects:
        ended = note(
            "transition-ended", number=finished.number, outcome=finished.outcome.value,
            reason=finished.reason,
        )  # fmt: skip
        if finished.outcome is Outcome.COMPLETE and not self._again and not self._executed:
            return [ended, *self._rest()]  # nothing in it could run: only news can change that
        return [ended, *self._schedule(now, wall, self._again or "done, and looked again")]

    def _rest(self) -> Effects:
        """Nothing is left to do: members that wait to leave and run nothing may."""
        effects: Effects = [note("resting", Level.DEBUG)]
        for node in list(self._departing):
            busy = inputs.running(self._configuration(), self._state(node))
            if busy:
                effects.append(
                    note("departure-blocked", Level.ERROR, node=node, resources=",".join(busy))
                )
                continue
            self._departing.remove(node)
            effects.append(Send(node, protocol.Released()))
        return effects

    # --- small helpers --------------------------------------------------------------------------

    def _lead(self) -> protocol.Lead:
        return protocol.Lead(self.term, self.replica.cib.version, written=self.replica.cib.written)

    def _others(self) -> tuple[str, ...]:
        return tuple(sorted(self.joined - {self.settings.name}))

    def _state(self, node: str) -> NodeState:
        return self.replica.cib.status.node(node) or NodeState(node)

    def _quorum(self) -> SetQuorum:
        quorate = self.settings.quorate(len(self._heard | {self.settings.name}))
        return SetQuorum(quorate and not self.isolated, self.settings.name)

    def _configuration(self) -> Configuration:
        element = self.replica.cib.configuration
        if self._compiled is None or self._compiled[0] is not element:
            self._compiled = (element, compile_configuration(element)[0])
        return self._compiled[1]

    def _to_schedule(self) -> Element:
        """Return the configuration with all that follows from this installation's state."""
        element, isolated = self.replica.cib.configuration, self.isolated
        known = self._effective
        if known is None or known[0] is not element or known[1] != isolated:
            made = inputs.effective(
                element, self._configuration(), self.settings.nodes, isolated=isolated
            )
            known = self._effective = (element, isolated, made)
        return known[2]

    def _publish_links(self, now: Instant, wall: int) -> Effects:
        status: Status = self.replica.cib.status
        standby = {
            entry.name
            for entry in self._configuration().nodes
            if dict(entry.attributes).get("standby") in ("on", "true", "yes", "1")
        }
        watched = links.devices(self._configuration())
        wanted = links.published(self._down, sorted(self.joined - standby), watched)
        changes: list[Change] = []
        for (node, attribute), value in sorted(wanted.items()):
            state = status.node(node)
            if (state.attribute(attribute) if state else None) != value:
                changes.append(SetTransientAttribute(node, attribute, value))
        return self._apply(now, wall, tuple(changes), "")

    def _apply(self, now: Instant, wall: int, changes: tuple[Change, ...], why: str) -> Effects:
        effects = self._replicated(self.replica.propose(self.term, changes))
        return effects + (self._consider(now, wall, why) if why else [])

    def _replicated(self, wanted: list[ReplicaEffect]) -> Effects:
        effects: Effects = []
        for effect in wanted:
            match effect:
                case Persist(cib):
                    effects.append(Save(cib, (self.term, self.settings.name)))
                case Committed(version):
                    for node, number, text in self._asked.pop(version, []):
                        effects.append(Send(node, self._keepers().told(number, text)))
                case _:
                    effects.append(Send(effect.destination or None, effect.message))
        return effects
