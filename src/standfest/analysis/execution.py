"""The order in which a transition is carried out on paper, as crm_simulate does it.

Again and again all actions are looked at in the order of the graph, and whatever waits for nothing
any more is done. In the graph a resource's actions come with those that were made last first,
members after their group and before their clone, and what belongs to no resource last.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from standfest.analysis import whatif
from standfest.analysis.connected import base_of
from standfest.analysis.graphfile import inputs_of
from standfest.analysis.injection import Injection, record
from standfest.core.scheduler.actions import Action
from standfest.core.scheduler.apply import execute
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import Kind, Node, Resource
from standfest.core.scheduler.outcome import happens
from standfest.model.deeds import Executed
from standfest.model.element import Element

MOST_ROUNDS = 100_000
"""No graph has a longer chain; each round does something."""


def execution(cluster: Cluster) -> Iterator[Executed]:
    """Yield what is done, in order."""
    chosen = {action.id: action for action in cluster.actions if happens(action)}
    waiting = [
        (action, {other.id for other in inputs_of(action, chosen)})
        for action in _graph_order(cluster)
        if action.id in chosen
    ]
    done: set[int] = set()
    for _ in range(MOST_ROUNDS):
        later = []
        for action, inputs in waiting:
            if inputs <= done:
                done.add(action.id)
                yield _executed(action)
            else:
                later.append((action, inputs))
        if len(later) == len(waiting):
            return
        waiting = later


def rehearse(
    configuration: Element, cluster: Cluster, failing: Sequence[Injection], now: int
) -> list[Executed]:
    """Carry a transition out on paper, until something fails; return what was done.

    cluster.recorded is changed. failing: operations that are to fail when they happen; the first
    that does is the last step, and `failed` says with which result it ended.
    """
    recorded = cluster.recorded
    assert recorded is not None, "unpack sets it"
    steps: list[Executed] = []
    failed: Injection | None = None
    for step in execution(cluster):
        failed = next((given for given in failing if _means(given, step)), None)
        steps.append(replace(step, failed=failed.code) if failed is not None else step)
        if failed is not None:
            break
    reached = {step.action - 1 for step in steps}
    left_out = {action.id for action in cluster.actions if action.id not in reached}
    if failed is not None:
        left_out.add(steps[-1].action - 1)
    execute(cluster, left_out)
    if failed is not None:
        action = next(a for a in cluster.actions if a.id == steps[-1].action - 1)
        there = whatif.node_record(configuration, recorded, failed.node)
        migration = (action.meta.get("migrate_source", ""), action.meta.get("migrate_target", ""))
        record(configuration, recorded, there, failed, now, migration)
    return steps


def _means(given: Injection, step: Executed) -> bool:
    return step.kind == "resource" and (
        (given.task, given.interval, given.node) == (step.task, step.interval, step.node)
        and given.resource in (step.resource, base_of(step.resource))
    )


def _graph_order(cluster: Cluster) -> Iterator[Action]:
    for resource in cluster.resources:
        yield from _of(cluster, resource)
    yield from (action for action in reversed(cluster.actions) if action.resource is None)
    owned = {id(action) for r in cluster.resources for action in _of(cluster, r)}
    yield from (a for a in cluster.actions if a.resource is not None and id(a) not in owned)


def _of(cluster: Cluster, resource: Resource) -> Iterator[Action]:
    own = resource.actions[::-1]
    own.sort(key=lambda action: _has_failed(resource, action))
    if resource.kind in (Kind.CLONE, Kind.BUNDLE):
        for child in resource.children:
            yield from _of(cluster, child)
        yield from own
        return
    yield from own
    for child in resource.children:
        yield from _of(cluster, child)


def _has_failed(resource: Resource, action: Action) -> bool:
    """Return whether the operation has failed before: such actions are made first of all."""
    if not action.interval or action.task != "monitor":
        return False
    return any(
        (entry.task, entry.interval) == (action.task, action.interval)
        and entry.exit_code != entry.expected
        for record in resource.history.values()
        for entry in record.entries
    )


def _executed(action: Action) -> Executed:
    node = action.node.name if action.node is not None else ""
    resource = action.resource
    if action.task == "stonith" and action.node is not None and action.node.is_guest:
        return Executed("pseudo", action.key, node, action=action.id + 1)
    if action.task == "stonith":
        return Executed("fencing", action.how, node, action=action.id + 1)
    if action.pseudo:
        key = action.key
        if resource is not None and key.startswith(resource.id):
            key = recorded_name(resource) + key.removeprefix(resource.id)
        return Executed("pseudo", key, action=action.id + 1)
    if action.task == "do_shutdown":
        return Executed("cluster", action.task, node, action=action.id + 1)
    assert resource is not None, "everything else is done to a resource"
    if action.task == "clear_failcount":
        return Executed("cluster", action.task, node, resource.base, action=action.id + 1)
    name = recorded_name(resource, action.node)
    return Executed("resource", action.task, node, name, action.interval, action.id + 1)


def recorded_name(resource: Resource, node: Node | None = None) -> str:
    """Return what crm_simulate calls a resource: an instance as nodes have recorded it.

    node: where something is done to it. An instance that nobody has run has its number, and the
    clone in a bundle is called after what it was when roles had other names.
    Source: crm_simulate 2.1.5.
    """
    if resource.kind is Kind.CLONE and resource.bundle is not None and resource.promotable:
        return f"{resource.bundle.id}-master"
    names = [record.id for record in resource.history.values()]
    if not names and node is not None and resource.clone is not None:
        # Nodes of today record instances without their numbers.
        siblings = [leaf for leaf in resource.clone.primitives() if leaf.base == resource.base]
        found = [s.history[node.index].id for s in siblings if node.index in s.history]
        names = [name for name in found if name == resource.base]
    return names[-1] if names else resource.id
