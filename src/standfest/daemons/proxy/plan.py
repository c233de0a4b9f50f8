"""What the proxy forwards, with the numbers by which its processes know services and servers.

Nothing here touches a socket: a change is judged, turned into a table, and the table into orders.
"""

from collections import deque
from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet

from standfest.core.balancer.choosing import SCHEDULERS
from standfest.daemons.proxy.orders import Cease, Drop, Orders, Serve, Target
from standfest.daemons.proxy.tally import MAX_SERVERS
from standfest.model.errors import OperationError
from standfest.model.forwarding import (
    AddDestination,
    AddService,
    Change,
    DeleteDestination,
    DeleteService,
    Destination,
    DestinationKey,
    Service,
    ServiceKey,
    ServiceOptions,
    SetDestination,
    SetService,
    Table,
)
from standfest.wire import proxytable
from standfest.wire.proxycontrol import Configure, Place

MAX_SERVICES = 16_384


def staged(table: Table, changes: Sequence[Change]) -> dict[ServiceKey, Service]:
    """Return the table after the changes; raises OperationError for one that cannot be made.

    What no change names is the same object afterwards.
    """
    found = dict(table)
    for key in touched(changes) & table.keys():
        found[key] = Service(table[key].options, dict(table[key].destinations))
    for change in changes:
        match change:
            case AddService(key, options):
                if key in found:
                    raise OperationError(f"{key}: is there; expected a new service")
                found[key] = Service(_judged(key, options), {})
            case SetService(key, options):
                found[key] = Service(_judged(key, options), _known(found, key).destinations)
            case DeleteService(key):
                _known(found, key)
                del found[key]
            case AddDestination(key, server, value):
                servers = _servers(found, key)
                if server in servers:
                    raise OperationError(f"{key}: {server} is there; expected a new server")
                if not server.port:
                    raise OperationError(f"{key}: {server} has no port; expected 1..65535")
                servers[server] = value
            case SetDestination(key, server, value):
                _servers(found, key, server)[server] = value
            case DeleteDestination(key, server):
                del _servers(found, key, server)[server]
    return found


def touched(changes: Sequence[Change]) -> set[ServiceKey]:
    """Return the services that changes name."""
    return {
        change.key
        if isinstance(change, AddService | SetService | DeleteService)
        else change.service
        for change in changes
    }


def _known(table: dict[ServiceKey, Service], key: ServiceKey) -> Service:
    if key not in table:
        raise OperationError(f"{key}: is not there; expected a service that was added")
    return table[key]


def _servers(
    table: dict[ServiceKey, Service], key: ServiceKey, server: DestinationKey | None = None
) -> dict[DestinationKey, Destination]:
    found = _known(table, key).destinations
    assert isinstance(found, dict), "staged has made it one"
    if server is not None and server not in found:
        raise OperationError(f"{key}: {server} is not there; expected a server that was added")
    return found


def _judged(key: ServiceKey, options: ServiceOptions) -> ServiceOptions:
    if not key.port:
        raise OperationError(f"{key}: all ports at once need ipvs or nftables; expected a port")
    if options.scheduler not in SCHEDULERS:
        known = " ".join(sorted(SCHEDULERS))
        raise OperationError(f"{key}: scheduler {options.scheduler}; expected one of {known}")
    if options.engine:
        raise OperationError(f"{key}: persistence engine {options.engine}; expected none")
    return options


def _of(table: Table, key: ServiceKey) -> Collection[DestinationKey]:
    return table[key].destinations if key in table else ()


class Plan:
    """The table, and a number for each of its services and servers."""

    def __init__(self) -> None:
        self.table: dict[ServiceKey, Service] = {}
        self.limits = Configure()
        self.services: dict[ServiceKey, int] = {}
        self.servers: dict[tuple[ServiceKey, DestinationKey], int] = {}
        self.next_service = self.next_server = 0
        self.free: deque[int] = deque()

    def become(
        self, table: dict[ServiceKey, Service], keys: AbstractSet[ServiceKey]
    ) -> tuple[Orders, tuple[int, ...]]:
        """Make this the table; return what workers must know, and the servers that are new.

        keys: of the services that may differ: a change of one costs nothing for all others. Raises
        OperationError when there are too many, with everything as it was.
        """
        before = {(key, server) for key in keys for server in _of(self.table, key)}
        after = {(key, server) for key in keys for server in _of(table, key)}
        servers = len(self.servers) - len(before) + len(after)
        if servers > MAX_SERVERS or len(table) > MAX_SERVICES:
            raise OperationError(
                f"{len(table)} services with {servers} servers; "
                f"expected at most {MAX_SERVICES} with {MAX_SERVERS}"
            )
        changed = [k for k in sorted(keys) if k in table and self.table.get(k) != table[k]]
        ceased = [self.services.pop(k) for k in sorted(keys & self.table.keys() - table.keys())]
        dropped = [self.servers.pop(one) for one in sorted(before - after)]
        self.free.extend(dropped)
        fresh = sorted(after - before)
        for one in fresh:
            self.servers[one] = self._new_number()
        for key in changed:
            if key not in self.services:
                self.services[key] = self.next_service
                self.next_service += 1
        self.table = table
        orders = Orders(
            tuple(self.serve(key) for key in changed), Cease(tuple(ceased)), Drop(tuple(dropped))
        )
        return orders, tuple(self.servers[one] for one in fresh)

    def everything(self) -> Orders:
        """Return what a worker that knows nothing must know."""
        return Orders(tuple(self.serve(key) for key in sorted(self.table)), limits=self.limits)

    def serve(self, key: ServiceKey) -> Serve:
        """Return one service as a worker must know it."""
        service = self.table[key]
        targets = tuple(
            Target(
                self.servers[key, server],
                str(server.address),
                server.port,
                value.weight,
                value.upper,
                value.lower,
            )
            for server, value in sorted(service.destinations.items())
        )
        way = proxytable.way(service.options)
        return Serve(self.services[key], proxytable.place(key), way, targets)

    def restore(self, services: Sequence[Serve]) -> None:
        """Take over a predecessor's table with its numbers; raises WireError."""
        for serve in services:
            key = proxytable.service_key(serve.place)
            destinations: dict[DestinationKey, Destination] = {}
            for target in serve.targets:
                server = proxytable.destination_key(Place("", target.address, target.port))
                destinations[server] = proxytable.destination(
                    target.weight, target.upper, target.lower
                )
                self.servers[key, server] = target.number
            self.table[key] = Service(proxytable.options(serve.way), destinations)
            self.services[key] = serve.number

    def _new_number(self) -> int:
        """Return a number that was never used, or else not for the longest time."""
        if self.next_server < MAX_SERVERS:
            self.next_server += 1
            return self.next_server - 1
        return self.free.popleft()
