"""Which server is meant: a place is the position of its service, and its own position there."""

from collections.abc import Iterator, Mapping

from standfest.core.balancer.machine import Balancer
from standfest.model.forwarding import Counters, DestinationKey, ServiceKey
from standfest.runtime.balancer import naming

Place = tuple[int, int]
Server = tuple[ServiceKey, DestinationKey]
Readings = Mapping[Server, Counters]


def places(balancer: Balancer) -> Iterator[Place]:
    """Yield all servers of a configuration."""
    for number, pool in enumerate(balancer.pools):
        for server in range(len(pool.settings.servers)):
            yield number, server


def identity(balancer: Balancer, place: Place) -> tuple[str, str]:
    """Return (service, server) by name, which hold in another configuration, too."""
    service = balancer.settings.services[place[0]]
    server = naming.server_name(service, service.servers[place[1]])
    return naming.service_name(service), server


def full_name(balancer: Balancer, place: Place) -> str:
    """Return a server with its service, for the log."""
    service, server = identity(balancer, place)
    return f"{server} of VS {service}"


def find(balancer: Balancer, server: str, service: str = "") -> list[Place]:
    """Return the servers that an operator means: ADDRESS or ADDRESS:PORT; service: of this one.

    A service is named as in the log, as `ipvsadm` shows it, or by its address and port.
    """
    found = []
    for place in places(balancer):
        pool = balancer.pools[place[0]]
        key = pool.key(pool.settings.servers[place[1]])
        names = identity(balancer, place)
        known = (str(key), str(key.address), f"[{key.address}]", names[1])
        if server in known and _is_named(balancer, place[0], service):
            found.append(place)
    return found


def remaining(balancer: Balancer, place: Place, readings: Readings) -> int:
    """Return how many connections a server has."""
    pool = balancer.pools[place[0]]
    key = pool.key(pool.settings.servers[place[1]])
    protocol = pool.settings.protocol.value
    total = 0
    for service in balancer.keys_of(place[0]):
        found = readings.get((service, key))
        if found is not None:
            total += open_connections(protocol, found)
    return total


def open_connections(protocol: str, counters: Counters) -> int:
    """Return the connections that are open; those of datagrams are never `active`."""
    return counters.active + (counters.inactive if protocol == "UDP" else 0)


def _is_named(balancer: Balancer, number: int, service: str) -> bool:
    if not service:
        return True
    keys = [str(key) for key in balancer.keys_of(number)]
    log_name = naming.service_name(balancer.settings.services[number])
    return service in (log_name, *keys, *(key.partition(" ")[2] for key in keys))
