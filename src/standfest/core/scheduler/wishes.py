"""Colocate stage: what dependents would like counts for the resource that they go with.

Source: facts/formats/SCHEDULER-SPEC.md rows 4.7 to 4.9 and 6.8.
"""

from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.colocate import (
    HOST,
    any_usable,
    colocations_of,
    dependents_of,
    value_on,
)
from standfest.core.scheduler.entities import Colocation, Kind, Resource
from standfest.core.scheduler.ledger import Wish
from standfest.model.scores import INFINITY, add_scores

_DROPPED = -100 * INFINITY
"""Marks a node that a clone's dependents dislike, so that later ones leave it alone."""


def add_wishes(cluster: Cluster, primary: Resource, *, mandatory: bool | None = None) -> None:
    """Add what the dependents of a primary would like, scaled by the score (rule 4.7).

    mandatory: only those that must be with it (or must not), or only the others; None: all.
    """
    for colocation in dependents_of(primary):
        if not colocation.has_influence():
            continue
        if mandatory is not None and mandatory != (abs(colocation.score) >= INFINITY):
            continue
        factor = colocation.score / INFINITY
        if cluster.ledger is not None:
            cluster.ledger.trace = []
        primary.allowed = merged(
            cluster,
            colocation.dependent,
            primary,
            primary.allowed,
            colocation,
            factor,
            positive=primary.is_clone,
        )
        if cluster.ledger is not None:
            cluster.ledger.wishes(primary)


def merged(  # noqa: PLR0917 (the recursion carries all of it)
    cluster: Cluster,
    source: Resource,
    target: Resource,
    table: list[int] | None,
    colocation: Colocation | None,
    factor: float,
    *,
    positive: bool = False,
    active_only: bool = True,
    outward: bool = False,
) -> list[int]:
    """Return `table` with `factor` times the scores of `source`, and of what depends on it, added.

    positive: dependents of a clone may not forbid a node, they only leave it without support.
    outward: follow what `source` depends on instead of what depends on it.
    """
    if source.merging:
        return table if table is not None else list(source.allowed)
    source.merging = True
    try:
        if source.kind is Kind.GROUP:
            if not source.children:
                return table if table is not None else list(source.allowed)
            member = source.children[-1] if table is None else source.children[0]
            return merged(
                cluster,
                member,
                target,
                table,
                colocation,
                factor,
                positive=positive,
                active_only=active_only,
                outward=outward,
            )
        if table is None:
            work = list(source.allowed)
        else:
            attribute = colocation.attribute if colocation is not None else "#uname"
            if target.bundle is not None and target.children and attribute == "#uname":
                attribute = HOST  # who would be with a bundle is so with its containers
            work = _added(cluster, table, source, attribute, factor, positive)
        usable = any_usable(cluster, work)
        if not usable and active_only and table is not None:
            return table
        if table is not None and cluster.ledger is not None:
            cluster.ledger.wish(Wish(source, colocation, factor, table, work))
        if usable:
            others = colocations_of(source) if outward else dependents_of(source)
            if table is not None and not source.unassigned and source.is_clone:
                others = []  # its place is settled: who wants to be with it changes nothing
            for other in others:
                if not outward and active_only and not other.has_influence():
                    continue
                partner = other.primary if outward else other.dependent
                if partner is target:
                    continue
                work = merged(
                    cluster,
                    partner,
                    target,
                    work,
                    other,
                    factor * other.score / INFINITY,
                    positive=positive,
                    active_only=active_only,
                    outward=outward,
                )
        if positive:
            work = [1 if value == _DROPPED else value for value in work]
        return work
    finally:
        source.merging = False


def _added(  # noqa: PLR0917 (a leaf of the recursion above)
    cluster: Cluster,
    table: list[int],
    source: Resource,
    attribute: str,
    factor: float,
    positive: bool,
) -> list[int]:
    scores = source.allowed
    if attribute == "#uname":
        best = [
            score if node.usable else -INFINITY
            for score, node in zip(scores, cluster.nodes, strict=True)
        ]
    else:
        by_value: dict[str | None, int] = {}
        for score, node in zip(scores, cluster.nodes, strict=True):
            if node.usable:
                value = value_on(node, attribute)
                by_value[value] = max(by_value.get(value, -INFINITY), score)
        best = [by_value.get(value_on(node, attribute), -INFINITY) for node in cluster.nodes]
    work = list(table)
    for index, score in enumerate(best):
        if not score:
            continue
        if factor < 0 and score < 0:
            continue
        before = work[index]
        if before == _DROPPED:
            continue
        product = factor * score
        delta = int(product - 0.5) if product < 0 else int(product + 0.5)
        if not delta and factor:
            delta = 1 if factor > 0 else -1
        after = add_scores(delta, before)
        if positive and after < 0:
            if before > 0:
                work[index] = _DROPPED
                continue
            if before == 0:
                continue
        work[index] = after
    return work
