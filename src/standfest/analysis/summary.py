"""What happens to whom in a transition: one deed a resource, as crm_simulate sums them up.

Source: facts/formats/TOOLS.md section 7, and what crm_simulate 2.1.5 prints for the cases of the
scheduler suite (tests/differential/test_crm_simulate.py).
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from standfest.core.scheduler.actions import Action
from standfest.core.scheduler.cluster import Bundle, Cluster
from standfest.core.scheduler.entities import Node, Resource, Role
from standfest.core.scheduler.outcome import ROLE_NAMES
from standfest.model.deeds import Deed, NodeDeed

_KEY = re.compile(r"(.*)_([a-z-]+(?:_to|_from)?)_\d+$")
_FAILED = re.compile(r"(.*)_[a-z-]+(?:_to|_from)?_\d+ failed$")
_REASONS = {"peer failed the membership criteria": "peer failed Pacemaker membership criteria"}


def node_deeds(cluster: Cluster) -> Iterator[NodeDeed]:
    """Yield which nodes are fenced."""
    for action in cluster.actions:
        node = action.node
        if action.optional or not action.runnable or node is None or action.looped:
            continue
        if action.task == "stonith":
            connection = node.connection
            container = connection.container if connection is not None else None
            inside = container.id if container is not None and node.is_guest else ""
            reason = _fencing_reason(action.reason, guest=node.is_guest)
            yield NodeDeed(f"Fence ({action.how})", node.name, inside, reason)


def _fencing_reason(reason: str, *, guest: bool) -> str:
    """Return a reason in Pacemaker's words."""
    if reason.startswith("ticket ") and reason.endswith(" is lost"):
        return "deadman ticket was lost"
    failed = _FAILED.match(reason)
    if failed is not None:
        return f"{failed[1]} failed there"
    if reason.endswith(" is active there"):
        return f"{reason.removesuffix(' is active there')} is thought to be active there"
    if not reason or reason == "is unseen":
        return "guest is unclean" if guest else "node is unclean"
    return _REASONS.get(reason, reason)


def deeds(cluster: Cluster) -> Iterator[Deed]:
    """Yield what happens to resources, in the order of the CIB."""
    bundles = {bundle.id: bundle for bundle in cluster.bundles}
    inside = {part.id for bundle in cluster.bundles for part in _parts(cluster, bundle)}
    for resource in cluster.resources:
        if resource.id in bundles:
            leaves = list(_parts(cluster, bundles[resource.id]))
        else:
            leaves = [leaf for leaf in resource.primitives() if leaf.id not in inside]
        for leaf in leaves:
            yield from _of(leaf)


def _parts(cluster: Cluster, bundle: Bundle) -> Iterator[Resource]:
    """Yield what a bundle consists of, a replica after the other."""
    for replica in bundle.replicas:
        yield from (ip for ip, c in cluster.bundle_orders if c is replica.container)
        yield replica.container
        if replica.connection is not None:
            yield replica.connection
        if replica.inner is not None:
            yield replica.inner


class _Actions:
    """A resource's one-shot actions that are wanted or could be, by task and node."""

    def __init__(self, leaf: Resource) -> None:
        self._found: dict[tuple[str, int], Action] = {}
        for action in leaf.actions:
            if action.node is not None and not action.interval and not action.looped:
                self._found.setdefault((action.task, action.node.index), action)

    def get(self, task: str, node: Node | None) -> Action | None:
        """Return the action, needed or not."""
        return self._found.get((task, node.index)) if node is not None else None

    def wanted(self, task: str, node: Node | None) -> Action | None:
        """Return the action if it is needed, whether it can be done or not."""
        action = self.get(task, node)
        return action if action is not None and not action.optional else None


def _of(leaf: Resource) -> Iterator[Deed]:
    if not leaf.managed:
        return
    actions = _Actions(leaf)
    current = leaf.partial_source or (leaf.running[0] if leaf.running else None)
    target = leaf.assigned
    if leaf.next_role is Role.STOPPED or target is None:
        yield from _stops(leaf, actions)
        return
    if current is None:
        yield from _start(leaf, actions, target)
        return
    if actions.wanted("migrate_from", target):
        start = actions.get("start", target)
        if start is not None and start.pseudo and start.migratable:
            yield Deed("Migrate", leaf.id, current.name, target.name, *_roles(leaf))
            return
    if target in leaf.running:
        yield from _stay(leaf, actions, target)
    else:
        yield from _move(leaf, actions, current, target)


def _roles(leaf: Resource) -> tuple[str, str]:
    """Return roles before and after, empty for what has none."""
    if not leaf.promotable:
        return "", ""
    before = Role.UNPROMOTED if leaf.role is Role.STARTED else leaf.role
    after = Role.UNPROMOTED if leaf.next_role is Role.STARTED else leaf.next_role
    return ROLE_NAMES[before], ROLE_NAMES[after]


def _stops(leaf: Resource, actions: _Actions) -> Iterator[Deed]:
    for node in leaf.running:
        if actions.wanted("stop", node) is not None:
            yield _stop(leaf, actions, node)


def _stop(leaf: Resource, actions: _Actions, node: Node) -> Deed:
    stop = actions.get("stop", node)
    role = _roles(leaf)[0]
    blocked = stop is not None and not stop.runnable
    reason = leaf.next_reason or "node availability"
    return Deed("Stop", leaf.id, node.name, node.name, role, role, reason, blocked)


def _start(leaf: Resource, actions: _Actions, target: Node) -> Iterator[Deed]:
    start = actions.wanted("start", target)
    if start is None:
        return
    promote = actions.wanted("promote", target)
    reason, blocked = _why(start), not start.runnable
    if promote is not None and leaf.next_role is Role.PROMOTED:
        blocked = blocked or not promote.runnable
        reason = reason if not start.runnable else _why(promote)
        roles = ("Stopped", "Promoted")
        deed = Deed("Promote", leaf.id, target.name, target.name, *roles, reason, blocked)
    else:
        deed = Deed("Start", leaf.id, target.name, target.name, "", "", reason, blocked)
    yield deed if deed.blocked else replace(deed, reason="")


def _stay(leaf: Resource, actions: _Actions, node: Node) -> Iterator[Deed]:
    start, stop = actions.wanted("start", node), actions.wanted("stop", node)
    before, after = _roles(leaf)
    where = (leaf.id, node.name, node.name)
    if start is not None and not start.runnable:
        if stop is not None:
            yield Deed("Stop", *where, before, before, _why(start), not stop.runnable)
        return
    if start is not None and stop is not None:
        task = "Recover" if leaf.failed else "Restart"
        reason = _why(stop) or _why(start)
        if leaf.changed:
            reason = "resource definition change"
        reason = "" if leaf.failed else reason
        yield Deed(task, *where, before, after, reason, not stop.runnable)
        return
    promote, demote = actions.wanted("promote", node), actions.wanted("demote", node)
    if promote is not None and demote is not None and promote.runnable:
        yield Deed("Re-promote", *where, after, after)
    elif demote is not None:
        yield Deed("Demote", *where, before, after, "", not demote.runnable)
    elif promote is not None:
        yield Deed("Promote", *where, before, after, "", not promote.runnable)
    elif actions.wanted("reload-agent", node):
        yield Deed("Reload", *where)


def _move(leaf: Resource, actions: _Actions, current: Node, target: Node) -> Iterator[Deed]:
    start, stop = actions.wanted("start", target), actions.wanted("stop", current)
    before, after = _roles(leaf)
    if start is not None and not start.runnable:
        if stop is not None:
            yield replace(_stop(leaf, actions, current), reason=_why(start))
        return
    if start is None and stop is None:
        return
    task = "Recover" if leaf.failed else "Move"
    blocked = stop is not None and not stop.runnable
    yield Deed(task, leaf.id, current.name, target.name, before, after, "", blocked)


def _why(action: Action) -> str:
    """Return an action's reason with keys as words: `required web start`."""
    words = action.reason
    lead, _, key = words.rpartition(" ")
    match = _KEY.match(key)
    if match is None:
        return words
    return f"{lead or 'unrunnable'} {match[1]} {match[2]}"
