"""Messages of our process group <-> bytes: a header of fixed size, then a payload's part.

    "SFr1"  kind: 1 byte, 3 bytes zero  |  ring: 8  destination: 4  message: 4  index: 2  count: 2

All numbers in network order; what a kind does not use is zero. Corosync has authenticated the
sender already (corosync.conf(5), crypto_hash), so this is no defence but a contract between
versions of ours. Source: ours (docs/adr/0031).
"""

import struct
from collections.abc import Callable

from standfest.model.errors import WireError
from standfest.model.ring import Beat, Farewell, Fragment, GroupMessage

MARK = b"SFr1"
HEADER = struct.Struct("!4sB3xQIIHH")
FRAGMENT_BYTES = 64 * 1024
"""How much of a payload one message carries: far below what libcpg takes at once (1 MB)."""
MAX_FRAGMENTS = 257
"""As many as the longest payload that daemons exchange (wire.values) has, and one."""

REASONS = ("ring-short", "ring-mark", "ring-kind", "ring-fragment", "ring-length")
"""The closed list of reasons in this module's WireErrors."""

_FRAGMENT, _BEAT, _FAREWELL = 1, 2, 3


def encode(message: GroupMessage) -> bytes:
    """Return the bytes of one message."""
    match message:
        case Fragment(ring, destination, number, index, count, content):
            assert len(content) <= FRAGMENT_BYTES
            head = HEADER.pack(MARK, _FRAGMENT, ring, destination, number, index, count)
            return head + content
        case Beat(number):
            return HEADER.pack(MARK, _BEAT, number, 0, 0, 0, 0)
        case Farewell():
            return HEADER.pack(MARK, _FAREWELL, 0, 0, 0, 0, 0)


def decode(data: bytes) -> GroupMessage:
    """Return the message in `data`; raises WireError with a reason from REASONS."""
    if len(data) < HEADER.size:
        raise WireError("ring-short", f"{len(data)} bytes, at least {HEADER.size}")
    mark, kind, ring, destination, number, index, count = HEADER.unpack_from(data)
    if mark != MARK:
        raise WireError("ring-mark")
    content = data[HEADER.size :]
    if kind == _FRAGMENT:
        if not index < count <= MAX_FRAGMENTS:
            raise WireError("ring-fragment", f"part {index} of {count}")
        if len(content) > FRAGMENT_BYTES:
            raise WireError("ring-length", f"{len(content)} bytes, at most {FRAGMENT_BYTES}")
        return Fragment(ring, destination, number, index, count, content)
    if content:
        raise WireError("ring-length", f"{len(content)} bytes behind kind {kind}")
    short: dict[int, Callable[[], GroupMessage]] = {
        _BEAT: lambda: Beat(ring),
        _FAREWELL: Farewell,
    }
    if kind not in short:
        raise WireError("ring-kind", str(kind))
    return short[kind]()
