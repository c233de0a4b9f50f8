"""A packet filter of a shared address in memory; it outlives the daemon, not the machine."""

from collections.abc import Callable

from standfest.model.sharing import Answering
from standfest.model.time import Duration, Instant


class MemoryFilter:
    """`ports.sharing.BucketFilter` on a node whose clock is given."""

    def __init__(self, clock: Callable[[], Instant]) -> None:
        self._clock = clock
        self.answering = Answering()
        self.until: Instant | None = 0

    def open(self) -> tuple[Answering, Duration]:
        """Return what is answered, and for how much longer."""
        left = max(0, (self.until or 0) - self._clock())
        return (self.answering if left else Answering()), left

    def answer(self, answering: Answering, duration: Duration | None) -> None:
        """Answer exactly this for so long."""
        self.answering = answering
        self.until = None if duration is None else self._clock() + duration

    def renew(self, duration: Duration) -> None:
        """Go on for so long."""
        self.until = self._clock() + duration

    def close(self, *, keep: bool) -> None:
        """Let go."""
        if not keep:
            self.answering, self.until = Answering(), 0

    def now(self) -> Answering:
        """Return what it answers at this instant."""
        is_open = self.until is None or self._clock() < self.until
        return self.answering if is_open else Answering()
