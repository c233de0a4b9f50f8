"""A transition graph as the files that crm_simulate writes: XML for machines, dot for graphviz.

Source: shared/facts/formats/SCHEDULER-SPEC.md section 12, and what crm_simulate 2.1.5 writes.
"""

import re
from collections.abc import Iterator

from standfest.core.scheduler.actions import Action
from standfest.core.scheduler.cluster import Cluster, Relation
from standfest.core.scheduler.outcome import happens
from standfest.model import xml
from standfest.model.element import Element

_EVENTS = ("stonith", "do_shutdown", "clear_failcount", "delete")
_NO_NAME = re.compile(r"^[^A-Za-z_]|[^\w.-]", re.ASCII)
_NAMES = {"delete": "lrm_delete"}


def inputs_of(action: Action, chosen: dict[int, Action]) -> list[Action]:
    """Return what an action waits for, among those chosen."""
    found: dict[int, Action] = {}
    for link in action.before:
        other = link.action
        if other.id not in chosen or not link.flags:
            continue
        if link.flags & Relation.IF_ON_SAME_NODE and other.node is not action.node:
            continue
        found[other.id] = other
    return [found[number] for number in sorted(found)]


def as_xml(cluster: Cluster) -> str:
    """Return the `<transition_graph>`: a synapse for each action, with what it waits for."""
    chosen = {action.id: action for action in cluster.actions if happens(action)}
    options = cluster.options
    attributes = (
        ("cluster-delay", f"{options.cluster_delay // 1000}s"),
        ("stonith-timeout", f"{options.fencing_timeout // 1000}s"),
        ("failed-stop-offset", "INFINITY"),
        ("failed-start-offset", _start_offset(options.given.get("start-failure-is-fatal", ""))),
        ("batch-limit", options.given.get("batch-limit", "0")),
        ("transition_id", "0"),
    )
    synapses = tuple(
        _synapse(cluster, number, action, chosen) for number, action in enumerate(chosen.values())
    )
    return xml.serialise(Element("transition_graph", attributes, synapses))


def _start_offset(fatal: str) -> str:
    return "1" if fatal.lower() in ("false", "no", "off", "0", "n") else "INFINITY"


def _synapse(cluster: Cluster, number: int, action: Action, chosen: dict[int, Action]) -> Element:
    triggers = tuple(
        Element("trigger", (), (_vertex(other),)) for other in inputs_of(action, chosen)
    )
    vertex = _vertex(action)
    details = (*_primitive(action), Element("attributes", _parameters(cluster, action)))
    return Element(
        "synapse",
        (("id", str(number)),),
        (
            Element("action_set", (), (vertex.with_children(details),)),
            Element("inputs", (), triggers),
        ),
    )


def _vertex(action: Action) -> Element:
    tag = "crm_event" if action.task in _EVENTS else "rsc_op"
    pairs = [
        ("id", str(action.id + 1)),
        ("operation", _NAMES.get(action.task, action.task)),
        ("operation_key", action.key),
    ]
    if action.pseudo:
        tag = "pseudo_event"
    elif action.node is not None:
        pairs += [("on_node", action.node.name), ("on_node_uuid", action.node.id)]
    return Element(tag, tuple(pairs))


def _primitive(action: Action) -> Iterator[Element]:
    resource = action.resource
    if resource is None or action.pseudo:
        return
    standard, provider, kind = resource.agent
    pairs = [("id", resource.history_id), ("class", standard)]
    if resource.id != resource.history_id:
        pairs.insert(1, ("long-id", resource.id))
    if provider:
        pairs.append(("provider", provider))
    yield Element("primitive", (*pairs, ("type", kind)))


def _parameters(cluster: Cluster, action: Action) -> tuple[tuple[str, str], ...]:
    found = {f"CRM_meta_{name}": value for name, value in action.meta.items()}
    if action.node is not None:
        found["CRM_meta_on_node"] = action.node.name
        found["CRM_meta_on_node_uuid"] = action.node.id
    if action.task == "stonith":
        found["CRM_meta_stonith_action"] = action.how
    if action.interval:
        found["CRM_meta_interval"] = str(action.interval)
        found["CRM_meta_name"] = action.task
    if action.expected:
        found["CRM_meta_op_target_rc"] = str(action.expected)
    resource = action.resource
    if resource is not None and not action.pseudo:
        timeout = action.config.timeout if action.config is not None else 20_000
        found["CRM_meta_timeout"] = str(timeout)
        by_node = resource.parameters_by_node or {}
        here = action.node.index if action.node is not None else -1
        found.update(by_node.get(here, resource.parameters))
    # Parameters become attributes, which may not have every name: `1` is one in old CIBs.
    named = {_NO_NAME.sub("_", name): value for name, value in found.items()}
    return tuple(sorted(named.items()))


def as_dot(cluster: Cluster, *, everything: bool) -> str:
    """Return the graph for graphviz; blocked actions dashed and red.

    everything: with actions that are not needed, dashed and blue.
    """
    shown = {action.id: action for action in cluster.actions if not action.optional or everything}
    lines = ['digraph "g" {']
    lines += [f"{_quoted(action)} [ {_look(action)} ]" for action in shown.values()]
    for action in shown.values():
        for other in inputs_of(action, shown):
            style = "bold" if happens(action) and happens(other) else "dashed"
            lines.append(f"{_quoted(other)} -> {_quoted(action)} [ style = {style}]")
    return "\n".join([*lines, "}", ""])


def _quoted(action: Action) -> str:
    node = f" {action.node.name}" if action.node is not None else ""
    text = f"{action.key}{node}".replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _look(action: Action) -> str:
    font = "orange" if action.pseudo else "black"
    if action.optional:
        return f'style=dashed color="blue" fontcolor="{font}"'
    if not action.runnable:
        return f'style=dashed color="red" fontcolor="{font}"'
    return f'style=bold color="green" fontcolor="{font}"'
