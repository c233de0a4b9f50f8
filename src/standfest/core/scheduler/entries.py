"""Unpack stage: reading the entries of one record."""

from standfest.core.scheduler.entities import Resource
from standfest.model.history import Entry, ResourceRecord

PENDING = -1


def member_of(instance: Resource, base: str) -> Resource | None:
    """Return the member of an instance that goes by `base`."""
    for leaf in instance.primitives():
        if leaf.base == base:
            return leaf
    return None


def may_be_active(record: ResourceRecord) -> bool:
    """Return whether a record leaves open that something runs."""
    active = False
    for entry in in_order(record.entries):
        if entry.task == "stop":
            active = entry.exit_code != 0
        elif entry.task == "monitor":
            if entry.exit_code in (0, 8, 190, 191):
                active = True
            elif entry.exit_code == 7 and not entry.interval:
                active = False
        elif entry.task in ("start", "promote", "demote", "migrate_from", "migrate_to"):
            active = True
    return active


def in_order(entries: list[Entry]) -> list[Entry]:
    """Return entries in the order in which they happened; pending ones are the newest."""
    if len(entries) == 1:
        return entries
    return sorted(entries, key=_moment)


def _moment(entry: Entry) -> tuple[bool, int, int, bool]:
    pending = entry.status == PENDING
    if entry.call_id < 0 and not pending:
        return (False, -1, entry.last_change, True)
    return (pending, entry.call_id, entry.last_change, not entry.failed)
