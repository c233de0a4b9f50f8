"""Netlink messages and attributes: bytes to values and back, for requests of our own.

Total and bounded: what does not fit ends the list, as the kernel's own parser does with a tail that
is too short. Source: netlink(7).
"""

import struct
from collections.abc import Iterator

NESTED = 0x8000
KIND_MASK = 0x3FFF

HEADER = struct.Struct("=IHHII")
"""Length, kind, flags, sequence, port."""

_HEAD = struct.Struct("=HH")
_PADDING = (b"", bytes(3), bytes(2), bytes(1))
"""By the length's last two bits."""
_NUMBERS = {
    size: struct.Struct(f"={code}") for size, code in ((1, "B"), (2, "H"), (4, "I"), (8, "Q"))
}


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield (kind, sequence, body) of the messages of one datagram."""
    at, size = 0, len(data)
    while at + HEADER.size <= size:
        length, kind, _, sequence, _ = HEADER.unpack_from(data, at)
        if length < HEADER.size or at + length > size:
            return
        yield kind, sequence, data[at + HEADER.size : at + length]
        at += (length + 3) & ~3


def attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute, padded to four bytes."""
    size = len(value)
    return _HEAD.pack(4 + size, kind) + value + _PADDING[size & 3]


def nested(kind: int, *parts: bytes) -> bytes:
    """Return an attribute that holds attributes."""
    return attribute(kind | NESTED, b"".join(parts))


def text(kind: int, value: str) -> bytes:
    """Return a string with its final zero byte."""
    return attribute(kind, value.encode() + b"\0")


def u8(kind: int, value: int) -> bytes:
    """Return a byte."""
    return attribute(kind, bytes((value,)))


def u16(kind: int, value: int) -> bytes:
    """Return 16 bits in this machine's order."""
    return attribute(kind, struct.pack("=H", value))


def u32(kind: int, value: int) -> bytes:
    """Return 32 bits in this machine's order."""
    return attribute(kind, struct.pack("=I", value))


def be16(kind: int, value: int) -> bytes:
    """Return 16 bits in network order, as ports are."""
    return attribute(kind, struct.pack(">H", value))


def be32(kind: int, value: int) -> bytes:
    """Return 32 bits in network order, as nf_tables' numbers are."""
    return attribute(kind, struct.pack(">I", value))


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (kind, value) of the attributes in `data`, without the flags in the kind."""
    view, at, size = data, 0, len(data)
    while at + 4 <= size:
        length, kind = _HEAD.unpack_from(view, at)
        if length < 4 or at + length > size:
            return
        yield kind & KIND_MASK, view[at + 4 : at + length]
        at += (length + 3) & ~3


def values(data: bytes) -> dict[int, bytes]:
    """Return the attributes by kind; of one that stands twice the last."""
    return dict(attributes(data))


def number(data: dict[int, bytes], kind: int, default: int = 0) -> int:
    """Return an attribute of 1, 2, 4 or 8 bytes as a number in this machine's order."""
    value = data.get(kind, b"")
    form = _NUMBERS.get(len(value))
    return default if form is None else int(form.unpack(value)[0])


def string(data: dict[int, bytes], kind: int) -> str:
    """Return a string without its final zero byte, empty where there is none."""
    return data.get(kind, b"").rstrip(b"\0").decode(errors="replace")
