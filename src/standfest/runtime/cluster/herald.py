"""What a member tells its alert agents of the cluster: what has become of it since it last looked.

Compares instead of being called where things change: so whatever way news take (an update, the
whole CIB after a message was lost, a new coordinator's word) each is told once. What a member finds
when it begins is known, not news. What ended on this node itself is `translate`'s to tell.

Nodes and fencing are told by every member on its own node, attributes by the coordinator alone.
"""

from collections.abc import Iterator, Mapping

from standfest.config.cib.sets import options_of
from standfest.core.cib.document import Cib
from standfest.model.element import Element
from standfest.model.fencing import FencingRecord, FencingState
from standfest.model.status import NodeState, Status
from standfest.runtime.cluster import events
from standfest.runtime.cluster.effects import Alert
from standfest.runtime.cluster.fencing import WITHDRAWN

Records = tuple[FencingRecord, ...]
_Key = tuple[str, str, int]
_Attributes = Mapping[str, Mapping[str, str]]
"""Node -> its permanent attributes."""


class Herald:
    """Looks at a member's copy of the CIB and at the history of fencing whenever it has moved."""

    def __init__(self) -> None:
        self._followed = False
        self._status: Status | None = None
        self._there: dict[str, bool] = {}
        self._records: Records = ()
        self._under_way: dict[_Key, int] = {}  # how many attempts have failed
        self._known: set[_Key] = set()
        self._term: int | None = None
        self._told: Status = Status()
        self._section: Element | None = None
        self._permanent: _Attributes = {}

    def look(
        self, cib: Cib, records: Records, *, synchronised: bool, term: int | None
    ) -> list[Alert]:
        """Return what is news. synchronised: the copy is the coordinator's; term: of our own."""
        if not synchronised and records is self._records:
            self._followed, self._term = False, None
            return []
        found: list[Alert] = []
        if synchronised and cib.status is not self._status:
            found += self._nodes(cib)
        if records is not self._records:
            # A history that comes with the whole CIB is of what happened while we were away.
            found += self._fencing(records, cib, news=synchronised and self._followed)
        self._followed = synchronised
        return found + self._attributes(cib, term if synchronised else None)

    # --- nodes ----------------------------------------------------------------------------------

    def _nodes(self, cib: Cib) -> Iterator[Alert]:
        first, self._status = self._status is None, cib.status
        there = {state.name: state.in_membership for state in cib.status.nodes}
        before, self._there = self._there, there
        if first or before == there:
            return
        for node in sorted({*before, *there}):
            now = there.get(node, False)
            if now is not before.get(node, False):
                yield events.membership(node, _identifier(cib, node), there=now)

    # --- fencing --------------------------------------------------------------------------------

    def _fencing(self, records: Records, cib: Cib, *, news: bool) -> Iterator[Alert]:
        """Yield what has ended, and attempts that have failed; nothing of what was given up."""
        self._records = records
        known, self._known = self._known, {_key(record) for record in records}
        before, self._under_way = self._under_way, {}
        for record in records:
            key = _key(record)
            seen = key in before or (news and key not in known)
            if record.state is FencingState.UNDER_WAY:
                self._under_way[key] = record.attempts
                if not seen or record.attempts <= before.get(key, 0):
                    continue
            elif not seen or record.reason == WITHDRAWN:
                continue
            yield events.fencing(record, cib.status.coordinator)

    # --- attributes -----------------------------------------------------------------------------

    def _attributes(self, cib: Cib, term: int | None) -> list[Alert]:
        known, self._term = self._term, term
        if term is None:
            return []
        before, self._told = self._told, cib.status
        permanent, news = self._permanent, term == known
        section = cib.configuration.child("nodes")
        if section is not self._section or not news:
            self._section, self._permanent = section, _permanent(section)
        if not news:
            return []
        found = list(_changed(permanent, self._permanent)) if section is not None else []
        return found + (list(_transient(before, cib.status)) if before is not cib.status else [])


def _key(record: FencingRecord) -> _Key:
    """Return what one fencing is known by: two parts of a cluster may have given the same id."""
    return record.id, record.target, record.began


def _identifier(cib: Cib, node: str) -> str:
    section = cib.configuration.child("nodes")
    for entry in section.all("node") if section is not None else ():
        if entry.get("uname") == node:
            return entry.id
    return node


def _permanent(section: Element | None) -> _Attributes:
    return {
        entry.get("uname") or entry.id: options_of(entry, "instance_attributes")
        for entry in (section.all("node") if section is not None else ())
    }


def _transient(before: Status, now: Status) -> Iterator[Alert]:
    """Yield what changed on nodes that took part then, and do now.

    Nobody changes the attributes of one that comes or goes: they begin, or end, with it.
    """
    for state in now.nodes:
        old = before.node(state.name) or NodeState(state.name)
        if old.online and state.online and old.attributes != state.attributes:
            yield from _differences(state.name, dict(old.attributes), dict(state.attributes))


def _changed(before: _Attributes, now: _Attributes) -> Iterator[Alert]:
    """Yield what changed of the permanent attributes of nodes that are still there."""
    if before is now:
        return
    for node, attributes in now.items():
        yield from _differences(node, before.get(node, {}), attributes)


def _differences(node: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Alert]:
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield events.attribute(node, name, new.get(name))
