"""When which server is probed, and when what was found counts.

A machine without I/O: adapters connect and read, this decides. Checks begin spread over the
interval and then keep their phase, from start to start, so that many of them load the machine and
the servers evenly, and slow answers do not thin them out. Source: keepalived.conf(5), "Checkers".
"""

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from standfest.core.health.effects import (
    AbandonProbe,
    BeginProbe,
    CheckerChanged,
    HealthEffect,
    ProbeFailed,
    WeightFound,
)
from standfest.model.time import Duration, Instant, milliseconds

Effects = list[HealthEffect]

MAX_REASON = 200
TICK: Duration = milliseconds(10)
"""Whatever is due within it is done at its end: a process that wakes for every one of thousands of
checks spends most of its time waking."""


@dataclass(frozen=True, slots=True)
class Plan:
    """When one checker looks, and how often it must find the same before that counts.

    interval: start to start. limit: how long one probe may take in all. retry: further attempts
    after a failure of a server that counts as up, each `retry_delay` after the one before.
    rise: successes in a row that bring a server back. warmup: the first probe begins within it.
    alpha: down until a probe has succeeded.
    """

    interval: Duration
    limit: Duration
    retry: int = 1
    retry_delay: Duration = 0
    rise: int = 1
    warmup: Duration = 0
    alpha: bool = False


class _Checker:
    """One checker's state; `number` counts its probes, so that a late answer is recognised."""

    __slots__ = ("asleep", "began", "due", "left", "number", "plan", "probing", "rising", "up")

    def __init__(self, plan: Plan, due: Instant) -> None:
        self.plan = plan
        self.up = not plan.alpha
        self.due: Instant | None = due
        self.began: Instant = due
        self.number = 0
        self.probing = False
        self.left = plan.retry
        self.rising = 0
        self.asleep = False


class Health:
    """All checkers of a director."""

    def __init__(self) -> None:
        self._checkers: dict[str, _Checker] = {}
        self._heap: list[tuple[Instant, str]] = []

    # --- what is known --------------------------------------------------------------------------

    def is_up(self, checker: str) -> bool:
        """Return a checker's verdict."""
        return self._checkers[checker].up

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due: at the next tick, so that it is due for many at once."""
        at = self._first()
        return None if at is None else -(-at // TICK) * TICK

    def _first(self) -> Instant | None:
        while self._heap:
            at, name = self._heap[0]
            checker = self._checkers.get(name)
            if checker is not None and checker.due == at:
                return at
            heapq.heappop(self._heap)  # it was put off, or is gone
        return None

    # --- inputs ---------------------------------------------------------------------------------

    def configure(
        self, now: Instant, plans: Mapping[str, Plan], down: Collection[str] = ()
    ) -> Effects:
        """Take over a set of checkers; those that were there before with the same plan go on.

        One with another plan keeps its verdict, and is probed at its new times. down: new ones
        whose servers count as failed already.
        """
        effects: Effects = []
        for name in [n for n in self._checkers if n not in plans]:
            effects += self._abandon(name)
            del self._checkers[name]
        fresh = [name for name in plans if name not in self._checkers]
        for position, name in enumerate(fresh):
            plan = plans[name]
            first = now + _spread(plan.warmup, position, len(fresh))
            self._checkers[name] = _Checker(plan, first)
            self._checkers[name].up = not plan.alpha and name not in down
            heapq.heappush(self._heap, (first, name))
        for name, plan in plans.items():
            checker = self._checkers[name]
            if checker.plan != plan:
                checker.plan, checker.left = plan, plan.retry
                if not checker.probing and not checker.asleep:
                    self._wait(name, checker, min(checker.due or now, now + plan.interval))
        return effects

    def on_timer(self, now: Instant) -> Effects:
        """Begin the probes that are due, give up those that took too long."""
        effects: Effects = []
        while (at := self._first()) is not None and at <= now:
            _, name = heapq.heappop(self._heap)
            checker = self._checkers[name]
            if checker.probing:
                effects.append(AbandonProbe(name, checker.number))
                effects += self._failed(now, name, checker, "no answer in time")
            else:
                effects.append(self._begin(now, name, checker))
        return effects

    def on_result(
        self,
        now: Instant,
        name: str,
        number: int,
        *,
        succeeded: bool,
        reason: str = "",
        weight: int | None = None,
    ) -> Effects:
        """A probe has ended; one that nobody waits for any more is ignored."""
        checker = self._checkers.get(name)
        if checker is None or not checker.probing or checker.number != number:
            return []
        effects: Effects = [] if weight is None else [WeightFound(name, weight)]
        if succeeded:
            return effects + self._succeeded(now, name, checker, reason)
        return effects + self._failed(now, name, checker, reason)

    def look_now(self, now: Instant, name: str) -> None:
        """Probe at once, out of turn: an administrator asks, or a link came back."""
        checker = self._checkers[name]
        if not checker.probing and not checker.asleep:
            self._wait(name, checker, now)

    def suspend(self, names: Sequence[str]) -> Effects:
        """Stop probing: the address that these servers stand behind is elsewhere (`ha_suspend`)."""
        effects: Effects = []
        for name in names:
            effects += self._abandon(name)
            self._checkers[name].asleep = True
            self._checkers[name].due = None
        return effects

    def resume(self, now: Instant, names: Sequence[str]) -> None:
        """Probe again, spread over the warmup; verdicts are those of before."""
        for position, name in enumerate(names):
            checker = self._checkers[name]
            if checker.asleep:
                checker.asleep = False
                first = now + _spread(checker.plan.warmup, position, len(names))
                self._wait(name, checker, first)

    # --- one checker ----------------------------------------------------------------------------

    def _begin(self, now: Instant, name: str, checker: _Checker) -> BeginProbe:
        assert checker.due is not None, "it was due"
        # The phase is kept: what is due now was due at `due`, and the next one follows from that.
        checker.began = checker.due if now - checker.due < checker.plan.interval else now
        checker.number += 1
        checker.probing = True
        self._wait(name, checker, now + checker.plan.limit)
        return BeginProbe(name, checker.number)

    def _succeeded(self, now: Instant, name: str, checker: _Checker, reason: str) -> Effects:
        checker.left = checker.plan.retry
        self._rest(now, name, checker)
        if checker.up:
            return []
        checker.rising += 1
        if checker.rising < checker.plan.rise:
            return []
        checker.up = True
        return [CheckerChanged(name, True, reason or "answers")]

    def _failed(self, now: Instant, name: str, checker: _Checker, reason: str) -> Effects:
        reason = reason[:MAX_REASON]
        checker.rising = 0
        if checker.up and checker.left > 0:
            checker.left -= 1
            checker.probing = False
            self._wait(name, checker, now + checker.plan.retry_delay)
            return [ProbeFailed(name, reason, checker.left + 1)]
        self._rest(now, name, checker)
        effects: Effects = [ProbeFailed(name, reason, 0)]
        if checker.up:
            checker.up = False
            effects.append(CheckerChanged(name, False, reason))
        return effects

    def _rest(self, now: Instant, name: str, checker: _Checker) -> None:
        """Wait for the next turn; turns that were missed are left out."""
        checker.probing = False
        interval = checker.plan.interval
        missed = max(0, now - checker.began) // interval
        self._wait(name, checker, checker.began + (missed + 1) * interval)

    def _wait(self, name: str, checker: _Checker, until: Instant) -> None:
        checker.due = until
        heapq.heappush(self._heap, (until, name))

    def _abandon(self, name: str) -> Effects:
        checker = self._checkers[name]
        if not checker.probing:
            return []
        checker.probing = False
        return [AbandonProbe(name, checker.number)]


def _spread(over: Duration, position: int, count: int) -> Duration:
    """Return when the first probe of one of `count` checkers begins: evenly spread."""
    return over * position // count
