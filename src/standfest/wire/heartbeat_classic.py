"""The classic form of heartbeat messages: lines of `name=value`, without signatures.

What is signed in this form is exactly this text. A newline within a string becomes byte 19; those
of a nested message become byte 20 at the top, 21 one deeper, and so on.
Source: facts/HEARTBEAT-WIRE.md sections 2b and 4; cluster-glue 1.0.12 for what nesting looks like.
"""

import binascii
from typing import Final

from standfest.model.errors import WireError
from standfest.model.message import FieldValue, Message
from standfest.wire.heartbeat_format import (
    MAX_DEPTH,
    MAX_FIELDS,
    Reason,
    check_name,
    unsupported_type,
)
from standfest.wire.heartbeat_netstring import read_list, write_list

START: Final = ">>>\n"
END: Final = "<<<\n"
_STRING_NEWLINE: Final = "\x13"
_NESTED_NEWLINE: Final = 20
_STANDINS: Final = tuple(map(chr, range(19, _NESTED_NEWLINE + MAX_DEPTH + 1)))


def write_lines(message: Message, depth: int = 0) -> str:
    """Return the fields as lines, without the markers.

    The caller has checked names and numbers of fields by heartbeat_netstring.write_fields() or
    check_writable(). A string that holds a stand-in for newline reads back as something else.
    """
    lines: list[str] = []
    for name, value in message.fields:
        if isinstance(value, str):
            text = value.replace("\n", _STRING_NEWLINE) if "\n" in value else value
            lines.append(f"{name}={text}\n")
        elif isinstance(value, bytes):
            encoded = binascii.b2a_base64(value, newline=False).decode()
            lines.append(f"(1){name}={encoded}\n")
        elif isinstance(value, Message):
            inner = f"{START}{write_lines(value, depth + 1)}{END}"
            lines.append(f"(2){name}={inner.replace(chr(10), chr(_NESTED_NEWLINE + depth))}\n")
        else:
            packed = write_list(value).decode().replace("\n", _STRING_NEWLINE)
            lines.append(f"(3){name}={packed}\n")
    return "".join(lines)


def check_writable(message: Message, depth: int = 0) -> None:
    """Raise WireError unless the message reads back as the same from its classic form.

    Reasons: field, encoding, nesting, too-many-fields.
    """
    if depth > MAX_DEPTH:
        raise WireError(Reason.NESTING, f"deeper than {MAX_DEPTH}")
    if len(message.fields) > MAX_FIELDS:
        raise WireError(Reason.TOO_MANY_FIELDS, f"more than {MAX_FIELDS}")
    for name, value in message.fields:
        check_name(name)
        if isinstance(value, Message):
            check_writable(value, depth + 1)
        elif not isinstance(value, bytes):
            for text in (value,) if isinstance(value, str) else value:
                if "\0" in text or any(standin in text for standin in _STANDINS):
                    raise WireError(Reason.ENCODING, "a string has a byte of 0 or 19 to 28")


def read_lines(text: str, depth: int = 0) -> list[tuple[str, FieldValue]]:
    """Return the fields of complete lines, each ended by a newline.

    Raises WireError: framing, length, field, type, compressed, encoding, nesting, too-many-*.
    """
    if depth > MAX_DEPTH:
        raise WireError(Reason.NESTING, f"deeper than {MAX_DEPTH}")
    lines = text.split("\n", MAX_FIELDS + 1)
    if len(lines) > MAX_FIELDS + 1:
        raise WireError(Reason.TOO_MANY_FIELDS, f"more than {MAX_FIELDS}")
    if lines.pop():
        raise WireError(Reason.FRAMING, "the last line has no newline")
    return [_read_line(line, depth) for line in lines]


def _read_line(line: str, depth: int) -> tuple[str, FieldValue]:
    head, separator, text = line.partition("=")
    if not separator:
        raise WireError(Reason.FIELD, "a line has no `=`")
    if "\0" in text:
        raise WireError(Reason.ENCODING, "a string has a NUL")
    if not head.startswith("("):
        check_name(head)
        return head, text.replace(_STRING_NEWLINE, "\n")
    if head[2:3] != ")":
        raise WireError(Reason.FIELD, "a field has no type")
    name = head[3:]
    check_name(name)
    match head[1]:
        case "1":
            return name, _read_binary(text)
        case "2":
            return name, _read_nested(text.replace(chr(_NESTED_NEWLINE + depth), "\n"), depth)
        case "3":
            packed = text.replace(_STRING_NEWLINE, "\n").encode()
            return name, read_list(packed, 0, len(packed))
        case code:
            raise unsupported_type(code)


def _read_binary(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except ValueError:  # binascii.Error and UnicodeEncodeError are kinds of it
        raise WireError(Reason.FIELD, "a binary field is not base64") from None


def _read_nested(text: str, depth: int) -> Message:
    if not (text.startswith(START) and text.endswith(END) and len(text) >= len(START + END)):
        raise WireError(Reason.FRAMING, "a nested message has no start or end marker")
    return Message(tuple(read_lines(text[len(START) : -len(END)], depth + 1)))
