"""What a director tells its partner of its connections: datagrams of our own.

A datagram is a header, entries and, with a key, a signature (HMAC-SHA256 over all before it).
Entries are of fixed size for each family. Decoding is total and bounded: WireError, one of REASONS.

    header   magic "SFfs", version 2, flags, number of entries, incarnation, sequence, time
    entry    what (have 1, gone 2), family (4, 6), protocol, TCP state, both window scales,
             mark, timeout in seconds, original source, destination, reply source, destination,
             their four ports; all in network order
"""

import hashlib
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from standfest.model.errors import WireError
from standfest.model.flows import Entry, Flow, FlowKey, FlowTuple

MAGIC: Final = b"SFfs"
VERSION: Final = 2
SIGNED: Final = 0x1
SIGNATURE_BYTES: Final = 32
MAX_DATAGRAM: Final = 1400
"""Fits an Ethernet frame, tunnels included."""
HAVE, GONE = 1, 2

_HEADER = struct.Struct(">4sBBHQQQ")
_FIXED = struct.Struct(">BBBBBBxxII")
_PORTS = struct.Struct(">HHHH")


class Reason(StrEnum):
    """Why a datagram was refused."""

    SHORT = "short"
    MAGIC = "magic"
    VERSION = "version"
    SIGNATURE = "signature"
    ENTRY = "entry"


REASONS: Final = frozenset(Reason)


@dataclass(frozen=True, slots=True)
class Told:
    """One datagram. incarnation: the sender's since its start; sequence: counts up from 1.

    sent: nanoseconds since 1970 by the sender's clock, more in each datagram than in the last one.
    """

    incarnation: int
    sequence: int
    sent: int
    entries: tuple[Entry, ...]


def entry_bytes(flow: Flow) -> int:
    """Return how many bytes a flow takes."""
    return _FIXED.size + 4 * len(flow.key.original.source) + _PORTS.size


def encode(told: Told, key: bytes = b"") -> bytes:
    """Return the datagram; key: the secret that both directors know, empty for none."""
    flags = SIGNED if key else 0
    counted = len(told.entries), told.incarnation, told.sequence, told.sent
    head = _HEADER.pack(MAGIC, VERSION, flags, *counted)
    message = head + b"".join(_encode_entry(entry) for entry in told.entries)
    return message + hmac.digest(key, message, hashlib.sha256) if key else message


def decode(datagram: bytes, key: bytes = b"") -> Told:
    """Return what a datagram says; with a key, one without its signature is refused."""
    if len(datagram) < _HEADER.size:
        raise WireError(Reason.SHORT, f"need {_HEADER.size} bytes, have {len(datagram)}")
    magic, version, flags, count, incarnation, sequence, sent = _HEADER.unpack_from(datagram)
    if magic != MAGIC:
        raise WireError(Reason.MAGIC, "not a copy of connections")
    if version != VERSION:
        raise WireError(Reason.VERSION, f"version {version}; expected {VERSION}")
    if bool(flags & SIGNED) != bool(key):
        raise WireError(Reason.SIGNATURE, "only one side has a key")
    message = datagram[:-SIGNATURE_BYTES] if key else datagram
    if key:
        signature = hmac.digest(key, message, hashlib.sha256)
        if not hmac.compare_digest(signature, datagram[-SIGNATURE_BYTES:]):
            raise WireError(Reason.SIGNATURE, "wrong key, or damaged")
    entries, at = [], _HEADER.size
    for _ in range(count):
        entry, at = _decode_entry(message, at)
        entries.append(entry)
    if at != len(message):
        raise WireError(Reason.ENTRY, f"{len(message) - at} bytes too many")
    return Told(incarnation, sequence, sent, tuple(entries))


def batches(entries: Sequence[Entry], key: bytes = b"") -> list[tuple[Entry, ...]]:
    """Return the entries in parts that fit a datagram each."""
    room = MAX_DATAGRAM - _HEADER.size - (SIGNATURE_BYTES if key else 0)
    found: list[tuple[Entry, ...]] = []
    part: list[Entry] = []
    used = 0
    for entry in entries:
        size = entry_bytes(entry.flow)
        if part and used + size > room:
            found.append(tuple(part))
            part, used = [], 0
        part.append(entry)
        used += size
    return [*found, tuple(part)] if part else found


def _encode_entry(entry: Entry) -> bytes:
    flow = entry.flow
    original, reply = flow.key.original, flow.reply
    return b"".join(
        (
            _FIXED.pack(
                GONE if entry.gone else HAVE,
                4 if len(original.source) == 4 else 6,
                flow.key.protocol,
                flow.tcp_state,
                *flow.scales,
                flow.mark,
                flow.timeout,
            ),
            original.source,
            original.destination,
            reply.source,
            reply.destination,
            _PORTS.pack(
                original.source_port,
                original.destination_port,
                reply.source_port,
                reply.destination_port,
            ),
        )
    )


def _decode_entry(message: bytes, at: int) -> tuple[Entry, int]:
    if at + _FIXED.size > len(message):
        raise WireError(Reason.SHORT, "an entry is cut off")
    what, family, protocol, state, scale, reply_scale, mark, timeout = _FIXED.unpack_from(
        message, at
    )
    if what not in (HAVE, GONE) or family not in (4, 6) or mark == 0:
        raise WireError(Reason.ENTRY, f"kind {what}, family {family}, mark {mark}")
    size = 4 if family == 4 else 16
    at += _FIXED.size
    end = at + 4 * size + _PORTS.size
    if end > len(message):
        raise WireError(Reason.SHORT, "an entry is cut off")
    parts = [message[at + n * size : at + (n + 1) * size] for n in range(4)]
    ports = _PORTS.unpack_from(message, at + 4 * size)
    key = FlowKey(protocol, FlowTuple(parts[0], parts[1], ports[0], ports[1]))
    reply = FlowTuple(parts[2], parts[3], ports[2], ports[3])
    flow = Flow(key, reply, mark, timeout, state, (scale, reply_scale))
    return Entry(flow, gone=what == GONE), end
