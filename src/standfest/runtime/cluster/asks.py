"""What administrators on this node have asked of the coordinator, until they are answered."""

from standfest.model.errors import Ground
from standfest.model.time import Duration, Instant, seconds
from standfest.runtime.cluster.effects import Answer
from standfest.runtime.cluster.protocol import Told

ASK_TIMEOUT: Duration = seconds(30)
"""How long an administrator waits for the coordinator's answer."""
NO_ANSWER = "no answer from the coordinator within 30 s"
"""What was asked may be done all the same, at once or when the question arrives."""


class Asks:
    """Number -> who has asked, and until when they wait."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[int, Instant]] = {}
        self._next = 1

    def begin(self, now: Instant, client: int) -> int:
        """Return the number under which a client's question goes to the coordinator."""
        number = self._next
        self._next += 1
        self._open[number] = (client, now + ASK_TIMEOUT)
        return number

    def told(self, message: Told) -> list[Answer]:
        """The coordinator has answered; late answers are nobody's."""
        client, _ = self._open.pop(message.id, (None, 0))
        return (
            []
            if client is None
            else [Answer(client, message.accepted, message.text, message.ground)]
        )

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        return min((until for _, until in self._open.values()), default=None)

    def on_timer(self, now: Instant) -> list[Answer]:
        """Let nobody wait for longer than ASK_TIMEOUT."""
        late = [number for number, (_, until) in self._open.items() if until <= now]
        silent = Ground.NO_ANSWER
        return [Answer(self._open.pop(number)[0], False, NO_ANSWER, silent) for number in late]
