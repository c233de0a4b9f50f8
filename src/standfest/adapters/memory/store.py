"""A disk of one document, for tests and the simulator. Implements ports.store.Store."""


class MemoryStore:
    """Keeps what was saved last."""

    def __init__(self, content: bytes | None = None) -> None:
        self._content = content
        self.saves = 0

    def load(self) -> bytes | None:
        """Return the document, or None."""
        return self._content

    def save(self, content: bytes) -> None:
        """Replace the document."""
        self._content = content
        self.saves += 1
