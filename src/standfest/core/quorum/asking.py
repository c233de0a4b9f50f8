"""A node asks the quorum server for its vote: again and again, and at once when something changes.

What the server promises counts from when it was asked, on this node's clock. Once the vote has gone
to another partition, this node says that it is busy for as long as it has something to stop, and
nobody gets the vote meanwhile; then that it needs nothing; then it asks again.
"""

from dataclasses import dataclass, replace

from standfest.model.quorum import NO_LEASE, Ask, Lease, Presence, Token, Told, Wish
from standfest.model.time import Duration, Instant

MAX_OPEN = 32
"""Questions whose answers are still awaited; the oldest is forgotten."""


@dataclass(frozen=True, slots=True)
class SendAsk:
    """Send this to the server."""

    ask: Ask


@dataclass(frozen=True, slots=True)
class Promised:
    """The quorum machine is to hear this before anything that follows is done."""

    lease: Lease


AskingEffect = SendAsk | Promised
Effects = list[AskingEffect]


class Asking:
    """One node's side; session: ns since 1970 at the start."""

    def __init__(self, name: str, session: int, interval: Duration, lease: Duration) -> None:
        self.name = name
        self.lease = NO_LEASE
        self.answer: Told | None = None
        self.answered_at: Instant | None = None
        self._session = session
        self._interval = interval
        self._length = lease
        self._number = 0
        self._open: dict[int, Instant] = {}
        self._presence: Presence | None = None
        self._refused = False
        self._due: Instant | None = None

    def present(self, now: Instant, presence: Presence) -> Effects:
        """The cluster daemon's partition, or what runs there, is another one."""
        before, self._presence = self._presence, presence
        if presence == before:
            return []
        effects: Effects = []
        if before is None or presence.since != before.since:
            self._open.clear()  # what is answered to another view says nothing of this one
            effects += self._promised(replace(self.lease, since=-1, votes_until=0))
        return effects + self._ask(now)

    def told(self, now: Instant, told: Told) -> Effects:
        """The server answers; whatever answers no open question is ignored."""
        asked = self._open.get(told.number)
        if told.session != self._session or asked is None or self._presence is None:
            return []
        self.answer, self.answered_at = told, now
        self._open = {n: at for n, at in self._open.items() if n > told.number}
        until = asked + self._length
        match told.token:
            case Token.VOTE:
                return self._promised(Lease(self._presence.since, until, until))
            case Token.WAIT:
                return self._promised(Lease(-1, 0, until))
            case Token.LATER:
                return []
            case Token.NO:
                return self._refuse(now)

    def heard(self, now: Instant) -> Effects:
        """The server knows only now that it is this node that speaks: what was asked is lost."""
        return self._ask(now) if self._presence is not None else []

    def on_timer(self, now: Instant) -> Effects:
        """Ask again."""
        return self._ask(now) if self._due is not None and self._due <= now else []

    def deadline(self) -> Instant | None:
        """Return when to ask again."""
        return self._due

    def _refuse(self, now: Instant) -> Effects:
        """The vote goes elsewhere: give back what is held; who holds nothing just asks again."""
        held = self.lease != NO_LEASE
        effects = self._promised(NO_LEASE)
        assert self._presence is not None, "an answer follows a question"
        if not self._refused and self._presence.enough and (held or self._presence.busy):
            self._refused = True
            effects += self._ask(now)
        return effects

    def _ask(self, now: Instant) -> Effects:
        presence = self._presence
        assert presence is not None, "asked for somebody"
        effects: Effects = []
        wish = Wish.VOTE
        if self._refused or not presence.enough:
            wish = Wish.BUSY if presence.busy else Wish.NOTHING
        if wish is Wish.NOTHING:
            # First nothing rests on a promise any more, then the server hears of it.
            effects += self._promised(NO_LEASE)
            self._open.clear()
            self._refused = False
        self._number += 1
        if wish is Wish.VOTE:
            self._open[self._number] = now
            if len(self._open) > MAX_OPEN:
                del self._open[min(self._open)]
        self._due = now + self._interval
        view = tuple(sorted(presence.view))
        ask = Ask(self.name, self._session, self._number, view, presence.votes, wish, self._length)
        return [*effects, SendAsk(ask)]

    def _promised(self, lease: Lease) -> Effects:
        if lease == self.lease:
            return []
        self.lease = lease
        return [Promised(lease)]
