"""The canonical JSON of a scheduling run: shared/suites/scheduler/FORMAT.md."""

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
