"""Which nodes are together in one view: the best set of nodes that all hear each other.

Pure and deterministic: whoever has the same statements computes the same set. The search is a
depth-first one over cliques (Bron and Kerbosch, with a pivot, on bit masks), the greatest branches
first. It is bounded: after MAX_STEPS it keeps the best set that it has found, which then still is
one whose nodes all hear each other, and, since the order is that of the names, still the same at
all.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

MAX_STEPS = 20_000
"""Branches that one search looks at; graphs of a few broken links need a handful."""


@dataclass(frozen=True, slots=True)
class Statement:
    """Whom a node hears.

    session: its daemon's, greater than those before unless its clock went back; number: counts its
    statements from 1; leader: the coordinator that it follows, or nothing; roster: which one it
    knows, later ones are greater.
    """

    node: str
    session: int
    number: int
    hears: tuple[str, ...]
    leader: str = ""
    roster: tuple[int, int] = (0, 0)


Statements = Mapping[str, Statement]
Hears = Mapping[str, frozenset[str]]
Votes = Callable[[Collection[str]], int]


def mutual(said: Statements, one: str, other: str) -> bool:
    """Return whether two nodes hear each other; who says nothing of it hears all that hear it."""
    return _hears(said, one, other) and _hears(said, other, one)


def within_reach(said: Statements, node: str) -> frozenset[str]:
    """Return the nodes of which this one can know: it hears them, or whom it hears does, and so on.

    Who is out of reach may have died long ago: its last statement counts for nothing.
    """
    return frozenset(_reached({n: frozenset(said[n].hears) for n in said}, node))


def best_view(said: Statements, node: str, votes: Votes) -> frozenset[str]:
    """Return the best set of all nodes within reach of this one, which need not be in it.

    Most votes, then most nodes; then the set that knows least of others, since it will act
    whatever they decide; then the one in which most nodes follow a coordinator that is in it; then
    by name.
    """
    stated = {n: frozenset(statement.hears) for n, statement in said.items()}
    names = sorted(_reached(stated, node))
    everybody = frozenset(names)
    hears = {n: stated.get(n, everybody) for n in names}
    whole = _whole(hears)
    if len(whole) == len(names):
        return frozenset(whole)  # nobody contradicts anybody
    rest = [n for n in names if n not in set(whole)]
    known = {n: len(_reached(stated, n, len(names))) if n in said else len(names) for n in names}

    def merit(view: frozenset[str]) -> tuple[int, int, int, int]:
        followers = sum(1 for n in view if n in said and said[n].leader in view)
        return votes(view), len(view), -max((known[n] for n in view), default=0), followers

    best, best_merit = frozenset[str](), (-1, 0, 0, 0)
    for chosen in _cliques(hears, rest):
        view = frozenset((*whole, *chosen))
        found = merit(view)
        if found > best_merit or (found == best_merit and sorted(view) < sorted(best)):
            best, best_merit = view, found
    return best


def _reached(stated: Hears, node: str, of: int | None = None) -> set[str]:
    """Return whom a node can know of; of: how many there are in all, where that is known."""
    found, rest = {node}, [node]
    while rest and len(found) != of:
        new = stated.get(rest.pop(), frozenset()) - found
        found |= new
        rest += new
    return found


def _whole(hears: Hears) -> list[str]:
    """Return those that hear everybody both ways: they are in every set.

    Whole sets are compared, since each statement of a start-up is followed by this.
    """
    everybody = frozenset(hears)
    heard_by_all = everybody.intersection(*(hears[n] | {n} for n in hears))
    return [n for n in hears if n in heard_by_all and hears[n] | {n} >= everybody]


def _hears(said: Statements, one: str, other: str) -> bool:
    statement = said.get(one)
    return statement is None or other in statement.hears


def _cliques(hears: Hears, names: list[str]) -> list[tuple[str, ...]]:
    """Return the greatest sets of these names that all hear each other; one empty one of none."""
    near = [0] * len(names)
    for i, one in enumerate(names):
        for j in range(i):
            if names[j] in hears[one] and one in hears[names[j]]:
                near[i] |= 1 << j
                near[j] |= 1 << i
    found: list[tuple[str, ...]] = []
    stack = [(0, (1 << len(names)) - 1, 0)]
    for _ in range(MAX_STEPS):
        if not stack:
            break
        chosen, open_, done = stack.pop()
        if not open_ and not done:
            found.append(tuple(names[i] for i in _bits(chosen)))
            continue
        if not open_:
            continue
        pivot = max(_bits(open_ | done), key=lambda i: ((near[i] & open_).bit_count(), -i))
        branches = []
        for i in _bits(open_ & ~near[pivot]):
            branches.append((chosen | 1 << i, open_ & near[i], done & near[i]))
            open_ &= ~(1 << i)
            done |= 1 << i
        stack += sorted(branches, key=lambda b: (b[1].bit_count(), -b[0]))
    return found


def _bits(mask: int) -> list[int]:
    return [i for i in range(mask.bit_length()) if mask >> i & 1]
