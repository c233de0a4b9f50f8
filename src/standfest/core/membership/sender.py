"""The sending half of reliable messages: numbers them, keeps them, sends them again on request.

Source: facts/HEARTBEAT-WIRE.md section 6.
"""

from collections import OrderedDict

from standfest.model.errors import OperationError
from standfest.model.message import FieldValue, Message
from standfest.model.time import Duration, Instant, milliseconds

PAYLOAD_TYPE = "standfest"
MAX_FRAGMENT_BYTES = 8_000
MAX_FRAGMENTS = 400
MAX_PAYLOAD_BYTES = MAX_FRAGMENT_BYTES * MAX_FRAGMENTS
MAX_HISTORY = 1_000
"""Messages kept for retransmission; heartbeat 3.0.6 keeps 500."""
MAX_PER_REQUEST = 50
REPEAT_AFTER: Duration = milliseconds(15)
"""The same message is not sent again sooner, however many links the request came over."""


class Sender:
    """Everything this node has sent lately, by sequence number."""

    def __init__(self) -> None:
        self._next = 1
        self._kept: OrderedDict[int, Message] = OrderedDict()
        self._repeated: dict[int, Instant] = {}

    def number(self) -> int:
        """Return the sequence number of the next message."""
        number = self._next
        self._next += 1
        return number

    def keep(self, number: int, message: Message) -> None:
        """Remember a message that is being sent."""
        self._kept[number] = message
        while len(self._kept) > MAX_HISTORY:
            oldest, _ = self._kept.popitem(last=False)
            self._repeated.pop(oldest, None)

    def again(self, now: Instant, first: int, last: int) -> tuple[list[Message], list[int]]:
        """Return the messages to send again, and the numbers of those that are gone."""
        found: list[Message] = []
        lost: list[int] = []
        for number in range(first, min(last, first + MAX_PER_REQUEST - 1) + 1):
            message = self._kept.get(number)
            if message is None:
                if number < self._next:
                    lost.append(number)
            elif now - self._repeated.get(number, now - REPEAT_AFTER) >= REPEAT_AFTER:
                self._repeated[number] = now
                found.append(message)
        return found, lost


def fragments(payload: bytes) -> list[tuple[tuple[str, FieldValue], ...]]:
    """Return the own fields of the messages that carry a payload; raises OperationError."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise OperationError(f"payload of {len(payload)} bytes; at most {MAX_PAYLOAD_BYTES}")
    pieces = [
        payload[start : start + MAX_FRAGMENT_BYTES]
        for start in range(0, len(payload), MAX_FRAGMENT_BYTES)
    ] or [b""]
    return [
        (
            ("t", PAYLOAD_TYPE),
            ("part", format(index, "x")),
            ("parts", format(len(pieces), "x")),
            ("data", piece),
        )
        for index, piece in enumerate(pieces)
    ]
