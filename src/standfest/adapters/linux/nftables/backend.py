"""The nftables backend: NAT and DR by maps of the packet filter. Implements BalancerBackend.

Only tables of our own are touched. Thresholds are kept but not enforced: whoever counts connections
gives a server that has enough weight 0. Source: docs/adr/0022; facts/DATAPLANE.md section 1.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from standfest.adapters.linux.conntrack import Conntrack
from standfest.adapters.linux.nftables import image as im
from standfest.adapters.linux.nftables import ingress
from standfest.adapters.linux.nftables import plane as pl
from standfest.adapters.linux.nftables.counting import PacketCounting
from standfest.adapters.linux.nftables.flows import BalancedFlows
from standfest.adapters.linux.nftables.image import Image
from standfest.adapters.linux.nftables.kernel import ChangedError, NetfilterNetlink
from standfest.adapters.linux.nftables.learned import LearnedFlows, Servers
from standfest.adapters.linux.nftables.network import Network
from standfest.adapters.linux.nftables.plane import Path, Plane
from standfest.adapters.linux.nftables.rules import Shape, choice, known
from standfest.adapters.linux.nftables.skeleton import trial
from standfest.adapters.linux.nftables.transaction import Transaction
from standfest.adapters.linux.trackedflows import TrackedFlows
from standfest.model.errors import OperationError
from standfest.model.flows import Flow
from standfest.model.forwarding import (
    Change,
    Counters,
    DestinationKey,
    Service,
    ServiceKey,
    ServiceOptions,
    Shares,
)
from standfest.model.slots import Choice
from standfest.model.time import Instant
from standfest.model.vrrp import Family
from standfest.ports.balancer import Capabilities, Scheduling
from standfest.ports.flows import FlowTable
from standfest.wire import conntrack
from standfest.wire.nftables import NETDEV, Message, read_number

ATTEMPTS: Final = 5
"""How often a change is made anew because another program changed the rule set meanwhile."""
SCHEDULERS: Final = frozenset(
    ["rr", "wrr", "lc", "wlc", "sed", "nq", "sh", "dh", "mh", "fo"]
)  # fmt: skip

Server = tuple[ServiceKey, DestinationKey]


class NftablesBackend:
    """All services of this network namespace's packet filter that are ours."""

    name = "nftables"

    def __init__(
        self, scheduling: Scheduling, clock: Callable[[], Instant] = time.monotonic_ns
    ) -> None:
        """Open the kernel; raises OperationError. scheduling: how a scheduler becomes slots."""
        self._scheduling, self._clock = scheduling, clock
        # By chance: no server gets the number of one that another daemon has removed lately.
        self._last_number = int.from_bytes(os.urandom(3))
        self._netlink = NetfilterNetlink()
        self._packets = PacketCounting(self._netlink, self._known_planes, self._passed)
        self._image: Image | None = None
        try:
            self._try([_probe(Plane(Family.IPV4))])
        except OperationError:
            self._netlink.close()
            raise
        able = self._accepts(Plane(Family.IPV4, Path.INGRESS))
        self._network = Network() if able else None
        self._is_behind = True  # whatever has changed while no daemon was there

    def capabilities(self) -> Capabilities:
        """Return what the kernel accepts; nothing is changed by asking."""
        four, six = Plane(Family.IPV4, Path.COPIED), Plane(Family.IPV6)
        return Capabilities(
            methods=frozenset({"NAT", "DR"} if self._accepts(four) else {"NAT"}),
            schedulers=SCHEDULERS,
            ipv6=self._accepts(six),
            persistence=True,
            sync=False,  # the daemon copies connections itself: daemons/balancer/flowsync
            counted=False,
        )

    def read(self) -> dict[ServiceKey, Service]:
        """Return all services with their servers, from the kernel's maps and nothing else."""
        self._image = self._read()
        return self._image.table()

    def apply(self, changes: Sequence[Change]) -> None:
        """Make the changes at once, or none; then end connections of servers that are gone."""
        self._commit(lambda transaction: transaction.apply(changes))

    def share(self, shares: Mapping[ServiceKey, Shares]) -> None:
        """Deal the slots of these services by their shares, all in one transaction."""
        self._commit(lambda transaction: transaction.share(shares))

    def follow(self) -> None:
        """Follow interfaces and ways to servers; to be called every second.

        Packets that nobody asks for are counted no more.
        """
        self._packets.on_time(self._clock())
        if self._network is None:
            return
        self._is_behind |= self._network.has_changed()
        if not self._is_behind:
            return
        image = self._image or self._read()
        if any(plane.path is Path.INGRESS for plane in image.planes):
            # With an interface its chain may have gone, of which no number tells.
            self._image = replace(image, chains=self._chains())
            self._commit(Transaction.surround)
        self._is_behind = False

    def _commit(self, fill: Callable[[Transaction], None]) -> None:
        for _ in range(ATTEMPTS):
            image = self._image
            if image is None or image.generation != self._netlink.generation():
                image = self._image = self._read()
            transaction = Transaction(image, self._scheduling, self._network)
            fill(transaction)
            messages = transaction.messages()
            if not messages:
                return
            try:
                self._netlink.commit(image.generation, messages)
            except ChangedError:
                self._image = None
                continue
            self._image = transaction.image()
            self._last_number = self._image.last_number
            self._end_connections(transaction.released)
            return
        raise OperationError("change the rule set: another program changes it all the time")

    def counters(self) -> Mapping[Server, Counters]:
        """Return what every server has carried, and its connections now."""
        image = self._image or self._read()
        names: dict[int, Server] = {}
        for key, held in image.services.items():
            names.update({mark: (key, d) for d, mark in held.servers.items()})
        requests = self._counted(image, Path.TRANSLATED, pl.REQUESTS)
        requests |= self._counted(image, Path.COPIED, pl.REQUESTS)
        requests |= self._counted(image, Path.INGRESS, pl.HOSTS)
        answers = self._counted(image, Path.TRANSLATED, pl.ANSWERS)
        began: dict[int, tuple[int, int]] = {}
        for path in Path:
            began |= self._counted(image, path, pl.CONNECTIONS)
        active, inactive = self._connections(image)
        found: dict[Server, Counters] = {}
        for mark, name in names.items():
            packets_in, bytes_in = requests.get(mark, (0, 0))
            packets_out, bytes_out = answers.get(mark, (0, 0))
            found[name] = Counters(
                began.get(mark, (0, 0))[0],
                packets_in=packets_in,
                packets_out=packets_out,
                bytes_in=bytes_in,
                bytes_out=bytes_out,
                active=active[mark],
                inactive=inactive[mark],
            )
        return found

    def close(self, *, keep: bool) -> None:
        """Let go of the kernel; keep=False removes our tables and ends their connections."""
        if not keep:
            image = self._read()
            tables = [plane.table.delete() for plane in image.planes | image.foreign]
            if tables:
                self._netlink.commit(image.generation, tables)
                if any(not plane.direct for plane in image.planes):
                    self._end_all()
        self._netlink.close()
        if self._network is not None:
            self._network.close()

    def count_packets(self) -> None:
        """Count packets by NAT, too, from now on and while this is called from time to time."""
        self._packets.ask(self._clock())

    def flow_table(self) -> FlowTable:
        """Return all connections but those by a mark, for a director that has a partner."""
        servers = Servers(self._known)
        return BalancedFlows(
            TrackedFlows(_is_ours, servers.mark_of), LearnedFlows(servers, self._passed), servers
        )

    def _known_planes(self) -> frozenset[Plane]:
        return self._known().planes

    def _known(self) -> Image:
        image = self._image = self._image or self._read()
        return image

    def _passed(self, generation: int) -> None:
        """Note that a transaction has made another rule set in which our services are the same."""
        if self._image is not None and self._image.generation == generation:
            self._image = replace(self._image, generation=generation + 1)

    # --- the kernel -----------------------------------------------------------------------------

    def _read(self) -> Image:
        for _ in range(ATTEMPTS):
            generation = self._netlink.generation()
            comments = {p: self._netlink.table_comment(p.table) for p in pl.PLANES}
            try:
                image = im.read(
                    generation,
                    comments,
                    lambda plane, name: self._netlink.elements(plane.table, name),
                    self._chains(),
                    self._last_number,
                )
            except ChangedError:
                continue
            if generation == self._netlink.generation():
                return image
        raise OperationError("read the rule set: another program changes it all the time")

    def _counted(self, image: Image, path: Path, name: str) -> dict[int, tuple[int, int]]:
        """Return (packets, bytes) of each server's element in a set that counts."""
        return {
            read_number(element.key): (element.packets, element.octets)
            for plane in image.planes
            if plane.path is path
            for element in self._netlink.elements(plane.table, name)
        }

    def _chains(self) -> dict[Plane, frozenset[str]]:
        """Return the chains of interfaces that are there."""
        found = self._netlink.chains(NETDEV)
        return {
            plane: frozenset(
                chain
                for table, chain in found
                if table == plane.table.name and ingress.is_of_interface(chain)
            )
            for plane in pl.PLANES
            if plane.path is Path.INGRESS
        }

    def _connections(self, image: Image) -> tuple[Counter[int], Counter[int]]:
        """Return how many connections each server has: established ones, and others."""
        active, inactive = Counter[int](), Counter[int]()
        if any(not plane.direct for plane in image.planes):
            table = Conntrack()
            for flow in table.flows(mark=pl.SERVER_MARKS, mask=pl.SERVER_MASK):
                tcp = flow.key.protocol == conntrack.TCP
                lives = tcp and flow.tcp_state == conntrack.ESTABLISHED
                (active if lives else inactive)[flow.mark] += 1
            table.close()
        for key, held in image.services.items():
            if held.plane.path is not Path.COPIED:
                continue
            for element in self._netlink.elements(held.plane.table, pl.flows_of(held.number)):
                # A datagram's "connection" is never more than a memory.
                lives = key.protocol != "UDP" and element.expiration_ms > ingress.CLOSING_S * 1000
                (active if lives else inactive)[read_number(element.data)] += 1
            for element in self._netlink.elements(held.plane.table, pl.closing_of(held.number)):
                inactive[read_number(element.data)] += 1
        for plane in image.planes:
            if plane.path is not Path.INGRESS:
                continue
            size = ingress.key_bytes(plane)
            for flow_key, data, _, left_ms in self._netlink.learned(plane.table, pl.FLOWS, size):
                lives = left_ms > ingress.CLOSING_S * 1000
                lives = lives and ingress.protocol_of(flow_key) != pl.UDP
                (active if lives else inactive)[read_number(data)] += 1
            for _, data, _, _ in self._netlink.learned(plane.table, pl.CLOSING, size):
                inactive[read_number(data)] += 1
        return active, inactive

    def _end_connections(self, marks: Iterable[int]) -> None:
        """Forget connections of servers that are gone: their next packet is refused or goes on."""
        marks = list(marks)
        if not marks:
            return
        table = Conntrack()
        try:
            for mark in marks:
                table.delete_mark(mark)
        finally:
            table.close()

    def _end_all(self) -> None:
        table = Conntrack()
        try:
            table.delete_mark(pl.SERVER_MARKS, pl.SERVER_MASK)
        finally:
            table.close()

    def _accepts(self, plane: Plane) -> bool:
        try:
            self._try([_probe(plane)])
        except OperationError:
            return False
        return True

    def _try(self, probes: Iterable[list[Message]]) -> None:
        for probe in probes:
            for _ in range(ATTEMPTS):
                try:
                    self._netlink.commit(self._netlink.generation(), probe)
                    break
                except ChangedError:
                    continue


def _is_ours(flow: Flow) -> bool:
    """Return whether a tracked connection is one of a server of ours."""
    return flow.mark & pl.SERVER_MASK == pl.SERVER_MARKS


def _probe(plane: Plane) -> list[Message]:
    """Return a transaction that makes a table with a service of each kind, and removes it again."""
    options = ServiceOptions(timeout=60)
    shapes = (Shape(n, "TCP", options, one, 2) for n, one in enumerate(Choice, 1))
    return trial(plane, [(list(known(plane, s)), list(choice(plane, s))) for s in shapes])
