"""What a list of changes comes to, all of it checked before anything is done.

What the program cannot do is an error that names who can. Source: docs/adr/0018-xdp-backend.md.
"""

from collections.abc import Mapping, Sequence

from standfest.model.balancing import Forwarding, TunnelType
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
from standfest.ports.balancer import Scheduling
from standfest.wire import xdp

MAX_WEIGHT = 65535


def plan(
    table: Table, changes: Sequence[Change], scheduling: Scheduling
) -> dict[ServiceKey, Service | None]:
    """Return the services that the changes touch as they will be, None: gone.

    Raises OperationError, with nothing done, for what cannot be.
    """
    after: dict[ServiceKey, Service | None] = {}
    for change in changes:
        key = change.key if isinstance(change, _OF_SERVICES) else change.service
        there = after[key] if key in after else table.get(key)
        after[key] = _after(key, there, change, scheduling)
    return after


_OF_SERVICES = AddService | SetService | DeleteService


def _after(
    key: ServiceKey, there: Service | None, change: Change, scheduling: Scheduling
) -> Service | None:
    if isinstance(change, AddService):
        if there is not None:
            raise OperationError(f"add {key}: it is there already")
        return Service(_possible(key, change.options, scheduling), {})
    if there is None:
        raise OperationError(f"change {key}: no such service")
    match change:
        case SetService(_, options):
            return Service(_possible(key, options, scheduling), there.destinations)
        case DeleteService():
            return None
        case AddDestination(_, name, value) | SetDestination(_, name, value):
            if isinstance(change, SetDestination) is not (name in there.destinations):
                state = "no such server" if isinstance(change, SetDestination) else "there already"
                raise OperationError(f"change {name} of {key}: {state}")
            check_destination(key, name, value)
            return Service(there.options, {**there.destinations, name: value})
        case DeleteDestination(_, name):
            if name not in there.destinations:
                raise OperationError(f"remove {name} from {key}: no such server")
            kept = {k: value for k, value in there.destinations.items() if k != name}
            return Service(there.options, kept)


def _possible(key: ServiceKey, options: ServiceOptions, scheduling: Scheduling) -> ServiceOptions:
    """Return the options if the program can do that."""
    if key.address is None:
        raise OperationError(f"{key}: xdp sees no marks; expected backend ipvs or nftables")
    if key.protocol not in xdp.PROTOCOLS:
        raise OperationError(f"{key}: expected one of {', '.join(xdp.PROTOCOLS)}")
    if options.engine:
        raise OperationError(f"{key}: engine {options.engine} is not in xdp; expected backend ipvs")
    if len(",".join(options.flags).encode()) > xdp.MAX_FLAGS_BYTES:
        raise OperationError(f"{key}: flags are longer than {xdp.MAX_FLAGS_BYTES} bytes")
    try:
        scheduling(options.scheduler, options.flags, {})
    except ValueError as error:
        raise OperationError(f"{key}: {error}") from error
    return options


def check_destination(key: ServiceKey, name: DestinationKey, value: Destination) -> None:
    """Raise OperationError if the program cannot reach the server so."""
    what = f"{name} of {key}"
    method = value.method
    if method.forwarding is Forwarding.NAT:
        raise OperationError(
            f"{what}: xdp does DR and TUN, not NAT; expected backend nftables or ipvs for NAT"
        )
    if method.forwarding is Forwarding.TUNNEL and method.tunnel is not TunnelType.IPIP:
        raise OperationError(
            f"{what}: xdp tunnels as ipip, not {method.tunnel.value}; expected backend ipvs"
        )
    if name.address.version != key.family.value:
        raise OperationError(f"{what}: xdp keeps a service's family; expected backend ipvs")
    if not 0 <= value.weight <= MAX_WEIGHT:
        raise OperationError(f"{what}: weight {value.weight}; expected 0..{MAX_WEIGHT}")


def weights(service: Service) -> Mapping[str, int]:
    """Return the servers' weights as schedulers want them."""
    return {str(name): value.weight for name, value in service.destinations.items()}
