"""Unpack stage: reading the entries of one record."""

from functools import cmp_to_key

from standfest.core.scheduler.entities import Resource
from standfest.model.history import Entry, ResourceRecord


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
    """Return entries in the order in which they happened.

    Call ids count within one run of a node's executor. What is pending has none yet (-1): it is the
    newest, unless it is of an earlier transition than the entry it is compared with. Among equals
    the one recorded last comes first. Source: CIB-STATUS.md section 3.
    """
    if len(entries) == 1:
        return entries
    found = entries[::-1]
    if any(entry.call_id < 0 for entry in entries):
        found.sort(key=cmp_to_key(_compare))
    else:
        found.sort(key=_call)
    return found


def _call(entry: Entry) -> tuple[int, int]:
    return (entry.call_id, entry.last_change)


def _compare(one: Entry, other: Entry) -> int:
    """Compare two entries of which either may be pending."""
    if one.call_id < 0 and other.call_id < 0:
        return 0
    if one.call_id >= 0 and other.call_id >= 0:
        return (_call(one) > _call(other)) - (_call(one) < _call(other))
    mine, theirs = _transition(one), _transition(other)
    if mine[1] == theirs[1] and mine[0] != theirs[0]:
        # -1 is what a controller that shuts down stops: it comes after all else.
        older = 0 <= mine[0] < theirs[0] or theirs[0] == -1
        return -1 if older else 1
    return -1 if other.call_id < 0 else 1


def _transition(entry: Entry) -> tuple[int, str]:
    """Return number and origin of the transition that an entry belongs to."""
    parts = entry.transition.split(":")
    if len(parts) < 4 or not parts[1].lstrip("-").isdecimal() or len(parts[1]) > 12:
        return (-1, "")
    return (int(parts[1]), parts[3])
