"""Follows transitions on paper until nothing is left to do; operations may fail on the way.

An operation that is to fail does so once, when it happens. What depends on it in the transition
does not happen any more; what does not, does, as if it had been begun before. Then the cluster
decides again. Nodes that were asked to shut down are gone after their transition, and no node that
was fenced comes back: nothing on paper starts a machine.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from standfest.analysis import injection, whatif
from standfest.analysis.connected import base_of
from standfest.analysis.injection import Injection
from standfest.core.scheduler.actions import Action
from standfest.core.scheduler.apply import execute
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.engine import decide
from standfest.core.scheduler.outcome import happens
from standfest.model.element import Element
from standfest.model.history import Recorded

MOST_TRANSITIONS = 50


@dataclass(frozen=True, slots=True)
class Step:
    """One transition, with what failed in it."""

    cluster: Cluster
    failed: tuple[Injection, ...] = ()


def work(cluster: Cluster) -> list[Action]:
    """Return what somebody has to do in a transition."""
    return [action for action in cluster.actions if happens(action) and not action.pseudo]


def follow(
    configuration: Element,
    recorded: Recorded,
    now: int,
    failing: Sequence[Injection],
) -> Iterator[Step]:
    """Yield transitions, the one with nothing to do last; at most MOST_TRANSITIONS.

    recorded is changed after each. A transition that would be repeated as it is ends it, too.
    """
    waiting = list(failing)
    before: list[tuple[str, str]] = []
    for _ in range(MOST_TRANSITIONS):
        cluster = decide(configuration, recorded, now)
        hit = _hit(cluster, waiting)
        for given, _ in hit:
            waiting.remove(given)
        yield Step(cluster, tuple(given for given, _ in hit))
        deeds = _signature(cluster)
        if not deeds or (deeds == before and not hit):
            return
        before = deeds
        _carry_out(configuration, cluster, hit, now)


def at_rest(cluster: Cluster) -> bool:
    """Return whether nothing is left to do but to look again at what is known already."""
    return all(action.task == "monitor" and not action.interval for action in work(cluster))


def _signature(cluster: Cluster) -> list[tuple[str, str]]:
    return sorted((a.key, a.node.name if a.node is not None else "") for a in work(cluster))


def _hit(cluster: Cluster, waiting: Sequence[Injection]) -> list[tuple[Injection, Action]]:
    found: list[tuple[Injection, Action]] = []
    for given in waiting:
        for action in work(cluster):
            if any(known is action for _, known in found) or not _means(given, action):
                continue
            found.append((given, action))
            break
    reached = _after([action for _, action in found])
    return [pair for pair in found if pair[1].id not in reached]


def _means(given: Injection, action: Action) -> bool:
    resource, node = action.resource, action.node
    if resource is None or node is None or node.name != given.node:
        return False
    if (action.task, action.interval) != (given.task, given.interval):
        return False
    return given.resource in (resource.id, resource.history_id) or (
        given.resource == base_of(given.resource) == resource.base
    )


def _after(actions: Sequence[Action]) -> set[int]:
    """Return the ids of all that comes after some actions in the transition."""
    found: set[int] = set()
    waiting = list(actions)
    while waiting:
        for link in waiting.pop().after:
            if link.flags and link.action.id not in found and happens(link.action):
                found.add(link.action.id)
                waiting.append(link.action)
    return found


def _carry_out(
    configuration: Element,
    cluster: Cluster,
    hit: Sequence[tuple[Injection, Action]],
    now: int,
) -> None:
    recorded = cluster.recorded
    assert recorded is not None, "unpack sets it"
    failed = [action for _, action in hit]
    left_out = _after(failed) | {action.id for action in failed}
    execute(cluster, left_out)
    for given, action in hit:
        there = whatif.node_record(configuration, recorded, given.node)
        meta = action.meta
        migration = (meta.get("migrate_source", ""), meta.get("migrate_target", ""))
        injection.record(configuration, recorded, there, given, now, migration)
    for action in work(cluster):
        node = action.node
        if action.task == "do_shutdown" and node is not None and action.id not in left_out:
            whatif.node_is(configuration, recorded, node.name, "down")
