"""Tables and changes of the balancer <-> what a proxy and its controller say (proxycontrol).

Reading is total: whatever was said, the outcome is a value that a proxy could serve, or WireError.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, ip_address

from standfest.model.balancing import Method
from standfest.model.errors import WireError
from standfest.model.forwarding import (
    AddDestination,
    AddService,
    Change,
    DeleteDestination,
    DeleteService,
    Destination,
    DestinationKey,
    IPAddress,
    Service,
    ServiceKey,
    ServiceOptions,
    SetDestination,
    SetService,
    Table,
)
from standfest.model.vrrp import Family
from standfest.wire.proxycontrol import Carried, Edit, Forwarded, Place, Row, Share, Shown, Way

MAX_SHARE = 0x7FFFFFFF
"""Of weights and thresholds."""


def edit(change: Change) -> Edit:
    """Return one change as it is said."""
    match change:
        case AddService(key, chosen):
            return Edit("add-service", place(key), way(chosen))
        case SetService(key, chosen):
            return Edit("set-service", place(key), way(chosen))
        case DeleteService(key):
            return Edit("delete-service", place(key))
        case AddDestination(service, key, value):
            return Edit("add-server", place(service), server=at(key), share=share(value))
        case SetDestination(service, key, value):
            return Edit("set-server", place(service), server=at(key), share=share(value))
        case DeleteDestination(service, key):
            return Edit("delete-server", place(service), server=at(key))


def change(said: Edit) -> Change:
    """Return what an edit means; raises WireError."""
    key = service_key(said.service)
    match said:
        case Edit("add-service", _, Way() as value):
            return AddService(key, options(value))
        case Edit("set-service", _, Way() as value):
            return SetService(key, options(value))
        case Edit("delete-service"):
            return DeleteService(key)
        case Edit("add-server", _, _, Place() as server, Share() as value):
            return AddDestination(key, destination_key(server), _shared(value))
        case Edit("set-server", _, _, Place() as server, Share() as value):
            return SetDestination(key, destination_key(server), _shared(value))
        case Edit("delete-server", _, _, Place() as server):
            return DeleteDestination(key, destination_key(server))
        case _:
            raise WireError("wrong-shape", f"no such edit: {said.verb[:40]}")


def show(table: Table) -> Forwarded:
    """Return a table as it is said, sorted."""
    return Forwarded(
        tuple(
            Shown(
                place(key),
                way(service.options),
                tuple(Row(at(d), share(v)) for d, v in sorted(service.destinations.items())),
            )
            for key, service in sorted(table.items())
        )
    )


def table(said: Forwarded) -> dict[ServiceKey, Service]:
    """Return the table that was shown; raises WireError."""
    return {
        service_key(shown.service): Service(
            options(shown.way),
            {destination_key(row.server): _shared(row.share) for row in shown.rows},
        )
        for shown in said.services
    }


def carried_by(row: Carried) -> tuple[ServiceKey, DestinationKey]:
    """Return whose figures these are; raises WireError."""
    return service_key(row.service), destination_key(row.server)


def place(key: ServiceKey) -> Place:
    """Return where a service by address is reached."""
    return Place(key.protocol, str(key.address), key.port)


def at(key: DestinationKey) -> Place:
    """Return where a server is reached."""
    return Place("", str(key.address), key.port)


def way(options: ServiceOptions) -> Way:
    """Return how a service chooses, as it is said."""
    mask = "" if options.mask is None else str(options.mask)
    return Way(
        options.scheduler,
        options.flags,
        options.timeout,
        mask,
        options.engine,
        options.one_packet,
    )


def share(value: Destination) -> Share:
    """Return how much a server gets; it is always NAT."""
    return Share(value.weight, value.upper, value.lower)


def packed_mask(options: ServiceOptions, family: Family) -> bytes:
    """Return the bits of a packed address that tell clients apart."""
    if family is Family.IPV4:
        return options.mask.packed if isinstance(options.mask, IPv4Address) else b"\xff" * 4
    length = options.mask if isinstance(options.mask, int) else 128
    return (((1 << length) - 1) << (128 - length)).to_bytes(16)


def service_key(said: Place) -> ServiceKey:
    """Return which service is meant; raises WireError."""
    if said.protocol not in {"TCP", "UDP"}:
        raise WireError("wrong-shape", f"protocol {said.protocol[:10]!r}")
    address = _address(said.address)
    return ServiceKey(Family(address.version), said.protocol, address, _port(said.port))


def destination_key(said: Place) -> DestinationKey:
    """Return which server is meant; raises WireError."""
    return DestinationKey(_address(said.address), _port(said.port))


def options(said: Way) -> ServiceOptions:
    """Return how a service chooses; raises WireError."""
    mask: IPv4Address | int | None = None
    if said.mask:
        try:
            mask = IPv4Address(said.mask) if "." in said.mask else int(said.mask)
        except ValueError as error:
            raise WireError("wrong-shape", f"mask {said.mask[:40]!r}") from error
        if isinstance(mask, int) and not 0 <= mask <= 128:
            raise WireError("wrong-shape", f"mask {mask}")
    if not 0 <= said.timeout <= 0xFFFFFFFF:
        raise WireError("wrong-shape", f"timeout {said.timeout}")
    return ServiceOptions(
        said.scheduler, said.flags, said.timeout, mask, said.engine, said.one_packet
    )


def destination(weight: int, upper: int, lower: int) -> Destination:
    """Return how much a server gets; raises WireError."""
    for number in (weight, upper, lower):
        if not 0 <= number <= MAX_SHARE:
            raise WireError("wrong-shape", f"a server's share: {number}")
    return Destination(Method(), weight, upper, lower)


def _shared(said: Share) -> Destination:
    return destination(said.weight, said.upper, said.lower)


def _address(text: str) -> IPAddress:
    try:
        return ip_address(text)
    except ValueError as error:
        raise WireError("wrong-shape", f"address {text[:50]!r}") from error


def _port(number: int) -> int:
    if not 0 <= number <= 0xFFFF:
        raise WireError("wrong-shape", f"port {number}")
    return number


def changes(said: Sequence[Edit]) -> list[Change]:
    """Return what edits mean; raises WireError."""
    return [change(one) for one in said]
