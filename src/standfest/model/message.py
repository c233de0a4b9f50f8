"""One heartbeat message: named fields in the order in which they were, or will be, signed.

Source: facts/HEARTBEAT-WIRE.md sections 2 and 3 (captures of heartbeat 3.0.6).
"""

from dataclasses import dataclass, field
from typing import Union

FieldValue = Union[str, bytes, tuple[str, ...], "Message"]
"""Wire types 0 (string), 1 (binary), 3 (list of strings) and 2 (nested message)."""


@dataclass(frozen=True, slots=True)
class Head:
    """What everybody looks at first. source: `src`; kind: `t`; generation: `hg`; number: `seq`.

    timed: whether `ts` is a number other than 0.
    """

    source: str | None
    kind: str | None
    generation: int | None
    number: int | None
    timed: bool


@dataclass(frozen=True, slots=True)
class Message:
    """An unsigned message; signatures belong to the wire, not to the value."""

    fields: tuple[tuple[str, FieldValue], ...]
    _head: Head | None = field(default=None, init=False, compare=False, repr=False)

    @property
    def head(self) -> Head:
        """Return its head, read once: a simulated datagram reaches many."""
        known = self._head
        if known is None:
            first = dict(reversed(self.fields))
            known = Head(
                _text(first.get("src")),
                _text(first.get("t")),
                parse_number(_text(first.get("hg")), 16),
                parse_number(_text(first.get("seq")), 16),
                bool(parse_number(_text(first.get("ts")), 16)),
            )
            object.__setattr__(self, "_head", known)
        return known

    def get(self, name: str) -> FieldValue | None:
        """Return the first value of the field, or None."""
        for key, value in self.fields:
            if key == name:
                return value
        return None

    def text(self, name: str) -> str | None:
        """Return a string field, or None when it is missing or of another type."""
        return _text(self.get(name))

    def binary(self, name: str) -> bytes | None:
        """Return a binary field, or None when it is missing or of another type."""
        value = self.get(name)
        return value if isinstance(value, bytes) else None


def _text(value: FieldValue | None) -> str | None:
    return value if isinstance(value, str) else None


def parse_number(text: str | None, base: int) -> int | None:
    """Return a non-negative number of the wire, or None for anything else."""
    if not text or len(text) > 16 or not text.isascii() or not text.isalnum():
        return None
    try:
        return int(text, base)
    except ValueError:
        return None
