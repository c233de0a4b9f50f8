"""Beats of load sharing as signed heartbeat messages: one datagram each, compact and bounded.

Sets of buckets are bits, compressed; votes are one byte a bucket, compressed: the position of a
member in the message's own list of names. Both are remembered while they stay the same, so that a
beat costs little more than its signature. Nothing here judges what a beat means.
Source: docs/adr/0024-load-sharing.md; facts/HEARTBEAT-WIRE.md section 2.
"""

import struct
import zlib
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from standfest.model.errors import WireError
from standfest.model.keys import Keyring
from standfest.model.message import FieldValue, Message
from standfest.model.sharing import MAX_BUCKETS, MAX_MEMBERS, Beat, Buckets
from standfest.wire import heartbeat

TYPE: Final = "share"
ERRAND: Final = "share-errand"
MAX_NAME: Final = 64
REASONS: Final = (
    *heartbeat.REASONS,
    "no-beat",  # neither a beat nor an errand
    "other-address",  # a beat, of another shared address
    "number",  # a number is no hexadecimal one, or too large
    "members",  # names of members: missing, too many, too long, or one twice
    "buckets",  # a set of buckets is not what it says, or has buckets that cannot be
    "echoes",  # not one for each name
    "verb",  # an errand that nobody knows
)
"""Every `WireError.reason` that decode() can raise."""

_PLAIN, _COMPRESSED = b"\0", b"\1"
_SET_BYTES: Final = MAX_BUCKETS // 8
_ECHO: Final = struct.Struct("!QQ")
_DRAINING, _ABSTAINS = "d", "a"
_NOBODY: Final = (0, 0)
_REMEMBERED: Final = 8 * MAX_MEMBERS
"""Each member's sets and votes."""


class Verb(StrEnum):
    """What a member can be asked to do; probe: say that it hears this, and heard: it does."""

    DRAIN = "drain"
    UNDRAIN = "undrain"
    PROBE = "probe"
    HEARD = "heard"


@dataclass(frozen=True, slots=True)
class Errand:
    """A member asks another one to do something.

    generation, number: of the target's newest beat that was heard: an old errand is worth nothing.
    """

    source: str
    target: str
    generation: int
    number: int
    verb: Verb


def encode(value: Beat | Errand, address: str, keyring: Keyring) -> bytes:
    """Return the datagram of a beat or errand for the shared address of this name, signed."""
    fields = _errand_fields(value) if isinstance(value, Errand) else _beat_fields(value)
    head: list[tuple[str, FieldValue]] = [("of", address), ("src", value.source)]
    return heartbeat.encode(Message((*head, *fields)), keyring, inner=False)


def _errand_fields(errand: Errand) -> list[tuple[str, FieldValue]]:
    return [
        *(("t", ERRAND), ("to", errand.target), ("do", errand.verb.value)),
        *(("hg", f"{errand.generation:x}"), ("seq", f"{errand.number:x}")),
    ]


def _beat_fields(beat: Beat) -> list[tuple[str, FieldValue]]:
    names = tuple(sorted({*beat.votes, *beat.echoes}))
    votes = tuple(beat.votes.get(name, 0) for name in names)
    echoes = b"".join(_ECHO.pack(*beat.echoes.get(name, _NOBODY)) for name in names)
    state = (_DRAINING if beat.draining else "") + (_ABSTAINS if beat.abstains else "")
    return [
        ("t", TYPE),
        *(("hg", f"{beat.generation:x}"), ("seq", f"{beat.number:x}")),
        *(("lay", f"{beat.layout:x}"), ("st", state), ("m", names)),
        *(("w", _packed_set(beat.wants)), ("h", _packed_set(beat.holds))),
        *(("f", _packed_set(beat.former)), ("k", _packed_set(beat.known))),
        *(("v", _packed_votes(votes)), ("e", echoes)),
    ]


def decode(datagram: bytes, address: str, keyring: Keyring) -> Beat | Errand:
    """Return the beat or errand in a datagram, whose signature was valid.

    Raises WireError with one of REASONS, and nothing else, for whatever bytes.
    """
    message = heartbeat.decode(datagram, keyring)
    kind = message.text("t")
    if kind not in (TYPE, ERRAND):
        raise WireError("no-beat", "another kind of message")
    if message.text("of") != address:
        raise WireError("other-address", "of another shared address")
    return _beat(message) if kind == TYPE else _errand(message)


def _errand(message: Message) -> Errand:
    source, target = (_name(message.text(field) or "") for field in ("src", "to"))
    generation, number = _number(message, "hg"), _number(message, "seq")
    try:
        verb = Verb(message.text("do") or "")
    except ValueError:
        raise WireError("verb", "an errand that nobody knows") from None
    return Errand(source, target, generation, number, verb)


def _beat(message: Message) -> Beat:
    names = _names(message)
    votes = _unpacked_votes(_binary(message, "v"), len(names))
    echoes = _binary(message, "e")
    if len(echoes) != len(names) * _ECHO.size:
        raise WireError("echoes", f"{len(echoes)} bytes for {len(names)} names")
    state = message.text("st") or ""
    return Beat(
        source=_name(message.text("src") or ""),
        generation=_number(message, "hg"),
        number=_number(message, "seq"),
        layout=_number(message, "lay"),
        draining=_DRAINING in state,
        abstains=_ABSTAINS in state,
        wants=_unpacked_set(_binary(message, "w")),
        holds=_unpacked_set(_binary(message, "h")),
        former=_unpacked_set(_binary(message, "f")),
        known=_unpacked_set(_binary(message, "k")),
        votes={name: some for name, some in zip(names, votes, strict=True) if some},
        echoes={
            name: echo
            for name, echo in zip(names, _ECHO.iter_unpack(echoes), strict=True)
            if echo != _NOBODY
        },
    )


def _binary(message: Message, name: str) -> bytes:
    value = message.binary(name)
    if value is None:
        raise WireError("buckets" if name != "e" else "echoes", f"no binary field {name}")
    return value


def _number(message: Message, name: str) -> int:
    text = message.text(name) or ""
    if 1 <= len(text) <= 16 and all(char in "0123456789abcdef" for char in text):
        return int(text, 16)
    raise WireError("number", f"{name} is no hexadecimal number of 64 bits")


def _names(message: Message) -> tuple[str, ...]:
    names = message.get("m")
    if not isinstance(names, tuple) or len(names) > MAX_MEMBERS or len(set(names)) < len(names):
        raise WireError("members", f"no list of at most {MAX_MEMBERS} different names")
    return tuple(_name(name) for name in names)


def _name(name: str) -> str:
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise WireError("members", f"a name is not 1 to {MAX_NAME} printable characters")
    return name


# --- sets of buckets --------------------------------------------------------------------------


@lru_cache(_REMEMBERED)
def _packed_set(buckets: Buckets) -> bytes:
    return _packed(buckets.to_bytes((buckets.bit_length() + 7) // 8, "little"))


@lru_cache(_REMEMBERED)
def _unpacked_set(packed: bytes) -> Buckets:
    return int.from_bytes(_unpacked(packed, _SET_BYTES), "little")


@lru_cache(_REMEMBERED)
def _packed_votes(votes: tuple[Buckets, ...]) -> bytes:
    """Return for every bucket which of the names has its vote: 0 none, 1 the first."""
    length = max((some.bit_length() for some in votes), default=0)
    found, voted = 0, 0
    for position, some in enumerate(votes, 1):
        assert not some & voted, "a bucket has one vote"
        voted |= some
        digits = f"{some:0{length}b}".encode()[:length]
        found |= int.from_bytes(digits.translate(_digits({ord("1"): position})))
    return _packed(found.to_bytes(length, "little"))


@lru_cache(_REMEMBERED)
def _unpacked_votes(packed: bytes, names: int) -> tuple[Buckets, ...]:
    votes = _unpacked(packed, MAX_BUCKETS)
    if votes and max(votes) > names:
        raise WireError("buckets", "a vote for a name that is not there")
    backwards = votes[::-1]
    return tuple(
        int(b"0" + backwards.translate(_digits({position: ord("1")}, ord("0"))), 2)
        for position in range(1, names + 1)
    )


def _digits(known: dict[int, int], other: int = 0) -> bytes:
    return bytes(known.get(value, other) for value in range(256))


def _packed(plain: bytes) -> bytes:
    compressed = zlib.compress(plain, 6)
    return _PLAIN + plain if len(plain) <= len(compressed) else _COMPRESSED + compressed


def _unpacked(packed: bytes, limit: int) -> bytes:
    """Return at most `limit` bytes, whatever a few compressed ones would become."""
    head, rest = packed[:1], packed[1:]
    if head == _PLAIN and len(rest) <= limit:
        return rest
    if head != _COMPRESSED:
        raise WireError("buckets", "neither plain nor compressed, or too long")
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(rest, limit + 1)
    except zlib.error:
        raise WireError("buckets", "damaged compression") from None
    if not stream.eof or stream.unused_data or len(plain) > limit:
        raise WireError("buckets", f"not what {limit} bytes compress to")
    return plain
