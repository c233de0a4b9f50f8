"""How a coordinator decides: it schedules, runs the transition, and looks again.

Source: docs/adr/0012-one-engine.md; facts/formats/SCHEDULER-SPEC.md section 12.
"""

from collections.abc import Iterator
from dataclasses import replace

from standfest.core.cib.changes import ForgetHistory, ForgetRecurring
from standfest.core.fencing.effects import Confirmed
from standfest.core.scheduler.schedule import Schedule, schedule
from standfest.core.transition.effects import (
    Cancel,
    Execute,
    Fence,
    Finished,
    Outcome,
    Perform,
    TransitionEffect,
)
from standfest.core.transition.machine import Transition
from standfest.model.graph import Action, ActionKind
from standfest.model.operations import Operation, OperationResult
from standfest.model.time import Instant, earliest, seconds
from standfest.runtime.cluster import inputs, protocol
from standfest.runtime.cluster.effects import KeepInput, Level, MemberEffect, Send, note
from standfest.runtime.cluster.failures import forget_failures
from standfest.runtime.cluster.fencing import Fencing
from standfest.runtime.cluster.ledger import Ledger
from standfest.runtime.cluster.probing import probes_first
from standfest.runtime.cluster.strange import Strange

Effects = list[MemberEffect]
MAX_REPEATS = 10
"""How often the same may be decided in one instant before it counts as going in circles."""


class Deciding:
    """Scheduler and transition of one term. departing: nodes that wait to leave in order."""

    def __init__(self, ledger: Ledger, fencing: Fencing, numbers: Iterator[int]) -> None:
        """Begin; numbers: in the keys by which executors tell what they have done from new work."""
        self._ledger = ledger
        self._fencing = fencing
        self.departing: list[str] = []
        self._transition = Transition(seconds(60))
        self._numbers = numbers
        self._executed = 0
        self._again = ""
        self._recheck_at: Instant | None = None
        self._unfenced: set[str] = set()
        self._decided: tuple[Instant, tuple[str, ...]] = (0, ())
        self._repeats = 0
        self._strange = Strange()
        self._ordered: dict[str, set[str]] = {}  # this transition's, since each was invited last

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        return earliest(self._transition.deadline(), self._recheck_at, self._strange.deadline())

    def rechecks(self, now: Instant) -> bool:
        """Return whether it is time to look at everything again, whatever has happened."""
        return self._recheck_at is not None and self._recheck_at <= now

    def on_timer(self, now: Instant, wall: int) -> Effects:
        """Wait no longer for operations, or for what a clock decides."""
        effects = self._commanded(now, wall, self._transition.on_timer(now))
        if self._strange.on_timer(now):
            effects += self.consider(now, wall, "no answer to what another term began")
        if self.rechecks(now):
            self._recheck_at = None
            effects += self.consider(now, wall, "recheck")
        return effects

    def outcome(
        self, now: Instant, wall: int, node: str, result: OperationResult, *, failed: bool
    ) -> Effects:
        """An operation ended on a member, as the status says already."""
        operation = result.operation
        self._strange.ended(node, result)
        expected = bool(operation.interval) or self._transition.runs(node, operation.key)
        effects = self._commanded(now, wall, self._transition.on_result(now, node, result))
        if self._transition.idle:
            effects += self.consider(now, wall, f"news of {operation.resource}")
        elif (failed or not expected) and not self._again:
            what = "failed" if failed else "is not as it was when this was decided"
            effects += self.consider(now, wall, f"{operation.resource} {what}")
        return effects

    def invited(self, node: str) -> None:
        """A member is called to join once more: orders that went before may be lost."""
        self._ordered.pop(node, None)

    def joined(self, now: Instant, wall: int, node: str, pending: tuple[Operation, ...]) -> Effects:
        """A member joined, and does what is pending; other orders may not have reached it.

        What is under way there, whoever began it, is waited for before anything is decided: its
        end changes what is so. What was ordered after the last invitation will come to it yet.
        """
        still = {operation.key for operation in pending} | self._ordered.get(node, set())
        strange = [op for op in pending if not self._transition.runs(node, op.key)]
        delay = self._ledger.configuration().options.cluster_delay
        self._strange.begin(now, node, strange, delay)
        return self._commanded(now, wall, self._transition.on_node_lost(now, node, still))

    def node_lost(self, now: Instant, wall: int, node: str) -> Effects:
        """Nothing will come back from this node."""
        self._ordered.pop(node, None)
        self._strange.lost(node)
        return self._commanded(now, wall, self._transition.on_node_lost(now, node))

    def fenced(self, now: Instant, wall: int, done: Confirmed) -> Effects:
        """A node is fenced, as the status says already."""
        node, action = done.target, done.action
        awaited = self._transition.awaits_fencing(node, action)
        effects = self._commanded(now, wall, self._transition.on_fenced(now, node, action))
        if action != "on":
            effects += self.node_lost(now, wall, node)
        return effects if awaited else effects + self.consider(now, wall, f"{node} is fenced")

    def fencing_failed(self, now: Instant, wall: int, node: str, action: str) -> Effects:
        """What waits for this fencing is not done in this transition."""
        failed = self._transition.on_fencing_failed(now, node, action)
        return self._commanded(now, wall, failed)

    def consider(self, now: Instant, wall: int, why: str) -> Effects:
        """Schedule now, or as soon as the running transition has ended."""
        self._repeats = 0
        return self._look_again(now, wall, why)

    def _look_again(self, now: Instant, wall: int, why: str) -> Effects:
        if not self._ledger.serving:
            return []
        if not self._transition.idle:
            self._again = why
            return self._commanded(now, wall, self._transition.abort(now, why))
        if self._strange:
            self._again = why
            return []
        return self._schedule(now, wall, why)

    def _schedule(self, now: Instant, wall: int, why: str) -> Effects:
        self._again = ""
        configuration = self._ledger.configuration()
        cib = replace(self._ledger.replica.cib, configuration=self._ledger.to_schedule())
        plan = schedule(cib.configuration, inputs.recorded(cib), wall)
        kept = KeepInput(cib, wall, plan.steps)
        lamented = [*self._lament(plan), *self._fencing.want(wall, _fences(plan))]
        options = configuration.options
        wait = inputs.recheck_after(options.recheck_interval, plan.recheck_at, wall)
        self._recheck_at = now + wait if wait else None
        if not plan.graph.actions:
            return [*lamented, *self._rest(), kept]
        number = next(self._numbers)
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
                number=number,
                actions=len(plan.graph.actions),
                reason=why,
            ),
        ]
        self._transition = Transition(options.cluster_delay, batch_limit=options.batch_limit)
        instance = self._ledger.settings.instance
        self._ordered.clear()
        begun = self._transition.begin(now, number, instance, probes_first(plan.graph))
        return [*effects, *self._commanded(now, wall, begun), kept]

    def _lament(self, plan: Schedule) -> Effects:
        """Say once which nodes are to be fenced: what they ran is not recovered before."""
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
                    self._ordered.setdefault(node, set()).add(operation.key)
                    effects.append(Send(node, protocol.Execute(self._ledger.term, operation)))
                case Cancel(node=node, resource=resource, task=task, interval=interval):
                    self._executed += 1
                    over = ForgetRecurring(node, resource, task, interval)
                    effects += self._ledger.apply((over,))
                    term = self._ledger.term
                    effects.append(Send(node, protocol.Cancel(term, resource, task, interval)))
                case Perform(action=action):
                    self._executed += 1
                    effects += self._perform(now, wall, action)
                case Fence(node=node, how=how):
                    asked, busy = self._fencing.request(now, wall, node, how)
                    effects += asked
                    self._executed += busy
                    if not busy:  # it has failed: it is tried again by and by, or on news
                        effects += self.fencing_failed(now, wall, node, how)
                case Finished():
                    effects += self._finished(now, wall, effect)
        return effects

    def _perform(self, now: Instant, wall: int, action: Action) -> Effects:
        effects: Effects = []
        if action.task == "lrm_delete":
            effects = self._ledger.apply((ForgetHistory(action.node, action.resource),))
            effects.append(Send(action.node, protocol.Forget(self._ledger.term, action.resource)))
        elif action.task == "clear_failcount":
            forgotten = forget_failures(self._ledger.state(action.node), action.resource)
            effects = self._ledger.apply(forgotten)
        return effects + self._commanded(now, wall, self._transition.on_done(now, action.id))

    def _finished(self, now: Instant, wall: int, finished: Finished) -> Effects:
        ended = note(
            "transition-ended", number=finished.number, outcome=finished.outcome.value,
            reason=finished.reason,
        )  # fmt: skip
        if finished.outcome is Outcome.COMPLETE and not self._again and not self._executed:
            return [ended, *self._rest()]  # nothing in it could run: only news can change that
        return [ended, *self._look_again(now, wall, self._again or "done, and looked again")]

    def _rest(self) -> Effects:
        """Nothing is left to do: members that wait to leave and run nothing may."""
        effects: Effects = [note("resting", Level.DEBUG)]
        for node in list(self.departing):
            busy = inputs.running(self._ledger.configuration(), self._ledger.state(node))
            if busy:
                effects.append(
                    note("departure-blocked", Level.ERROR, node=node, resources=",".join(busy))
                )
                continue
            self.departing.remove(node)
            effects.append(Send(node, protocol.Released()))
        return effects


def _fences(plan: Schedule) -> set[tuple[str, str]]:
    """Return whom a plan wants fenced, and how."""
    return {
        (action.node, action.how)
        for action in plan.graph.actions
        if action.kind is ActionKind.FENCE and action.runnable
    }
