"""What the front tells its workers, and a proxy its predecessor; the values of `wire.values`."""

from dataclasses import dataclass

from standfest.wire.proxycontrol import Configure, Done, Place, Way


@dataclass(frozen=True, slots=True)
class Target:
    """One server as a worker knows it: by its number in all tallies."""

    number: int
    address: str
    port: int
    weight: int
    upper: int = 0
    lower: int = 0


@dataclass(frozen=True, slots=True)
class Serve:
    """A service is so from now on; its listening socket, when it is new, came before."""

    number: int
    place: Place
    way: Way
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Cease:
    """Services are no more."""

    services: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Drop:
    """Servers are no more: their connections end at once."""

    servers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Drain:
    """Accept nothing more, say who your clients are, end with your last connection."""


@dataclass(frozen=True, slots=True)
class Client:
    """A client of a persistent service, its server, and for how long (ns)."""

    service: int
    who: str
    server: int
    left: int


@dataclass(frozen=True, slots=True)
class Clients:
    """Whom a predecessor knew."""

    rows: tuple[Client, ...]


@dataclass(frozen=True, slots=True)
class Orders:
    """Several at once: a worker obeys all of them before its next connection."""

    serve: tuple[Serve, ...] = ()
    cease: Cease = Cease(())
    drop: Drop = Drop(())
    limits: Configure = Configure()


@dataclass(frozen=True, slots=True)
class Legacy:
    """What a proxy leaves its successor; the files follow, listening sockets first.

    listeners: service number of each; then tallies that nobody writes to any more, and those of
    workers that still carry connections; free: server numbers, oldest first.
    """

    services: tuple[Serve, ...]
    listeners: tuple[int, ...]
    idle_tallies: int
    busy_tallies: int
    free: tuple[int, ...]
    next_server: int
    next_service: int
    limits: Configure


TYPES: dict[str, type] = {
    kind.__name__: kind for kind in (Orders, Drop, Drain, Clients, Legacy, Done)
}
