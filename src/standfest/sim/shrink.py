"""A failing run with as few faults as make it fail: faults are left out as long as it still does.

Source of the method: Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing Input,
IEEE Transactions on Software Engineering 28 (2002): delta debugging.
"""

from collections.abc import Callable
from dataclasses import replace

from standfest.sim.run import HOUR, ROUND, Order, Outcome, run

MOST_RUNS = 60
"""A run costs about a second; what is found until then is short enough to be read."""


def shrink(
    outcome: Outcome,
    *,
    again: Callable[[Order], Outcome] = run,
    told: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """Return a run that breaks the same invariant with fewer faults; told: of the number left."""
    assert outcome.violation is not None, "there is something to be explained"
    name, best = outcome.violation.name, outcome
    rounds = -(-outcome.simulated // ROUND)  # whole ones: the plan depends on where they end
    hours = min(outcome.order.hours, rounds * ROUND / HOUR)
    kept = [fault.number for fault in outcome.faults]
    runs, parts = 0, 2
    while kept and parts <= 2 * len(kept) and runs < MOST_RUNS:
        size = max(1, len(kept) // parts)
        for begin in range(0, len(kept), size):
            fewer = kept[:begin] + kept[begin + size :]
            order = replace(outcome.order, only=frozenset(fewer), hours=hours)
            runs += 1
            tried = again(order)
            if tried.violation is not None and tried.violation.name == name:
                best, kept, parts = tried, fewer, max(2, parts - 1)
                told(len(kept))
                break
            if runs >= MOST_RUNS:
                break
        else:
            if size == 1:
                break
            parts *= 2
    return replace_order(best, outcome.order)


def replace_order(found: Outcome, original: Order) -> Outcome:
    """Return the outcome with the order that replays it."""
    if found.order.only is not None:
        found.order = replace(original, only=found.order.only)
    return found
