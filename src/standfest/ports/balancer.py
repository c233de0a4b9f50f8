"""What a data plane must offer: read what is forwarded, change it, count it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from standfest.model.forwarding import (
    Change,
    Counters,
    DestinationKey,
    ServiceKey,
    Shares,
    Table,
)
from standfest.model.slots import Slots


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do on this machine, found by trying.

    methods: of NAT, DR and TUN; schedulers: by name; counted: whether it chooses by
    connections (lc, wlc, ...) and heeds thresholds itself: else it is told what follows from a
    count. marks, all_ports: services by packet mark, and by every port of an address.
    client_header: servers may be told who the client is (model.forwarding.CLIENT_HEADER).
    """

    methods: frozenset[str]
    schedulers: frozenset[str]
    ipv6: bool
    persistence: bool
    sync: bool
    counted: bool
    protocols: frozenset[str] = frozenset({"TCP", "UDP", "SCTP"})
    marks: bool = True
    all_ports: bool = True
    client_header: bool = False


class Scheduling(Protocol):
    """How a scheduler becomes a table of slots: a policy, handed to backends that only look up."""

    def __call__(
        self, scheduler: str, flags: Sequence[str], weights: Mapping[str, int], /
    ) -> Slots:
        """Return the table; raises ValueError naming the alternative to an unknown scheduler."""


class BalancerBackend(Protocol):
    """One data plane. Every call raises OperationError when the kernel refuses."""

    name: str

    def capabilities(self) -> Capabilities:
        """Return what it can do here."""

    def read(self) -> Table:
        """Return what is forwarded now: a daemon that starts again adopts it."""

    def apply(self, changes: Sequence[Change]) -> None:
        """Make the changes, in order; all or nothing where the kernel can."""

    def share(self, shares: Mapping[ServiceKey, Shares]) -> None:
        """Let servers take turns by these shares, until their service changes; `read` says nothing.

        For schedulers by connections. Never asked of a backend that counts them itself.
        """

    def counters(self) -> Mapping[tuple[ServiceKey, DestinationKey], Counters]:
        """Return what every server has carried, and its connections now."""

    def close(self, *, keep: bool) -> None:
        """Let go; keep: what is forwarded goes on (an upgrade), else it is removed."""


@runtime_checkable
class Follower(Protocol):
    """A backend that has to follow interfaces and ways to servers itself."""

    def follow(self) -> None:
        """Do so; called every second."""


@runtime_checkable
class CountingOnDemand(Protocol):
    """A backend that counts some packets only while somebody looks."""

    def count_packets(self) -> None:
        """Count them from now on, and while this is called from time to time."""


@runtime_checkable
class Forgetful(Protocol):
    """A backend that remembers silent connections for a time that can be set."""

    def set_timeouts(self, tcp_s: int, tcp_fin_s: int, udp_s: int) -> None:
        """Set how long, in seconds; 0: as it is."""
