"""The xdp backend: direct routing and tunnels in the network driver. Implements BalancerBackend.

What is forwarded is pinned in a bpf file system and goes on when the daemon dies; the next one
adopts it and puts its own program in place between two packets.
Source: docs/adr/0018-xdp-backend.md.
"""

import contextlib
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from standfest.adapters.linux.nexthop import Way, Ways
from standfest.adapters.linux.xdp import programs
from standfest.adapters.linux.xdp.attachments import Attachments
from standfest.adapters.linux.xdp.choosing import Limits
from standfest.adapters.linux.xdp.flows import XdpFlows
from standfest.adapters.linux.xdp.plan import plan
from standfest.adapters.linux.xdp.program import CONNECTIONS, balancer, shapes
from standfest.adapters.linux.xdp.programs import Mode
from standfest.adapters.linux.xdp.syscall import DIRECTORY, own_directory
from standfest.adapters.linux.xdp.tables import Tables
from standfest.model.errors import OperationError
from standfest.model.forwarding import (
    Change,
    Counters,
    DestinationKey,
    IPAddress,
    Service,
    ServiceKey,
    Shares,
)
from standfest.model.vrrp import Family
from standfest.ports.balancer import Capabilities, Scheduling
from standfest.ports.flows import FlowTable
from standfest.wire import xdp

VERSION = "v1"
"""Of the maps' layout: another version's are left alone, and their programs replaced."""
SCHEDULERS = (
    "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos",
)  # fmt: skip


class XdpBackend:
    """All services of this network namespace that are balanced in drivers.

    scheduling: how a scheduler becomes a table. interfaces: where packets come in; empty: every
    Ethernet interface that is up and has an address. directory: where to pin, a bpf file system or
    a place to mount one. mode: None: in the driver where it can. connections: how many of a family
    are remembered.
    """

    name = "xdp"

    def __init__(
        self,
        scheduling: Scheduling,
        *,
        interfaces: Sequence[str] = (),
        directory: Path = DIRECTORY,
        mode: Mode | None = None,
        limits: Limits | None = None,
        connections: Mapping[Family, int] = CONNECTIONS,
    ) -> None:
        self._scheduling = scheduling
        self._limits = limits or Limits()
        self._directory = own_directory(directory, VERSION)
        self._tables = Tables(self._directory, shapes(connections), scheduling)
        self._attachments = Attachments(self._directory, interfaces, self.load_program, mode)
        self._ways = Ways()
        self._way: dict[IPAddress, Way] = {}
        self._table = self._tables.load()
        _route_for_loopback()
        self._adopt()

    def capabilities(self) -> Capabilities:
        """Return what the program can do; that it is there at all has been tried."""
        return Capabilities(
            methods=frozenset({"DR", "TUN"}),
            schedulers=frozenset(name for name in SCHEDULERS if self._has(name)),
            ipv6=Path("/proc/sys/net/ipv6").exists(),
            persistence=True,
            sync=False,  # the daemon copies connections itself: daemons/balancer/flowsync
            counted=False,
        )

    def read(self) -> dict[ServiceKey, Service]:
        """Return all services with their servers, from the kernel's maps."""
        self._table = self._tables.load()
        return dict(self._table)

    def apply(self, changes: Sequence[Change]) -> None:
        """Make the changes; what cannot be is found before anything is done.

        A service changes as a whole: no packet sees a table between two changes of one call.
        """
        planned = plan(self._table, changes, self._scheduling)
        if any(service for service in planned.values()):
            self._attachments.follow()
            self._find_ways(planned)
        before = {key: self._table.get(key) for key in planned}
        self._tables.begin()
        for key, service in planned.items():
            if service is None:
                self._remove(key)
            else:
                self._publish(key, service)
        self._tables.end()
        if addresses(before.values()) - addresses(planned.values()):
            self._forget_neighbours()
        if not self._table:
            self._attachments.detach()

    def counters(self) -> Mapping[tuple[ServiceKey, DestinationKey], Counters]:
        """Return what every server has carried, and its connections now.

        Interfaces that have come and MACs that have changed since are noticed here, too.
        """
        if self._table:
            self._attachments.follow()
            self._find_missing_ways()
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) >> xdp.TICK_SHIFT
        connections = self._tables.connections(now)
        found = {}
        for key, known in self._tables.known.items():
            for name, number in known.servers.items():
                active, inactive = connections.get(number, (0, 0))
                carried = self._tables.carried(number)
                found[key, name] = Counters(
                    connections=carried.connections,
                    packets_in=carried.packets_in,
                    bytes_in=carried.bytes_in,
                    active=active,
                    inactive=inactive,
                )
        return found

    def share(self, shares: Mapping[ServiceKey, Shares]) -> None:
        """Write these services' tables by their shares."""
        for key, parts in shares.items():
            self._tables.share(key, {str(name): part for name, part in parts.items()})

    def flow_table(self) -> FlowTable:
        """Return the connections, for a director that copies them to its partner."""
        return XdpFlows(self._tables, lambda: self._limits)

    def set_timeouts(self, tcp_s: int, tcp_fin_s: int, udp_s: int) -> None:
        """Set how long silent connections are remembered, in seconds; 0: as it is."""
        was = self._limits
        self._limits = Limits(
            was.opening_s, tcp_s or was.tcp_s, tcp_fin_s or was.tcp_fin_s, udp_s or was.udp_s
        )
        self._attachments.replace()

    def close(self, *, keep: bool) -> None:
        """Let go; keep=False takes the programs off their interfaces and frees their memory."""
        if not keep:
            self._attachments.detach()
            for path in self._directory.iterdir():
                path.unlink()
            self._directory.rmdir()
        self._attachments.close()
        self._ways.close()
        self._tables.close()

    def load_program(self, mac: bytes) -> int:
        """Return the descriptor of a program for an interface with this MAC, not yet attached."""
        code = balancer(mac, self._limits)
        descriptors = {name: one.descriptor for name, one in self._tables.maps.items()}
        return programs.load(code.link(descriptors), "sf_balancer")

    # --- steps ----------------------------------------------------------------------------------

    def _adopt(self) -> None:
        """Go on from what is in the kernel."""
        self._attachments.adopt()
        self._find_ways(self._table)
        if self._tables.unfinished:
            for key, service in list(self._table.items()):
                self._publish(key, service)
            self._tables.end()

    def _publish(self, key: ServiceKey, service: Service) -> None:
        self._tables.publish(key, service, self._source)
        self._table[key] = service

    def _remove(self, key: ServiceKey) -> None:
        if key in self._table:
            self._tables.remove(key)
            del self._table[key]

    def _find_ways(self, table: Mapping[ServiceKey, Service | None]) -> None:
        """Have the next hops to all servers known before packets need them."""
        unknown = addresses(table.values()) - self._way.keys()
        fresh = {address: self._ways.to(address) for address in unknown}
        for way in fresh.values():
            self._ways.keep_known(way)
        self._ways.wait(fresh.values())
        self._way |= fresh

    def _source(self, address: IPAddress) -> IPAddress:
        """Return where tunnelled packets to a server come from."""
        return self._way[address].source

    def _forget_neighbours(self) -> None:
        """Leave those that no server is behind any more to their usual ageing."""
        gone = self._way.keys() - addresses(self._table.values())
        ways = [self._way.pop(address) for address in gone]
        needed = {way.neighbour for way in self._way.values()}
        for way in ways:
            if way.neighbour not in needed:
                self._ways.forget(way)

    def _find_missing_ways(self) -> None:
        """Look again for servers to which there was no route."""
        lost = {address for address, way in self._way.items() if not int(way.source)}
        for address in lost:
            del self._way[address]
        self._find_ways(self._table)
        for key, service in list(self._table.items()):
            if any(name.address in lost for name in service.destinations):
                self._publish(key, service)

    def _has(self, scheduler: str) -> bool:
        try:
            self._scheduling(scheduler, (), {})
        except ValueError:
            return False
        return True


def addresses(services: Iterable[Service | None]) -> set[IPAddress]:
    """Return the addresses of all servers."""
    return {name.address for service in services if service for name in service.destinations}


def _route_for_loopback() -> None:
    """Let the kernel answer route lookups in loopback's name, which needs forwarding there.

    Nothing else follows from it: what arrives on loopback is local. IPv6 may not be there.
    """
    for family in ("ipv4", "ipv6"):
        path = Path(f"/proc/sys/net/{family}/conf/lo/forwarding")
        with contextlib.suppress(FileNotFoundError):
            if path.read_text(encoding="ascii").strip() == "1":
                continue
            try:
                path.write_text("1", encoding="ascii")
            except FileNotFoundError:
                continue
            except OSError as error:
                reason = os.strerror(error.errno or 0)
                raise OperationError(f"xdp: {path}: {reason}; route lookups need 1") from error
