"""The proxy's first process: holds the listening sockets, keeps workers alive, makes changes.

It carries nothing itself. Its controller may come and go (`control`); a successor takes the
listening sockets over (`succession`), while its workers carry on to the end of their connections.
"""

import socket
from collections.abc import Callable, Sequence

from standfest.daemons.proxy import places
from standfest.daemons.proxy.crew import Crew, Listeners
from standfest.daemons.proxy.orders import Clients, Drop, Legacy, Orders
from standfest.daemons.proxy.plan import Plan, staged, touched
from standfest.daemons.proxy.tally import (
    ACTIVE,
    BYTES_IN,
    BYTES_OUT,
    CONNECTIONS,
    Tally,
    total,
)
from standfest.daemons.proxy.words import Say
from standfest.model.errors import OperationError
from standfest.model.forwarding import Change, ServiceKey
from standfest.runtime.loop import Loop
from standfest.wire import proxytable
from standfest.wire.proxycontrol import Carriage, Carried, Configure


class Front:
    """Everything that is forwarded.

    unneeded: closes what workers do not need, in their forks; on_drop: told which servers are gone;
    on_quiet: called when neither we nor a predecessor carry anything that is only to end.
    """

    def __init__(
        self,
        loop: Loop,
        unneeded: Callable[[], None],
        *,
        say: Say,
        is_succeeded: Callable[[], bool],
    ) -> None:
        self.plan = Plan()
        self.listeners: dict[ServiceKey, list[socket.socket]] = {}
        self.tallies: list[Tally] = []
        self.idle: list[Tally] = []
        self.crew = Crew(loop, self._everything, unneeded, say=say, is_succeeded=is_succeeded)
        self.on_drop: Callable[[Drop], None] = lambda _drop: None
        self.on_quiet: Callable[[], None] = lambda: None
        self.crew.on_drained = self.look_quiet
        self.predecessors = 0

    def start(self, workers: int) -> None:
        """Start the workers, on tallies that nobody writes to any more if there are any."""
        own, self.idle = self.idle[:workers], self.idle[workers:]
        while len(own) < workers:
            own.append(Tally.new())
            self.tallies.append(own[-1])
        self.crew.start(self.tallies, own)

    def apply(self, changes: Sequence[Change]) -> None:
        """Make all changes, or none: then OperationError says why."""
        table, keys = staged(self.plan.table, changes), touched(changes)
        fresh = sorted(key for key in keys if key in table and key not in self.plan.table)
        opened = self._open(fresh)
        try:
            orders, numbers = self.plan.become(table, keys)
        except OperationError:
            _close(opened)
            raise
        for number in numbers:
            self.crew.common.full[number] = 0
            for tally in self.tallies:
                tally.clear(number)
        self.listeners.update(opened)
        self._spread(orders)
        self.crew.tell(orders, {self.plan.services[key]: opened[key] for key in fresh})
        gone = [key for key in keys if key in self.listeners and key not in table]
        _close({key: self.listeners.pop(key) for key in gone})
        if orders.drop.servers:
            self.on_drop(orders.drop)

    def drop(self, drop: Drop) -> None:
        """A successor says that servers are gone."""
        self.crew.tell(drop)
        self.on_drop(drop)

    def look_quiet(self) -> None:
        """See whether all that was draining has drained."""
        if not self.crew.draining and not self.predecessors:
            self.on_quiet()

    def limit(self, limits: Configure) -> None:
        """Set how long things may take; 0 leaves it."""
        old = self.plan.limits
        self.plan.limits = Configure(
            limits.idle_ms or old.idle_ms,
            limits.half_closed_ms or old.half_closed_ms,
            limits.datagram_ms or old.datagram_ms,
            limits.connect_ms or old.connect_ms,
        )
        self.crew.tell(Orders(limits=self.plan.limits))

    def carriage(self) -> Carriage:
        """Return what every server has carried."""
        rows = [
            Carried(
                proxytable.place(service),
                proxytable.at(server),
                *(
                    total(self.tallies, number, cell)
                    for cell in (ACTIVE, CONNECTIONS, BYTES_IN, BYTES_OUT)
                ),
            )
            for (service, server), number in sorted(self.plan.servers.items())
        ]
        return Carriage(tuple(rows))

    # --- for a successor ------------------------------------------------------------------------

    def legacy(self) -> tuple[Legacy, list[int]]:
        """Return all that a successor must know, and the descriptors that go with it."""
        keys = sorted(self.listeners)
        sockets = [(self.plan.services[key], s) for key in keys for s in self.listeners[key]]
        busy = [tally for tally in self.tallies if tally not in self.idle]
        legacy = Legacy(
            self.plan.everything().serve,
            tuple(number for number, _ in sockets),
            len(self.idle),
            len(busy),
            tuple(self.plan.free),
            self.plan.next_server,
            self.plan.next_service,
            self.plan.limits,
        )
        files = [tally.descriptor for tally in [*self.idle, *busy]]
        return legacy, [*(listener.fileno() for _, listener in sockets), *files]

    def inherit(self, legacy: Legacy, descriptors: list[int], workers: int) -> list[Tally]:
        """Take over what a predecessor left; return the tallies that its workers still write."""
        plan = self.plan
        plan.restore(legacy.services)
        plan.free.extend(legacy.free)
        plan.next_server, plan.next_service = legacy.next_server, legacy.next_service
        plan.limits = legacy.limits
        keys = {number: key for key, number in plan.services.items()}
        count = len(legacy.listeners)
        for number, descriptor in zip(legacy.listeners, descriptors[:count], strict=True):
            self.listeners.setdefault(keys[number], []).append(socket.socket(fileno=descriptor))
        self.tallies = [Tally(descriptor) for descriptor in descriptors[count:]]
        self.idle = self.tallies[: legacy.idle_tallies]
        self._fit(workers)
        return self.tallies[legacy.idle_tallies :]

    def let_go(self) -> None:
        """Close the listening sockets: they are a successor's now."""
        _close(self.listeners)
        self.listeners = {}

    def remember(self, clients: Clients) -> None:
        """Let the workers know a predecessor's clients."""
        self.crew.tell(clients)

    def _fit(self, workers: int) -> None:
        """Have as many listening sockets of each service as there are workers."""
        for key, sockets in self.listeners.items():
            for surplus in sockets[workers:]:
                surplus.close()
            del sockets[workers:]
            while len(sockets) < workers:
                sockets.append(places.listen(key))

    def _open(self, keys: Sequence[ServiceKey]) -> dict[ServiceKey, list[socket.socket]]:
        opened: dict[ServiceKey, list[socket.socket]] = {}
        try:
            for key in keys:
                opened[key] = []
                for _ in self.crew.processes:
                    opened[key].append(places.listen(key))
        except OperationError:
            _close(opened)
            raise
        return opened

    def _spread(self, orders: Orders) -> None:
        """Let clients of persistent services come to the worker that knows them."""
        workers = len(self.crew.processes)
        if workers == 1:
            return
        for serve in orders.serve:
            key = proxytable.service_key(serve.place)
            options = self.plan.table[key].options
            if options.timeout:
                mask = proxytable.packed_mask(options, key.family)
                places.spread_by_client(self.listeners[key][0], mask, workers)
            else:
                places.spread_by_port(self.listeners[key][0])

    def _everything(self) -> tuple[Orders, Listeners]:
        sockets = {self.plan.services[key]: s for key, s in self.listeners.items()}
        return self.plan.everything(), sockets


def _close(listeners: dict[ServiceKey, list[socket.socket]]) -> None:
    for sockets in listeners.values():
        for listener in sockets:
            listener.close()
