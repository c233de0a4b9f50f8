"""Fence devices and what was fenced, as `stonith_admin` shows it. Source: stonith_admin 2.1.5."""

from collections.abc import Sequence
from dataclasses import dataclass

from standfest.model.element import Element
from standfest.model.fencing import FencingRecord, FencingState
from standfest.monitor.crm.words import iso_moment, moment
from standfest.runtime.cluster.events import CLIENT

_STATUS = {
    FencingState.UNDER_WAY: "pending",
    FencingState.FAILED: "failed",
    FencingState.DONE: "success",
    FencingState.CONFIRMED: "success",
}
_WORDS = {"pending": "pending", "failed": "failed", "success": "successful"}


@dataclass(frozen=True, slots=True)
class Names:
    """A list of devices or nodes: title of the XML, and what one of them is called."""

    title: str
    one: str
    item: str = "device"


def names_text(names: Names, found: Sequence[str]) -> list[str]:
    """Return the names and how many they are."""
    if not found:
        return [f"No {names.one}s found"]
    return [*found, f"{len(found)} {names.one}{'' if len(found) == 1 else 's'} found"]


def names_xml(names: Names, found: Sequence[str]) -> Element:
    """Return <list>."""
    items = tuple(Element("item", (("name", names.item),), text=name) for name in found)
    return Element("list", (("name", names.title), ("count", str(len(found)))), items)


def event_text(record: FencingRecord) -> str:
    """Return one fencing as a line."""
    status = _STATUS[record.state]
    reason = f" ({record.reason})" if record.reason else ""
    words = [f"delegate={record.executor}"] if record.executor else []
    words += [f"client={CLIENT}", f"origin={_origin(record)}"]
    if status != "pending":
        words.append(f"completed='{moment(record.ended or record.began)}'")
    return f"{record.action} of {record.target} {_WORDS[status]}{reason}: {', '.join(words)}"


def event_xml(record: FencingRecord) -> Element:
    """Return <fence_event>."""
    status = _STATUS[record.state]
    completed = iso_moment(record.ended or record.began)
    return Element(
        "fence_event",
        (
            ("status", status),
            *((("exit-reason", record.reason),) if record.reason else ()),
            *((("delegate", record.executor),) if record.executor else ()),
            ("action", record.action),
            ("target", record.target),
            ("client", CLIENT),
            ("origin", _origin(record)),
            *((("completed", completed),) if status != "pending" else ()),
        ),
    )


def last_text(node: str, record: FencingRecord | None) -> str:
    """Return when a node was fenced last."""
    if record is None:
        return f"Node {node} has never been fenced"
    return f"Node {node} last fenced at: {moment(record.ended)}"


def last_xml(node: str, record: FencingRecord | None) -> Element:
    """Return <last-fenced>; when: empty if never."""
    when = moment(record.ended) if record is not None else ""
    return Element("last-fenced", (("target", node), ("when", when)))


def _origin(record: FencingRecord) -> str:
    return record.origin or record.executor or "the cluster"
