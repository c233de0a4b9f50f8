"""Whether the others hear what is sent to the shared MAC: found out by sending something there.

A switch that learns, snoops or blocks may keep from a member what a client sends. Each member that
is asked by the shared MAC says so by an ordinary datagram.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from standfest.core.sharing.machine import Sharing
from standfest.model.time import Duration, Instant, milliseconds
from standfest.wire.sharing import Errand, Verb

ROUNDS = 3
ROUND: Duration = milliseconds(250)
MAX_OPEN = 16
Answered = Callable[[bool, str], None]
Send = Callable[[Errand], object]


@dataclass(slots=True)
class _Probe:
    asked: frozenset[str]
    answered: Answered
    heard: set[str] = field(default_factory=set)
    rounds: int = 0


class Probes:
    """Those that are under way."""

    def __init__(self, name: str, machine: Sharing, send: Send, send_to_mac: Send) -> None:
        self._name, self._machine = name, machine
        self._send, self._send_to_mac = send, send_to_mac
        self._open: list[_Probe] = []
        self._at: Instant | None = None

    def begin(self, now: Instant, answered: Answered) -> None:
        """Ask all members that are here; `answered` is told who does not hear the MAC."""
        here = frozenset(name for name, peer in self._machine.peers.items() if peer.alive)
        if len(self._open) >= MAX_OPEN:
            answered(False, "too many commands at a time")
            return
        self._open.append(_Probe(here, answered))
        self._at = now

    def on_probe(self, errand: Errand) -> None:
        """A member asks by the shared MAC: say that we hear it."""
        self._errand(Verb.HEARD, errand.source, self._send)

    def on_heard(self, errand: Errand) -> None:
        """A member says that it hears us."""
        for probe in self._open:
            probe.heard.add(errand.source)

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        return self._at

    def on_timer(self, now: Instant) -> None:
        """Ask again those that were not heard; tell who is left."""
        if self._at is None or self._at > now:
            return
        for probe in list(self._open):
            missing = sorted(probe.asked - probe.heard)
            if probe.rounds == ROUNDS or not missing:
                self._open.remove(probe)
                probe.answered(True, " ".join(missing))
                continue
            probe.rounds += 1
            for name in missing:
                self._errand(Verb.PROBE, name, self._send_to_mac)
        self._at = now + ROUND if self._open else None

    def _errand(self, verb: Verb, target: str, send: Send) -> None:
        peer = self._machine.peers.get(target)
        if peer is not None and peer.alive:
            newest = (peer.beat.generation, peer.beat.number)
            send(Errand(self._name, target, *newest, verb))
