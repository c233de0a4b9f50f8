"""Fences nodes: which device, who calls it, what is tried next; a machine of the coordinator's.

One case per node: an attempt goes through the levels until one succeeds; a failed attempt is
repeated after a pause that grows, up to the configured number; then only news begins it anew.
Nothing is believed but an agent's success or an administrator's word, and neither a node's return
nor a second request ends what is under way.
Source: facts/formats/SCHEDULER-SPEC.md section 10.2, CIB-MODERN.md section 5; docs/adr/0028.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from standfest.core.fencing import plan
from standfest.core.fencing.effects import Begun, Call, Confirmed, Failed, FencingEffect, Withdrawn
from standfest.core.fencing.plan import Scene, Step
from standfest.model.time import Duration, Instant, earliest, seconds

FIRST_PAUSE: Duration = seconds(2)
LONGEST_PAUSE: Duration = seconds(60)
"""Between attempts; doubled after each."""

ANSWER_GRACE: Duration = seconds(5)
"""What an executor's answer may take beyond the call's own timeout."""

Effects = list[FencingEffect]


@dataclass(slots=True)
class _Running:
    """A call under way. begun: when the first try of its step was."""

    case: "_Case | None"
    step: Step
    executor: str
    until: Instant


@dataclass(slots=True)
class _Case:
    """What becomes of one node. `at`: when to go on, if no call is under way and none waits.

    attempts: failed ones; untouched: no agent has been called in this attempt; asked: by an
    administrator, so that no decision of the cluster ends it; over: tried often enough.
    """

    target: str
    action: str
    asked: bool
    draw: float
    settle: Duration
    attempts: int = 0
    untouched: bool = True
    levels: deque[list[Step]] = field(default_factory=deque)
    steps: deque[Step] = field(default_factory=deque)
    done: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    tried: int = 0
    missed: set[str] = field(default_factory=set)
    begun: Instant = 0
    run: int | None = None
    at: Instant | None = None
    queued: bool = False
    over: bool = False
    last: str = ""

    @property
    def resting(self) -> bool:
        """Return whether nothing is under way: between attempts, or given up."""
        return self.run is None and not self.queued and not self.levels and not self.steps


class Fencing:
    """All fencing of one term; look: to be set before every input if the cluster has changed."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._cases: dict[tuple[str, bool], _Case] = {}
        self._runs: dict[int, _Running] = {}
        self._next_run = 1

    # --- what is known --------------------------------------------------------------------------

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        waits = (case.at for case in self._cases.values())
        return earliest(*waits, *(running.until for running in self._runs.values()))

    def busy(self, target: str, action: str) -> bool:
        """Return whether an attempt is under way."""
        case = self._cases.get(_key(target, action))
        return case is not None and not case.resting

    # --- inputs ---------------------------------------------------------------------------------

    def request(
        self,
        now: Instant,
        target: str,
        action: str,
        *,
        draw: float,
        settle: Duration = 0,
        asked: bool = False,
    ) -> Effects:
        """Fence a node; one that is being fenced already is not fenced twice.

        `reboot` and `off` are the same wish here: that nothing runs there any more. After a failure
        nothing is done before its pause is over, or, if it was the last, before there is news.
        settle: what to wait at first, since who is cut off loses the others one by one, and may
        fence nobody once it knows; draw: of [0, 1), for random delays; asked: by an administrator,
        who waits for neither.
        """
        case = self._cases.get(_key(target, action))
        if case is None:
            case = _Case(target, action, asked, draw, settle)
            self._cases[_key(target, action)] = case
            return self._begin(now, case)
        case.asked = case.asked or asked
        if asked and case.resting:
            case.attempts, case.over = 0, False
            return self._begin(now, case)
        return []

    def want(self, wanted: Iterable[tuple[str, str]]) -> Effects:
        """Forget what the cluster no longer wants, unless an agent has been called for it.

        A node that comes back while others still wait before its fencing is a member again.
        """
        keys = {_key(target, action) for target, action in wanted}
        return self._withdraw(
            key
            for key, case in self._cases.items()
            if key not in keys and (case.resting or case.untouched)
        )

    def stand_down(self) -> Effects:
        """Begin nothing more: this partition has just lost its right to fence others."""
        return self._withdraw(
            key for key, case in self._cases.items() if case.resting or case.untouched
        )

    def _withdraw(self, keys: Iterable[tuple[str, bool]]) -> Effects:
        effects: Effects = []
        for key in list(keys):
            case = self._cases[key]
            if not case.asked:
                del self._cases[key]
                effects.append(Withdrawn(case.target, case.action))
        return effects

    def on_ended(self, now: Instant, run: int, *, succeeded: bool, reason: str) -> Effects:
        """A call has ended; what was given up meanwhile says nothing any more."""
        running = self._runs.pop(run, None)
        if running is None:
            return []
        case = running.case
        effects: Effects = []
        if case is not None and case.run == run:
            case.run = None
            effects = self._judge(now, case, running, succeeded=succeeded, reason=reason)
        return effects + self._next_in_queue(now)

    def on_member_lost(self, now: Instant, node: str) -> Effects:
        """What this member was asked to call is asked of another one."""
        effects: Effects = []
        for run, running in list(self._runs.items()):
            if running.executor == node:
                effects += self._unanswered(now, run, f"{node} is gone")
        return effects

    def confirm(self, target: str) -> Effects:
        """An administrator says that nothing runs there: that counts as fencing."""
        case = self._cases.pop(_key(target, "off"), None)
        for running in self._runs.values():
            if running.case is case:
                running.case = None
        return [Confirmed(target, case.action if case else "off")]

    def news(self, now: Instant) -> Effects:
        """Something has changed: what was given up is worth another attempt."""
        effects: Effects = []
        for case in list(self._cases.values()):
            if case.over:
                case.attempts, case.over = 0, False
                effects += self._begin(now, case)
        return effects

    def on_timer(self, now: Instant) -> Effects:
        """Go on after pauses and delays; give up calls that nobody answers."""
        effects: Effects = []
        for run, running in list(self._runs.items()):
            if running.until <= now:
                effects += self._unanswered(now, run, f"no answer from {running.executor}")
        for case in list(self._cases.values()):
            if case.at is not None and case.at <= now:
                case.at = None
                effects += self._begin(now, case) if case.resting else self._advance(now, case)
        return effects

    # --- one attempt ----------------------------------------------------------------------------

    def _begin(self, now: Instant, case: _Case) -> Effects:
        """Begin an attempt; chance and delays count before the first one only."""
        case.at, case.untouched = None, True
        case.reasons.clear()
        effects: Effects = [] if case.attempts else [Begun(case.target, case.action)]
        case.levels = deque(plan.levels(self.scene, case.target, case.action))
        if not case.levels:
            case.over, case.asked = True, False
            reason = f"no device can fence {case.target}"
            return [*effects, Failed(case.target, case.action, reason, case.attempts, None)]
        self._level(case)
        delay = case.settle + case.steps[0].device.delay(case.target, case.draw)
        if delay and not case.attempts and case.action != "on" and not case.asked:
            case.at = now + delay
            return effects
        return effects + self._advance(now, case)

    def _level(self, case: _Case) -> None:
        case.steps = deque(case.levels.popleft())
        case.done.clear()
        self._fresh(case)

    @staticmethod
    def _fresh(case: _Case) -> None:
        """Nothing was tried of the next step."""
        case.tried, case.begun = 0, 0
        case.missed.clear()

    def _advance(self, now: Instant, case: _Case) -> Effects:
        """Call the agent of the case's next step, as soon as its device is free."""
        step = case.steps[0]
        limit = step.device.limit
        busy = sum(1 for running in self._runs.values() if running.step.device.id == step.device.id)
        if limit and busy >= limit:
            case.queued = True
            return []
        case.queued = False
        able = [
            node
            for node in plan.executors(self.scene, step, case.target)
            if node not in case.missed
        ]
        if not able:
            why = f"{step.device.id}: nobody is there to call it"
            return self._judged(now, case, step, "" if not step.must else why)
        executor = able[case.attempts % len(able)]
        if not case.tried:
            case.begun = now
        case.tried += 1
        case.untouched = False
        left = case.begun + plan.timeout(self.scene, step) - now
        run = self._next_run
        self._next_run += 1
        case.run, case.last = run, executor
        self._runs[run] = _Running(case, step, executor, now + left + ANSWER_GRACE)
        return [Call(run, executor, plan.call(step, case.target, left))]

    def _judge(
        self, now: Instant, case: _Case, running: _Running, *, succeeded: bool, reason: str
    ) -> Effects:
        """Try the same once more while its time lasts, or go on."""
        step = running.step
        if succeeded or not step.must:
            return self._judged(now, case, step, "")
        why = f"{step.device.id} by {running.executor}: {reason or 'the agent failed'}"
        if case.tried < plan.tries(step) and now < case.begun + plan.timeout(self.scene, step):
            case.reasons.append(why)
            return self._advance(now, case)
        return self._judged(now, case, step, why)

    def _judged(self, now: Instant, case: _Case, step: Step, failure: str) -> Effects:
        """Go on after a step: to the next one, to the next level, to the end."""
        if failure:
            case.reasons.append(failure)
            if case.levels:
                self._level(case)
                return self._advance(now, case)
            return self._attempt_failed(now, case, "; ".join(dict.fromkeys(case.reasons)))
        case.done.append(step.device.id)
        case.steps.popleft()
        self._fresh(case)
        return self._advance(now, case) if case.steps else self._succeeded(now, case)

    def _succeeded(self, now: Instant, case: _Case) -> Effects:
        if case.action != "on" and case.target == self.scene.me:
            case.levels.clear()
            return self._attempt_failed(now, case, f"{case.target} was fenced, and is still here")
        del self._cases[_key(case.target, case.action)]
        devices = tuple(dict.fromkeys(case.done))
        return [Confirmed(case.target, case.action, case.last, devices)]

    def _attempt_failed(self, now: Instant, case: _Case, reason: str) -> Effects:
        case.steps.clear()
        case.queued = False
        case.attempts += 1
        again: Duration | None = None
        if case.attempts >= self.scene.plan.max_attempts:
            case.over, case.asked = True, False
        else:
            again = min(FIRST_PAUSE << min(case.attempts - 1, 16), LONGEST_PAUSE)
            case.at = now + again
        return [Failed(case.target, case.action, reason, case.attempts, again)]

    def _unanswered(self, now: Instant, run: int, reason: str) -> Effects:
        """Ask another member for the same; that costs no try."""
        running = self._runs.pop(run)
        case = running.case
        effects: Effects = []
        if case is not None and case.run == run:
            case.run = None
            case.missed.add(running.executor)
            case.tried -= 1
            case.reasons.append(f"{running.step.device.id}: {reason}")
            case.begun = now  # the other one gets the whole time
            effects = self._advance(now, case)
        return effects + self._next_in_queue(now)

    def _next_in_queue(self, now: Instant) -> Effects:
        effects: Effects = []
        for case in list(self._cases.values()):
            if case.queued:
                effects += self._advance(now, case)
        return effects


def _key(target: str, action: str) -> tuple[str, bool]:
    """Return what a case is known by: to let a node in is another wish than to be rid of it."""
    return target, action == "on"
