"""The receiving half of reliable messages: finds gaps, asks again, restores the order.

One receiver for each node and generation. Source: facts/HEARTBEAT-WIRE.md section 6.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from standfest.core.membership.sender import MAX_FRAGMENT_BYTES, MAX_FRAGMENTS
from standfest.model.message import Message
from standfest.model.time import Duration, Instant, milliseconds

MAX_GAP = 500
"""A larger gap is not repaired: the stream begins anew."""
MAX_REQUESTS_AT_ONCE = 50
MAX_TRIES = 60
LOST = Message(())
"""Stands where a message will never come."""
FIRST_REPEAT: Duration = milliseconds(50)


class Arrival(Enum):
    """What a sequence number says about a message."""

    NEW = "new"
    LATE = "late"  # fills a gap: later ones have been seen
    DUPLICATE = "duplicate"


@dataclass(slots=True)
class _Missing:
    ask_at: Instant
    pause: Duration = FIRST_REPEAT
    tries: int = 0


class Receiver:
    """What has been received of one node's messages."""

    def __init__(self, max_pause: Duration) -> None:
        self._max_pause = max(max_pause, FIRST_REPEAT)
        self._expected: int | None = None
        self.highest = 0
        self._held: dict[int, Message] = {}
        self._missing: dict[int, _Missing] = {}
        self._pieces: list[bytes] = []
        self.broken = False
        self.lost = 0  # messages that had to be asked for; the caller reads and clears it

    @property
    def complete(self) -> bool:
        """Return whether nothing is missing."""
        return not self._missing

    def deadline(self) -> Instant | None:
        """Return when to ask for missing messages."""
        if not self._missing:
            return None
        return min(missing.ask_at for missing in self._missing.values())

    def accept(self, now: Instant, number: int, message: Message, patience: Duration) -> Arrival:
        """Take a numbered message; `patience` is how long a gap may just be a reordering.

        Sets `broken` when messages are lost for good; the caller reads and clears it.
        """
        if self._expected is None:
            self._expected = number
        if number < self._expected or number in self._held:
            return Arrival.DUPLICATE
        arrival = Arrival.NEW if number > self.highest else Arrival.LATE
        if number - self._expected > MAX_GAP:
            self._start_over(number)
        for gap in range(max(self.highest, self._expected - 1) + 1, number):
            self._missing[gap] = _Missing(now + patience)
        self._missing.pop(number, None)
        self._held[number] = message
        self.highest = max(self.highest, number)
        return arrival

    def in_order(self) -> Iterator[Message]:
        """Yield the messages that are next, as far as there is no gap; LOST for one given up."""
        if self._expected is None:
            return
        while (message := self._held.pop(self._expected, None)) is not None:
            self._expected += 1
            if message is LOST:
                self._pieces.clear()
            yield message

    def requests(self, now: Instant) -> list[int]:
        """Return the numbers to ask for now; what is asked for too often counts as lost."""
        if not self._missing:
            return []
        due = sorted(number for number, missing in self._missing.items() if missing.ask_at <= now)
        for number in due:
            missing = self._missing[number]
            missing.tries += 1
            self.lost += missing.tries == 1
            missing.ask_at = now + missing.pause
            missing.pause = min(2 * missing.pause, self._max_pause)
        for number in [n for n in due if self._missing[n].tries > MAX_TRIES]:
            self.give_up(number)
        return [number for number in due if number in self._missing][:MAX_REQUESTS_AT_ONCE]

    def give_up(self, number: int) -> None:
        """The sender has that message no longer: go on after it, when its turn comes."""
        if self._missing.pop(number, None) is not None:
            self._held[number] = LOST

    def assemble(self, message: Message) -> bytes | None:
        """Return the payload that this fragment completes, or None."""
        try:
            part = int(message.text("part") or "", 16)
            parts = int(message.text("parts") or "", 16)
        except ValueError:
            return None
        data = message.binary("data")
        if data is None or len(data) > MAX_FRAGMENT_BYTES or not 0 <= part < parts <= MAX_FRAGMENTS:
            return None
        if part == 0:
            self._pieces.clear()
        if part != len(self._pieces):
            return None  # we came in the middle, or a fragment is lost for good
        self._pieces.append(data)
        if part + 1 < parts:
            return None
        payload = b"".join(self._pieces)
        self._pieces.clear()
        return payload

    def _start_over(self, number: int) -> None:
        self._expected = number
        self._held.clear()
        self._missing.clear()
        self._pieces.clear()
        self.highest = number - 1
        self.broken = True
