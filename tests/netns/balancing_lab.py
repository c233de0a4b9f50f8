"""A client, a director and four real servers on one switch, for any backend of the balancer.

By NAT the servers are in a subnet of their own behind the director; by DR and TUN they are beside
the client and have the virtual addresses on their loopback. Everything is named after this process.
"""

import contextlib
import ctypes
import itertools
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from standfest.core.balancer import difference
from standfest.model.balancing import Forwarding, Method, Protocol
from standfest.model.forwarding import (
    AddDestination,
    AddService,
    Change,
    Counters,
    DeleteService,
    Destination,
    DestinationKey,
    Service,
    ServiceKey,
    ServiceOptions,
    service_key,
)
from standfest.model.vrrp import Family
from standfest.ports.balancer import BalancerBackend

SOURCE = str(Path(__file__).parents[2] / "src")
SERVER = Path(__file__).with_name("balancing_server.py")
SERVERS = (1, 2, 3, 4)
PORTS = (80, 8080)
VIP = {4: ip_address("10.8.0.100"), 6: ip_address("fd08::100")}
CLIENTS = {
    4: [ip_address(f"10.8.0.{n}") for n in range(20, 30)],
    6: [ip_address(f"fd08::{n}") for n in range(20, 30)],
}
MARKING = """table ip user {{
chain pre {{
type filter hook prerouting priority mangle;
ip daddr {vip} tcp dport {{ 80, 8080 }} meta mark set {mark}
}}
}}
"""
PATIENCE_S = 10.0
QUICK_S = 2.0
CLONE_NEWNET = 0x40000000
Make = Callable[[], BalancerBackend]
IPAddress = IPv4Address | IPv6Address


def why_not(*programs: str) -> str:
    """Return why these tests cannot run here, or nothing."""
    if os.geteuid() != 0:
        return "needs root: network namespaces"
    missing = [program for program in ("ip", *programs) if shutil.which(program) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


def run(*words: str) -> str:
    """Run a program and return what it printed."""
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@dataclass
class Machine:
    """One namespace with eth0 on the switch."""

    name: str
    process: subprocess.Popen[bytes] | None = field(default=None)

    def ip(self, *words: str) -> str:
        """Run iproute2 here."""
        return run("ip", "-n", self.name, *words)

    def execute(self, *words: str) -> str:
        """Run a program here."""
        return run("ip", "netns", "exec", self.name, *words)

    def sysctl(self, **values: int) -> None:
        """Set kernel parameters; a name has __ for each dot."""
        words = [f"{name.replace('__', '.')}={value}" for name, value in values.items()]
        self.execute("sysctl", "-qw", *words)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Be here with this thread; sockets that are opened here stay here."""
        libc = ctypes.CDLL(None, use_errno=True)
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            assert libc.setns(there, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            yield
        finally:
            assert libc.setns(home, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            os.close(home)
            os.close(there)


class Lab:
    """The machines, and the backend under test with the table that it should have."""

    def __init__(self, make: Make, forwarding: Forwarding = Forwarding.NAT) -> None:
        self._make, self.forwarding = make, forwarding
        tag = f"sfb{os.getpid()}-{forwarding.value.lower()}"
        self.switch, self.client = Machine(f"{tag}-switch"), Machine(f"{tag}-client")
        self.director = Machine(f"{tag}-director")
        self.servers = {number: Machine(f"{tag}-{number}") for number in SERVERS}
        self.table: dict[ServiceKey, Service] = {}
        self._ports = itertools.count(10_000)
        self.backend: BalancerBackend

    @property
    def machines(self) -> list[Machine]:
        """Return all but the switch."""
        return [self.client, self.director, *self.servers.values()]

    # --- building -------------------------------------------------------------------------------

    def build(self) -> None:
        """Make everything, the backend too."""
        for machine in (self.switch, *self.machines):
            run("ip", "netns", "add", machine.name)
            machine.ip("link", "set", "lo", "up")
            machine.sysctl(
                net__ipv6__conf__all__accept_dad=0, net__ipv6__conf__default__accept_dad=0
            )
        self.switch.ip("link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        self.switch.ip("link", "set", "br0", "up")
        for number, machine in enumerate(self.machines):
            port = f"port{number}"
            end = ("type", "veth", "peer", "name", "eth0", "netns", machine.name)
            self.switch.ip("link", "add", port, *end)
            self.switch.ip("link", "set", port, "master", "br0", "up")
            machine.ip("link", "set", "eth0", "up")
        self._address(self.client, *CLIENTS[4], *CLIENTS[6])
        self._build_director()
        for number in SERVERS:
            self._build_server(number)
        with self.director.inside():
            self.backend = self._make()

    def _address(self, machine: Machine, *addresses: object, device: str = "eth0") -> None:
        for address in addresses:
            six = ":" in str(address)
            length = ("64" if six else "24") if device == "eth0" else ("128" if six else "32")
            nodad = ("nodad",) if six else ()
            machine.ip("address", "add", f"{address}/{length}", "dev", device, *nodad)

    def address_director(self) -> None:
        """Give the director's eth0 its addresses."""
        self._address(self.director, "10.8.0.1", "10.9.0.1", "fd08::1", "fd09::1")
        self._address(self.director, VIP[4], VIP[6])

    def _build_director(self) -> None:
        self.address_director()
        self.director.sysctl(
            net__ipv4__ip_forward=1,
            net__ipv6__conf__all__forwarding=1,
            net__ipv4__conf__all__send_redirects=0,
            net__ipv4__conf__eth0__send_redirects=0,
        )

    def _build_server(self, number: int) -> None:
        machine = self.servers[number]
        heard = [str(self.address(number, 4)), str(self.address(number, 6))]
        if self.forwarding is Forwarding.NAT:
            self._address(machine, *heard)
            machine.ip("route", "add", "default", "via", "10.9.0.1")
            machine.ip("-6", "route", "add", "default", "via", "fd09::1")
        else:
            machine.sysctl(net__ipv4__conf__all__arp_ignore=1, net__ipv4__conf__all__arp_announce=2)
            self._address(machine, *heard)
            self._address(machine, VIP[4], VIP[6], device="lo")
            heard += [str(VIP[4]), str(VIP[6])]
        words = [sys.executable, str(SERVER), f"rs{number}", ",".join(heard)]
        machine.process = subprocess.Popen(
            ["ip", "netns", "exec", machine.name, *words, *map(str, PORTS)], stdout=subprocess.PIPE
        )
        assert machine.process.stdout is not None
        assert machine.process.stdout.readline() == b"ready\n"

    def destroy(self) -> None:
        """Remove everything, whatever state it is in."""
        with contextlib.suppress(Exception), self.director.inside():
            self.backend.close(keep=False)
        for machine in self.machines:
            if machine.process is not None:
                machine.process.kill()
                machine.process.wait(10)
                assert machine.process.stdout is not None
                machine.process.stdout.close()
        for machine in (*self.machines, self.switch):
            with contextlib.suppress(subprocess.CalledProcessError):
                run("ip", "netns", "delete", machine.name)

    # --- the balancer ---------------------------------------------------------------------------

    def address(self, number: int, version: int = 4) -> IPAddress:
        """Return a real server's address."""
        net = 9 if self.forwarding is Forwarding.NAT else 8
        return ip_address(
            f"10.{net}.0.{number + 10}" if version == 4 else f"fd0{net}::{number + 10}"
        )

    def server(self, number: int, port: int = 80, version: int = 4) -> DestinationKey:
        """Return a real server as a destination."""
        return DestinationKey(self.address(number, version), port)

    def weighing(self, weight: int) -> Destination:
        """Return what is said of a server of this weight."""
        return Destination(Method(self.forwarding), weight)

    def key(
        self, port: int = 80, protocol: Protocol = Protocol.TCP, version: int = 4
    ) -> ServiceKey:
        """Return a service at the virtual address."""
        return service_key(protocol, VIP[version], port)

    @contextmanager
    def marked(self, mark: int) -> Iterator[None]:
        """Let the director mark packets to the virtual address's ports, as an operator does."""
        if self._has_nftables():
            begin: list[tuple[str, ...]] = [("nft", MARKING.format(vip=VIP[4], mark=mark))]
            end: list[tuple[str, ...]] = [("nft", "delete table ip user")]
        else:
            rules = [
                ("PREROUTING", "-d", str(VIP[4]), "-p", "tcp", "--dport", str(port), "-j", "MARK")
                for port in PORTS
            ]
            mangle = ("iptables-legacy", "-t", "mangle")
            begin = [(*mangle, "-A", *rule, "--set-mark", str(mark)) for rule in rules]
            end = [(*mangle, "-D", *rule, "--set-mark", str(mark)) for rule in rules]
        for words in begin:
            self.director.execute(*words)
        try:
            yield
        finally:
            for words in end:
                self.director.execute(*words)

    def _has_nftables(self) -> bool:
        """Return whether the kernel has the families of nf_tables; User Mode Linux has not."""
        try:
            self.director.execute("nft", "add table ip user; delete table ip user")
        except subprocess.CalledProcessError:
            return False
        return True

    def mark(self, mark: int) -> ServiceKey:
        """Return a service by firewall mark, IPv4."""
        return service_key(Protocol.NONE, None, mark=mark, family=Family.IPV4)

    def change(self, *changes: Change) -> None:
        """Apply changes; the backend must then read what the core comes to."""
        with self.director.inside():
            self.backend.apply(changes)
            self.table = difference.apply(self.table, changes)
            found = dict(self.backend.read())
        assert found == self.table, f"read {found}, expected {self.table}"

    def serve(
        self,
        *weights: int,
        options: ServiceOptions | None = None,
        key: ServiceKey | None = None,
        port: int | None = None,
    ) -> ServiceKey:
        """Make a service with as many servers as weights; return its key."""
        key = key or self.key()
        version = key.family.value
        at = key.port if port is None else port
        servers = (
            AddDestination(key, self.server(n, at, version), self.weighing(weight))
            for n, weight in enumerate(weights, 1)
        )
        self.change(AddService(key, options or ServiceOptions("rr")), *servers)
        return key

    def clear(self) -> None:
        """Remove all services."""
        if self.table:
            self.change(*(DeleteService(key) for key in self.table))

    def restart(self) -> None:
        """Let another backend adopt what this one leaves."""
        with self.director.inside():
            self.backend.close(keep=True)
            self.backend = self._make()
            found = dict(self.backend.read())
        assert found == self.table

    def ask_for_packets(self) -> None:
        """Let packets be counted where that is done for those only who ask."""
        with self.director.inside():
            getattr(self.backend, "count_packets", lambda: None)()

    def counters(self) -> dict[tuple[ServiceKey, DestinationKey], Counters]:
        """Return what the backend has counted."""
        with self.director.inside():
            return dict(self.backend.counters())

    # --- the client -----------------------------------------------------------------------------

    def connect(
        self, port: int = 80, version: int = 4, client: int = 0, patience_s: float = PATIENCE_S
    ) -> "Conversation":
        """Connect to the virtual address; client: which of its addresses. Raises OSError."""
        with self.client.inside():
            six = version == 6
            made = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
        made.settimeout(patience_s)
        try:
            # A server that was removed has not heard of the end: no port is used again.
            made.bind((str(CLIENTS[version][client]), next(self._ports)))
            made.connect((str(VIP[version]), port))
            return Conversation(made, made.recv(100).decode())
        except OSError:
            made.close()
            raise

    def ask(self, count: int, port: int = 80, version: int = 4, client: int = 0) -> list[str]:
        """Connect as often; return who answered each time."""
        found = []
        for _ in range(count):
            with self.connect(port, version, client) as conversation:
                found.append(conversation.server)
        return found

    def is_refused(self, port: int = 80, version: int = 4) -> bool:
        """Return whether a connection is refused at once, not left to its patience."""
        began = time.monotonic()
        try:
            self.connect(port, version, patience_s=QUICK_S).close()
        except TimeoutError:
            return False
        except OSError:
            return time.monotonic() - began < QUICK_S
        return False

    def datagrams(self, count: int, port: int = 80, version: int = 4) -> list[str]:
        """Send datagrams from as many ports; return who answered each."""
        found = []
        for number in range(count):
            with self.client.inside():
                made = socket.socket(
                    socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_DGRAM
                )
            with made:
                made.settimeout(PATIENCE_S)
                made.bind((str(CLIENTS[version][0]), next(self._ports)))
                made.connect((str(VIP[version]), port))
                made.send(b"%d" % number)
                name, said = made.recv(100).decode().split()
                assert said == str(number)
                found.append(name)
        return found


class Conversation:
    """A connection that a server has greeted; server: its name."""

    def __init__(self, made: socket.socket, server: str) -> None:
        self._socket, self.server = made, server

    def __enter__(self) -> "Conversation":
        """Return it, to be closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def address(self) -> tuple[str, int]:
        """Return the client's address and port."""
        name = self._socket.getsockname()
        return name[0], name[1]

    def is_alive(self, patience_s: float = PATIENCE_S) -> bool:
        """Return whether the server still echoes."""
        try:
            self._socket.settimeout(patience_s)
            self._socket.sendall(b"still there?")
            return self._socket.recv(100) == b"still there?"
        except OSError:
            return False

    def echoes(self, data: bytes) -> bool:
        """Return whether the server sends back all of what it is sent."""
        self._socket.settimeout(PATIENCE_S)
        sender = threading.Thread(target=self._socket.sendall, args=(data,))
        sender.start()
        missing = len(data)
        while missing and (part := self._socket.recv(1 << 16)):
            missing -= len(part)
        sender.join()
        return not missing

    def finish(self) -> None:
        """End it, and wait until the server has: then the last packet has been sent."""
        self._socket.settimeout(PATIENCE_S)
        self._socket.shutdown(socket.SHUT_WR)
        while self._socket.recv(100):
            pass
        self.close()

    def close(self) -> None:
        """End it."""
        self._socket.close()


def opened(lab: Lab, count: int) -> list[Conversation]:
    """Return as many open connections."""
    return [lab.connect() for _ in range(count)]


def close_all(conversations: Sequence[Conversation]) -> None:
    """End them."""
    for conversation in conversations:
        conversation.close()


@contextmanager
def lab(make: Make, forwarding: Forwarding = Forwarding.NAT) -> Iterator[Lab]:
    """Give a lab for as long as it is needed."""
    made = Lab(make, forwarding)
    try:
        made.build()
        yield made
    finally:
        made.destroy()
