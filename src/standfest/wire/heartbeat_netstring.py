"""The netstring form of heartbeat messages: fields to bytes and back, without signatures.

Lengths make every value self-contained, so nothing is escaped. Reading is by slices within checked
bounds. Source: facts/HEARTBEAT-WIRE.md section 2a.
"""

from typing import Final

from standfest.model.errors import WireError
from standfest.model.message import FieldValue, Message
from standfest.wire.heartbeat_format import (
    MAX_DEPTH,
    MAX_FIELDS,
    MAX_ITEMS,
    Reason,
    check_name,
    unsupported_type,
)

START: Final = b"###\n"
END: Final = b"%%%\n"
_LENGTH_DIGITS: Final = 5
"""Digits of the longest length that fits a datagram."""


def write_fields(message: Message, depth: int = 0) -> list[bytes]:
    """Return the netstrings of the message's fields, in order.

    Raises WireError: field, encoding, nesting, too-many-fields, too-many-items.
    """
    if depth > MAX_DEPTH:
        raise WireError(Reason.NESTING, f"deeper than {MAX_DEPTH}")
    if len(message.fields) > MAX_FIELDS:
        raise WireError(Reason.TOO_MANY_FIELDS, f"more than {MAX_FIELDS}")
    parts: list[bytes] = []
    for name, value in message.fields:
        check_name(name)
        if isinstance(value, str):
            if "\0" in value:
                raise WireError(Reason.ENCODING, "a string has a NUL")
            item = f"(0){name}={value}".encode()
        else:
            item = _write_other(name, value, depth)
        parts.append(b"%d:%b," % (len(item), item))
    return parts


def _write_other(name: str, value: bytes | tuple[str, ...] | Message, depth: int) -> bytes:
    match value:
        case bytes():
            return b"(1)%b=%b" % (name.encode(), value)
        case Message():
            inner = b"".join(write_fields(value, depth + 1))
            return b"(2)%b=%b%b%b" % (name.encode(), START, inner, END)
        case _:
            return b"(3)%b=%b" % (name.encode(), write_list(value))


def write_list(items: tuple[str, ...]) -> bytes:
    """Return a list of strings as netstrings, `3:abc,4:defg,`.

    Raises WireError: encoding, too-many-items.
    """
    if len(items) > MAX_ITEMS:
        raise WireError(Reason.TOO_MANY_ITEMS, f"more than {MAX_ITEMS}")
    if any("\0" in item for item in items):
        raise WireError(Reason.ENCODING, "a string has a NUL")
    encoded = [item.encode() for item in items]
    return b"".join(b"%d:%b," % (len(item), item) for item in encoded)


def read_fields(data: bytes, start: int, end: int, depth: int = 0) -> list[tuple[str, FieldValue]]:
    """Return the fields between `start` and `end`, which lie within `data`.

    Raises WireError: framing, length, field, type, compressed, encoding, nesting, too-many-*.
    UnicodeDecodeError passes through: the caller turns it into WireError(encoding).
    """
    if depth > MAX_DEPTH:
        raise WireError(Reason.NESTING, f"deeper than {MAX_DEPTH}")
    fields: list[tuple[str, FieldValue]] = []
    position = start
    while position < end:
        first, last = netstring(data, position, end)
        position = last + 1
        if len(fields) == MAX_FIELDS:
            raise WireError(Reason.TOO_MANY_FIELDS, f"more than {MAX_FIELDS}")
        head = data[first : first + 3]
        if head == b"(0)":
            name, separator, text = data[first + 3 : last].decode().partition("=")
            if not separator:
                raise WireError(Reason.FIELD, "a field has no `=`")
            if "\0" in text:
                raise WireError(Reason.ENCODING, "a string has a NUL")
            check_name(name)
            fields.append((name, text))
        else:
            fields.append(_read_other(data, first, last, depth))
    return fields


def _read_other(data: bytes, first: int, last: int, depth: int) -> tuple[str, FieldValue]:
    if last - first < 3 or data[first] != ord("(") or data[first + 2] != ord(")"):
        raise WireError(Reason.FIELD, "a field has no type")
    equals = data.find(b"=", first + 3, last)
    if equals < 0:
        raise WireError(Reason.FIELD, "a field has no `=`")
    name = data[first + 3 : equals].decode()
    check_name(name)
    value = equals + 1
    match data[first + 1 : first + 2]:
        case b"1":
            return name, data[value:last]
        case b"2":
            return name, _read_nested(data, value, last, depth)
        case b"3":
            return name, read_list(data, value, last)
        case code:
            raise unsupported_type(code.decode("latin-1"))


def _read_nested(data: bytes, start: int, end: int, depth: int) -> Message:
    inner, stop = start + len(START), end - len(END)
    if inner > stop or not data.startswith(START, start) or not data.startswith(END, stop):
        raise WireError(Reason.FRAMING, "a nested message has no start or end marker")
    return Message(tuple(read_fields(data, inner, stop, depth + 1)))


def read_list(data: bytes, start: int, end: int) -> tuple[str, ...]:
    """Return the strings of a list, see write_list(); raises as read_fields() does."""
    items: list[str] = []
    position = start
    while position < end:
        first, last = netstring(data, position, end)
        position = last + 1
        if len(items) == MAX_ITEMS:
            raise WireError(Reason.TOO_MANY_ITEMS, f"more than {MAX_ITEMS}")
        items.append(data[first:last].decode())
        if "\0" in items[-1]:
            raise WireError(Reason.ENCODING, "a string has a NUL")
    return tuple(items)


def netstring(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Return where the content of the netstring at `position` begins and where its comma is.

    Both lie before `end`. Raises WireError: length, framing.
    """
    colon = data.find(b":", position, min(position + _LENGTH_DIGITS + 1, end))
    digits = data[position:colon] if colon >= 0 else b""
    # One message has one spelling: no signs, blanks, underscores or leading zeros.
    if not digits.isdigit() or (digits[0] == ord("0") and len(digits) > 1):
        raise WireError(Reason.LENGTH, f"offset {position}: need a decimal length and `:`")
    first = colon + 1
    last = first + int(digits)
    if last >= end:
        raise WireError(Reason.LENGTH, f"offset {position}: length points past the end")
    if data[last] != ord(","):
        raise WireError(Reason.FRAMING, f"offset {last}: need `,`")
    return first, last
