"""The smallest sets of causes whose removal reaches a goal, each proven by scheduling without them.

The search asks the scheduler about the part of the situation that matters; what it finds is
verified with the whole of it. Both have a limit, and `Found` says when it was reached.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from standfest.analysis.candidates import Candidate
from standfest.analysis.connected import Situation
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.engine import decide

MOST_CANDIDATES = 60
MOST_RUNS = 600
MOST_SECONDS = 1.5
MOST_VERIFIED = 5
LARGEST_SET = 3  # looked for exhaustively
LARGEST_SHOWN = 8
HOPELESS = 12

Goal = Callable[[Cluster], bool]


@dataclass(frozen=True, slots=True)
class Found:
    """Sets of causes, all of the same size, and how far one may rely on there being no others."""

    sets: tuple[tuple[str, ...], ...] = ()
    note: str = ""


class _Search:
    def __init__(self, part: Situation, whole: Situation, now: int, goal: Goal) -> None:
        self._part = part
        self._whole = whole
        self._now = now
        self._goal = goal
        self.runs = 0
        self._end = time.monotonic() + MOST_SECONDS

    @property
    def spent(self) -> bool:
        return self.runs >= MOST_RUNS or time.monotonic() > self._end

    def reaches(self, chosen: Sequence[Candidate]) -> bool:
        """Return whether the goal is reached, in the part that matters, without some causes."""
        self.runs += 1
        cluster = decide(*_without(self._part, chosen), self._now)
        return self._goal(cluster)

    def proven(self, chosen: Sequence[Candidate]) -> bool:
        """Return whether it is reached in the whole situation, too."""
        return self._goal(decide(*_without(self._whole, chosen), self._now))


def _without(situation: Situation, chosen: Sequence[Candidate]) -> Situation:
    for candidate in chosen:
        situation = candidate.remove(situation)
    return situation


def find(
    part: Situation, whole: Situation, now: int, goal: Goal, candidates: Sequence[Candidate]
) -> Found:
    """Return the smallest sets of candidates without which the goal is reached.

    First all (if that is not enough, only the nearest are tried); then each alone; then those that
    every set must hold, because without all others the goal is not reached; then these with one or
    two more; at last all, less what can stay.
    """
    search = _Search(part, whole, now, goal)
    pool = list(candidates[:MOST_CANDIDATES])
    if not pool:
        return Found(note="nothing is known that keeps it from it")
    hope = search.reaches(pool)
    alone = pool if hope else pool[:HOPELESS]
    found: list[tuple[Candidate, ...]] = []
    found += [(one,) for one in alone if not search.spent and search.reaches((one,))]
    if not found and not hope:
        more = " nearest" if len(candidates) > len(pool) else ""
        return Found(note=f"not even without all {len(pool)}{more} known causes together")
    if not found and not search.spent:
        found = _larger(search, pool)
    sets = [
        tuple(one.what for one in chosen)
        for chosen in found[:MOST_VERIFIED]
        if search.proven(chosen)
    ]
    return Found(tuple(sets), _note(search, found, sets))


def _note(
    search: _Search, found: Sequence[Sequence[Candidate]], sets: Sequence[tuple[str, ...]]
) -> str:
    if search.spent:
        return f"the search ended after {search.runs} runs of the scheduler: there may be others"
    if len(found) > MOST_VERIFIED:
        return f"only the first {MOST_VERIFIED} of {len(found)} are shown"
    if found and not sets:
        return "a cause was found, but other resources stand in the way as well"
    if not found:
        return f"more than {LARGEST_SHOWN} causes at once keep it from it"
    if len(found[0]) > LARGEST_SET:
        return "none of these alone is to be left out; a smaller set of others may exist"
    return ""


def _larger(search: _Search, pool: list[Candidate]) -> list[tuple[Candidate, ...]]:
    needed = tuple(
        one
        for one in pool
        if not search.spent and not search.reaches([other for other in pool if other is not one])
    )
    if needed and search.reaches(needed):
        return [needed]
    others = [one for one in pool if one not in needed]
    for size in range(max(2, len(needed) + 1), LARGEST_SET + 1):
        found = []
        for more in combinations(others, size - len(needed)):
            if search.spent:
                break
            chosen = needed + more
            if search.reaches(chosen):
                found.append(chosen)
        if found:
            return found
    least = _least(search, pool)
    return [least] if len(least) <= LARGEST_SHOWN else []


def _least(search: _Search, pool: list[Candidate]) -> tuple[Candidate, ...]:
    """Return a set from which nothing can be left out, though a smaller one may exist."""
    kept = list(pool)
    for one in reversed(pool):  # what is farthest away is left out first
        rest = [other for other in kept if other is not one]
        if rest and not search.spent and search.reaches(rest):
            kept = rest
    return tuple(kept)
