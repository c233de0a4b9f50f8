"""The guard: gives up a dead or frozen director's addresses, so that its peers need not wait.

It knows beforehand what each Active router holds (holding.py) and watches the director's signs of
life. When the director dies, or has been silent for as long as its peers bear, the guard kills it
first: what was frozen must not wake and send. Then it sends the goodbyes (priority 0), lets the
kernel answer for the addresses until the successor's first advert is there, and deletes them before
the successor's gratuitous ARP, which comes after that advert. It decides nothing else.
"""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial

from standfest.adapters.linux.leases import Lease, LeaseSocket
from standfest.adapters.linux.networkspace import Outside
from standfest.adapters.linux.signs import SignsOfLife
from standfest.adapters.linux.vrrplink import PROTOCOL_AUTHENTICATION, Ear, Mouth
from standfest.daemons.director import holding
from standfest.daemons.director.holding import Goodbye, Holding
from standfest.daemons.director.words import Words
from standfest.model.errors import OperationError
from standfest.model.time import Duration, Instant, earliest, milliseconds
from standfest.runtime.loop import Loop

SECOND_LOOK: Duration = milliseconds(5)
"""A machine that has been paused runs the guard first, perhaps: the director gets its chance."""
AUTHENTICATION_BYTES = 24
MAX_PACKETS = 64
"""Packets that one wake-up reads; the loop comes back for more."""


class Guard:
    """Lives beside one director after the other, from the supervisor's start to its end."""

    def __init__(
        self,
        signs: SignsOfLife,
        director: socket.socket,
        supervisor: socket.socket,
        supervisor_pidfd: int,
        words: Words,
    ) -> None:
        self._signs, self._director, self._supervisor = signs, director, supervisor
        self._words = words
        self._leases = LeaseSocket()
        self._outside = Outside()
        self._loop = Loop(self._deadline, self._on_timer)
        self._held: dict[int, Holding] = {}
        self._leaving: dict[int, Instant] = {}
        self._suspect_at: Instant | None = None
        self._ears: dict[tuple[str, int, int], Ear] = {}
        self._mouths: dict[tuple[str, int], Mouth] = {}
        self._pid, self._pidfd, self._sentinel = 0, -1, -1
        self._orphan = self._killed = False
        self._loop.watch(director.fileno(), lambda _events: self._on_director())
        self._loop.watch(supervisor.fileno(), lambda _events: self._on_supervisor())
        self._loop.watch(supervisor_pidfd, lambda _events: self._on_orphaned(supervisor_pidfd))
        with contextlib.suppress(OSError):  # a director that lives says again what it holds
            director.send(holding.AGAIN)

    def run(self) -> None:
        """Guard until the supervisor has gone and nothing is held."""
        self._loop.run()

    # --- what others say ------------------------------------------------------------------------

    def _on_director(self) -> None:
        for datagram in _datagrams(self._director):
            held = holding.from_bytes(datagram)
            self._held[held.slot] = held
            try:
                self._open(held)
            except OSError as error:
                self._words.warn(f"({held.name}) not guarded: {error}")

    def _on_supervisor(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while True:
                datagram, files, _, _ = socket.recv_fds(self._supervisor, 64, 2)
                if len(files) != 2:
                    return
                self._watch(int(datagram), *files)

    def _watch(self, pid: int, pidfd: int, sentinel: int) -> None:
        """Watch a new director; the one before has been judged."""
        self._unwatch()
        self._pid, self._pidfd, self._sentinel = pid, pidfd, sentinel
        self._killed = False
        self._loop.watch(sentinel, lambda _events: self._on_death())

    def _unwatch(self) -> None:
        if self._pidfd >= 0:
            self._loop.forget(self._sentinel)
            os.close(self._sentinel)
            os.close(self._pidfd)
            self._pidfd = self._sentinel = -1

    def _kill(self) -> None:
        self._killed = True
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _on_orphaned(self, pidfd: int) -> None:
        """The supervisor is dead: its director dies with it; end when all is given up."""
        self._loop.forget(pidfd)
        self._orphan = True
        if self._pidfd >= 0:
            self._kill()
        else:
            self._end_if_done()

    # --- death ----------------------------------------------------------------------------------

    def _on_death(self) -> None:
        self._unwatch()
        self._on_director()  # what it said last
        self._suspect_at = None
        now = self._loop.now()
        for slot, held in sorted(self._held.items()):
            if not self._signs.is_held(slot):
                del self._held[slot]
                continue
            for goodbye in held.goodbyes:
                self._say(held, goodbye)
            self._leaving[slot] = now + held.wait
        for key in {_ear_key(self._held[slot]) for slot in self._leaving}:
            self._listen(key)
        for slot in self._leaving:
            self._words.warn(f"({self._held[slot].name}) director lost: sent 0 priority")
        self._end_if_done()

    def _say(self, held: Holding, goodbye: Goodbye) -> None:
        mouth = self._mouths.get((goodbye.interface, goodbye.version))
        try:
            if mouth is not None:
                mouth.send(goodbye.packet, goodbye.destination)
        except OSError as error:
            self._words.warn(f"({held.name}) cannot say goodbye: {error}")

    def _listen(self, key: tuple[str, int, int]) -> None:
        ear = self._ears.get(key)
        if ear is None:
            return
        leaving = [self._held[slot] for slot in self._leaving]
        ear.listen(held.vrid for held in leaving if _ear_key(held) == key)
        self._loop.watch(ear.fileno(), partial(self._on_packets, key))

    def _on_packets(self, key: tuple[str, int, int], _events: int) -> None:
        ear = self._ears[key]
        for _ in range(MAX_PACKETS):
            packet = ear.receive()
            if packet is None:
                return
            vrid = speaker(packet, key[1], key[2])
            for slot in [s for s in self._leaving if _ear_key(self._held[s]) == key]:
                if self._held[slot].vrid == vrid:
                    self._give_up(slot, "successor is there")

    def _give_up(self, slot: int, why: str) -> None:
        held = self._held.pop(slot)
        del self._leaving[slot]
        leases = [Lease(what, b"", b"", delete) for what, delete in held.deletions]
        try:
            self._leases.delete(leases)
        except OperationError as error:
            self._words.warn(f"({held.name}) {error}")
        self._signs.release(slot)
        self._words.warn(f"({held.name}) {why}: removed its addresses")
        self._end_if_done()

    def _end_if_done(self) -> None:
        """Tell the supervisor which director's last address has gone."""
        if self._leaving or self._pidfd >= 0:
            return
        self._close_all()
        with contextlib.suppress(OSError):
            self._supervisor.send(str(self._pid).encode())
        if self._orphan:
            self._loop.stop()

    # --- time -----------------------------------------------------------------------------------

    def _deadline(self) -> Instant | None:
        leaving = min(self._leaving.values(), default=None)
        if self._pidfd < 0 or self._leaving:
            return leaving
        if self._killed or self._suspect_at is not None:
            return self._suspect_at
        return earliest(leaving, self._signs.patience_ends(list(self._held)))

    def _on_timer(self) -> None:
        now = self._loop.now()
        for slot in [slot for slot, at in self._leaving.items() if at <= now]:
            self._give_up(slot, "no successor")
        if self._leaving or self._pidfd < 0 or self._killed:
            return
        ends = self._signs.patience_ends(list(self._held))
        if ends is None or ends > now:
            self._suspect_at = None
        elif self._suspect_at is None:
            self._suspect_at = now + SECOND_LOOK
        elif self._suspect_at <= now:
            self._words.warn(f"director {self._pid} has been silent for too long: killing it")
            self._suspect_at = None
            self._kill()

    # --- sockets --------------------------------------------------------------------------------

    def _open(self, held: Holding) -> None:
        """Open what a router needs that is not open yet; raises OSError."""
        with self._outside.inside():
            for goodbye in held.goodbyes:
                way = (goodbye.interface, goodbye.version)
                if way not in self._mouths:
                    self._mouths[way] = Mouth(*way)
            key = _ear_key(held)
            if held.interface and key not in self._ears:
                self._ears[key] = Ear(*key)
            for group in held.groups:
                self._ears[key].join(group)

    def _close_all(self) -> None:
        for ear in self._ears.values():
            self._loop.forget(ear.fileno())
            ear.close()
        for mouth in self._mouths.values():
            mouth.close()
        self._ears.clear()
        self._mouths.clear()


def speaker(packet: bytes, version: int, protocol: int) -> int:
    """Return the VRID that a router says it is Active for in a packet, or 0.

    Whether it is authentic does not matter: who listens here is leaving either way.
    """
    start = 40 if version == 6 else (packet[0] & 15) * 4
    if protocol == PROTOCOL_AUTHENTICATION:
        start += AUTHENTICATION_BYTES
    if len(packet) < start + 8 or packet[start] & 15 != 1:
        return 0
    vrid, priority = packet[start + 1], packet[start + 2]
    return vrid if priority else 0


def start(make: Callable[[], Guard]) -> int:
    """Fork a guard and return its process number."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setsid()  # a terminal's or a job's signals are not for it
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        make().run()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def _ear_key(held: Holding) -> tuple[str, int, int]:
    return held.interface, held.version, held.protocol


def _datagrams(endpoint: socket.socket) -> list[bytes]:
    found = []
    with contextlib.suppress(BlockingIOError, ConnectionError):
        while datagram := endpoint.recv(holding.MAX_BYTES):
            found.append(datagram)
    return found
