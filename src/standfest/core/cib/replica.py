"""One member's copy of the CIB, and how the copies stay the same.

The coordinator orders all changes: it applies them to its copy, persists a changed configuration
and only then sends them. The others apply the same changes to the same version; who is out of step
asks for the whole CIB. A change of the configuration is committed once every member has it on disk.
"""

from dataclasses import dataclass, replace

from standfest.core.cib.changes import Change, apply_all
from standfest.core.cib.document import Author, Cib, Rank
from standfest.model.element import Element
from standfest.model.errors import OperationError
from standfest.model.status import Status, Version


@dataclass(frozen=True, slots=True)
class Update:
    """Changes that lead from version `before` to version `after`."""

    term: int
    before: Version
    after: Version
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Sync:
    """The whole CIB."""

    term: int
    version: Version
    configuration: Element
    status: Status
    written: int = 0
    author: Author | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """The sender has this version of the configuration on disk."""

    term: int
    version: Version


@dataclass(frozen=True, slots=True)
class OutOfStep:
    """The sender could not apply an update: it needs a Sync."""

    term: int


@dataclass(frozen=True, slots=True)
class Persist:
    """Write the configuration to disk before anything that follows in the list of effects."""

    cib: Cib


@dataclass(frozen=True, slots=True)
class Publish:
    """Send `message` to `destination`, or to all members when it is empty."""

    message: Update | Sync | Stored | OutOfStep
    destination: str = ""


@dataclass(frozen=True, slots=True)
class Committed:
    """Every member has the configuration `version` on disk."""

    version: Version


ReplicaEffect = Persist | Publish | Committed


class Replica:
    """The CIB of one node; `members` are the other nodes that must store a configuration."""

    def __init__(self, cib: Cib) -> None:
        self.cib = cib
        self.members: tuple[str, ...] = ()
        self._unstored: dict[Version, set[str]] = {}

    @property
    def rank(self) -> Rank:
        """Return how new the configuration is."""
        return self.cib.rank

    def propose(self, term: int, changes: tuple[Change, ...]) -> list[ReplicaEffect]:
        """As coordinator: apply the changes here and send them to all; none when nothing changed.

        Raises OperationError, and changes nothing, when a change cannot be applied.
        """
        before = self.cib
        after = apply_all(before, changes)
        if after.version == before.version:
            return []
        after = _dated(before, after, term)
        configured = self._configured(before) != self._configured(after)
        self.cib = after = replace(after, written=term) if configured else after
        update = Publish(Update(term, before.version, after.version, changes))
        if not configured:
            return [update]
        self._unstored[after.version] = set(self.members)
        return [Persist(after), update, *self._committed()]

    def adopt(self, configuration: Element, version: Version, written: int) -> list[ReplicaEffect]:
        """As coordinator: take over a newer configuration that a joining member brought."""
        self.cib = Cib(version, configuration, self.cib.status, written)
        return [Persist(self.cib)]

    def restate(self, term: int, status: Status) -> list[ReplicaEffect]:
        """As coordinator: begin from this status and give everybody the whole CIB.

        Whoever has it on disk says so, also of the configurations that came before it.
        """
        version = replace(self.cib.version, num_updates=self.cib.version.num_updates + 1)
        self.cib = replace(self.cib, status=status, version=version)
        self._unstored = {known: set(self.members) for known in (*self._unstored, version)}
        return [Publish(self.synchronisation(term)), *self._committed()]

    def synchronisation(self, term: int) -> Sync:
        """Return the whole CIB as a message."""
        return Sync(
            term,
            self.cib.version,
            self.cib.configuration,
            self.cib.status,
            self.cib.written,
            self.cib.author,
        )

    def receive_update(self, update: Update, sender: str) -> list[ReplicaEffect]:
        """As follower: apply the coordinator's changes, or ask for everything."""
        before = self.cib
        if update.before != before.version:
            return [Publish(OutOfStep(update.term), sender)]
        try:
            after = apply_all(before, update.changes)
        except OperationError:
            return [Publish(OutOfStep(update.term), sender)]
        if after.version != update.after:
            return [Publish(OutOfStep(update.term), sender)]
        after = _dated(before, after, update.term)
        if self._configured(before) == self._configured(after):
            self.cib = after
            return []
        self.cib = after = replace(after, written=update.term)
        return [Persist(after), Publish(Stored(update.term, after.version), sender)]

    def receive_sync(self, sync: Sync, sender: str) -> list[ReplicaEffect]:
        """As follower: take over the coordinator's CIB."""
        before = self.cib
        self.cib = Cib(sync.version, sync.configuration, sync.status, sync.written, sync.author)
        stored = Publish(Stored(sync.term, sync.version), sender)
        if self._configured(before) == self._configured(self.cib):
            return [stored]  # what it was before is on disk
        return [Persist(self.cib), stored]

    def receive_stored(self, stored: Stored, sender: str) -> list[ReplicaEffect]:
        """As coordinator: a member has a configuration on disk, and all older ones with it."""
        for version, missing in self._unstored.items():
            if version <= stored.version:
                missing.discard(sender)
        return self._committed()

    def waits_for(self, version: Version) -> bool:
        """As coordinator: return whether a member lacks this configuration on disk."""
        return version in self._unstored

    @property
    def awaited(self) -> Version | None:
        """As coordinator: return the newest version that a member may lack on disk."""
        return max(self._unstored, default=None)

    def set_members(self, members: tuple[str, ...]) -> list[ReplicaEffect]:
        """As coordinator: wait no longer for members that have gone."""
        self.members = members
        for missing in self._unstored.values():
            missing.intersection_update(members)
        return self._committed()

    def _committed(self) -> list[ReplicaEffect]:
        done = sorted(version for version, missing in self._unstored.items() if not missing)
        for version in done:
            del self._unstored[version]
        return [Committed(version) for version in done]

    @staticmethod
    def _configured(cib: Cib) -> tuple[Rank, Element]:
        return cib.rank, cib.configuration


def _dated(before: Cib, after: Cib, term: int) -> Cib:
    """Return the CIB with the date of its tickets, if they were changed: the same on all members.

    It only ever grows, whichever coordinator's tickets were taken over.
    """
    old, new = before.status.tickets, after.status.tickets
    if old.states == new.states:
        return after
    last, number = old.dated
    tickets = replace(new, dated=(max(term, last), number + 1))
    return replace(after, status=replace(after.status, tickets=tickets))
