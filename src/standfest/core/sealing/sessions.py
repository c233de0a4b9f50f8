"""Which sealed datagrams are new, and which sessions are alive: protection against replay.

A machine without I/O and without keys: whoever opens a datagram asks before (`check`) and tells it
afterwards (`accept`). A session is one start of one daemon. Two rules:

* of a session, each counter is accepted once, within a window (RFC 4303, appendix A2);
* a session is believed once it has repeated the name of ours, which it can only know from us: what
  was recorded before we started proves nothing, so a restart forgets nothing that matters.

Both sides learn each other's names from their first heartbeats. So that a restart does not take two
heartbeats more, whoever hears a new session should say something at once: `newcomer`.
While `mixed` keys are accepted, the second rule is left out: those who send plain
messages cannot repeat anything, and could be replayed anyway.
"""

from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Final

from standfest.model.errors import WireError

WINDOW: Final = 8_192
"""Counters behind the newest that may still arrive; each medium and each `ucast` peer uses one."""

MAX_CANDIDATES: Final = 128
"""Sessions that have not repeated our name yet; the one that was silent longest is forgotten."""

MAX_BELIEVED: Final = 1_024
"""Sessions that have. None may be forgotten, or its recordings were believed: our own session ends
instead, see `full`."""

MAX_COUNTER: Final = 2**32
"""Datagrams of one session; NIST SP 800-38D, section 8.3, leaves room for more."""

MAX_PROOFS: Final = 64
"""Sessions of each kind that are told that they are heard: as many as a cluster has nodes."""


class Refusal(StrEnum):
    """Why a datagram that opened, or would have, was dropped."""

    REPLAYED = "seal-replayed"  # this counter was here
    OLD = "seal-old"  # so far behind that nobody remembers
    UNPROVED = "seal-unproved"  # has not repeated our session's name: new, or a recording


@dataclass(slots=True)
class _Heard:
    """One session's window: bit 0 is `newest`, bit N the counter N before."""

    newest: int = -1
    seen: int = 0

    def refusal(self, counter: int) -> Refusal | None:
        behind = self.newest - counter
        if behind < 0:
            return None
        if behind >= WINDOW:
            return Refusal.OLD
        return Refusal.REPLAYED if self.seen >> behind & 1 else None

    def add(self, counter: int) -> None:
        ahead = counter - self.newest
        if ahead > 0:
            shifted = self.seen << ahead if ahead < WINDOW else 0
            self.seen, self.newest = (shifted | 1) & ((1 << WINDOW) - 1), counter
        else:
            self.seen |= 1 << -ahead


class Sessions:
    """Our own session, and those of the others as far as they are known.

    prove: whether a session has to repeat our name; who has done so stays believed.
    """

    def __init__(self, own: bytes, *, prove: bool) -> None:
        self.prove = prove
        self._candidates: OrderedDict[bytes, _Heard] = OrderedDict()
        self._believed: OrderedDict[bytes, _Heard] = OrderedDict()
        self._own = own
        self._next = 0
        self._newcomer = False

    @property
    def full(self) -> bool:
        """Return whether our session has to end: `renew` is due before anything is sent."""
        return self._next >= MAX_COUNTER or len(self._believed) >= MAX_BELIEVED

    def renew(self, own: bytes) -> None:
        """Begin a session of ours; everybody has to prove anew that this one is heard."""
        assert own != self._own, "a session is drawn at random"
        self._own, self._next = own, 0
        self._candidates.clear()
        self._believed.clear()

    def next(self) -> tuple[bytes, int, tuple[bytes, ...]]:
        """Return session and counter of the next datagram, and the sessions that we hear.

        No counter comes twice. Who was heard last comes first.
        """
        assert self._next < MAX_COUNTER, "renew() is due"
        counter, self._next = self._next, self._next + 1
        fresh = islice(reversed(self._candidates), MAX_PROOFS)
        return self._own, counter, (*fresh, *islice(reversed(self._believed), MAX_PROOFS))

    def is_own(self, session: bytes) -> bool:
        """Return whether a datagram is our own: a broadcast, or somebody's echo of one."""
        return session == self._own

    def newcomer(self) -> bool:
        """Return, once, whether a session has been heard for the first time.

        Its owner waits for our word: the proof in it is what lets us be believed there.
        """
        newcomer, self._newcomer = self._newcomer, False
        return newcomer

    def check(self, session: bytes, counter: int) -> None:
        """Raise WireError when this datagram cannot be new; before the costly part of opening it.

        Nothing is remembered: it is not authentic yet.
        """
        heard = self._believed.get(session) or self._candidates.get(session)
        refusal = heard.refusal(counter) if heard is not None else None
        if refusal is not None:
            raise WireError(refusal)

    def accept(self, session: bytes, counter: int, proofs: tuple[bytes, ...]) -> None:
        """Take an authentic datagram; raises WireError `seal-unproved` when it may be a recording.

        proofs: beginnings of the sessions that its sender hears, each too long to be guessed.
        check() comes first, with nothing in between.
        """
        heard = self._believed.get(session)
        if heard is None:
            heard = self._candidates.pop(session, None)
            self._newcomer |= heard is None
            heard = heard or _Heard()
            if any(self._own.startswith(proof) for proof in proofs):
                self._believed[session] = heard
            else:
                self._candidates[session] = heard
                if len(self._candidates) > MAX_CANDIDATES:
                    self._candidates.popitem(last=False)
        else:
            self._believed.move_to_end(session)
        heard.add(counter)
        if self.prove and session not in self._believed:
            raise WireError(Refusal.UNPROVED)
