"""What members ask of each other: to drain, or to take part again.

An errand names the target's newest beat, so that a recorded one is worth nothing a deadtime later.
It is said again with every keepalive until the target's beats show that it was heard.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from standfest.core.sharing.machine import Sharing
from standfest.model.sharing import Beat
from standfest.model.time import Instant
from standfest.wire.sharing import Errand, Verb

MAX_OPEN = 64
Answered = Callable[[bool, str], None]


@dataclass(slots=True)
class _Open:
    """One errand that has not been seen to be done."""

    target: str
    verb: Verb
    answered: Answered
    ends: Instant


class Errands:
    """Those that we send, and which of those that we hear are fresh."""

    def __init__(self, name: str, machine: Sharing, send: Callable[[Errand], object]) -> None:
        self._name, self._machine, self._send = name, machine, send
        self._open: list[_Open] = []
        self._again_at: Instant | None = None
        self._said: deque[tuple[Instant, int, int]] = deque()

    def note(self, now: Instant, beat: Beat) -> None:
        """Remember our own beats for a deadtime."""
        self._said.append((now, beat.generation, beat.number))
        while self._said[0][0] + self._machine.settings.deadtime < now:
            self._said.popleft()

    def is_for_us(self, now: Instant, errand: Errand) -> bool:
        """Return whether a member asks us for something, and not long ago."""
        fresh = any(
            (generation, number) == (errand.generation, errand.number)
            and said + self._machine.settings.deadtime >= now
            for said, generation, number in self._said
        )
        return errand.target == self._name and errand.source in self._machine.peers and fresh

    def begin(self, now: Instant, verb: Verb, target: str, answered: Answered) -> None:
        """Ask a member; `answered` is told whether it does, and a sentence."""
        peer = self._machine.peers.get(target)
        if peer is None:
            known = ", ".join(sorted({self._name, *self._machine.peers}))
            answered(False, f'no member "{target}"; expected one of {known}')
        elif not peer.alive:
            answered(False, f"{target} is not heard; expected it to be here")
        elif len(self._open) >= MAX_OPEN:
            answered(False, "too many commands at a time")
        else:
            ends = now + self._machine.settings.deadtime
            self._open.append(_Open(target, verb, answered, ends))
            self.on_beat(peer.beat)
            self._say(now)

    def on_beat(self, beat: Beat) -> None:
        """See whether a member does what it was asked for."""
        for errand in [one for one in self._open if one.target == beat.source]:
            if beat.draining is (errand.verb is Verb.DRAIN):
                self._open.remove(errand)
                errand.answered(True, f"{errand.target}: {errand.verb.value}")

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        return self._again_at if self._open else None

    def on_timer(self, now: Instant) -> None:
        """Say again what was not heard; give up what takes too long."""
        if self._again_at is None or self._again_at > now:
            return
        for errand in [one for one in self._open if one.ends <= now]:
            self._open.remove(errand)
            errand.answered(False, f"{errand.target} does not do it; expected it to hear us")
        self._say(now)

    def _say(self, now: Instant) -> None:
        for errand in self._open:
            peer = self._machine.peers.get(errand.target)
            if peer is not None:
                newest = (peer.beat.generation, peer.beat.number)
                self._send(Errand(self._name, errand.target, *newest, errand.verb))
        self._again_at = now + self._machine.settings.keepalive
