"""The canonical JSON of a scheduling run: shared/suites/scheduler/FORMAT.md."""

from standfest.analysis import reasons, tables
from standfest.analysis.follow import Step
from standfest.core.scheduler import outcome
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.outcome import Event


def canonical(cluster: Cluster) -> dict[str, object]:
    """Return the transition, the states before and after it, and the operations in order."""
    nodes, places = outcome.final(cluster)
    ops, edges = outcome.graph(cluster)
    return {
        "actions": [_action(event) for event in outcome.events(cluster)],
        "final": {"nodes": nodes, "resources": _pairs(places)},
        "initial": {
            "nodes": {node.name: node.before for node in cluster.nodes},
            "resources": _pairs(outcome.initial(cluster)),
        },
        "ops": ops,
        "edges": [list(edge) for edge in edges],
    }


def complete(step: Step, *, scores: bool = False, utilization: bool = False) -> dict[str, object]:
    """Return the canonical form with what else is known: reasons, notes, when to look again.

    recheck: seconds since 1970, absent when the passing of time alone changes nothing. failed: what
    was made to fail. scores, utilization: with these tables.
    """
    cluster = step.cluster
    found = canonical(cluster)
    actions = []
    for event in reasons.events(cluster):
        action = _action(event)
        if event.reason:
            action["reason"] = event.reason
        actions.append(action)
    found["actions"] = actions
    found["at"] = cluster.now
    if cluster.recheck_at is not None:
        found["recheck"] = cluster.recheck_at
    if cluster.notes:
        found["notes"] = list(cluster.notes)
    if step.failed:
        found["failed"] = [f"{one.key}@{one.node}={one.code}" for one in step.failed]
    if scores:
        found["scores"] = {
            "allocation": tables.allocation_scores(cluster),
            "promotion": tables.promotion_scores(cluster),
        }
    if utilization:
        found["utilization"] = tables.capacities(cluster)
    return found


def _pairs(places: dict[str, list[tuple[str, str]]]) -> dict[str, list[list[str]]]:
    return {name: [list(pair) for pair in sorted(pairs)] for name, pairs in places.items()}


def _action(event: Event) -> dict[str, object]:
    pairs = (
        ("rsc", event.resource),
        ("node", event.node),
        ("from", event.source),
        ("to", event.target),
        ("role_from", event.role_from),
        ("role_to", event.role_to),
        ("how", event.how),
    )
    found: dict[str, object] = {"op": event.op}
    found.update((key, text) for key, text in pairs if text)
    if event.blocked:
        found["blocked"] = True
    return found
