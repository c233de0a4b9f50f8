"""One primitive in one line: where and what it is, and what keeps it from being as it should."""

from standfest.core.scheduler.entities import Node, Resource, Role
from standfest.core.scheduler.running import current_node
from standfest.monitor.crm.layout import Line, span
from standfest.monitor.crm.show import Show
from standfest.monitor.crm.situation import (
    Situation,
    agent_of,
    busy,
    failed_probe,
    is_promotable,
    is_removed,
    name_of,
    role_name,
    role_of,
    state_of,
    target_role,
)
from standfest.monitor.crm.words import exit_text


def line_of(
    situation: Situation, resource: Resource, show: Show, name: str = "", host: Node | None = None
) -> Line:
    """Return a primitive's line.

    name: shown instead of its own; host: where it is, if that is not where it runs (for a bundle's
    inside, where its container runs).
    """
    several = len(resource.running) > 1
    node = None
    if show.place and not (several and host is None):
        node = host or current_node(resource) or _pending_node(resource)
    shown = name or name_of(resource)
    text = f"{shown}\t({agent_of(resource)}):\t {_state(situation, resource, node)}"
    flags = _flags(resource, node)
    if flags:
        text += f" ({', '.join(flags)})"
    if several and show.place:
        text += f" [ {' '.join(n.name for n in resource.running)} ]"
    return Line(text, (span(text, _css(resource)),))


def _pending_node(resource: Resource) -> Node | None:
    return resource.pending_node if state_of(resource) != role_name(role_of(resource)) else None


def _state(situation: Situation, resource: Resource, node: Node | None) -> str:
    words = ["ORPHANED"] if is_removed(resource) else []
    if resource.failed:
        role = role_of(resource)
        words += ["FAILED", role_name(role)] if role > Role.UNPROMOTED else ["FAILED"]
    else:
        words.append(state_of(resource))
    if node is not None:
        words.append(node.name)
    if resource.role in (Role.STOPPED, Role.UNKNOWN):
        probe = failed_probe(situation, resource, node)
        if probe is not None:
            words.append(f"({exit_text(probe.exit_code)})")
    return " ".join(words)


def _flags(resource: Resource, node: Node | None) -> list[str]:
    flags = []
    if node is not None and not node.online and node.unclean:
        flags.append("UNCLEAN")
    if node is not None and node is resource.lock_node:
        flags.append("LOCKED")
    doing = busy(resource)
    if doing:
        flags.append(doing)
    target = target_role(resource)
    if target.lower() == "stopped":
        flags.append("disabled")
    elif target.lower() in ("unpromoted", "slave") and is_promotable(resource):
        flags.append(f"target-role:{target}")
    if resource.blocked:
        flags.append("blocked")
    elif not resource.managed:
        flags.append("unmanaged")
    if resource.failure_ignored:
        flags.append("failure ignored")
    return flags


def _css(resource: Resource) -> str:
    if not resource.managed:
        return "rsc-managed"
    if resource.failed or not resource.running:
        return "rsc-failed"
    if len(resource.running) > 1:
        return "rsc-multiple"
    return "rsc-failure-ignored" if resource.failure_ignored else "rsc-ok"
