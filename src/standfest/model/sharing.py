"""Addresses that several nodes answer for at once, each a part of the clients (ClusterIP).

A packet falls into a bucket by a hash of where it comes from; every node gets every packet and
answers those of its own buckets. Source: iptables-extensions(8) CLUSTERIP and cluster; TUM-I0828
section 5.4; docs/adr/0024-load-sharing.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Final

from standfest.model.time import Duration

MAX_MEMBERS: Final = 64
MAX_BUCKETS: Final = 4096
BUCKETS_PER_MEMBER: Final = 64
"""So many by default: one more or less is 1.6 % of a node's share."""

FOREVER: Final = (1 << 63) - 1
"""What is left of a lease that ends only when somebody says so, in ns."""


class HashMode(Enum):
    """What of a packet decides its bucket, by CLUSTERIP's names."""

    SOURCE_IP = "sourceip"
    SOURCE_IP_PORT = "sourceip-sourceport"
    SOURCE_IP_PORTS = "sourceip-sourceport-destport"


class Established(Enum):
    """What becomes of a TCP connection whose bucket moves in good order.

    STAY: it stays where it is until it ends. MOVE: it is reset by the new owner.
    """

    STAY = "stay"
    MOVE = "move"


class NoQuorum(Enum):
    """What a node does that no majority of the members hears (CIB: no_quorum_policy).

    STOP: it answers nothing. IGNORE: members that are not heard do not count, because whoever is
    not heard on the shared network does not answer there either: an administrator's word.
    """

    STOP = "stop"
    IGNORE = "ignore"


class Target(Enum):
    """What in the kernel decides: our rule set, or where an old configuration asks for it."""

    AUTO = "auto"
    NFTABLES = "nftables"
    XT_CLUSTER = "xt_cluster"
    CLUSTERIP = "CLUSTERIP"


@dataclass(frozen=True, slots=True)
class Layout:
    """How packets fall into buckets; all nodes must have the same.

    buckets: 1..MAX_BUCKETS, numbered from 0. seed: CLUSTERIP's hash-init, 32 bits.
    """

    mode: HashMode
    buckets: int
    seed: int


@dataclass(frozen=True, slots=True)
class Flow:
    """Who asks whom; ports are 0 where the protocol has none."""

    source: IPv4Address | IPv6Address
    source_port: int = 0
    destination_port: int = 0


@dataclass(frozen=True, slots=True)
class SharedAddress:
    """One shared address set on one node.

    name: of its tables and sockets. addresses: with prefix lengths; one bucket table for all.
    mac: six bytes, what neighbours are told: a multicast one, or a unicast one on a network that
    floods it.
    """

    name: str
    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    interface: str
    mac: bytes
    layout: Layout
    established: Established = Established.STAY

    @property
    def is_multicast(self) -> bool:
        """Return whether the MAC address is a group's."""
        return bool(self.mac[0] & 1)


@dataclass(frozen=True, slots=True)
class Answering:
    """What one node's packet filter answers.

    mine: buckets of new and established connections. orphaned: those of mine whose last owner is
    dead: packets of connections nobody knows are let through, so that the stack resets them.
    former: given away in good order; connections that are established here are still answered.
    """

    mine: frozenset[int] = frozenset()
    orphaned: frozenset[int] = frozenset()
    former: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Member:
    """One node that takes part; weight: its share of the buckets, 0 none."""

    name: str
    weight: int = 1


@dataclass(frozen=True, slots=True)
class SharingSettings:
    """How the members agree; the order of members is the same in every node's file.

    keepalive: between two beats; deadtime: so long must a node be silent to be dead.
    """

    members: tuple[Member, ...]
    layout: Layout
    keepalive: Duration
    deadtime: Duration
    no_quorum: NoQuorum = NoQuorum.STOP


Buckets = int
"""A set of buckets as the bits of a number: bucket 0 is bit 0."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What a member says of itself, every keepalive and whenever it changes.

    generation: of its start; number: of the beat, from 1 in each generation. layout: a digest;
    only members with the same one share buckets. abstains: it votes for nobody, answers nothing.
    wants: what it asks votes for, and has; holds: what it answers; former: what it gave away but
    answers established connections of; known: what it knows others to have given away so. votes:
    member -> the buckets it votes for it. echoes: member -> the generation and number of the
    newest beat that it has heard from it.
    """

    source: str
    generation: int
    number: int
    layout: int
    draining: bool = False
    abstains: bool = False
    wants: Buckets = 0
    holds: Buckets = 0
    former: Buckets = 0
    known: Buckets = 0
    votes: Mapping[str, Buckets] = field(default_factory=dict)
    echoes: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def bucket_set(buckets: Buckets) -> frozenset[int]:
    """Return the numbers of the buckets."""
    return frozenset(number for number in range(buckets.bit_length()) if buckets >> number & 1)


def as_buckets(numbers: Iterable[int]) -> Buckets:
    """Return the buckets of these numbers."""
    found = 0
    for number in numbers:
        found |= 1 << number
    return found


def name_of(address: IPv4Address | IPv6Address) -> str:
    """Return the name of an address that is shared alone, as the cluster's agent does."""
    return "ip_" + str(address).replace(":", "_")
