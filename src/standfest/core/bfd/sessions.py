"""All BFD sessions of this node: whose packet it is, reload, the one deadline."""

from collections.abc import Iterable
from dataclasses import dataclass

from standfest.core.bfd.effects import Dropped, Effects, Refusal
from standfest.core.bfd.session import Random, Session
from standfest.model.bfd import BfdPacket, BfdState, Diagnostic
from standfest.model.director import BfdInstance
from standfest.model.time import Instant, earliest
from standfest.model.vrrp import IPAddress

MAX_DISCRIMINATOR = 2**32 - 1


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """One session as people want to see it."""

    settings: BfdInstance
    state: BfdState
    diagnostic: Diagnostic


class Sessions:
    """Sessions by name; `random` chooses discriminators and jitter."""

    def __init__(self, settings: Iterable[BfdInstance], random: Random) -> None:
        self._random = random
        self._sessions: dict[str, Session] = {}
        for one in settings:
            self._sessions[one.name] = self._make(one)

    def start(self, now: Instant) -> Effects:
        """Begin with all sessions."""
        return [one for session in self._sessions.values() for one in session.start(now)]

    def stop(self, now: Instant) -> Effects:
        """Take all sessions down in order."""
        return [one for session in self._sessions.values() for one in session.stop(now)]

    def reload(self, now: Instant, settings: Iterable[BfdInstance]) -> Effects:
        """Take new settings; a session that did not change goes on."""
        wanted = {one.name: one for one in settings}
        effects: Effects = []
        for name, session in list(self._sessions.items()):
            if wanted.get(name) != session.settings:
                effects += session.stop(now)
                del self._sessions[name]
        for name, one in wanted.items():
            if name not in self._sessions:
                self._sessions[name] = self._make(one)
                effects += self._sessions[name].start(now)
        return effects

    def on_packet(self, now: Instant, source: IPAddress, ttl: int, packet: BfdPacket) -> Effects:
        """Take an intact packet of a neighbour: by our discriminator, which it may not know yet.

        RFC 5880 would take our discriminator from anybody; a number that can be read on the wire is
        no reason to believe a stranger.
        """
        for session in self._sessions.values():
            known = packet.your_discriminator in {0, session.discriminator}
            if known and session.settings.neighbor == source:
                return session.on_packet(now, ttl, packet)
        return [Dropped("", Refusal.NO_SESSION)]

    def on_timer(self, now: Instant) -> Effects:
        """Do what is due."""
        return [one for session in self._sessions.values() for one in session.on_timer(now)]

    def deadline(self) -> Instant | None:
        """Return when `on_timer` wants to be called."""
        return earliest(*(session.deadline() for session in self._sessions.values()))

    def status(self) -> tuple[SessionStatus, ...]:
        """Return all sessions in the order of the settings."""
        return tuple(
            SessionStatus(one.settings, one.state, one.diagnostic)
            for one in self._sessions.values()
        )

    def _make(self, settings: BfdInstance) -> Session:
        used = {session.discriminator for session in self._sessions.values()}
        discriminator = self._random.randint(1, MAX_DISCRIMINATOR)
        while discriminator in used:
            discriminator = discriminator % MAX_DISCRIMINATOR + 1
        return Session(settings, discriminator, self._random)
