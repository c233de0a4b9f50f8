"""Heartbeat datagrams: bytes to messages and back, signed, wire-compatible with heartbeat 3.0.6.

`encode` and `decode` are total, bounded and stateless; a signature is verified before any field is
looked at. They never judge what a message means, nor whether it is a replay.
Source: facts/HEARTBEAT-WIRE.md sections 2 to 4.
"""

from typing import Final

from standfest.model.errors import WireError
from standfest.model.keys import Key, Keyring
from standfest.model.message import FieldValue, Message
from standfest.wire import heartbeat_classic as classic
from standfest.wire import heartbeat_netstring as netstring
from standfest.wire.heartbeat_format import (
    MAX_DATAGRAM,
    MAX_DEPTH,
    MAX_FIELDS,
    MAX_ITEMS,
    REASONS,
    SIGNATURE_FIELD,
    Form,
    Reason,
)
from standfest.wire.signature import sign, verify

__all__ = [
    "MAX_DATAGRAM",
    "MAX_DEPTH",
    "MAX_FIELDS",
    "MAX_ITEMS",
    "REASONS",
    "Form",
    "Reason",
    "decode",
    "decode_signed",
    "encode",
    "form_for",
    "read_inner",
    "write_inner",
]

_CLASSIC_START: Final = classic.START.encode()
_CLASSIC_END: Final = classic.END.encode() + b"\0"
_CLASSIC_SIGNATURE: Final = b"\nauth="
_MAX_SIGNATURE: Final = 80
"""Bytes after a message; `67:15 ` + the 64 hex digits of sha256 + `,` are 71."""


def form_for(keyring: Keyring) -> Form:
    """Return the form whose signature every node can check, whichever of its keys is active there.

    heartbeat 3.0.6 checks netstring form with its own active key, whatever key was used, so in the
    middle of a change of keys only classic form reaches it. Source: facts/HEARTBEAT-WIRE.md,
    section 4; both ways are tried with a real node in tests/interop.
    """
    return Form.CLASSIC if keyring.changing else Form.NETSTRING


def encode(
    message: Message, keyring: Keyring, *, form: Form = Form.NETSTRING, inner: bool = True
) -> bytes:
    """Return the datagram for `message`, signed with the active key.

    inner: add the field `auth` in netstring form, as `msgfmt classic` does; receivers ignore it.
    heartbeat 3.0.6 itself refuses empty strings, binaries and lists; we send what we are given.
    A peer running heartbeat 3.0.6 can follow a change of the active key only in classic form.
    Raises WireError when the message cannot be represented or is longer than MAX_DATAGRAM.
    """
    if len(message.fields) >= MAX_FIELDS:
        raise WireError(Reason.TOO_MANY_FIELDS, f"more than {MAX_FIELDS - 1}")
    if any(name == SIGNATURE_FIELD for name, _ in message.fields):
        raise WireError(Reason.FIELD, "the field `auth` is ours to add")
    try:
        if form is Form.CLASSIC:
            datagram = _encode_classic(message, keyring)
        else:
            datagram = _encode_netstring(message, keyring, inner)
    except UnicodeEncodeError:
        raise WireError(Reason.ENCODING, "a string is not Unicode text") from None
    if len(datagram) > MAX_DATAGRAM:
        raise WireError(Reason.OVERSIZED, f"{len(datagram)} bytes; at most {MAX_DATAGRAM}")
    return datagram


def write_inner(message: Message) -> bytes:
    """Return a message without a signature, in netstring form, for somebody who encrypts it."""
    return netstring.START + b"".join(netstring.write_fields(message)) + netstring.END


def read_inner(data: bytes) -> Message:
    """Return the message that write_inner() wrote; whoever calls has authenticated it.

    Raises WireError with one of REASONS, and nothing else, for whatever bytes.
    """
    start, end = len(netstring.START), len(data) - len(netstring.END)
    whole = data.startswith(netstring.START) and data.endswith(netstring.END)
    if end < start or not whole:
        raise WireError(Reason.FRAMING, "no start or end marker")
    try:
        return _message(netstring.read_fields(data, start, end))
    except UnicodeDecodeError:
        raise WireError(Reason.ENCODING, "a string is not UTF-8") from None


def _encode_netstring(message: Message, keyring: Keyring, inner: bool) -> bytes:
    key = keyring.signing
    parts = netstring.write_fields(message)
    if inner:
        item = b"(0)auth=" + sign(key, classic.write_lines(message).encode())
        parts.append(b"%d:%b," % (len(item), item))
    signed = netstring.START + b"".join(parts) + netstring.END
    signature = sign(key, signed)
    return b"%b%d:%b," % (signed, len(signature), signature)


def _encode_classic(message: Message, keyring: Keyring) -> bytes:
    classic.check_writable(message)
    signed = classic.write_lines(message).encode()
    signature = sign(keyring.signing, signed)
    return b"%bauth=%b\n%b" % (_CLASSIC_START + signed, signature, _CLASSIC_END)


def decode(datagram: bytes, keyring: Keyring) -> Message:
    """Return the message of a datagram in either form: see decode_signed()."""
    return decode_signed(datagram, keyring)[0]


def decode_signed(datagram: bytes, keyring: Keyring) -> tuple[Message, Key]:
    """Return the message of a datagram in either form, and the key that its signature names.

    The signature was valid and is left out of the message.

    The key is the one whose number is in the datagram. In netstring form the active key with that
    number's method will do as well: see signature.verify(). Fields keep their order, also those
    with the same name.
    Raises WireError with one of REASONS, and nothing else, for whatever bytes.
    """
    if len(datagram) > MAX_DATAGRAM:
        raise WireError(Reason.OVERSIZED, f"{len(datagram)} bytes; at most {MAX_DATAGRAM}")
    if keyring.only_encrypted:
        raise WireError(Reason.PLAIN, "all our keys encrypt")
    try:
        if datagram.startswith(netstring.START):
            return _decode_netstring(datagram, keyring)
        if datagram.startswith(_CLASSIC_START) and datagram.endswith(_CLASSIC_END):
            return _decode_classic(datagram, keyring)
    except UnicodeDecodeError:
        raise WireError(Reason.ENCODING, "a string is not UTF-8") from None
    raise WireError(Reason.FRAMING, "neither form of a heartbeat message")


def _decode_netstring(data: bytes, keyring: Keyring) -> tuple[Message, Key]:
    # A signature cannot contain the marker, so the last one is the one that ends the message.
    end = data.rfind(netstring.END, -_MAX_SIGNATURE)
    if end < len(netstring.START):
        raise WireError(Reason.FRAMING, "no end marker before the signature")
    tail = end + len(netstring.END)
    if tail == len(data):
        raise WireError(Reason.UNSIGNED, "nothing after the message")
    first, last = netstring.netstring(data, tail, len(data))
    if last + 1 != len(data):
        raise WireError(Reason.FRAMING, "bytes after the signature")
    key = verify(data[first:last], data[:tail], keyring, also_active=True)
    fields = netstring.read_fields(data, len(netstring.START), end)
    if fields and fields[-1][0] == SIGNATURE_FIELD:
        fields.pop()  # the signature of the classic text; the outer one covers more
    return _message(fields), key


def _decode_classic(data: bytes, keyring: Keyring) -> tuple[Message, Key]:
    # The start marker's own newline precedes the first line.
    before = data.rfind(_CLASSIC_SIGNATURE, len(_CLASSIC_START) - 1)
    if before < 0:
        raise WireError(Reason.UNSIGNED, "no line `auth=`")
    signature = data[before + len(_CLASSIC_SIGNATURE) : -len(_CLASSIC_END)]
    if not signature.endswith(b"\n"):
        raise WireError(Reason.FRAMING, "the last line has no newline")
    signed = data[len(_CLASSIC_START) : before + 1]
    key = verify(signature[:-1], signed, keyring, also_active=False)
    return _message(classic.read_lines(signed.decode())), key


def _message(fields: list[tuple[str, FieldValue]]) -> Message:
    if any(name == SIGNATURE_FIELD for name, _ in fields):
        raise WireError(Reason.FIELD, "`auth` is not the last field")
    return Message(tuple(fields))
