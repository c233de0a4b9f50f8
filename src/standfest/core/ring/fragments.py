"""Payloads cut into messages that a process group carries, and put together again.

A sender's parts arrive in order and never mixed, since it sends one payload after the other and the
group keeps the order; whatever breaks that rule makes the payload void. Pure and bounded.
"""

from collections.abc import Iterator

from standfest.model.ring import Fragment

MAX_PAYLOAD_BYTES = 16 * 1024 * 1024
MESSAGE_NUMBERS = 2**32


def cut(
    payload: bytes, size: int, *, ring: int, destination: int, message: int
) -> Iterator[Fragment]:
    """Yield the parts of a payload, each of at most `size` bytes; at least one."""
    assert len(payload) <= MAX_PAYLOAD_BYTES
    count = max(1, -(-len(payload) // size))
    for index in range(count):
        part = payload[index * size : (index + 1) * size]
        yield Fragment(ring, destination, message % MESSAGE_NUMBERS, index, count, part)


class Assembly:
    """One sender's parts until a payload is whole."""

    def __init__(self) -> None:
        self._first: Fragment | None = None
        self._parts: list[bytes] = []
        self._bytes = 0
        self.broken = 0

    def add(self, part: Fragment) -> bytes | None:
        """Return the payload that is whole now, or None; a part out of order voids its payload."""
        if part.index == 0:
            self.broken += self._first is not None
            self._first, self._parts, self._bytes = part, [], 0
        elif self._first is None or not self._continues(part):
            self.broken += 1
            self._first, self._parts = None, []
            return None
        self._parts.append(part.content)
        self._bytes += len(part.content)
        if self._bytes > MAX_PAYLOAD_BYTES:
            self.broken += 1
            self._first, self._parts = None, []
            return None
        if part.index + 1 < part.count:
            return None
        whole = b"".join(self._parts)
        self._first, self._parts = None, []
        return whole

    def _continues(self, part: Fragment) -> bool:
        first = self._first
        assert first is not None
        same = (part.message, part.count, part.ring, part.destination)
        return part.index == len(self._parts) and same == (
            first.message,
            first.count,
            first.ring,
            first.destination,
        )
