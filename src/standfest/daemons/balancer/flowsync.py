"""Keeps the partner's kernel in the picture of our connections, or ours in that of the partner's.

For data planes that show their connections (ports/flows); IPVS has a daemon of its own in the
kernel. Active: what changes in the kernel goes to the partner. Not active: what the partner tells
goes into our kernel, as entries that end by themselves unless they are renewed or we take over.
"""

import contextlib
import os
import stat
import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

from standfest.adapters.linux.syncpath import SyncPath
from standfest.core.balancer.flowsync import LEASE_S, Listener, Teller
from standfest.core.balancer.syncguard import Freshness, Way
from standfest.model.errors import OperationError, WireError
from standfest.model.flows import Entry
from standfest.model.time import Duration, Instant, earliest, seconds
from standfest.ports.flows import Changes, FlowTable
from standfest.runtime.loop import Loop
from standfest.wire import flowsync

MAX_DATAGRAMS = 256
"""Datagrams that one wake-up reads; the loop comes back for more."""
CLEAN_EVERY: Duration = seconds(5)
MIN_KEY_BYTES, MAX_KEY_BYTES = 16, 4096
SHARE = 20
"""Looking for changes takes at most one part in so many of our time."""


class FlowSync:
    """Both halves, of which one is at work.

    table: the data plane's connections; closed with us. way: where the partner's datagrams come
    from. incarnation: another number at each start. key: the secret of both directors, empty for
    none. wall: nanoseconds since 1970.
    """

    def __init__(
        self,
        loop: Loop,
        path: SyncPath,
        table: FlowTable,
        *,
        way: Way,
        incarnation: int,
        key: bytes = b"",
        say: Callable[[str], None],
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        self._loop, self._path, self._key, self._say = loop, path, key, say
        self._way, self._freshness, self._wall = way, Freshness(), wall
        self._incarnation, self._sequence, self._sent = incarnation, 0, 0
        self._table = table
        self._watched: int | None = None
        self._look_at: Instant | None = None
        self._teller: Teller | None = None
        self._listener = Listener(table.mark_of)
        self._clean_at: Instant | None = None
        self.refused: dict[str, int] = {}
        self.failed = 0
        loop.watch(path.fileno(), lambda _events: self._on_datagrams())

    # --- roles ----------------------------------------------------------------------------------

    @property
    def is_active(self) -> bool:
        """Return whether we tell, rather than listen."""
        return self._teller is not None

    def become_active(self) -> None:
        """Take the partner's connections over, and tell of all from now on."""
        if self._teller is not None:
            return
        now = self._loop.now()
        taken = self._listener.take_over(now)
        self.failed += self._table.put(taken, None)
        self._clean_at = None
        self._begin()
        self._say(f"connections: {len(taken)} taken over, {self._told()} in all are told")

    def become_passive(self) -> None:
        """Listen to the partner."""
        if self._teller is None:
            return
        self._teller = None
        self._end()

    def _begin(self) -> None:
        """Begin to tell, with everything that is there."""
        self._teller = Teller()
        flows = self._table.begin()
        self._watched = self._table.fileno()
        if self._watched is not None:
            self._loop.watch(self._watched, lambda _events: self._look())
        self._teller.start(self._loop.now(), flows)
        if self._table.look_every is not None:
            self._look_at = self._loop.now() + self._table.look_every

    def _end(self) -> None:
        if self._watched is not None:
            self._loop.forget(self._watched)
        self._watched = self._look_at = None
        self._table.end()

    def _told(self) -> int:
        return len(self._teller) if self._teller is not None else 0

    def sign_with(self, key: bytes) -> None:
        """Take another key from now on; empty: none."""
        self._key = key

    def close(self) -> None:
        """End; what was copied stays until it ends by itself."""
        self._end()
        self._loop.forget(self._path.fileno())
        self._path.close()
        self._table.close()

    # --- time -----------------------------------------------------------------------------------

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        if self._teller is None:
            return self._clean_at
        return earliest(self._teller.deadline(), self._look_at)

    def on_timer(self, now: Instant) -> None:
        """Look and tell what is due, or forget what has ended."""
        if self._teller is not None:
            if self._look_at is not None and self._look_at <= now:
                self._look()
            self._tell(self._teller.on_timer(now))
        elif self._clean_at is not None and self._clean_at <= now:
            self._listener.forget_ended(now)
            self._clean_at = now + CLEAN_EVERY if len(self._listener) else None

    # --- the kernel and the partner -------------------------------------------------------------

    def _look(self) -> None:
        """Note what has changed in the kernel."""
        began = self._loop.now()
        try:
            if not self._note(self._table.changes()):
                self._say("connections: the kernel had more events than could be read: reading all")
                self._end()
                self._begin()
        except OperationError as error:
            self._say(str(error))
        if self._table.look_every is not None:
            now = self._loop.now()
            self._look_at = now + max(self._table.look_every, SHARE * (now - began))

    def _note(self, changes: Changes) -> bool:
        """Have changes told; return whether these are all that there were."""
        assert self._teller is not None, "only who tells looks"
        now = self._loop.now()
        for flow in changes.changed:
            self._teller.on_flow(now, flow)
        for key in changes.ended:
            self._teller.on_end(now, key)
        return changes.complete

    def _tell(self, entries: list[Entry]) -> None:
        for part in flowsync.batches(entries, self._key):
            self._sequence += 1
            self._sent = max(self._sent + 1, self._wall())
            told = flowsync.Told(self._incarnation, self._sequence, self._sent, part)
            with contextlib.suppress(OSError):  # the next round tells it again
                self._path.send(flowsync.encode(told, self._key))

    def _on_datagrams(self) -> None:
        for _ in range(MAX_DATAGRAMS):
            received = self._path.receive()
            if received is None:
                return
            if self._teller is None:
                self._hear(*received)

    def _hear(self, datagram: bytes, sender: IPv4Address | IPv6Address, hop_limit: int) -> None:
        try:
            self._way.judge(sender, hop_limit)
            told = flowsync.decode(datagram, self._key)
            if self._key:
                self._freshness.judge(told.sent, self._wall())
        except WireError as error:
            count = self.refused[error.reason] = self.refused.get(error.reason, 0) + 1
            if count in (1, 10, 100, 1000):
                self._say(f"connections: datagram of {sender} refused ({count} so far): {error}")
            return
        now = self._loop.now()
        put, ended = self._listener.on_told(now, told.incarnation, told.sequence, told.entries)
        try:
            self.failed += self._table.put(put, LEASE_S)
            self._table.delete(ended)
        except OperationError as error:
            self._say(str(error))
        if self._clean_at is None:
            self._clean_at = now + CLEAN_EVERY


def open_path(
    interface: str, port: int, peer: IPv4Address | IPv6Address | None, ttl: int
) -> tuple[SyncPath, Way]:
    """Return the way to the partner, and what may come from there; raises OperationError."""
    partner = None if peer is None or peer.is_multicast else peer
    try:
        return SyncPath(interface, port, peer, ttl), Way(partner, ttl)
    except OSError as error:
        raise OperationError(f"{interface}: cannot copy connections: {error.strerror}") from error


def read_key(path: str) -> bytes:
    """Return the key in a file, without the blanks around it; raises OperationError."""
    try:
        with open(path, "rb") as file:
            mode, content = os.fstat(file.fileno()).st_mode, file.read(MAX_KEY_BYTES + 1)
    except OSError as error:
        raise OperationError(f"{path}: {error.strerror}; expected a key") from error
    if stat.S_IMODE(mode) & (stat.S_IRWXG | stat.S_IRWXO):
        raise OperationError(f"{path}: mode is {stat.S_IMODE(mode):04o}; expected 0600")
    key = content.strip()
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        size = f"{MIN_KEY_BYTES} to {MAX_KEY_BYTES}"
        raise OperationError(f"{path}: {len(key)} bytes; expected a key of {size}")
    return key
