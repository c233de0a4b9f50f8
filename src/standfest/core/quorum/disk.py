"""The shared disk's vote: each node writes a sector of its own and reads all others.

Who wants the vote raises its flag, and has it when a look at all sectors, begun after that write
was done, finds no other flag up, but of nodes with the same view. So of two nodes one sees the
other's flag, however long a write takes: no bound on the disk's speed is needed. A flag that does
not change for a lease's length is down: whoever raised it counts the lease from before its write.
A holder may ignore new flags while its own lease has not run out: nobody can have had the vote
meanwhile. Nobody writes what another one writes, so a late write destroys nobody's word.

Source: docs/adr/0029-quorum.md, which argues this at length.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

from standfest.model.quorum import NO_LEASE, Lease, Presence
from standfest.model.time import Duration, Instant

CAUTION = 32
"""A 32nd of a lease: more than 1 % of it on each of two clocks."""


class Flag(IntEnum):
    """What a node says in its sector; all but DOWN keep others from getting the vote."""

    DOWN = 0
    WANTS = 1
    HAS = 2
    BUSY = 3  # the vote goes to another partition, but something is still being stopped here


@dataclass(frozen=True, slots=True)
class Record:
    """One node's word. view: bit N is the node of sector N; session: drawn at the start."""

    session: int
    number: int
    flag: Flag
    view: int
    votes: int
    lease: Duration


@dataclass(frozen=True, slots=True)
class Sector:
    """What was read: `raw` to see whether it changed, no record where that makes no sense.

    A sector that nobody has written yet has neither: raw is empty.
    """

    raw: bytes
    record: Record | None


@dataclass(frozen=True, slots=True)
class Write:
    """Write this to the own sector, then read all; on_cycle() is to hear of it."""

    record: Record


@dataclass(frozen=True, slots=True)
class Promised:
    """The quorum machine is to hear this before anything that follows is done."""

    lease: Lease


DiskEffect = Write | Promised
Effects = list[DiskEffect]


class DiskVote:
    """One node's side of it; slots: node -> number of its sector."""

    def __init__(
        self,
        name: str,
        slots: Mapping[str, int],
        session: int,
        interval: Duration,
        lease: Duration,
    ) -> None:
        self.slot = slots[name]
        self.lease = NO_LEASE
        self.failures = 0
        self.refused_for = -1
        self._slots = slots
        self._session = session
        self._interval = interval
        self._length = lease
        self._number = 0
        self._presence: Presence | None = None
        self._written: tuple[Record, Instant] | None = None
        self._refused = False
        self._due: Instant | None = None
        self._seen: dict[int, tuple[bytes, Instant]] = {}

    # --- inputs ---------------------------------------------------------------------------------

    def present(self, now: Instant, presence: Presence) -> Effects:
        """The cluster daemon's partition, or what runs there, is another one."""
        before, self._presence = self._presence, presence
        if presence == before:
            return []
        self._due = now
        if before is None or presence.since != before.since:
            return self._promised(replace(self.lease, since=-1, votes_until=0))
        return []

    def on_timer(self, now: Instant) -> Effects:
        """Write and look again."""
        if self._due is None or self._due > now:
            return []
        assert self._presence is not None, "due for somebody"
        self._due = now + self._interval
        flag = self._flag(now, self._presence)
        # First nothing rests on the flag any more, then it goes down.
        effects = self._promised(NO_LEASE) if flag is Flag.DOWN else []
        self._number += 1
        view = sum(1 << self._slots[node] for node in self._presence.view if node in self._slots)
        votes = self._presence.votes
        record = Record(self._session, self._number, flag, view, votes, self._length)
        self._written = (record, self._presence.since)
        return [*effects, Write(record)]

    def on_cycle(
        self, now: Instant, begun: Instant, looked: Instant, sectors: Mapping[int, Sector]
    ) -> Effects:
        """The last Write was done and all sectors were read.

        begun: before the write began; looked: after it was done, before the first sector was read;
        now: after the last one.
        """
        assert self._written is not None, "written before"
        assert self._presence is not None, "written for somebody"
        record, since = self._written
        if sectors[self.slot].record != record:
            self.failures += 1  # lost, or torn: it promises nothing, neither to us nor to others
            return []
        flags = self._flags(now, looked, sectors)
        if since != self._presence.since:
            self._due = now
            return []
        if record.flag is Flag.DOWN:
            if self._refused and not self._beaten(record, flags):
                self._refused, self.refused_for = False, -1
                self._due = now
            return []
        if record.flag is Flag.BUSY:
            return []
        return self._decide(now, begun + self._length, record, flags)

    def on_failure(self) -> None:
        """The disk could not be written or read."""
        self.failures += 1

    def deadline(self) -> Instant | None:
        """Return when to write again."""
        return self._due

    # --- the decision ---------------------------------------------------------------------------

    def _decide(
        self, now: Instant, until: Instant, record: Record, flags: Mapping[int, Record | None]
    ) -> Effects:
        rivals = [other for other in flags.values() if not _agrees(other, record)]
        mine = self.lease.since == self._since() and now < self.lease.votes_until
        others_have = any(other is None or other.flag is Flag.HAS for other in rivals)
        if not rivals or (mine and record.flag is Flag.HAS and not others_have):
            if record.flag is Flag.WANTS:
                self._due = now  # say so before others look
            return self._promised(Lease(self._since(), until, until))
        beaten = self._beaten(record, flags)
        if beaten and not mine:
            self._refused = True
            self._due = now
            return self._promised(NO_LEASE)
        if now < self.lease.kept_until:
            # Nobody can have had the vote while our flag was up without a break.
            votes_until = self.lease.votes_until if mine else 0
            return self._promised(replace(self.lease, votes_until=votes_until, kept_until=until))
        return []

    def _flag(self, now: Instant, presence: Presence) -> Flag:
        if self._refused or not presence.enough:
            return Flag.BUSY if presence.busy else Flag.DOWN
        mine = self.lease.since == presence.since and now < self.lease.votes_until
        return Flag.HAS if mine else Flag.WANTS

    def _flags(
        self, now: Instant, looked: Instant, sectors: Mapping[int, Sector]
    ) -> dict[int, Record | None]:
        """Return whose flag is up; None for what cannot be read: it may be anything."""
        found: dict[int, Record | None] = {}
        for slot, sector in sectors.items():
            if slot == self.slot or not sector.raw:
                continue
            raw, first = self._seen.get(slot, (b"", now))
            if raw != sector.raw:
                first = now
            self._seen[slot] = (sector.raw, first)
            record = sector.record
            length = max(self._length, record.lease if record is not None else 0)
            if looked - first >= length + length // CAUTION + 1:
                continue
            if record is None or record.flag is not Flag.DOWN:
                found[slot] = record
        return found

    def _beaten(self, record: Record, flags: Mapping[int, Record | None]) -> bool:
        """Return whether a partition without this node has the vote, or comes first.

        A view that still has this node in it is one that has not noticed yet, or a dead node's: it
        is waited for, and nothing is lost to it.
        """
        for slot, other in flags.items():
            if other is None or other.flag is Flag.BUSY or other.view >> self.slot & 1:
                continue
            if other.flag is Flag.HAS or _rank(other) > _rank(record):
                self.refused_for = slot
                return True
        return False

    def _since(self) -> Instant:
        assert self._presence is not None, "decided for somebody"
        return self._presence.since

    def _promised(self, lease: Lease) -> Effects:
        if lease == self.lease:
            return []
        self.lease = lease
        return [Promised(lease)]


def _agrees(other: Record | None, record: Record) -> bool:
    wants = (Flag.WANTS, Flag.HAS)
    return other is not None and other.view == record.view and other.flag in wants


def _rank(record: Record) -> tuple[int, int]:
    """Return what orders partitions, the foremost highest: votes, then the lowest name."""
    lowest = record.view & -record.view
    return record.votes, -lowest
