"""What a balancer does now, as `standfest balance status` shows it."""

from typing import Any

from standfest.model.errors import OperationError
from standfest.model.forwarding import Counters, DestinationKey, ServiceKey
from standfest.model.time import NANOSECONDS_PER_SECOND, Instant
from standfest.runtime.balancer import naming, places
from standfest.runtime.balancer.balancing import Balancing
from standfest.runtime.balancer.places import Place, Readings

Status = dict[str, Any]
"""A JSON object: `backend`, `services` with their `servers`."""
MAX_KEYS = 16
"""Addresses of one service that are listed; a group may have thousands."""


def status(machine: Balancing, backend: str, now: Instant, wall: int, readings: Readings) -> Status:
    """Return everything; wall: seconds since 1970, now."""
    services = [
        _service(machine, number, now, wall, readings)
        for number in range(len(machine.balancer.pools))
    ]
    return {"backend": backend, "keep": machine.keep, "services": services}


def meant(machine: Balancing, server: str, service: str) -> list[Place]:
    """Return the servers that an operator means; raises OperationError when there are none."""
    some = places.find(machine.balancer, server, service)
    if not some:
        of = f" of service {service[:100]!r}" if service else ""
        raise OperationError(
            f"no server {server[:100]!r}{of}; expected ADDRESS or ADDRESS:PORT of a real_server"
        )
    return some


def title(machine: Balancing, place: Place) -> str:
    """Return a server with its service."""
    return places.full_name(machine.balancer, place)


def _service(
    machine: Balancing, number: int, now: Instant, wall: int, readings: Readings
) -> Status:
    pool = machine.balancer.pools[number]
    settings = pool.settings
    keys = machine.balancer.keys_of(number)
    name = naming.service_name(settings)
    persistence = settings.persistence
    return {
        "service": str(keys[0]) if len(keys) == 1 else name,
        "reached_at": [str(key) for key in keys[:MAX_KEYS]],
        "reached_at_count": len(keys),
        "scheduler": settings.scheduler,
        "flags": list(settings.flags),
        "persistence_s": persistence.timeout // NANOSECONDS_PER_SECOND if persistence else 0,
        "quorum": {"is": pool.weight(), "needed": settings.quorum, "up": pool.quorate},
        "suspended": name in machine.suspended,
        "servers": [
            _server(machine, (number, server), now, wall, readings)
            for server in range(len(settings.servers))
        ],
        "sorry_server": _sorry(machine, number, readings),
    }


def _server(
    machine: Balancing, place: Place, now: Instant, wall: int, readings: Readings
) -> Status:
    pool = machine.balancer.pools[place[0]]
    settings = pool.settings.servers[place[1]]
    failures = pool.failures(place[1])
    weight, wanted = pool.standing(place[1])
    since = machine.since.get(place)
    return {
        "server": str(pool.key(settings)),
        "method": settings.method.forwarding.value,
        "state": _state(machine, place, bool(failures)),
        "since": wall - (now - since) // NANOSECONDS_PER_SECOND if since is not None else None,
        "weight": weight,
        "weight_wanted": wanted,
        "weight_configured": settings.weight,
        "failures": failures,
        "checks": len(settings.checkers),
        **_figures(_sum(machine.balancer.keys_of(place[0]), pool.key(settings), readings)),
    }


def _sorry(machine: Balancing, number: int, readings: Readings) -> Status | None:
    pool = machine.balancer.pools[number]
    sorry = pool.settings.sorry_server
    if sorry is None:
        return None
    key = DestinationKey(sorry.ip, sorry.port or naming.port_of(pool.settings))
    figures = _figures(_sum(machine.balancer.keys_of(number), key, readings))
    method = sorry.method.forwarding.value
    return {"server": str(key), "method": method, "serves": not pool.quorate, **figures}


def _state(machine: Balancing, place: Place, failed: bool) -> str:
    if failed:
        return "down"
    if place in machine.draining:
        return "drained" if machine.draining[place] else "draining"
    return "up"


def _sum(keys: tuple[ServiceKey, ...], server: DestinationKey, readings: Readings) -> Counters:
    some = [found for key in keys if (found := readings.get((key, server))) is not None]
    return Counters(
        connections=sum(one.connections for one in some),
        packets_in=sum(one.packets_in for one in some),
        packets_out=sum(one.packets_out for one in some),
        bytes_in=sum(one.bytes_in for one in some),
        bytes_out=sum(one.bytes_out for one in some),
        active=sum(one.active for one in some),
        inactive=sum(one.inactive for one in some),
    )


def _figures(counters: Counters) -> Status:
    return {
        "connections": counters.connections,
        "packets_in": counters.packets_in,
        "packets_out": counters.packets_out,
        "bytes_in": counters.bytes_in,
        "bytes_out": counters.bytes_out,
        "active": counters.active,
        "inactive": counters.inactive,
    }
