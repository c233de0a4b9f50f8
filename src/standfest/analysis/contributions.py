"""The ledger's changes as an operator reads them: what, which line, how much."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from standfest.core.scheduler import colocate, failures
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import Colocation, Kind, Location, Node, Resource
from standfest.core.scheduler.ledger import Cause, Change, Ledger, Wish
from standfest.model.history import Ticket
from standfest.model.scores import INFINITY


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one constraint, option, failure or wish adds to a score.

    cause: a word of `Cause`, in lower case; id, line: of the constraint, empty and 0 if it is none;
    resource: whose place or wish it is; factor: how much of that wish counts; replaces: the score
    becomes this whatever came before; no_effect: something before it has decided already.
    """

    what: str
    score: int
    cause: str = ""
    id: str = ""
    line: int = 0
    resource: str = ""
    factor: float = 1.0
    replaces: bool = False
    no_effect: bool = False


def of_score(
    cluster: Cluster, ledger: Ledger, resource: Resource, node: Node
) -> Iterator[Contribution]:
    """Yield what adds up to the score of a resource on a node, in the order in which it was added.

    Last come mandatory colocations that forbid the node as well, but found it forbidden already.
    """
    told: set[str] = set()
    for change in ledger.changes.get(resource, ()):
        if node.index in change.values:
            if isinstance(change.by, Colocation):
                told.add(change.by.id)
            yield _contribution(cluster, resource, node, change, node.index)
    for colocation in colocate.colocations_of(resource):
        place = colocate.place_of(colocation.primary)
        if (
            colocation.score >= INFINITY
            and colocation.attribute == "#uname"
            and colocation.id not in told
            and colocation.primary.kind is Kind.PRIMITIVE
            and place is not None
            and place.host is not node
        ):
            what = f"{_named(colocation)} {_beside(colocation.primary)}"
            yield Contribution(what, -INFINITY, "colocation", colocation.id, no_effect=True)


def of_promotion(cluster: Cluster, ledger: Ledger, instance: Resource) -> Iterator[Contribution]:
    """Yield what adds up to an instance's claim to be promoted."""
    node = colocate.place_of(instance)
    for change in ledger.ranks.get(instance, ()):
        match change.cause:
            case Cause.STOPPED:
                yield Contribution("it will not be active", change.values[0], "stopped")
            case Cause.OTHER:
                what = "target-role, or a failed promotion, keeps it unpromoted"
                yield Contribution(what, change.values[0], "target_role")
            case Cause.PROMOTION:
                missing = change.by is None
                what = "no promotion score is set for it" if missing else "promotion score"
                yield Contribution(what, change.values[0], "promotion")
            case Cause.INSTANCES:
                what = f"score of {instance.outermost.id} as a whole on this node"
                yield Contribution(what, change.values[0], "score")
            case _:
                yield _contribution(cluster, instance, node, change, 0)


def _contribution(
    cluster: Cluster, resource: Resource, node: Node | None, change: Change, index: int
) -> Contribution:
    by, cause = change.by, change.cause
    score, word = change.values[index], cause.name.lower()
    replaces = index in change.exact
    if isinstance(by, Location):
        prefix = "location " if cause is Cause.LOCATION else ""
        line = by.element.line if cause is Cause.LOCATION else 0
        what = f"{prefix}{_line(by.id, line)}"
        return Contribution(what, score, word, by.id, line, replaces=replaces)
    if isinstance(by, Wish):
        return _wish(by, score, replaces)
    if isinstance(by, Colocation):
        other = by.dependent if cause is Cause.WISH else by.primary
        told = f"wish of {other.id}" if cause is Cause.WISH else _beside(other)
        line = by.element.line if by.element is not None else 0
        what = f"{_named(by)} {told}"
        return Contribution(what, score, word, by.id, line, other.id, replaces=replaces)
    what = _plain(cluster, resource, node, change)
    return Contribution(what, score, word, replaces=replaces)


def _line(name: str, line: int) -> str:
    return f"{name} (line {line})" if line else name


def _named(colocation: Colocation) -> str:
    """Return what an operator calls a colocation: those that we make are not constraints."""
    known = {
        "#group-members": "group:",
        "#resource-with-container": "container:",
        "#ip-with-container": "bundle:",
    }
    if colocation.id in known:
        return known[colocation.id]
    line = colocation.element.line if colocation.element is not None else 0
    return f"colocation {_line(colocation.id, line)}"


def _beside(primary: Resource) -> str:
    places = sorted(
        {leaf.assigned.name for leaf in primary.primitives() if leaf.assigned is not None}
    )
    return f"with {primary.id}, which is {'on ' + ', '.join(places) if places else 'nowhere'}"


def _wish(wish: Wish, score: int, replaces: bool) -> Contribution:
    colocation = wish.colocation
    source = wish.source.id
    if colocation is None:
        return Contribution(f"wish of {source}", score, "wish", resource=source, replaces=replaces)
    times = "" if wish.factor == 1.0 else f", times {wish.factor:g}"
    line = colocation.element.line if colocation.element is not None else 0
    return Contribution(
        f"{_named(colocation)} wish of {source}{times}",
        score,
        "wish",
        colocation.id,
        line,
        source,
        wish.factor,
        replaces,
    )


def _plain(cluster: Cluster, resource: Resource, node: Node | None, change: Change) -> str:
    """Return the text of a change that no constraint makes."""
    match change.cause:
        case Cause.STICKINESS:
            return "resource-stickiness: it runs here"
        case Cause.HEALTH:
            return "node health"
        case Cause.FAILURES:
            failed = change.by if isinstance(change.by, Resource) else resource
            return _failures(cluster, failed, node)
        case Cause.LOCK:
            return (
                f"shutdown-lock: kept for {change.by.name if isinstance(change.by, Node) else ''}"
            )
        case Cause.TICKET:
            ticket = cluster.tickets.get(str(change.by))
            standby = isinstance(ticket, Ticket) and ticket.granted
            return f"ticket {change.by} is {'in standby' if standby else 'not granted'}"
        case Cause.OPT_IN:
            return "symmetric-cluster=false, and no location names this node"
        case Cause.EXCLUSIVE:
            return "resource-discovery=exclusive names other nodes"
        case Cause.REMOTE:
            return "such a resource does not run on a remote or guest node"
        case Cause.BUNDLE:
            return "a bundle's instance runs in its container only"
        case Cause.STOPPED:
            return "it is to be stopped"
        case Cause.CAPACITY:
            needs = ", ".join(f"{name} {value}" for name, value in _needs(resource))
            return f"not enough room left (needs {needs})"
        case Cause.INSTANCES:
            return _instances(resource, node)
        case Cause.PROMOTION:
            return "promotion score"
        case _:
            return "another rule"


def _failures(cluster: Cluster, resource: Resource, node: Node | None) -> str:
    count = failures.banned_by_failures(cluster, resource, node) if node is not None else 0
    shown = "INFINITY" if count >= INFINITY else str(count)
    limit = resource.migration_threshold
    threshold = "" if limit >= INFINITY else f" (migration-threshold {limit})"
    return f"fail count of {resource.id} is {shown}{threshold}"


def _needs(resource: Resource) -> Iterable[tuple[str, int]]:
    return sorted(resource.utilization.items())


def _instances(resource: Resource, node: Node | None) -> str:
    clone = resource.parent
    if clone is None or node is None:
        return "no place for this instance"
    if not node.usable:
        return "this node cannot be used"
    if clone.allowed[node.index] < 0:
        return f"{clone.id} may not run here"
    return f"{clone.id} has all the instances it may have (here or at all)"
