"""What has been done since the status was looked at last: an event for each new result or fencing.

Programs are told of them by variables `CRM_notify_...`, as Pacemaker's crm_mon does.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from standfest.core.scheduler.values import integer
from standfest.model.element import Element
from standfest.model.fencing import FencingRecord, FencingState
from standfest.monitor import fencing
from standfest.monitor.crm.situation import Situation, recorded_resources
from standfest.monitor.crm.words import exit_text, status_text

MOST = 1000  # programs that are run for one change of the status
Known = Mapping[tuple[str, str, str], str]
"""(node, resource, entry id) -> what was recorded."""


@dataclass(frozen=True, slots=True)
class Event:
    """One result of one operation; expected: -1 unknown."""

    node: str
    resource: str
    task: str
    code: int
    expected: int
    status: int


def news(situation: Situation, known: Known | None) -> tuple[list[Event], Known]:
    """Return what is new since `known`, and what is known now; None: everything was known."""
    now: dict[tuple[str, str, str], str] = {}
    found: list[Event] = []
    for state, resource in recorded_resources(situation.cib):
        node = state.get("uname") or state.id
        for entry in resource.all("lrm_rsc_op"):
            key = (node, resource.id, entry.id)
            now[key] = _recorded(entry)
            pending = integer(entry.get("op-status"), 0) < 0
            copy = entry.id.endswith("_last_failure_0")
            if known is None or known.get(key) == now[key] or pending or copy:
                continue
            found.append(_event(node, resource.id, entry))
    return found[:MOST], now


def _recorded(entry: Element) -> str:
    names = ("call-id", "rc-code", "op-status", "last-rc-change", "transition-key")
    return "\n".join(entry.get(name) or "" for name in names)


def _event(node: str, resource: str, entry: Element) -> Event:
    key = (entry.get("transition-key") or "").split(":")
    expected = integer(key[2], -1) if len(key) == 4 else -1
    return Event(
        node,
        resource,
        entry.get("operation") or "",
        integer(entry.get("rc-code"), -1),
        expected,
        integer(entry.get("op-status"), 0),
    )


def fenced(
    records: Sequence[FencingRecord], known: Set[str] | None
) -> tuple[list[FencingRecord], Set[str]]:
    """Return which fencings have ended since `known`, and the ids of all that have.

    None: everything was known.
    """
    ended = [record for record in records if record.state is not FencingState.UNDER_WAY]
    found = [record for record in ended if known is not None and record.id not in known]
    return found, {record.id for record in ended}


def fencing_environment(record: FencingRecord, recipient: str) -> dict[str, str]:
    """Return the variables that a program is given of a fencing; no resource is named."""
    return {
        "CRM_notify_recipient": recipient,
        "CRM_notify_node": record.target,
        "CRM_notify_rsc": "",
        "CRM_notify_task": record.action,
        "CRM_notify_desc": fencing.event_text(record),
        "CRM_notify_rc": "0" if record.succeeded else "1",
        "CRM_notify_target_rc": "0",
        "CRM_notify_status": "0",
    }


def environment(event: Event, recipient: str) -> dict[str, str]:
    """Return the variables that a program is given."""
    if event.status:
        said = status_text(event.status)
    else:
        said = exit_text(event.code)
    return {
        "CRM_notify_recipient": recipient,
        "CRM_notify_node": event.node,
        "CRM_notify_rsc": event.resource,
        "CRM_notify_task": event.task,
        "CRM_notify_desc": said,
        "CRM_notify_rc": str(event.code),
        "CRM_notify_target_rc": str(event.expected),
        "CRM_notify_status": str(event.status),
    }
