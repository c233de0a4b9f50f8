"""What a kernel (or the proxy) forwards: virtual services and their destinations, as plain values.

The balancer computes a `Table`, a backend reads one from the kernel, and the difference of the two
is what has to be done. Sources: ipvsadm(8), facts/DATAPLANE.md section 6.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from standfest.model.balancing import Method, Protocol
from standfest.model.vrrp import Family

IPAddress = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True, order=True)
class ServiceKey:
    """What is balanced: (protocol, address, port), or a packet mark; port 0: all ports."""

    family: Family
    protocol: str  # TCP, UDP, SCTP; empty for a mark
    address: IPAddress | None
    port: int
    mark: int = 0

    def __str__(self) -> str:
        """Return it as ipvsadm writes it: `TCP 192.0.2.1:80`, `FWM 5`."""
        if self.address is None:
            return f"FWM {self.mark}"
        host = f"[{self.address}]" if self.family is Family.IPV6 else str(self.address)
        return f"{self.protocol} {host}:{self.port}"


def service_key(
    protocol: Protocol, address: IPAddress | None, port: int = 0, *, mark: int = 0,
    family: Family | None = None,
) -> ServiceKey:  # fmt: skip
    """Return the key of an address, or (address None) of a mark, which needs a family."""
    if address is None:
        return ServiceKey(family or Family.IPV4, "", None, 0, mark)
    return ServiceKey(Family(address.version), protocol.value, address, port)


CLIENT_HEADER = "proxy-v2"
"""The flag of a service whose servers are told who the client is, by the PROXY protocol."""


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """How a service chooses; timeout: of persistence, seconds, 0 none.

    mask: what tells clients apart: IPv4 netmask or IPv6 prefix length; None: all bits.
    """

    scheduler: str = "wlc"
    flags: tuple[str, ...] = ()
    timeout: int = 0
    mask: IPv4Address | int | None = None
    engine: str = ""
    one_packet: bool = False


@dataclass(frozen=True, slots=True)
class DestinationKey:
    """One server of a service, which may be of another family than its service."""

    address: IPAddress
    port: int

    def __lt__(self, other: "DestinationKey") -> bool:
        """Return the order: IPv4 before IPv6, then address, then port."""
        mine = (self.address.version, int(self.address), self.port)
        return mine < (other.address.version, int(other.address), other.port)

    def __str__(self) -> str:
        """Return `192.0.2.10:80`."""
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Destination:
    """How a server gets its packets; weight 0: no new connections, thresholds 0: none."""

    method: Method
    weight: int
    upper: int = 0
    lower: int = 0


@dataclass(frozen=True, slots=True)
class Service:
    """One service with its destinations."""

    options: ServiceOptions
    destinations: Mapping[DestinationKey, Destination]


Table = Mapping[ServiceKey, Service]

Shares = Mapping[DestinationKey, int]
"""How the turns of a service are shared out, where its scheduler asks for connections (lc, ...)."""


@dataclass(frozen=True, slots=True)
class AddService:
    """Add a service, without destinations."""

    key: ServiceKey
    options: ServiceOptions


@dataclass(frozen=True, slots=True)
class SetService:
    """Change how a service chooses; its destinations and connections stay."""

    key: ServiceKey
    options: ServiceOptions


@dataclass(frozen=True, slots=True)
class DeleteService:
    """Remove a service with all its destinations."""

    key: ServiceKey


@dataclass(frozen=True, slots=True)
class AddDestination:
    """Add a server to a service."""

    service: ServiceKey
    key: DestinationKey
    destination: Destination


@dataclass(frozen=True, slots=True)
class SetDestination:
    """Change a server's weight, method or thresholds; its connections stay."""

    service: ServiceKey
    key: DestinationKey
    destination: Destination


@dataclass(frozen=True, slots=True)
class DeleteDestination:
    """Remove a server: nothing more is forwarded to it."""

    service: ServiceKey
    key: DestinationKey


Change = (
    AddService | SetService | DeleteService | AddDestination | SetDestination | DeleteDestination
)


@dataclass(frozen=True, slots=True)
class Counters:
    """What a service or server has carried since it was added."""

    connections: int = 0
    packets_in: int = 0
    packets_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    active: int = 0
    inactive: int = 0
