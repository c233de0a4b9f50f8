"""Passive failure detection: a server that refuses gets nothing until a trial connection succeeds.

The report's Crossroads (section 2.3.5): back ends that fail are noticed by the connections that
fail, the rest carries everything, and a server that answers again takes part again by itself. No
client is the trial: whoever drives this machine connects on its own, and closes.
"""

from collections.abc import Collection

from standfest.model.time import Duration, Instant, milliseconds, seconds

FIRST_PAUSE: Duration = milliseconds(500)
LONGEST_PAUSE: Duration = seconds(8)


class Suspects:
    """Servers that failed, by number: when to try each again."""

    def __init__(self) -> None:
        self._trials: dict[int, tuple[Instant, Duration]] = {}
        self._running: set[int] = set()

    @property
    def avoided(self) -> Collection[int]:
        """Return the numbers that get no connections."""
        return self._trials.keys()

    def failed(self, now: Instant, number: int) -> bool:
        """A connection to a server, or its trial, failed; return whether that is news."""
        _, pause = self._trials.get(number, (now, FIRST_PAUSE))
        news = number not in self._trials
        if news or number in self._running:
            self._trials[number] = (now + pause, min(2 * pause, LONGEST_PAUSE))
        self._running.discard(number)
        return news

    def works(self, number: int) -> bool:
        """A server was reached, or is gone; return whether that is news."""
        self._running.discard(number)
        return self._trials.pop(number, None) is not None

    def due(self, now: Instant) -> list[int]:
        """Return the servers to try now; each is tried once until `failed` or `works`."""
        found = [
            number
            for number, (at, _) in self._trials.items()
            if at <= now and number not in self._running
        ]
        self._running.update(found)
        return found

    def deadline(self) -> Instant | None:
        """Return when `due` has something."""
        waiting = [at for number, (at, _) in self._trials.items() if number not in self._running]
        return min(waiting, default=None)
