"""Persistence: which server a client came to, and how long it keeps coming to it.

As IPVS keeps it: an entry lives while a connection of the client is open and its timeout longer,
from the last connection's beginning or end. Source: ipvsadm(8), `--persistent`, `--netmask`.
"""

from dataclasses import dataclass

from standfest.model.time import Duration, Instant

MAX_CLIENTS = 1_000_000
"""Entries of one service; beyond it the oldest goes."""


@dataclass(slots=True)
class Binding:
    """A client's server, when that ends, and how many of its connections are open."""

    server: int
    until: Instant
    open: int = 0


class Clients:
    """All clients of one service; mask: the bits of a packed address that tell clients apart."""

    def __init__(self, timeout: Duration, mask: bytes) -> None:
        self.timeout, self.mask = timeout, mask
        self._mask = int.from_bytes(mask)
        self._bindings: dict[int, Binding] = {}

    def __len__(self) -> int:
        """Return how many are known."""
        return len(self._bindings)

    def who(self, address: bytes) -> int:
        """Return what a client is known by."""
        return int.from_bytes(address) & self._mask

    def find(self, now: Instant, who: int) -> Binding | None:
        """Return a client's binding if it still holds."""
        found = self._bindings.get(who)
        if found is None or (found.until <= now and not found.open):
            return None
        return found

    def bind(self, now: Instant, who: int, server: int) -> Binding:
        """Remember a client's server; the newest stand last."""
        self._bindings.pop(who, None)
        if len(self._bindings) >= MAX_CLIENTS:
            del self._bindings[next(iter(self._bindings))]
        found = self._bindings[who] = Binding(server, now + self.timeout)
        return found

    def opened(self, now: Instant, binding: Binding) -> None:
        """A connection of the client begins."""
        binding.open += 1
        binding.until = now + self.timeout

    def closed(self, now: Instant, binding: Binding) -> None:
        """A connection of the client has ended."""
        binding.open -= 1
        binding.until = now + self.timeout

    def forget_old(self, now: Instant) -> None:
        """Drop what no longer holds."""
        old = [who for who, b in self._bindings.items() if b.until <= now and not b.open]
        for who in old:
            del self._bindings[who]

    def dump(self, now: Instant, at_most: int) -> list[tuple[int, int, Duration]]:
        """Return (client, server, how long it holds) of the newest, for a successor."""
        rows = [
            (who, b.server, self.timeout if b.open else b.until - now)
            for who, b in self._bindings.items()
            if b.open or b.until > now
        ]
        return rows[-at_most:]

    def restore(self, now: Instant, rows: list[tuple[int, int, Duration]]) -> None:
        """Take over what a predecessor knew."""
        for who, server, left in rows:
            self._bindings[who] = Binding(server, now + min(left, self.timeout))
