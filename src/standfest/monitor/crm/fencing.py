"""What was fenced, as far as the cluster's own history says: failed, done, under way.

A CIB does not hold it. Without `Show.level` 3 only the last event of a kind is shown for a node.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from standfest.model.element import Element
from standfest.model.fencing import FencingRecord, FencingState
from standfest.monitor.crm.layout import Block, Line
from standfest.monitor.crm.show import Show
from standfest.monitor.crm.situation import Situation
from standfest.monitor.crm.words import moment

EVERYTHING = 3
CLIENT = "standfest"
_DONE = (FencingState.DONE, FencingState.CONFIRMED)
_SECTIONS = {
    "fencing-failed": (FencingState.FAILED,),
    "fencing-pending": (FencingState.UNDER_WAY,),
    "fencing-succeeded": _DONE,
}
_STATUS = {
    FencingState.UNDER_WAY: "pending",
    FencingState.FAILED: "failed",
    FencingState.DONE: "success",
    FencingState.CONFIRMED: "success",
}
_WORDS = {"pending": "pending", "failed": "failed", "success": "successful"}
_WHEN = {"failed": "last-failed", "success": "last-successful"}


def _events(situation: Situation, show: Show, *states: FencingState) -> list[FencingRecord]:
    """Return the newest first."""
    found: list[FencingRecord] = []
    seen: set[tuple[str, str, str]] = set()
    for record in reversed(situation.fencing):
        kind = (record.target, record.action, _STATUS[record.state])
        if record.state not in states or not show.of_node(record.target):
            continue
        if show.level < EVERYTHING and kind in seen:
            continue
        seen.add(kind)
        found.append(record)
    return found


def _line(record: FencingRecord, show: Show) -> Line:
    status = _STATUS[record.state]
    reason = f" ({record.reason})" if record.reason else ""
    words = [f"delegate={record.executor}"] if record.executor else []
    words += [f"client={CLIENT}", f"origin={_origin(record)}"]
    if status in _WHEN:
        when = "completed" if show.level >= EVERYTHING else _WHEN[status]
        words.append(f"{when}='{moment(record.ended or record.began)}'")
    return Line(f"{record.action} of {record.target} {_WORDS[status]}{reason}: {', '.join(words)}")


def _origin(record: FencingRecord) -> str:
    return record.origin or record.executor or "the cluster"


def _block(title: str, records: Sequence[FencingRecord], show: Show) -> Block | None:
    return Block(title, tuple(_line(record, show) for record in records)) if records else None


def failed_block(situation: Situation, show: Show) -> Block | None:
    """Return the fencings that failed; None without any."""
    if not show.has("fencing-failed"):
        return None
    return _block("Failed Fencing Actions", _events(situation, show, FencingState.FAILED), show)


def history_block(situation: Situation, show: Show) -> Block | None:
    """Return those that are done, and under way; only the latter by default."""
    waiting = (FencingState.UNDER_WAY,) if show.has("fencing-pending") else ()
    if show.has("fencing-succeeded"):
        return _block("Fencing History", _events(situation, show, *_DONE, *waiting), show)
    return _block("Pending Fencing Actions", _events(situation, show, *waiting), show)


def history_xml(situation: Situation, show: Show) -> Element | None:
    """Return <fence_history>; None where it is not known (`situation.fencing` is empty)."""
    wanted = [state for name, states in _SECTIONS.items() if show.has(name) for state in states]
    found = tuple(_xml(record) for record in _events(situation, show, *wanted))
    return Element("fence_history", (("status", "0"),), found) if found else None


def _xml(record: FencingRecord) -> Element:
    status = _STATUS[record.state]
    done = status != "pending"
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
            *((("completed", moment(record.ended or record.began)),) if done else ()),
        ),
    )


def records_of(history: Iterable[Mapping[str, Any]]) -> tuple[FencingRecord, ...]:
    """Return the records of the cluster daemon's answer to the query `fencing`."""
    return tuple(
        FencingRecord(
            str(one["id"]),
            str(one["target"]),
            str(one["action"]),
            FencingState(one["state"]),
            str(one["origin"]),
            int(one["began"]),
            int(one["ended"]),
            str(one["executor"]),
            tuple(one["devices"]),
            int(one["failed_attempts"]),
            str(one["reason"]),
        )
        for one in history
    )
