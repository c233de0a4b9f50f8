"""What lies behind a decision, as tables: scores, capacities, attributes and failures."""

from collections.abc import Iterator

from standfest.analysis.candidates import limit_of
from standfest.core.scheduler import colocate
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import Node, Resource
from standfest.core.scheduler.outcome import leaves_of


def every(cluster: Cluster) -> Iterator[Resource]:
    """Yield all resources, collections before what is in them."""
    waiting = list(reversed(cluster.resources))
    while waiting:
        resource = waiting.pop()
        yield resource
        waiting.extend(reversed(resource.children))


def allocation_scores(cluster: Cluster) -> dict[str, dict[str, int]]:
    """Return resource -> node -> score."""
    return {
        resource.id: {node.name: resource.allowed[node.index] for node in cluster.nodes}
        for resource in every(cluster)
    }


def promotion_scores(cluster: Cluster) -> dict[str, dict[str, int]]:
    """Return instance of a promotable clone -> the node it is on -> its claim to be promoted."""
    found: dict[str, dict[str, int]] = {}
    for clone in every(cluster):
        if not clone.promotable or not clone.is_clone:
            continue
        for instance in clone.children:
            node = colocate.place_of(instance)
            if node is not None:
                found[instance.id] = {node.name: instance.sort_index}
    return found


def capacities(cluster: Cluster) -> dict[str, dict[str, dict[str, int]]]:
    """Return node -> what it has (`original`) and what is left when all is placed (`remaining`)."""
    used: dict[int, dict[str, int]] = {}
    for leaf in leaves_of(cluster):
        if leaf.assigned is not None:
            total = used.setdefault(leaf.assigned.index, {})
            for name, value in leaf.utilization.items():
                total[name] = total.get(name, 0) + value
    found = {}
    for node in cluster.nodes:
        taken = used.get(node.index, {}) if cluster.options.placement != "default" else {}
        original = {n: v + taken.get(n, 0) for n, v in sorted(node.capacity.items())}
        found[node.name] = {"original": original, "remaining": dict(sorted(node.capacity.items()))}
    return found


def attributes(cluster: Cluster) -> dict[str, dict[str, str]]:
    """Return node -> its attributes, those that only the scheduler makes left out."""
    return {
        node.name: {k: v for k, v in sorted(node.attributes.items()) if _shown(k)}
        for node in cluster.nodes
    }


def _shown(name: str) -> bool:
    return not name.startswith(("#id", "#uname", "#kind", "#is_dc", "fail-count-", "last-failure-"))


def fail_counts(cluster: Cluster) -> dict[str, dict[str, str]]:
    """Return node -> operation (`RESOURCE#TASK_INTERVAL`) -> count."""
    found = {}
    for node in cluster.nodes:
        counts = {
            name.removeprefix("fail-count-"): value
            for name, value in sorted(node.attributes.items())
            if name.startswith("fail-count-")
        }
        if counts:
            found[node.name] = counts
    return found


def score_lines(cluster: Cluster) -> Iterator[str]:
    """Yield the lines of `--scores`."""
    yield "Scores:"
    for resource, scores in allocation_scores(cluster).items():
        for node, score in scores.items():
            yield f"  {resource} allocation score on {node}: {limit_of(score)}"
    for resource, scores in promotion_scores(cluster).items():
        for node, score in scores.items():
            yield f"  {resource} promotion score on {node}: {limit_of(score)}"


def utilization_lines(cluster: Cluster) -> Iterator[str]:
    """Yield the lines of `--utilization`."""
    yield "Utilization:"
    for node, kinds in capacities(cluster).items():
        for kind, amounts in kinds.items():
            yield f"  {node} {kind}: {_amounts(amounts)}"
    for leaf in leaves_of(cluster):
        if leaf.utilization:
            place: Node | None = leaf.assigned
            where = place.name if place is not None else "no node"
            yield f"  {leaf.id} on {where}: {_amounts(dict(sorted(leaf.utilization.items())))}"


def _amounts(amounts: dict[str, int]) -> str:
    return " ".join(f"{name}={value}" for name, value in amounts.items()) or "nothing"


def attribute_lines(cluster: Cluster) -> Iterator[str]:
    """Yield the lines of `--show-attrs`."""
    yield "Node attributes:"
    for node, pairs in attributes(cluster).items():
        for name, value in pairs.items():
            yield f"  {node}: {name}={value}"


def failure_lines(cluster: Cluster) -> Iterator[str]:
    """Yield the lines of `--show-failcounts`."""
    yield "Fail counts:"
    for node, counts in fail_counts(cluster).items():
        for operation, count in counts.items():
            yield f"  {node}: {operation}={count}"
