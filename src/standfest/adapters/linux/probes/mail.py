"""SMTP_CHECK, IMAP_CHECK and POP3_CHECK: greet, say who we are, take leave."""

from collections.abc import Callable
from functools import partial

from standfest.adapters.linux.probes import sockets
from standfest.adapters.linux.probes.alarms import Alarms
from standfest.adapters.linux.probes.sockets import Place
from standfest.adapters.linux.probes.talk import Talk
from standfest.model.balancing import SmtpCheck
from standfest.ports.probes import Outcome, Target, Waiter
from standfest.wire.greetings import Greetings, smtp


class Greeter:
    """The speaker of a dialogue of greetings."""

    def __init__(self, greetings: Greetings, good: str) -> None:
        self._greetings, self._good = greetings, good
        self.progress = ""

    @property
    def phase(self) -> str:
        """Return what is waited for."""
        return self._greetings.phase

    @property
    def outcome(self) -> Outcome | None:
        """Return how it ended."""
        if not self._greetings.is_over:
            return None
        problem = self._greetings.problem
        return Outcome(not problem, problem or self._good)

    def begin(self) -> bytes:
        """Say nothing: the server greets first."""
        return b""

    def receive(self, data: bytes) -> bytes:
        """Take what the server says; return what we answer. Raises WireError."""
        self.progress = "a part of it came" if data else ""
        return self._greetings.receive(data)


class MailProbe:
    """One probe of a SmtpCheck: its hosts, one after the other."""

    def __init__(
        self,
        waiter: Waiter,
        alarms: Alarms,
        target: Target,
        own_name: str,
        on_end: Callable[[Outcome], None],
    ) -> None:
        checker = target.checker
        assert isinstance(checker, SmtpCheck), "whoever sorts probes has looked"
        self._waiter, self._alarms, self._on_end = waiter, alarms, on_end
        self._checker, self._name = checker, checker.helo_name or own_name
        self._places = [Place.of(target, host) for host in checker.hosts]
        self._talk: Talk | None = None

    def begin(self) -> None:
        """Greet the first host; raises OSError."""
        self._greet(0)

    def give_up(self) -> None:
        """End it without a report."""
        if self._talk is not None:
            self._talk.give_up()

    def _greet(self, number: int) -> None:
        speaker = Greeter(smtp(self._name), "greets by SMTP")
        limit = self._checker.timing.timeout
        on_end = partial(self._on_host, number)
        self._talk = Talk(self._waiter, self._alarms, speaker, limit, on_end)
        self._talk.begin(self._places[number])

    def _on_host(self, number: int, outcome: Outcome) -> None:
        if not outcome.succeeded or number + 1 >= len(self._places):
            self._on_end(outcome)
            return
        try:
            self._greet(number + 1)
        except OSError as error:
            place = self._places[number + 1]
            self._on_end(Outcome(False, f"{place}: {sockets.words(error.errno)}"))
