"""The sectors of a shared disk that breaks ties, in bytes.

Sector 0 says whose disk this is; sector N + 1 is the word of node N of the sorted names. Everything
stands in the first 512 bytes of a sector with a checksum, so a torn write is not taken for a word.
Total: whatever the bytes, the outcome is a value or a `WireError`.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from standfest.model.errors import WireError

HEADER_MAGIC: Final = b"SFdisk1\0"
RECORD_MAGIC: Final = b"SFvote1\0"
ID_BYTES: Final = 16
DIGEST_BYTES: Final = 32
MAX_NODES: Final = 64
"""As many as a view of 64 bits has."""
SECTOR_SIZES: Final = (512, 4096)
_HEADER: Final = struct.Struct(f"!8s{ID_BYTES}sHH{DIGEST_BYTES}s")
_RECORD: Final = struct.Struct(f"!8s{ID_BYTES}sBBQQQIQ")
_SUM: Final = struct.Struct("!I")

REASON: Final = "disk-sector"


@dataclass(frozen=True, slots=True)
class Header:
    """disk: drawn when it was prepared; digest: SHA-256 of the names, sorted, one a line."""

    disk: bytes
    sector: int
    nodes: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Word:
    """What one node says: core.quorum.disk.Record in numbers."""

    slot: int
    flag: int
    session: int
    number: int
    view: int
    votes: int
    lease: int


def write_header(header: Header) -> bytes:
    """Return sector 0."""
    packed = _HEADER.pack(HEADER_MAGIC, header.disk, header.sector, header.nodes, header.digest)
    return _closed(packed, header.sector)


def read_header(sector: bytes) -> Header:
    """Return what sector 0 says; raises WireError."""
    magic, disk, size, nodes, digest = _HEADER.unpack(_opened(sector, _HEADER))
    if magic != HEADER_MAGIC or size not in SECTOR_SIZES or not 1 <= nodes <= MAX_NODES:
        raise WireError(REASON, "not prepared for quorum")
    return Header(disk, size, nodes, digest)


def write_word(disk: bytes, word: Word, sector: int) -> bytes:
    """Return a node's sector."""
    packed = _RECORD.pack(
        *(RECORD_MAGIC, disk, word.slot, word.flag, word.session, word.number),
        *(word.view, word.votes, word.lease),
    )
    return _closed(packed, sector)


def read_word(disk: bytes, slot: int, sector: bytes) -> Word:
    """Return what the node of this slot says; raises WireError."""
    magic, its_disk, its_slot, *numbers = _RECORD.unpack(_opened(sector, _RECORD))
    if magic != RECORD_MAGIC or its_disk != disk or its_slot != slot:
        raise WireError(REASON, "another disk's, or another node's")
    return Word(slot, *numbers)


def _closed(packed: bytes, size: int) -> bytes:
    return (packed + _SUM.pack(zlib.crc32(packed))).ljust(size, b"\0")


def _opened(sector: bytes, form: struct.Struct) -> bytes:
    end = form.size + _SUM.size
    if len(sector) < end or any(sector[end:]):
        raise WireError(REASON, "another size, or more than there is to say")
    packed = sector[: form.size]
    if _SUM.unpack(sector[form.size : end])[0] != zlib.crc32(packed):
        raise WireError(REASON, "wrong checksum")
    return packed
