"""BFD sessions of a director: packets and time to the machine, its packets to the wire.

In the director's own process, because a takeover waits for what they say. Imported only by a
director that has sessions.
"""

import errno
import random
from collections.abc import Callable, Iterable
from functools import partial

from standfest.adapters.linux.bfdlink import BfdEar, BfdMouth
from standfest.core.bfd.effects import Dropped, Effects, SendControl, SessionChanged
from standfest.core.bfd.sessions import Sessions, SessionStatus
from standfest.daemons.director.words import Words
from standfest.model.bfd import BfdPacket, BfdState, Diagnostic
from standfest.model.director import BfdInstance
from standfest.model.errors import OperationError, WireError
from standfest.model.time import Instant
from standfest.runtime.loop import Loop
from standfest.wire import bfd

MAX_PACKETS = 64
"""Packets that one wake-up reads from one socket; the loop comes back for more."""
STATES = {
    BfdState.ADMIN_DOWN: "AdminDown",
    BfdState.DOWN: "Down",
    BfdState.INIT: "Init",
    BfdState.UP: "Up",
}
REASONS = {
    Diagnostic.DETECTION_TIME_EXPIRED: "Control Detection Time Expired",
    Diagnostic.NEIGHBOR_SIGNALED_DOWN: "Neighbor Signaled Session Down",
    Diagnostic.ADMINISTRATIVELY_DOWN: "Administratively Down",
}
Changed = Callable[[Instant, str, bool, bool], None]
"""Is told the time, the session, whether it is up, whether its neighbour has just fallen silent."""


class BfdSessions:
    """All sessions of one director."""

    def __init__(
        self, loop: Loop, settings: Iterable[BfdInstance], on_changed: Changed, words: Words
    ) -> None:
        self._loop, self._on_changed, self._words = loop, on_changed, words
        self._random = random.Random()  # noqa: S311  jitter; what identifies a session is no secret
        self._settings = {one.name: one for one in settings}
        self._sessions = Sessions(self._settings.values(), self._random)
        self._ears: dict[int, BfdEar] = {}
        self._mouths: dict[str, BfdMouth] = {}
        self._trouble: dict[str, str] = {}
        self._encoded: dict[str, tuple[BfdPacket, bytes]] = {}
        self._up: set[str] = set()
        self.refused: dict[str, int] = {}

    def start(self, now: Instant) -> None:
        """Begin to listen and to speak."""
        self._listen()
        self._perform(now, self._sessions.start(now))

    def reload(self, now: Instant, settings: Iterable[BfdInstance]) -> None:
        """Take new settings; a session that did not change notices nothing."""
        self._settings = {one.name: one for one in settings}
        self._listen()
        self._perform(now, self._sessions.reload(now, self._settings.values()))

    def stop(self, now: Instant) -> None:
        """Tell the neighbours that this is on purpose, and close everything."""
        self._perform(now, self._sessions.stop(now))
        for name in list(self._mouths):
            self._close(name)
        for ear in self._ears.values():
            self._loop.forget(ear.fileno())
            ear.close()
        self._ears.clear()

    def deadline(self) -> Instant | None:
        """Return when `on_timer` wants to be called."""
        return self._sessions.deadline()

    def on_timer(self, now: Instant) -> None:
        """Do what is due."""
        self._perform(now, self._sessions.on_timer(now))

    def status(self) -> tuple[SessionStatus, ...]:
        """Return all sessions."""
        return self._sessions.status()

    def _listen(self) -> None:
        """Open an ear for each IP version that a session needs; close no ear before the end."""
        for version in sorted({one.neighbor.version for one in self._settings.values()}):
            if version in self._ears:
                continue
            try:
                ear = self._ears[version] = BfdEar(version)
            except OperationError as error:
                self._words.warn(str(error))
                continue
            self._loop.watch(ear.fileno(), partial(self._on_packets, ear))

    def _on_packets(self, ear: BfdEar, _events: int) -> None:
        for _ in range(MAX_PACKETS):
            heard = ear.receive()
            if heard is None:
                return
            source, ttl, data = heard
            try:
                packet = bfd.decode(data)
            except WireError as error:
                self._refuse(error.reason, f"from {source}: {error}")
                continue
            now = self._loop.now()
            self._perform(now, self._sessions.on_packet(now, source, ttl, packet))

    def _perform(self, now: Instant, effects: Effects) -> None:
        for effect in effects:
            match effect:
                case SendControl(name, packet):
                    self._send(name, packet)
                case SessionChanged():
                    self._change(now, effect)
                case Dropped(name, reason):
                    self._refuse(reason.value, f"session {name or '(none)'}")

    def _change(self, now: Instant, change: SessionChanged) -> None:
        name, reason = change.session, REASONS.get(change.diagnostic)
        why = f" ({reason})" if reason and not change.up else ""
        self._words.say(f"({name}) Entering {STATES[change.state]} state{why}")
        was_up = name in self._up
        self._up = self._up | {name} if change.up else self._up - {name}
        silent = was_up and change.diagnostic is Diagnostic.DETECTION_TIME_EXPIRED
        self._on_changed(now, name, change.up, silent)

    def _send(self, name: str, packet: BfdPacket) -> None:
        try:
            self._mouth(name).send(self._bytes(name, packet))
        except OSError as error:
            if self._trouble.get(name) != str(error):
                self._words.warn(f"({name}) cannot send: {error.strerror}")
            self._trouble[name] = str(error)
        else:
            self._trouble.pop(name, None)
        if packet.state is BfdState.ADMIN_DOWN:  # a session's last word
            self._close(name)

    def _mouth(self, name: str) -> BfdMouth:
        """Return a session's mouth, opened as soon as its source address is there."""
        mouth = self._mouths.get(name)
        if mouth is None:
            one = self._settings.get(name)
            if one is None:
                raise OSError(errno.EDESTADDRREQ, "the session has been removed")
            mouth = BfdMouth(one.neighbor, one.source, one.ttl, self._random.choice)
            self._mouths[name] = mouth
        return mouth

    def _bytes(self, name: str, packet: BfdPacket) -> bytes:
        known = self._encoded.get(name)
        if known is None or known[0] != packet:
            known = self._encoded[name] = (packet, bfd.encode(packet))
        return known[1]

    def _close(self, name: str) -> None:
        self._encoded.pop(name, None)
        mouth = self._mouths.pop(name, None)
        if mouth is not None:
            mouth.close()

    def _refuse(self, reason: str, text: str) -> None:
        count = self.refused[reason] = self.refused.get(reason, 0) + 1
        if count in (1, 10, 100):
            self._words.warn(f"BFD packet refused ({count} so far): {reason}: {text}")
