"""What was done: operations per node, fail counts, and the operations that failed."""

from collections.abc import Iterator
from dataclasses import dataclass

from standfest.core.scheduler.entities import Node, Resource
from standfest.core.scheduler.entries import in_order
from standfest.core.scheduler.failures import fail_count
from standfest.core.scheduler.values import integer
from standfest.model.element import Element
from standfest.model.history import Entry, ResourceRecord
from standfest.model.scores import INFINITY
from standfest.monitor.crm.layout import Block, Item, Line
from standfest.monitor.crm.show import Show
from standfest.monitor.crm.situation import Situation, node_name, recorded_resources
from standfest.monitor.crm.words import (
    exit_text,
    interval_text,
    iso_moment,
    moment,
    status_text,
)

_NOT_INSTALLED, _NOT_RUNNING = 5, 7


@dataclass(frozen=True, slots=True)
class Kept:
    """What is recorded of one resource on one node; operations: in the order of their calls."""

    node: Node
    record: ResourceRecord
    resource: Resource | None
    count: int
    last_failure: int
    operations: tuple[Element, ...]

    @property
    def name(self) -> str:
        """Return what the resource is called: instances of an anonymous clone share a name."""
        resource = self.resource
        numbered = resource is not None and resource.clone is not None
        if numbered and resource is not None and not resource.globally_unique:
            return resource.base
        return self.record.id


def kept_of(situation: Situation, show: Show) -> Iterator[Kept]:
    """Yield what is shown of the records of nodes that are there, in the order of the status."""
    cluster = situation.cluster
    assert cluster.recorded is not None, "unpack sets it"
    known = [(node, record) for node in cluster.recorded.nodes for record in node.history]
    for (state, record), (_, element) in zip(
        known, recorded_resources(situation.cib), strict=False
    ):
        node = cluster.node_by_id.get(state.id) or cluster.node(state.name)
        if node is None or not node.online or not show.of_node(node.name):
            continue
        resource = _resource(situation, node, record)
        if resource is None or not _wanted(resource, record.id, show):
            continue
        count, last = fail_count(cluster, resource, node, effective=False)
        operations = _operations(record, element)
        if not show.has("operations"):
            if not count:
                continue
            operations = ()
        elif not operations:
            continue
        yield Kept(node, record, resource, count, last, operations)


def _resource(situation: Situation, node: Node, record: ResourceRecord) -> Resource | None:
    for leaf in (leaf for whole in situation.cluster.resources for leaf in whole.primitives()):
        known = leaf.history.get(node.index)
        if known is not None and known.id == record.id:
            return leaf
    by_id = situation.cluster.by_id
    return by_id.get(record.id) or by_id.get(record.id.rpartition(":")[0])


def _wanted(resource: Resource, name: str, show: Show) -> bool:
    names = {name, resource.id, resource.base}
    outer: Resource | None = resource.parent
    while outer is not None:
        names.add(outer.id)
        outer = outer.parent
    return show.resources is None or bool(names & show.resources)


def _operations(record: ResourceRecord, element: Element) -> tuple[Element, ...]:
    said = [entry for entry in element.all("lrm_rsc_op") if entry.get("operation")]
    by_entry = {id(one): other for one, other in zip(record.entries, said, strict=False)}
    found = []
    for entry in in_order(record.entries):
        probe = entry.task == "monitor" and not entry.interval
        original = by_entry.get(id(entry))
        if original is None or entry.task == "notify" or original.get("rc-code") is None:
            continue
        if not (probe and entry.exit_code == _NOT_RUNNING):
            found.append(original)
    return tuple(found)


def _has_status(situation: Situation, show: Show) -> bool:
    nodes = situation.cluster.nodes
    return any(n.online and n.record is not None and show.of_node(n.name) for n in nodes)


def history_block(situation: Situation, show: Show) -> Block | None:
    """Return operations, or the fail counts alone; None if neither is wanted."""
    if not show.has("operations", "failcounts") or not _has_status(situation, show):
        return None
    per_node: dict[str, list[Item]] = {}
    for kept in kept_of(situation, show):
        title = f"Node: {node_name(kept.node, detail=show.detail)}"
        line = _title(kept, show)
        operations = tuple(Line(_operation(entry, show)) for entry in kept.operations)
        item: Item = Block(line, operations) if operations else Line(line)
        per_node.setdefault(title, []).append(item)
    title = "Operations" if show.has("operations") else "Migration Summary"
    blocks = tuple(
        Block(name, tuple(items), html_title=f"{name.removeprefix('Node: ')}:")
        for name, items in per_node.items()
    )
    return Block(title, blocks)


def _title(kept: Kept, show: Show) -> str:
    resource = kept.resource
    threshold = resource.migration_threshold if resource is not None else INFINITY
    text = f"{kept.name}: migration-threshold={threshold}"
    if kept.count and show.has("failcounts"):
        text += f" fail-count={_score(kept.count)}"
    if kept.last_failure and show.has("failcounts"):
        text += f" last-failure='{moment(kept.last_failure)}'"
    return text


def _score(count: int) -> str:
    return str(count)


def _operation(entry: Element, show: Show) -> str:
    interval = integer(entry.get("interval"), 0)
    details = [f'interval="{interval}ms"'] if interval else []
    if show.timing:
        details += [f'{name}="{value}"' for name, value in _timing(entry)]
        code = integer(entry.get("rc-code"), -1)
        details.append(f"rc={code} ({exit_text(code)})")
    text = f"({entry.get('call-id')}) {_task(entry)}"
    return f"{text}: {' '.join(details)}" if details else text


def _task(entry: Element) -> str:
    task = entry.get("operation") or ""
    return "probe" if task == "monitor" and not integer(entry.get("interval"), 0) else task


def _timing(entry: Element) -> Iterator[tuple[str, str]]:
    changed = integer(entry.get("last-rc-change"), 0)
    if changed > 0:
        yield "last-rc-change", moment(changed)
    for name in ("exec-time", "queue-time"):
        value = entry.get(name)
        if value is not None:
            yield name, f"{integer(value, 0)}ms"


def history_xml(situation: Situation, show: Show) -> Element | None:
    """Return <node_history>."""
    if not show.has("operations", "failcounts") or not _has_status(situation, show):
        return None
    nodes: dict[str, list[Element]] = {}
    for kept in kept_of(situation, show):
        resource = kept.resource
        threshold = resource.migration_threshold if resource is not None else INFINITY
        attributes = [
            ("id", kept.name),
            ("orphan", "false"),
            ("migration-threshold", str(threshold)),
        ]
        if kept.count and show.has("failcounts"):
            attributes.append(("fail-count", _score(kept.count)))
        if kept.last_failure and show.has("failcounts"):
            attributes.append(("last-failure", moment(kept.last_failure)))
        operations = tuple(_operation_xml(entry) for entry in kept.operations)
        element = Element("resource_history", tuple(attributes), operations)
        nodes.setdefault(kept.node.name, []).append(element)
    children = tuple(
        Element("node", (("name", name),), tuple(found)) for name, found in nodes.items()
    )
    return Element("node_history", (), children)


def _operation_xml(entry: Element) -> Element:
    code, interval = integer(entry.get("rc-code"), -1), integer(entry.get("interval"), 0)
    return Element(
        "operation_history",
        (
            ("call", entry.get("call-id") or ""),
            ("task", _task(entry)),
            ("rc", str(code)),
            ("rc_text", exit_text(code)),
            *((("interval", f"{interval}ms"),) if interval else ()),
            *_timing(entry),
        ),
    )


# --- failures ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Failure:
    entry: Entry
    node: Node
    said: Element

    @property
    def key(self) -> str:
        return self.said.get("operation_key") or self.said.id or self.entry.key

    def number(self, name: str) -> int:
        return integer(self.said.get(name), 0)


def _failures(situation: Situation, show: Show) -> list[_Failure]:
    found: list[_Failure] = []
    seen: set[tuple[str, str]] = set()
    for resource, node, entry in situation.cluster.failures:
        said = situation.said_of(node, resource, entry)
        failure = _Failure(entry, node, said)
        probe = entry.task == "monitor" and not entry.interval
        if not node.online or (probe and entry.exit_code == _NOT_INSTALLED):
            continue  # that tells only that it cannot run there
        if not show.of_node(node.name) or not _wanted(resource, resource.id, show):
            continue
        if (failure.key, node.name) not in seen:
            seen.add((failure.key, node.name))
            found.append(failure)
    return found


def failure_block(situation: Situation, show: Show) -> Block | None:
    """Return the operations that failed; None if there is none."""
    found = _failures(situation, show) if show.has("failures") else []
    lines = tuple(Line(_in_detail(f) if show.detail else _in_words(f)) for f in found)
    return Block("Failed Resource Actions", lines) if lines else None


def _in_words(failure: _Failure) -> str:
    entry = failure.entry
    name = failure.key.rsplit(f"_{entry.task}_", 1)[0]
    interval = f"{interval_text(entry.interval)}-interval " if entry.interval else ""
    task = "probe" if entry.task == "monitor" and not entry.interval else entry.task
    text = f"{name} {interval}{task} on {failure.node.name} "
    status = entry.status
    reason = f" ({entry.exit_reason})" if entry.exit_reason else ""
    if status == 0:
        text += f"returned '{exit_text(entry.exit_code)}'{reason}"
    else:
        why = f": {entry.exit_reason}" if entry.exit_reason else ""
        text += f"could not be executed ({status_text(status)}{why})"
    if entry.last_change > 0:
        text += f" at {moment(entry.last_change)}"
    took = failure.number("exec-time")
    return text + (f" after {interval_text(took)}" if took else "")


def _in_detail(failure: _Failure) -> str:
    entry = failure.entry
    reason = f", exitreason='{entry.exit_reason}'" if entry.exit_reason else ""
    text = (
        f"{failure.key} on {failure.node.name} '{exit_text(entry.exit_code)}' "
        f"({entry.exit_code}): call={failure.said.get('call-id')}, "
        f"status='{status_text(entry.status)}'{reason}"
    )
    if entry.last_change > 0:
        text += f", last-rc-change='{moment(entry.last_change)}'"
        for word, name in (("queued", "queue-time"), ("exec", "exec-time")):
            if failure.said.get(name) is not None:
                text += f", {word}={failure.number(name)}ms"
    return text


def failures_xml(situation: Situation, show: Show) -> Element | None:
    """Return <failures>; None if there is none."""
    found = _failures(situation, show) if show.has("failures") else []
    children = tuple(_failure_xml(failure) for failure in found)
    return Element("failures", (), children) if children else None


def _failure_xml(failure: _Failure) -> Element:
    entry, key = failure.entry, failure.said.get("operation_key")
    attributes = [
        ("op_key", key) if key else ("id", failure.said.id),
        ("node", failure.node.name),
        ("exitstatus", exit_text(entry.exit_code)),
        ("exitreason", failure.said.get("exit-reason", "none") or ""),
        ("exitcode", str(entry.exit_code)),
        ("call", failure.said.get("call-id") or "-1"),
        ("status", status_text(entry.status)),
    ]
    queued, took = failure.said.get("queue-time"), failure.said.get("exec-time")
    if entry.last_change > 0:
        attributes += [
            ("last-rc-change", iso_moment(entry.last_change)),
            *((("queued", queued),) if queued is not None else ()),
            *((("exec", took),) if took is not None else ()),
            ("interval", str(entry.interval)),
            ("task", entry.task),
        ]
    return Element("failure", tuple(attributes))
