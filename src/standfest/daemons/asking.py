"""The quorum server's vote: datagrams between `core.quorum.asking` and the network."""

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

from standfest.core.quorum.asking import Asking, AskingEffect, Promised, SendAsk
from standfest.daemons.qdevice import key_file
from standfest.daemons.sealing import Sealing
from standfest.model.errors import WireError
from standfest.model.quorum import Lease, Presence, Told
from standfest.model.quorumfile import QuorumSettings, ServerSettings
from standfest.model.time import Instant, in_milliseconds
from standfest.wire import quorum as wire


class ServerVote:
    """Implements daemons.arbiter.Tiebreaker."""

    reachable = False

    def __init__(
        self,
        server: ServerSettings,
        settings: QuorumSettings,
        name: str,
        session: int,
        clock: Callable[[], Instant],
    ) -> None:
        """session: ns since 1970; raises ConfigError for keys that cannot be used."""
        self._server = server
        self._settings = settings
        self._clock = clock
        self._asking = Asking(name, session, settings.interval, settings.lease)
        self._sealing = Sealing(key_file(Path(server.key_file)), os.urandom)
        family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self.refused = 0

    def descriptors(self) -> list[int]:
        """Return the socket."""
        return [self._socket.fileno()]

    def close(self) -> None:
        """Ask no more."""
        self._socket.close()

    @property
    def lease(self) -> Lease:
        """Return what the server promises."""
        return self._asking.lease

    def present(self, presence: Presence) -> None:
        """Ask at once for another partition."""
        self._perform(self._asking.present(self._clock(), presence))

    def on_timer(self) -> None:
        """Ask again."""
        self._perform(self._asking.on_timer(self._clock()))

    def deadline(self) -> Instant | None:
        """Return when to ask again."""
        return self._asking.deadline()

    def on_ready(self) -> None:
        """An answer, a greeting, or something else."""
        try:
            datagram = self._socket.recv(wire.MAX_DATAGRAM + 1)
        except OSError:
            return  # nobody listens there: the answer stays away
        now = self._clock()
        try:
            cluster, sealed = wire.unwrap(datagram)
            opened = self._sealing.open(sealed)
            if opened is None or cluster != self._server.cluster:
                return
            message = wire.decode(opened[1])
        except WireError:
            self.refused += 1
            return
        if message is None:
            self._perform(self._asking.heard(now))
        elif isinstance(message, Told):
            self._perform(self._asking.told(now, message))

    def _perform(self, effects: list[AskingEffect]) -> None:
        for effect in effects:
            match effect:
                case SendAsk(ask):
                    sealed = self._sealing.close(wire.encode(ask))
                    place = (self._server.address, self._server.port)
                    with contextlib.suppress(OSError):  # as good as lost
                        self._socket.sendto(wire.wrap(self._server.cluster, sealed), place)
                case Promised():
                    continue  # the arbiter looks at `lease`

    def status(self) -> dict[str, object]:
        """Return who is asked, and the last answer."""
        answer, at = self._asking.answer, self._asking.answered_at
        silent = None if at is None else in_milliseconds(self._clock() - at)
        overdue = silent is None or silent > in_milliseconds(self._settings.lease)
        return {
            "server": f"{self._server.address} port {self._server.port}",
            "cluster": self._server.cluster,
            "answer": f"{answer.token.value} {answer.reason}".strip() if answer else "none yet",
            "answered_ms_ago": silent,
            "trouble": "the server does not answer" if overdue else "",
        }
