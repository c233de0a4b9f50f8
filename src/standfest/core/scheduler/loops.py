"""Order stage: what waits, directly or not, for itself is never begun (rule 8.8).

Source: facts/formats/SCHEDULER-SPEC.md row 8.8.
"""

from standfest.core.scheduler.actions import Action
from standfest.core.scheduler.cluster import Cluster, Relation


def untangle(cluster: Cluster) -> None:
    """Mark what is on a loop of orderings, or behind one: it is wanted, but never begins.

    Orderings that are only convenient (room on a node, a migration's turn) give way first.
    """
    looped = _looped(cluster)
    if looped:
        _make_room_later(cluster, looped)
        looped = _looped(cluster)
    for number in looped:
        then = cluster.actions[number]
        for link in then.before:
            soft = link.action.task == "load_stopped" or then.task.startswith("migrate_")
            if soft and link.flags == Relation.ORDERED and link.action.id in looped:
                link.flags = 0
    for number in _looped(cluster) if looped else ():
        cluster.actions[number].looped = True
        cluster.actions[number].reason = "orderings form a loop"


def _make_room_later(cluster: Cluster, looped: set[int]) -> None:
    """Let migrations that wait for each other's room begin without it.

    One link after the other goes, as long as it closes a loop, beginning with the resource that was
    assigned last (seen with crm_simulate 2.1.5).
    """
    for resource in reversed(cluster.assignment_order):
        for leaf in reversed(resource.primitives()):
            for leave in leaf.by_key.get(f"{leaf.id}_migrate_to_0", ()):
                for link in leave.before if leave.id in looped else ():
                    if link.action.task == "load_stopped" and _waits_for(link.action, leave):
                        link.flags = 0


def _waits_for(last: Action, first: Action) -> bool:
    """Return whether `last` comes after `first`, directly or not."""
    seen, waiting = {last.id}, [last]
    while waiting:
        for link in waiting.pop().before:
            other = link.action
            if other is first and link.flags:
                return True
            if link.flags and other.id not in seen and not other.optional and other.runnable:
                seen.add(other.id)
                waiting.append(other)
    return False


def _looped(cluster: Cluster) -> set[int]:
    """Return the actions that wait, directly or not, for themselves."""
    waits: dict[int, int] = {}
    followers: dict[int, list[Action]] = {}
    for action in cluster.actions:
        if action.optional or not action.runnable:
            continue
        count = 0
        for link in action.before:
            first = link.action
            if link.flags and not first.optional and first.runnable:
                count += 1
                followers.setdefault(first.id, []).append(action)
        waits[action.id] = count
    free = [number for number, count in waits.items() if not count]
    while free:
        done = free.pop()
        del waits[done]
        for action in followers.get(done, ()):
            waits[action.id] -= 1
            if not waits[action.id]:
                free.append(action.id)
    return set(waits)
