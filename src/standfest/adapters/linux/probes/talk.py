"""One conversation over TCP, with TLS or without: connect, shake hands, talk until it is over.

Each phase has its own time, from its beginning: bytes that trickle in do not prolong it. What is
said is a `Speaker`'s matter; this only carries bytes. Source: connect(2), and Python's `ssl`.
"""

import selectors
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from standfest.adapters.linux.probes import sockets
from standfest.adapters.linux.probes.alarms import Alarm, Alarms
from standfest.adapters.linux.probes.sockets import Place
from standfest.model.errors import WireError
from standfest.model.time import Duration, in_seconds
from standfest.ports.probes import Outcome, Waiter

if TYPE_CHECKING:  # 4 MB that only a director with TLS checks pays
    from standfest.adapters.linux.probes.tls import Secure, TlsClient

PIECE: Final = 65_536
"""Bytes that are read before others have their turn."""


class Speaker(Protocol):
    """What is said in a conversation."""

    def begin(self) -> bytes:
        """Return what is sent when the connection stands."""

    def receive(self, data: bytes) -> bytes:
        """Take what has come, b"" for the end; return what to send. May raise WireError."""

    @property
    def outcome(self) -> Outcome | None:
        """How it ended, once it is over."""

    @property
    def phase(self) -> str:
        """What is waited for; another phase has its own time."""

    @property
    def progress(self) -> str:
        """How far that has come, "" when nothing has; for the reason."""


class Talk:
    """One conversation; `on_end` is called from the loop, once, unless it was given up."""

    def __init__(
        self,
        waiter: Waiter,
        alarms: Alarms,
        speaker: Speaker,
        limit: Duration,
        on_end: Callable[[Outcome], None],
    ) -> None:
        self._waiter, self._alarms, self._speaker = waiter, alarms, speaker
        self._limit, self._on_end = limit, on_end
        self._socket: socket.socket | None = None
        self._tls: TlsClient | None = None
        self._place: Place | None = None
        self._alarm: Alarm | None = None
        self._phase = ""
        self._out = bytearray()
        self._events = 0
        self._connected = False

    def begin(self, place: Place, secure: "Secure | None" = None) -> None:
        """Begin to connect; raises OSError when not even that can be done."""
        self._place = place
        made = sockets.open_socket(socket.SOCK_STREAM, place.address, place.connection)
        self._socket = made
        if secure is not None:
            self._tls = secure.client()
        address = sockets.sockaddr(place.address, place.port, place.connection)
        result = made.connect_ex(address)
        if result not in sockets.PROGRESS:
            self.give_up()
            raise OSError(result, "connect")
        self._enter("connect")
        self._want(selectors.EVENT_WRITE)

    def give_up(self) -> None:
        """End it without a word."""
        if self._alarm is not None:
            self._alarm.cancel()
        if self._socket is not None:
            self._waiter.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None

    # --- what happens ---------------------------------------------------------------------------

    def _on_ready(self, events: int) -> None:
        if self._socket is None:
            return
        try:
            if not self._connected and not self._connect():
                return
            self._move(events)
        except WireError as error:
            self._fail(error.detail or error.reason)
        except OSError as error:
            self._fail(f"{self._phase}: {(error.strerror or str(error)).lower()}")

    def _connect(self) -> bool:
        assert self._socket is not None, "it was ready"
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._end(Outcome(False, f"connecting to {self._place}: {sockets.words(error)}"))
            return False
        self._connected = True
        self._enter("TLS handshake" if self._tls is not None else "")
        if self._tls is None:
            self._out += self._speaker.begin()
        return True

    def _move(self, events: int) -> None:
        """Carry bytes both ways as far as they go."""
        if events & selectors.EVENT_READ:
            self._read()
        if self._socket is not None and self._tls is not None:
            self._handshake()
        if self._socket is not None:
            self._write()

    def _handshake(self) -> None:
        """Go on with the handshake, and see whether the other end is whom we want."""
        tls = self._tls
        assert tls is not None, "whoever calls has looked"
        if not tls.is_open and tls.shake_hands():
            problem = tls.problem()
            if problem:
                self._fail(problem)
                return
            tls.write(self._speaker.begin())
            self._enter("")
            self._hear(tls.read())  # what came with the end of the handshake
        self._out += tls.outgoing()

    def _read(self) -> None:
        assert self._socket is not None, "it was ready"
        try:
            data = self._socket.recv(PIECE)
        except BlockingIOError:
            return
        tls = self._tls
        if tls is None:
            self._hear([data])
            return
        tls.incoming(data)
        if tls.is_open:
            self._hear(tls.read())
        elif not data:
            self._fail("TLS handshake: the connection ended")

    def _hear(self, pieces: list[bytes]) -> None:
        for data in pieces:
            answer = self._speaker.receive(data)
            outcome = self._speaker.outcome
            if outcome is not None:
                self._end(outcome)
                return
            if self._speaker.phase != self._phase:
                self._enter("")
            if answer and self._tls is not None:
                self._tls.write(answer)
            elif answer:
                self._out += answer

    def _write(self) -> None:
        assert self._socket is not None, "it is open"
        if self._out:
            try:
                del self._out[: self._socket.send(self._out)]
            except BlockingIOError:
                pass
        self._want(selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0))

    # --- times and ends -------------------------------------------------------------------------

    def _want(self, events: int) -> None:
        if self._socket is not None and events != self._events:
            self._events = events
            self._waiter.watch(self._socket.fileno(), self._on_ready, events)

    def _enter(self, phase: str) -> None:
        """Begin a phase; "": the speaker's."""
        self._phase = phase or self._speaker.phase
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._alarms.set(self._waiter.now() + self._limit, self._on_time)

    def _on_time(self) -> None:
        limit = f"{in_seconds(self._limit):g} s"
        if not self._connected:
            self._end(Outcome(False, f"connecting to {self._place}: no answer within {limit}"))
            return
        progress = "" if self._tls is not None and not self._tls.is_open else self._speaker.progress
        self._fail(f"{self._phase}: not there within {limit}" + (progress and f", {progress}"))

    def _fail(self, reason: str) -> None:
        self._end(Outcome(False, f"{self._place}: {reason}"))

    def _end(self, outcome: Outcome) -> None:
        self.give_up()
        self._on_end(outcome)
