"""A file of fixed size that holds the last records of a process: a header and two halves.

While one half is being written the other one is whole, so that at any time at least half of the
file can be read. Every half begins with the machines' state, and can be read without the other.
Nothing is ever synced: the kernel keeps the pages of a process that was killed, not those of a
machine that lost power. A record counts from the moment at which its length stands before it.

    header   MAGIC, format, bytes of a half, length and CRC-32 of a text, that text
    half     mark, sequence number (1, 2, ...; 0: being prepared), `now` and the wall clock (ns)
             when it was begun; how many records have been dealt with, digest, both xored; records
    record   length, CRC-32 that begins with the sequence number, text
"""

import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from standfest.model.errors import WireError
from standfest.model.time import Instant

MAGIC = b"SFRING\r\n"
FORMAT = 1
HEADER_BYTES = 4096
HALVES = 2
MAX_HALF_BYTES = 64 * 1024 * 1024

HEADER = struct.Struct("<8sIIII")
HALF_MARK = b"SFHALF\r\n"
HALF = struct.Struct("<8sQQQ")
PROGRESS = struct.Struct("<III")
RECORD = struct.Struct("<II")
PROGRESS_AT = HALF.size
RECORDS_AT = 64
NOTHING = bytes(RECORD.size)

Buffer = bytearray | mmap.mmap


class Ring:
    """Writes into a buffer; the half that is being written is always the younger one."""

    def __init__(self, buffer: Buffer, about: bytes) -> None:
        """Write the header; about: a text of at most 4,000 bytes that says whose ring it is."""
        self._buffer = buffer
        self._half_bytes = (len(buffer) - HEADER_BYTES) // HALVES
        self._sequence = 0
        self._start = self._at = self._end = 0
        assert HEADER.size + len(about) <= HEADER_BYTES, "a header is short"
        assert RECORDS_AT < self._half_bytes <= MAX_HALF_BYTES, "of a size that can be read"
        HEADER.pack_into(buffer, 0, MAGIC, FORMAT, self._half_bytes, len(about), crc32(about))
        buffer[HEADER.size : HEADER.size + len(about)] = about

    def begin(self, now: Instant, wall_ns: int, state: bytes) -> bool:
        """Turn to the other half, beginning with `state`; False when there is no room for it."""
        buffer, sequence = self._buffer, self._sequence + 1
        start = HEADER_BYTES + (self._sequence % HALVES) * self._half_bytes
        head = start + HALF.size
        buffer[start:head] = HALF.pack(HALF_MARK, 0, now, wall_ns)
        self._start, self._at, self._end = start, start + RECORDS_AT, start + self._half_bytes
        self._sequence = sequence
        buffer[self._at : self._at + RECORD.size] = NOTHING
        self.progress(0, 0)
        if not self.append(state):
            return False
        buffer[start:head] = HALF.pack(HALF_MARK, sequence, now, wall_ns)
        return True

    def append(self, text: bytes) -> bool:
        """Add a record; False when the half is full."""
        at, buffer = self._at, self._buffer
        body = at + RECORD.size
        end = body + len(text) + RECORD.size
        if end > self._end:
            return False
        buffer[body:end] = text + NOTHING
        # In one piece, and last: whoever is killed before has written nothing.
        buffer[at:body] = RECORD.pack(len(text), crc32(text, self._sequence))
        self._at = end - RECORD.size
        return True

    def progress(self, done: int, digest: int) -> None:
        """Say that so many inputs of this half have been dealt with, and what they came to."""
        at = self._start + PROGRESS_AT
        self._buffer[at : at + PROGRESS.size] = PROGRESS.pack(done, digest, done ^ digest)


@dataclass(frozen=True, slots=True)
class Half:
    """What could be read of one half; damage: where and why it ends too early, or empty.

    done: None where it cannot be read; offsets: where each record begins in the file.
    """

    sequence: int
    now: Instant
    wall_ns: int
    done: int | None
    digest: int
    records: tuple[bytes, ...]
    offsets: tuple[int, ...]
    damage: str


@dataclass(frozen=True, slots=True)
class RingText:
    """A ring that was read; halves: the older one first; damages: of what is not in `halves`."""

    about: bytes
    halves: tuple[Half, ...]
    damages: tuple[str, ...]


def read_ring(data: bytes) -> RingText:
    """Return what is in a ring; raises WireError when it is none."""
    if len(data) < HEADER_BYTES:
        raise WireError("not-a-ring", f"{len(data)} bytes, a header has {HEADER_BYTES}")
    magic, version, half_bytes, length, check = HEADER.unpack_from(data, 0)
    if magic != MAGIC:
        raise WireError("not-a-ring", "it does not begin as one")
    if version != FORMAT:
        raise WireError("other-format", f"format {version}, expected {FORMAT}")
    about = data[HEADER.size : HEADER.size + length]
    if length > HEADER_BYTES - HEADER.size or crc32(about) != check:
        raise WireError("damaged-header", "bytes 0 to 4095")
    if not RECORDS_AT < half_bytes <= MAX_HALF_BYTES:
        raise WireError("damaged-header", f"halves of {half_bytes} bytes")
    halves: list[Half] = []
    damages: list[str] = []
    for number in range(HALVES):
        start = HEADER_BYTES + number * half_bytes
        half = _read_half(data, start, start + half_bytes)
        if isinstance(half, str):
            damages.append(f"bytes {start} to {start + half_bytes - 1}: {half}")
        elif half is not None:
            halves.append(half)
    halves.sort(key=lambda half: half.sequence)
    return RingText(about, tuple(halves), tuple(damages))


def _read_half(data: bytes, start: int, end: int) -> Half | str | None:
    """Return a half, what is wrong with it, or None when it was never written (through)."""
    if len(data) < start + RECORDS_AT:
        return "the file ends before it"
    mark, sequence, now, wall_ns = HALF.unpack_from(data, start)
    if not any(data[start : start + RECORDS_AT]):
        return None
    if mark != HALF_MARK:
        return "it does not begin as a half"
    if sequence == 0:
        return None  # the process ended while it was being prepared
    done, digest, both = PROGRESS.unpack_from(data, start + PROGRESS_AT)
    records: list[bytes] = []
    offsets: list[int] = []
    at, damage = start + RECORDS_AT, ""
    while at + RECORD.size <= end:
        if at + RECORD.size > len(data):
            damage = f"byte {at}: the file ends"
            break
        length, check = RECORD.unpack_from(data, at)
        if length == 0:
            if check:
                damage = f"byte {at}: a record without length"
            break
        text = data[at + RECORD.size : at + RECORD.size + length]
        if at + RECORD.size + length > end or crc32(text, sequence & 0xFFFFFFFF) != check:
            damage = f"byte {at}: record {len(records)} is damaged; nothing after it can be read"
            break
        records.append(text)
        offsets.append(at)
        at += RECORD.size + length
    known = done if done ^ digest == both else None
    return Half(sequence, now, wall_ns, known, digest, tuple(records), tuple(offsets), damage)


def create(path: Path, size: int, about: bytes) -> Ring:
    """Make a ring in a file, readable for its owner only; what was there stays as PATH.before.

    Raises OSError when there is no room: a page that cannot be had later would kill the process.
    """
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size)
        ring = Ring(mmap.mmap(descriptor, size), about)
        if path.exists():
            path.replace(path.with_name(path.name + ".before"))
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    return ring
