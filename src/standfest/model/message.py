"""One heartbeat message: named fields in the order in which they were, or will be, signed.

Source: facts/HEARTBEAT-WIRE.md sections 2 and 3 (captures of heartbeat 3.0.6).
"""

from dataclasses import dataclass
from typing import Union

FieldValue = Union[str, bytes, tuple[str, ...], "Message"]
"""Wire types 0 (string), 1 (binary), 3 (list of strings) and 2 (nested message)."""


@dataclass(frozen=True, slots=True)
class Message:
    """An unsigned message; signatures belong to the wire, not to the value."""

    fields: tuple[tuple[str, FieldValue], ...]

    def get(self, name: str) -> FieldValue | None:
        """Return the first value of the field, or None."""
        for key, value in self.fields:
            if key == name:
                return value
        return None

    def text(self, name: str) -> str | None:
        """Return a string field, or None when it is missing or of another type."""
        for key, value in self.fields:  # as get() does: this is asked for each datagram eight times
            if key == name:
                return value if isinstance(value, str) else None
        return None

    def binary(self, name: str) -> bytes | None:
        """Return a binary field, or None when it is missing or of another type."""
        value = self.get(name)
        return value if isinstance(value, bytes) else None
