"""One process that carries connections: accepts, lets `dialer` find a server, lets `relay` carry.

It knows what the front told it, and goes on without the front. All of its descriptors are in one
epoll set; what ended in a round is closed after it, so that no event meets another's descriptor.
"""

import contextlib
import errno
import os
import resource
import select
import socket
import time
from collections.abc import Callable
from functools import partial

from standfest.daemons.proxy import line
from standfest.daemons.proxy.datagrams import Datagrams
from standfest.daemons.proxy.dialer import Dialer
from standfest.daemons.proxy.orders import Client, Clients, Drain, Drop, Orders
from standfest.daemons.proxy.relay import Relay
from standfest.daemons.proxy.served import Served
from standfest.daemons.proxy.tally import ACTIVE, CELLS, Common, Tally
from standfest.daemons.proxy.words import Say, Sparing
from standfest.model.errors import WireError
from standfest.model.time import (
    NANOSECONDS_PER_SECOND,
    Duration,
    Instant,
    milliseconds,
    seconds,
)
from standfest.wire.proxycontrol import Configure, Done

EVENTS = 512
ACCEPTS = 64
"""New connections of one service before others have their turn."""
MAX_CLIENTS_LEFT = 50_000
"""Persistent clients of a service that a successor is told of."""
SPARE_DESCRIPTORS = 16
"""Descriptors that are left for servers of clients that are in; beyond them nobody is accepted."""
LOOK_EVERY: Duration = seconds(1)
"""How often idle connections are looked for."""
DIAL_EVERY: Duration = milliseconds(20)
"""How often connections that are being made are looked at: more often costs every round."""
LAST_ANSWER: Duration = seconds(5)
"""How long a worker that drains waits for answers to datagrams; clients' next go elsewhere."""
PAUSE: Duration = milliseconds(100)
"""How long nothing is accepted after descriptors ran out."""
DEFAULTS = Configure(idle_ms=900_000, half_closed_ms=120_000, datagram_ms=300_000, connect_ms=5_000)
"""IPVS's timeouts, and how long a server may take to accept."""
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Worker:
    """Carries connections until it is killed, or drains and has none left."""

    def __init__(
        self,
        tallies: list[Tally],
        own: Tally,
        common: Common,
        endpoint: socket.socket,
        *,
        say: Say,
        is_succeeded: Callable[[], bool],
    ) -> None:
        """Prepare; tallies: of all workers, `own` among them; endpoint: our end of the line.

        is_succeeded: asked after our front's death: whether there is another proxy.
        """
        self._tallies = [tally.cells for tally in tallies]
        self._common = common
        self._say = Sparing(say)
        self._epoll = select.epoll()
        self._relay = Relay(self._epoll, own.cells)
        count = self._count_alone if len(tallies) == 1 else self._count
        self._dialer = Dialer(
            self._epoll, self._relay, own.cells, count, service_of=self._service_of, say=self._say
        )
        self._datagrams = Datagrams(
            own.cells,
            count,
            self._dialer.suspects,
            watch=self._watch,
            ignore=self._ignore,
            lay_out=self._relay.lay_out,
        )
        self._served: dict[int, Served] = {}
        self._listeners: dict[int, socket.socket] = {}
        self._handlers: dict[int, Callable[[], None]] = {}
        self._limits = DEFAULTS
        self._draining = self._orphaned = False
        self._is_succeeded = is_succeeded
        self._last_descriptor = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_DESCRIPTORS
        self._paused_until: Instant | None = None
        self._look_at: Instant = 0
        self._dial_at: Instant = 0
        self._now: Instant = 0
        self._line, self._assembly = endpoint, line.Assembly()
        self._watch(endpoint, self._on_line)
        self.limit(DEFAULTS)

    def run(self) -> None:
        """Serve until drained."""
        poll, flows, ends = self._epoll.poll, self._dialer.flows, self._relay.ends
        relay, dialer, handlers = self._relay, self._dialer, self._handlers
        others: list[Callable[[], None]] = []
        datagrams = self._datagrams
        while not self._draining or ends or flows or datagrams.sessions:
            ready = poll(self._wait_s(), EVENTS)
            self._now = relay.now = dialer.now = datagrams.now = time.monotonic_ns()
            for fd, events in ready:
                if (end := ends.get(fd)) is not None:
                    relay.on_event(end, events)
                elif (flow := flows.get(fd)) is not None:
                    dialer.on_event(flow, events)
                elif (handler := handlers.get(fd)) is not None:
                    others.append(handler)
            for handler in others:
                handler()
            others.clear()
            if relay.again:
                relay.resume()
            self._on_time()
            relay.bury()

    # --- new connections ------------------------------------------------------------------------

    def _accept(self, served: Served, listener: socket.socket) -> None:
        admit, accept = self._dialer.admit, listener.accept
        for _ in range(ACCEPTS):
            try:
                client, address = accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in EXHAUSTED:
                    self._pause(error.strerror or "")
                    return
                continue  # this client is gone; accept(2), "Error handling"
            admit(served, client, address)
            if client.fileno() >= self._last_descriptor:
                self._pause("nearly all descriptors are in use")
                return

    def _serve(self, served: Served, listener: socket.socket) -> None:
        knock = self._datagrams.on_clients if served.udp else self._accept
        self._watch(listener, partial(knock, served, listener))

    def _pause(self, why: str) -> None:
        """Accept nothing for a moment: what there is of descriptors is needed for who is in."""
        self._say(f"cannot accept: {why}")
        self._paused_until = self._now + PAUSE
        for listener in self._listeners.values():
            self._ignore(listener)

    def _resume(self) -> None:
        """Accept again, if there are descriptors again: the lowest that is free tells."""
        with contextlib.suppress(OSError):
            probe = os.dup(self._epoll.fileno())
            os.close(probe)
            if probe < self._last_descriptor:
                self._paused_until = None
        if self._paused_until is not None:
            self._paused_until = self._now + PAUSE
            return
        for number, listener in self._listeners.items():
            self._serve(self._served[number], listener)

    def _count_alone(self, server: int) -> int:
        return int(self._tallies[0][CELLS * server + ACTIVE])

    def _count(self, server: int) -> int:
        at = CELLS * server + ACTIVE
        return sum(cells[at] for cells in self._tallies)

    def _service_of(self, server: int) -> Served | None:
        return next((s for s in self._served.values() if server in s.addresses), None)

    # --- what the front says --------------------------------------------------------------------

    def _on_line(self) -> None:
        try:
            for _ in range(line.PACKETS):
                said = self._assembly.take(self._line)
                if said is not None:
                    self._obey(said)
        except BlockingIOError:
            pass
        except (OSError, WireError):
            self._say("the front is gone: going on until there is another")
            self._orphaned = not self._draining
            self._ignore(self._line)

    def _obey(self, said: object) -> None:
        answer: object = Done()
        match said:
            case Orders():
                self.follow(said, self._assembly.listeners)
            case Drop(servers):
                self._drop(frozenset(servers))
            case Clients(rows):
                self._remember(rows)
            case Drain():
                answer = self._clients()
                self._drain()
            case _:
                raise WireError("unknown-type", type(said).__name__)
        self._line.setblocking(True)
        line.send(self._line, answer)
        self._line.setblocking(False)

    def follow(self, orders: Orders, listeners: dict[int, socket.socket]) -> None:
        """Do everything at once; listeners: those of new services, which are taken out."""
        for serve in orders.serve:
            if serve.number in self._served:
                self._served[serve.number].update(serve)
                continue
            served = self._served[serve.number] = Served(serve, self._common)
            listener = self._listeners[serve.number] = listeners.pop(serve.number)
            self._serve(served, listener)
        for number in orders.cease.services:
            self._served.pop(number).cease()
            self._stop_listening(number)
        self._drop(frozenset(orders.drop.servers))
        self.limit(orders.limits)

    def limit(self, limits: Configure) -> None:
        """Set how long things may take; 0 leaves it."""
        self._limits = Configure(
            limits.idle_ms or self._limits.idle_ms,
            limits.half_closed_ms or self._limits.half_closed_ms,
            limits.datagram_ms or self._limits.datagram_ms,
            limits.connect_ms or self._limits.connect_ms,
        )
        self._dialer.timeout = milliseconds(self._limits.connect_ms)
        if not self._draining:
            self._datagrams.timeout = milliseconds(self._limits.datagram_ms)

    def _drop(self, servers: frozenset[int]) -> None:
        if servers:
            for flow in self._relay.flows():
                if flow.number in servers:
                    self._relay.abort(flow)
            self._dialer.drop(servers)
            self._datagrams.drop(servers)

    def _clients(self) -> Clients:
        rows = [
            Client(served.number, f"{who:x}", server, left)
            for served in self._served.values()
            if served.clients is not None
            for who, server, left in served.clients.dump(self._now, MAX_CLIENTS_LEFT)
        ]
        return Clients(tuple(rows))

    def _remember(self, rows: tuple[Client, ...]) -> None:
        found: dict[int, list[tuple[int, int, Duration]]] = {}
        for row in rows:
            found.setdefault(row.service, []).append((int(row.who, 16), row.server, row.left))
        for number, known in found.items():
            served = self._served.get(number)
            if served is not None and served.clients is not None:
                served.clients.restore(self._now, known)

    def _drain(self) -> None:
        self._draining = True
        self._datagrams.timeout = LAST_ANSWER
        for number in list(self._listeners):
            self._stop_listening(number)

    def _stop_listening(self, number: int) -> None:
        listener = self._listeners.pop(number, None)
        if listener is not None:
            self._ignore(listener)
            if listener.type != socket.SOCK_DGRAM or not self._draining:
                self._relay.lay_out(listener)  # else answers to clients still leave through it

    # --- time -----------------------------------------------------------------------------------

    def _wait_s(self) -> float:
        if self._relay.again:
            return 0.0
        due = self._look_at
        if self._dialer.is_waiting:
            due = min(due, self._dial_at)
        if self._paused_until is not None:
            due = min(due, self._paused_until)
        return max(0.0, (due - self._now) / NANOSECONDS_PER_SECOND)

    def _on_time(self) -> None:
        now = self._now
        if self._paused_until is not None and self._paused_until <= now:
            self._resume()
        if self._dial_at <= now:
            self._dial_at = now + DIAL_EVERY
            self._dialer.on_time()
        if self._look_at <= now:
            self._look_at = now + LOOK_EVERY
            self._end_idle(now)
            if self._orphaned and self._is_succeeded():
                self._orphaned = False
                self._drain()

    def _end_idle(self, now: Instant) -> None:
        """End connections of which nothing was heard for too long; forget clients."""
        idle = now - milliseconds(self._limits.idle_ms)
        half = now - milliseconds(self._limits.half_closed_ms)
        for end in list(self._relay.ends.values()):
            touched = end.flow.touched
            if touched <= idle or (touched <= half and end.ended):
                self._relay.abort(end.flow)
        self._datagrams.forget_old()
        for served in self._served.values():
            if served.clients is not None:
                served.clients.forget_old(now)

    # --- small things ---------------------------------------------------------------------------

    def _watch(self, endpoint: socket.socket, handler: Callable[[], None]) -> None:
        self._handlers[endpoint.fileno()] = handler
        self._epoll.register(endpoint.fileno(), select.EPOLLIN)

    def _ignore(self, endpoint: socket.socket) -> None:
        if self._handlers.pop(endpoint.fileno(), None) is not None:
            self._epoll.unregister(endpoint.fileno())
