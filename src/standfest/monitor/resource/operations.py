"""What was done with resources, a line for each operation: `crm_resource --list-operations`.

Source: what crm_resource 2.1.5 says of the same documents.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from standfest.core.scheduler.entities import Resource
from standfest.core.scheduler.entries import in_order
from standfest.core.scheduler.values import integer
from standfest.model.element import Element
from standfest.model.history import Entry
from standfest.monitor.crm.primitives import line_of
from standfest.monitor.crm.show import Show
from standfest.monitor.crm.situation import Situation, recorded_resources
from standfest.monitor.crm.words import moment, status_text
from standfest.monitor.resource.found import found

_RUNNING = (0, 8, 190, 191)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which operations: of one resource, on one node (None: any); active: since the last start."""

    resource: str | None = None
    node: str | None = None
    active: bool = True


@dataclass(frozen=True, slots=True)
class _Operation:
    node: str
    name: str
    resource: Resource | None
    said: Element


def operations_text(situation: Situation, asked: Asked) -> list[str]:
    """Return a line for each operation, by node and in the order of the calls."""
    return [_line(situation, one) for one in _operations(situation, asked)]


def operations_xml(situation: Situation, asked: Asked) -> Element | None:
    """Return <operations>; None if there are none."""
    children = tuple(_element(one) for one in _operations(situation, asked))
    return Element("operations", (), children) if children else None


def _operations(situation: Situation, asked: Asked) -> Iterator[_Operation]:
    cluster = situation.cluster
    assert cluster.recorded is not None, "unpack sets it"
    known = [(state, record) for state in cluster.recorded.nodes for record in state.history]
    for (state, record), (_, element) in zip(
        known, recorded_resources(situation.cib), strict=False
    ):
        node = cluster.node_by_id.get(state.id) or cluster.node(state.name)
        if node is None or not (node.online or cluster.options.fencing):
            continue
        if asked.node not in (None, node.name) or asked.resource not in (None, record.id):
            continue
        said = [one for one in element.all("lrm_rsc_op") if one.get("operation")]
        pairs = dict(zip((id(entry) for entry in record.entries), said, strict=False))
        for entry in _wanted(in_order(record.entries), active=asked.active):
            if id(entry) in pairs:
                resource = found(cluster, record.id, parts=True)
                yield _Operation(node.name, record.id, resource, pairs[id(entry)])


def _wanted(entries: list[Entry], *, active: bool) -> list[Entry]:
    """Return those since the last start; none if it was stopped after that."""
    if not active:
        return entries
    start, stop, role, seen = -1, -1, -1, -1
    for number, entry in enumerate(entries):
        if entry.task == "stop" and entry.status == 0:
            stop = number
        elif entry.task in ("start", "migrate_from"):
            start = number
        elif entry.task in ("promote", "demote"):
            role = number
        elif entry.task == "monitor" and seen <= stop and entry.exit_code in _RUNNING:
            seen = number  # a probe has found it running
    if start < 0:
        start = role if role >= 0 else seen
    if start < stop:
        return []
    return entries[max(start, 0) :]


def _line(situation: Situation, one: _Operation) -> str:
    said = one.said
    changed = said.get("last-rc-change")
    times = f", last-rc-change='{moment(changed)}'" if changed else ""
    took = said.get("exec-time")
    times += f", exec={took}ms" if took is not None and changed else ""
    head = one.name
    if one.resource is not None:
        head = line_of(situation, one.resource, Show(place=False)).text
    return (
        f"{head}: {_key(said)} (node={one.node}, call={said.get('call-id')}, "
        f"rc={said.get('rc-code')}{times}): {_status(said)}"
    )


def _element(one: _Operation) -> Element:
    said = one.said
    attributes = [
        ("op", _key(said)),
        ("node", one.node),
        ("call", said.get("call-id") or ""),
        ("rc", said.get("rc-code") or ""),
        ("status", _status(said)),
    ]
    if one.resource is not None:
        # Without a provider the place of its name stays empty.
        attributes += [("rsc", one.resource.base), ("agent", ":".join(one.resource.agent))]
    changed, took = said.get("last-rc-change"), said.get("exec-time")
    if changed:
        attributes.append(("last-rc-change", moment(changed)))
        if took is not None:
            attributes.append(("exec-time", took))
    return Element("operation", tuple(attributes))


def _key(said: Element) -> str:
    return said.get("operation_key") or said.id


def _status(said: Element) -> str:
    return status_text(integer(said.get("op-status"), 99))
