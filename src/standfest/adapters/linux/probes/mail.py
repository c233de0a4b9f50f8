"""SMTP_CHECK, IMAP_CHECK and POP3_CHECK: greet, say who we are, take leave."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from standfest.adapters.linux.probes import sockets
from standfest.adapters.linux.probes.alarms import Alarms
from standfest.adapters.linux.probes.sockets import Place
from standfest.adapters.linux.probes.talk import Talk
from standfest.model.balancing import MailboxCheck, SmtpCheck
from standfest.ports.probes import Outcome, Target, Waiter
from standfest.wire.greetings import Greetings, imap, pop3, smtp

if TYPE_CHECKING:
    from standfest.adapters.linux.probes.tls import Secure


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
    """One probe of mail servers that greet: places, one after the other."""

    def __init__(
        self,
        waiter: Waiter,
        alarms: Alarms,
        target: Target,
        own_name: str,
        on_end: Callable[[Outcome], None],
    ) -> None:
        checker = target.checker
        assert isinstance(checker, SmtpCheck | MailboxCheck), "whoever sorts probes has looked"
        self._waiter, self._alarms, self._on_end = waiter, alarms, on_end
        self._checker, self._own_name = checker, own_name
        hosts = checker.hosts if isinstance(checker, SmtpCheck) else (checker.connection,)
        self._places = [Place.of(target, host) for host in hosts]
        self._secure: Secure | None = None
        self._talk: Talk | None = None

    def begin(self, secure: "Secure | None" = None) -> None:
        """Greet the first host; raises OSError."""
        self._secure = secure
        self._greet(0)

    def give_up(self) -> None:
        """End it without a report."""
        if self._talk is not None:
            self._talk.give_up()

    def _greet(self, number: int) -> None:
        limit = self._checker.timing.timeout
        on_end = partial(self._on_host, number)
        self._talk = Talk(self._waiter, self._alarms, self._speaker(), limit, on_end)
        self._talk.begin(self._places[number], self._secure)

    def _speaker(self) -> Greeter:
        checker = self._checker
        if isinstance(checker, SmtpCheck):
            return Greeter(smtp(checker.helo_name or self._own_name), "greets by SMTP")
        talk = imap() if checker.protocol == "IMAP" else pop3()
        return Greeter(talk, f"greets by {checker.protocol}")

    def _on_host(self, number: int, outcome: Outcome) -> None:
        if not outcome.succeeded or number + 1 >= len(self._places):
            self._on_end(outcome)
            return
        try:
            self._greet(number + 1)
        except OSError as error:
            place = self._places[number + 1]
            self._on_end(Outcome(False, f"{place}: {sockets.words(error.errno)}"))
