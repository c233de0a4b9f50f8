"""What both forms of a heartbeat datagram share: markers, limits and reasons to drop one.

Source: facts/HEARTBEAT-WIRE.md section 2 (captures of heartbeat 3.0.6); the limits are ours.
"""

from enum import Enum, StrEnum
from typing import Final

from standfest.model.errors import WireError

MAX_DATAGRAM: Final = 65_507
"""Bytes of one datagram: 65,535 minus the IPv4 and UDP headers (20 + 8)."""

MAX_FIELDS: Final = 256
"""Fields of one message, its signature field `auth` included; a nested one counts for itself."""

MAX_DEPTH: Final = 8
"""Messages within messages; a message without nested ones has depth 0."""

MAX_ITEMS: Final = 1024
"""Strings in one list."""

MAX_NAME: Final = 255
"""Characters of a field name."""

SIGNATURE_FIELD: Final = "auth"
"""The field of a signature; it is never part of a decoded message."""


class Form(Enum):
    """How a message is written: heartbeat 3.0.6 always sends netstring form and accepts both."""

    NETSTRING = "netstring"
    CLASSIC = "classic"


class Reason(StrEnum):
    """Why a datagram is dropped (or a message cannot be sent): the closed list for counters."""

    OVERSIZED = "oversized"  # more than MAX_DATAGRAM bytes
    FRAMING = "framing"  # start or end marker, or a separator, is not where it must be
    UNSIGNED = "unsigned"  # no signature, or one that is not `number token`
    PLAIN = "plain"  # anybody could read it, and all our keys encrypt
    UNKNOWN_KEY = "unknown-key"  # signed with a number that authkeys does not have
    BAD_SIGNATURE = "bad-signature"  # damaged, forged, or another key
    LENGTH = "length"  # a length is no canonical decimal, or points outside
    FIELD = "field"  # no `name=value`, a forbidden name, bad base64, a misplaced `auth`
    TYPE = "type"  # a field type that does not exist
    COMPRESSED = "compressed"  # types 4 and 5 are not supported
    NESTING = "nesting"  # deeper than MAX_DEPTH
    TOO_MANY_FIELDS = "too-many-fields"  # more than MAX_FIELDS
    TOO_MANY_ITEMS = "too-many-items"  # more than MAX_ITEMS
    ENCODING = "encoding"  # a string is not UTF-8, or holds what the form cannot carry


REASONS: Final = tuple(reason.value for reason in Reason)
"""Every `WireError.reason` that encode() and decode() can raise."""


def check_name(name: str) -> None:
    """Raise WireError(field) unless `name` reads back as the same name in both forms."""
    if name.isidentifier() and name.isascii() and len(name) <= MAX_NAME:
        return  # what all of heartbeat's own names are
    odd = not name or name[0] == "(" or "=" in name or len(name) > MAX_NAME
    if odd or not (name.isascii() and name.isprintable()):
        raise WireError(
            Reason.FIELD, "a field name is empty, too long or has a forbidden character"
        )


def unsupported_type(code: str) -> WireError:
    """Return the error for a field type other than 0, 1, 2 and 3."""
    if code in ("4", "5"):
        return WireError(Reason.COMPRESSED, "compressed fields are not supported")
    return WireError(Reason.TYPE, "a field type is none of 0 to 5")
