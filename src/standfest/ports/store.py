"""What keeps a daemon's state over a restart and over a power cut."""

from typing import Protocol


class Store(Protocol):
    """One document, replaced as a whole."""

    def load(self) -> bytes | None:
        """Return the last document that was saved whole, or None when there never was one."""

    def save(self, content: bytes) -> None:
        """Save a document; it is on disk when this returns. Raises OSError."""
