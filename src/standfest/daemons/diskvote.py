"""The shared disk's vote: sectors between `core.quorum.disk` and the disk; its preparation."""

import hashlib
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from standfest.adapters.linux.shareddisk import SharedDisk
from standfest.core.quorum.disk import DiskEffect, DiskVote, Flag, Promised, Record, Sector, Write
from standfest.model.errors import OperationError, WireError
from standfest.model.quorum import Lease, Presence
from standfest.model.quorumfile import QuorumSettings
from standfest.model.time import Instant, in_milliseconds
from standfest.wire import quorumdisk as wire


def digest(nodes: Sequence[str]) -> bytes:
    """Return what tells whether a disk was prepared for these nodes."""
    return hashlib.sha256("\n".join(sorted(nodes)).encode()).digest()


def prepare(path: Path, nodes: Sequence[str], *, again: bool) -> bytes:
    """Prepare a disk and return its name; raises OperationError where something else is on it.

    again: also where it was prepared before. Nobody may use it meanwhile.
    """
    disk = SharedDisk(path)
    try:
        sectors = 1 + len(nodes)
        if len(nodes) > wire.MAX_NODES:
            raise OperationError(f"{len(nodes)} nodes; expected at most {wire.MAX_NODES}")
        if disk.size < sectors * disk.sector:
            needed = sectors * disk.sector
            raise OperationError(f"{path} has {disk.size} bytes; expected at least {needed}")
        _refuse_foreign(disk, sectors, again=again)
        name = os.urandom(wire.ID_BYTES)
        for number in range(1, sectors):
            disk.write(number, bytes(disk.sector))
        header = wire.Header(name, disk.sector, len(nodes), digest(nodes))
        disk.write(0, wire.write_header(header))
        return name
    finally:
        disk.close()


def _refuse_foreign(disk: SharedDisk, sectors: int, *, again: bool) -> None:
    first = disk.read(0)
    try:
        wire.read_header(first)
    except WireError:
        for number in range(sectors):
            if any(disk.read(number)):
                raise OperationError(
                    f"{disk.path} has something on it (sector {number}); expected an empty disk"
                ) from None
        return
    if not again:
        raise OperationError(f"{disk.path} is prepared already; expected an empty disk")


class SharedDiskVote:
    """Implements daemons.arbiter.Tiebreaker."""

    reachable = False

    def __init__(
        self, path: str, settings: QuorumSettings, name: str, clock: Callable[[], Instant]
    ) -> None:
        nodes = settings.rules.nodes
        self._path = Path(path)
        self._nodes = nodes
        self._clock = clock
        self._disk: SharedDisk | None = None
        self._header: wire.Header | None = None
        session = random.SystemRandom().getrandbits(62)
        slots = {node: slot for slot, node in enumerate(nodes)}
        self._vote = DiskVote(name, slots, session, settings.interval, settings.lease)
        self._trouble = ""
        self._took: int | None = None

    def descriptors(self) -> list[int]:
        """Return nothing: a disk is not waited for, it is looked at."""
        return []

    def on_ready(self) -> None:
        """Nothing arrives."""

    @property
    def lease(self) -> Lease:
        """Return what the disk promises."""
        return self._vote.lease

    def present(self, presence: Presence) -> None:
        """Write at once for another partition."""
        self._perform(self._vote.present(self._clock(), presence))

    def on_timer(self) -> None:
        """Write and look again."""
        self._perform(self._vote.on_timer(self._clock()))

    def deadline(self) -> Instant | None:
        """Return when to write again."""
        return self._vote.deadline()

    def _perform(self, effects: list[DiskEffect]) -> None:
        for effect in effects:
            match effect:
                case Write(record):
                    self._cycle(record)
                case Promised():
                    continue  # the arbiter looks at `lease`

    def _cycle(self, record: Record) -> None:
        """Write, then read all; nothing else happens meanwhile, for as long as the disk takes."""
        begun = self._clock()
        try:
            disk, header = self._opened()
            word = wire.Word(
                *(self._vote.slot, int(record.flag), record.session, record.number),
                *(record.view, record.votes, record.lease),
            )
            disk.write(1 + self._vote.slot, wire.write_word(header.disk, word, disk.sector))
            looked = self._clock()
            raw = {slot: disk.read(1 + slot) for slot in range(len(self._nodes))}
        except OperationError as error:
            self._trouble = str(error)
            self._vote.on_failure()
            self._close()
            return
        self._trouble = ""
        now = self._clock()
        self._took = in_milliseconds(now - begun)
        sectors = {slot: _sector(header.disk, slot, content) for slot, content in raw.items()}
        self._perform(self._vote.on_cycle(now, begun, looked, sectors))

    def _opened(self) -> tuple[SharedDisk, wire.Header]:
        if self._disk is None or self._header is None:
            disk = SharedDisk(self._path)
            try:
                self._header = self._checked(disk)
            except OperationError:
                disk.close()
                raise
            self._disk = disk
        return self._disk, self._header

    def _checked(self, disk: SharedDisk) -> wire.Header:
        try:
            header = wire.read_header(disk.read(0))
        except WireError:
            expected = f"expected `standfest quorum disk init {self._path}`"
            raise OperationError(f"{self._path} is not prepared; {expected}") from None
        if header.digest != digest(self._nodes) or header.sector != disk.sector:
            raise OperationError(f"{self._path} is prepared for other nodes; prepare it again")
        return header

    def _close(self) -> None:
        if self._disk is not None:
            self._disk.close()
        self._disk = self._header = None

    def status(self) -> dict[str, object]:
        """Return which disk, and how it does."""
        beaten = self._vote.refused_for
        return {
            "disk": str(self._path),
            "took_ms": self._took,
            "failures": self._vote.failures,
            "answer": f"{self._nodes[beaten]}'s partition comes first" if beaten >= 0 else "",
            "trouble": self._trouble,
        }


def _sector(disk: bytes, slot: int, raw: bytes) -> Sector:
    if not any(raw):
        return Sector(b"", None)
    try:
        word = wire.read_word(disk, slot, raw)
        flag = Flag(word.flag)
    except (WireError, ValueError):
        return Sector(raw, None)
    record = Record(word.session, word.number, flag, word.view, word.votes, word.lease)
    return Sector(raw, record)
