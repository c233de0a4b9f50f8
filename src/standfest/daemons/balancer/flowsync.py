"""Keeps the partner's kernel in the picture of our connections, or ours in that of the partner's.

For data planes that are the kernel's connection tracking (nftables); IPVS has a daemon of its own
in the kernel. Active: the kernel's events go to the partner. Not active: what the partner tells
goes into our kernel, as entries that end by themselves unless they are renewed or we take over.
"""

import contextlib
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

from standfest.adapters.linux.conntrack import Conntrack, FlowEvents
from standfest.adapters.linux.syncpath import SyncPath
from standfest.core.balancer.flowsync import LEASE_S, Listener, Teller
from standfest.model.errors import OperationError, WireError
from standfest.model.flows import Entry, Flow
from standfest.model.time import Duration, Instant, seconds
from standfest.runtime.loop import Loop
from standfest.wire import flowsync

MAX_DATAGRAMS = 256
"""Datagrams that one wake-up reads; the loop comes back for more."""
CLEAN_EVERY: Duration = seconds(5)


class FlowSync:
    """Both halves, of which one is at work.

    incarnation: another number at each start. key: the secret of both directors, empty for none.
    is_ours: whether a connection of this kernel is one of the balancer's. mark_of: our mark of a
    told connection's server, 0 if we have none.
    """

    def __init__(
        self,
        loop: Loop,
        path: SyncPath,
        *,
        incarnation: int,
        key: bytes = b"",
        is_ours: Callable[[Flow], bool],
        mark_of: Callable[[Flow], int],
        say: Callable[[str], None],
    ) -> None:
        self._loop, self._path, self._key, self._say = loop, path, key, say
        self._incarnation, self._sequence = incarnation, 0
        self._is_ours = is_ours
        self._table = Conntrack()
        self._events: FlowEvents | None = None
        self._teller: Teller | None = None
        self._listener = Listener(mark_of)
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
        self.failed += self._table.put(taken)
        self._clean_at = None
        self._teller = Teller()
        self._watch()
        self._say(f"connections: {len(taken)} taken over, {len(self._teller)} in all are told")

    def become_passive(self) -> None:
        """Listen to the partner."""
        if self._teller is None:
            return
        self._teller = None
        self._unwatch()

    def _watch(self) -> None:
        """Begin to watch, and read what is there already: what changes meanwhile is seen twice."""
        assert self._teller is not None
        self._events = FlowEvents()
        self._loop.watch(self._events.fileno(), lambda _events: self._on_events())
        self._teller.start(self._loop.now(), filter(self._is_ours, self._table.flows()))

    def _unwatch(self) -> None:
        if self._events is not None:
            self._loop.forget(self._events.fileno())
            self._events.close()
            self._events = None

    def close(self) -> None:
        """End; what was copied stays until it ends by itself."""
        self._unwatch()
        self._loop.forget(self._path.fileno())
        self._path.close()
        self._table.close()

    # --- time -----------------------------------------------------------------------------------

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        return self._clean_at if self._teller is None else self._teller.deadline()

    def on_timer(self, now: Instant) -> None:
        """Tell what is due, or forget what has ended."""
        if self._teller is not None:
            self._tell(self._teller.on_timer(now))
        elif self._clean_at is not None and self._clean_at <= now:
            self._listener.forget_ended(now)
            self._clean_at = now + CLEAN_EVERY if len(self._listener) else None

    # --- the kernel and the partner -------------------------------------------------------------

    def _on_events(self) -> None:
        assert self._events is not None
        assert self._teller is not None
        now = self._loop.now()
        changed, ended = self._events.read()
        for flow in changed:
            if self._is_ours(flow):
                self._teller.on_flow(now, flow)
        for key in ended:
            self._teller.on_end(now, key)
        if self._events.overrun:
            self._say("connections: the kernel had more events than could be read: reading all")
            self._unwatch()
            self._teller = Teller()
            self._watch()

    def _tell(self, entries: list[Entry]) -> None:
        for part in flowsync.batches(entries, self._key):
            self._sequence += 1
            told = flowsync.Told(self._incarnation, self._sequence, part)
            with contextlib.suppress(OSError):  # the next round tells it again
                self._path.send(flowsync.encode(told, self._key))

    def _on_datagrams(self) -> None:
        for _ in range(MAX_DATAGRAMS):
            received = self._path.receive()
            if received is None:
                return
            if self._teller is None:
                self._hear(*received)

    def _hear(self, datagram: bytes, sender: str) -> None:
        try:
            told = flowsync.decode(datagram, self._key)
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
) -> SyncPath:
    """Return the way to the partner; raises OperationError."""
    try:
        return SyncPath(interface, port, peer, ttl)
    except OSError as error:
        raise OperationError(f"{interface}: cannot copy connections: {error.strerror}") from error
