"""Where every score comes from, kept only for a run that is asked why.

The stages say after each step what they have just done; the ledger compares the tables with what
it saw last and writes the difference down. Without a ledger a run does nothing of this.
"""

from collections.abc import Iterator, Mapping
from enum import Enum, auto

from standfest.core.scheduler.entities import ABSENT, Colocation, Kind, Resource
from standfest.model.scores import INFINITY, add_scores


class Cause(Enum):
    """What a step was about; `by` of the change says which one."""

    OTHER = auto()  # a step that says nothing: a gap
    HISTORY = auto()  # a ban because of what is recorded; by: Location
    LOCATION = auto()  # by: Location
    HEALTH = auto()
    STICKINESS = auto()
    FAILURES = auto()
    LOCK = auto()  # by: Node
    TICKET = auto()  # by: ticket id
    OPT_IN = auto()
    EXCLUSIVE = auto()
    REMOTE = auto()
    BUNDLE = auto()
    COLOCATION = auto()  # by: Colocation, the place of its primary
    WISH = auto()  # by: Wish, what dependents would like
    STOPPED = auto()  # not to be active at all
    CAPACITY = auto()
    INSTANCES = auto()  # as many instances as there may be
    PROMOTION = auto()  # promotion score


class Wish:
    """`factor` times the scores of `source`, through a colocation (None: its own)."""

    __slots__ = ("after", "before", "colocation", "factor", "source")

    def __init__(
        self,
        source: Resource,
        colocation: Colocation | None,
        factor: float,
        before: list[int],
        after: list[int],
    ) -> None:
        self.source = source
        self.colocation = colocation
        self.factor = factor
        self.before = before
        self.after = after


class Change:
    """What one step added to a resource's scores, by node index.

    exact: nodes whose score became the value, whatever it was before.
    """

    __slots__ = ("by", "cause", "exact", "values")

    def __init__(self, cause: Cause, by: object) -> None:
        self.cause = cause
        self.by = by
        self.values: dict[int, int] = {}
        self.exact: set[int] = set()


def _plain(score: int) -> int:
    """Return a score as it is shown: a node that is not in the table has none; dropped is 1."""
    if score == ABSENT:
        return 0
    return score if score >= -INFINITY else 1


class Ledger:
    """The changes of every table, in the order in which they were made."""

    def __init__(self) -> None:
        self.changes: dict[Resource, list[Change]] = {}
        self.ranks: dict[Resource, list[Change]] = {}
        self.trace: list[Wish] | None = None
        self._seen: dict[Resource, list[int]] = {}
        self._rank: dict[Resource, int] = {}

    def note(
        self,
        resource: Resource,
        cause: Cause,
        by: object = None,
        values: Mapping[int, int] | None = None,
    ) -> None:
        """Write down how the tables of a resource, and of what is in it, have changed.

        values: what was added, where it is known; the difference hides what was added to INFINITY.
        """
        self._compare(resource, cause, by, values)
        first_only = resource.kind is Kind.GROUP and resource.collocated
        for place, child in enumerate(resource.children):
            self.note(child, cause, by, None if first_only and place else values)

    def _compare(
        self, resource: Resource, cause: Cause, by: object, values: Mapping[int, int] | None
    ) -> None:
        after = resource.allowed
        before = self._seen.get(resource) or [0] * len(after)
        change = Change(cause, by)
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            known = values.get(index) if values is not None else None
            _enter(change, index, _plain(old), _plain(new), known)
        self._keep(resource, change)

    def _keep(self, resource: Resource, change: Change) -> None:
        self._seen[resource] = list(resource.allowed)
        if change.values:
            self.changes.setdefault(resource, []).append(change)

    def wish(self, wish: Wish) -> None:
        """Collect what a dependent would like, if this is about a score that is kept."""
        if self.trace is not None:
            self.trace.append(wish)

    def wishes(self, resource: Resource) -> None:
        """Write down what the trace has collected, one change for each dependent."""
        for wish in self.trace or ():
            change = Change(Cause.WISH, wish)
            for index, (old, new) in enumerate(zip(wish.before, wish.after, strict=True)):
                _enter(change, index, _plain(old), _plain(new), None)
            self._keep(resource, change)
        self.trace = None

    def marks(self, resource: Resource) -> list[tuple[Resource, int]]:
        """Return where the ledger stands for a resource and what is in it."""
        return [(one, len(self.changes.get(one, ()))) for one in _around(resource)]

    def rewind(self, marks: list[tuple[Resource, int]]) -> None:
        """Forget what a trial has added; its tables have been restored."""
        for resource, length in marks:
            del self.changes.get(resource, [])[length:]
            self._seen[resource] = list(resource.allowed)

    def rank(self, instance: Resource, cause: Cause, by: object, claim: int) -> None:
        """Write down how an instance's claim to be promoted has changed (node index 0 stands)."""
        change = Change(cause, by)
        _enter(change, 0, self._rank.get(instance, 0), _plain(claim), None)
        self._rank[instance] = _plain(claim)
        if change.values:
            self.ranks.setdefault(instance, []).append(change)


def _around(resource: Resource) -> Iterator[Resource]:
    yield resource
    for child in resource.children:
        yield from _around(child)


def _enter(change: Change, index: int, old: int, new: int, known: int | None) -> None:
    if known is not None and add_scores(old, known) == new:
        if known:
            change.values[index] = known
    elif old == new:
        return
    elif abs(new) >= INFINITY and (new < 0 or old > -INFINITY):
        change.values[index] = new
    elif abs(old) >= INFINITY:
        change.values[index] = new
        change.exact.add(index)
    else:
        change.values[index] = new - old
