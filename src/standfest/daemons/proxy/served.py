"""One service as a worker knows it: its servers, its scheduler, its persistent clients."""

import socket
from collections.abc import Collection
from dataclasses import replace
from ipaddress import ip_address

from standfest.core.balancer.choosing import Chooser, Count, Server
from standfest.core.balancer.clients import Binding, Clients
from standfest.daemons.proxy.orders import Serve
from standfest.daemons.proxy.tally import Common
from standfest.model.forwarding import CLIENT_HEADER
from standfest.model.time import Instant, seconds
from standfest.model.vrrp import Family
from standfest.wire import proxytable

Choice = tuple[int, Binding | None]


class Served:
    """Chooses servers for one service."""

    def __init__(self, serve: Serve, common: Common) -> None:
        self.number = serve.number
        self.udp = serve.place.protocol == "UDP"
        address = ip_address(serve.place.address)
        self.family = Family(address.version)
        self._destination = address.packed
        self._packed_family = socket.AF_INET if self.family is Family.IPV4 else socket.AF_INET6
        self.clients: Clients | None = None
        self._turn, self._full = common.turn(serve.number), common.full
        self.update(serve)

    def update(self, serve: Serve) -> None:
        """Take over what is new; clients stay known as long as they are told apart as before."""
        options = proxytable.options(serve.way)
        servers = [
            Server(t.number, f"{t.address}:{t.port}", t.weight, t.upper, t.lower)
            for t in serve.targets
        ]
        self._serve = serve
        self.header = CLIENT_HEADER in options.flags
        self.one_packet = options.one_packet
        self.addresses = {t.number: (t.address, t.port) for t in serve.targets}
        self.families = {
            t.number: socket.AF_INET6 if ":" in t.address else socket.AF_INET for t in serve.targets
        }
        self._open = {server.number for server in servers if server.weight > 0}
        self._chooser = Chooser(
            options.scheduler, options.flags, servers, turn=self._turn, full=self._full
        )
        timeout, mask = seconds(options.timeout), proxytable.packed_mask(options, self.family)
        if not timeout:
            self.clients = None
        elif self.clients is None or self.clients.mask != mask:
            self.clients = Clients(timeout, mask)
        else:
            self.clients.timeout = timeout

    def cease(self) -> None:
        """Choose nobody any more."""
        self.update(replace(self._serve, targets=()))

    def choose(
        self, now: Instant, client: tuple[str, int], avoid: Collection[int], count: Count
    ) -> Choice | None:
        """Return a server and the client's binding, which the caller opens and closes.

        A server without weight gets no new connection, of a client that it knows neither.
        """
        if self.clients is None:
            number = self._chooser.choose(count, avoid, self._packed(client), self._destination)
            return None if number is None else (number, None)
        packed = self._packed(client)
        who = self.clients.who(packed[:-2])
        binding = self.clients.find(now, who)
        if binding is None or binding.server not in self._open or binding.server in avoid:
            number = self._chooser.choose(count, avoid, packed, self._destination)
            if number is None:
                return None
            binding = self.clients.bind(now, who, number)
        return binding.server, binding

    def _packed(self, client: tuple[str, int]) -> bytes:
        host = client[0].partition("%")[0]
        return socket.inet_pton(self._packed_family, host) + client[1].to_bytes(2)
