"""One VRRP ADVERTISEMENT and how it came here: values between the wire and the machine."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from standfest.model.time import Duration
from standfest.model.vrrp import Family, IPAddress

ADDRESS_BYTES = {Family.IPV4: 4, Family.IPV6: 16}


@dataclass(frozen=True, slots=True)
class Advertisement:
    """What a router says of one virtual router; whether to believe it is not said here.

    interval: version 2 whole seconds 1..255, version 3 10 ms..40.95 s (12 bits of centiseconds).
    addresses: the address list as it stands on the wire, 4 or 16 bytes each, at most 255.
    authentication: the 8 bytes of version 2, never shown; its type is 0, 1 (PASS) or 2 (AH).
    sequence: of the authentication header, 0 without one.
    """

    family: Family
    version: int
    vrid: int
    priority: int
    interval: Duration
    addresses: bytes
    authentication_type: int = 0
    authentication: bytes = field(default=bytes(8), repr=False)
    sequence: int = 0

    @property
    def count(self) -> int:
        """Return how many addresses are listed."""
        return len(self.addresses) // ADDRESS_BYTES[self.family]

    def address_list(self) -> tuple[IPAddress, ...]:
        """Return the addresses for people and for logs, in the order of the wire."""
        size = ADDRESS_BYTES[self.family]
        parts = (self.addresses[at : at + size] for at in range(0, len(self.addresses), size))
        if self.family is Family.IPV4:
            return tuple(IPv4Address(part) for part in parts)
        return tuple(IPv6Address(part) for part in parts)


@dataclass(frozen=True, slots=True)
class Arrival:
    """An advertisement with its IP header's facts; addresses packed, in network order.

    interface: where it came in; ttl: TTL or hop limit, 0..255.
    """

    interface: str
    source: bytes
    destination: bytes
    ttl: int
    advertisement: Advertisement
