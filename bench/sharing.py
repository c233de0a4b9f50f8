"""`./dev bench sharing`: what sharing an address costs, a packet and a connection.

    ./dev bench sharing [--rounds N] [--packets N] [--seconds S] [--guest-rounds N]

Packets: frames of 60 bytes to one node (see bench/sharepackets.py), way by way in turn; the last
column is the least without the generator's least. Connections: wrk with 64 connections, one request
each, from one address; 1, 2 and 4 nodes with an nginx each that share an address, beside one server
alone and beside nftables' NAT and DR on a director of its own. All machines are namespaces on the
same cores, so that this shows what sharing costs and not what more machines gain: every node of N
looks at every packet. Then the same in User Mode Linux, on one processor, whose kernel has IPVS and
the target CLUSTERIP, but no nftables for IP. Last, how long 64 nodes' bucket tables take to work
out. Needs root, nft, nginx, wrk.
"""

import argparse
import contextlib
import ctypes
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_interface
from pathlib import Path

from bench.sharepackets import WAYS, Bench
from standfest.adapters.linux.ipvs import IpvsBackend
from standfest.adapters.linux.nftables.backend import NftablesBackend
from standfest.adapters.linux.sharing.selection import open_filter
from standfest.core.balancer.slots import slots
from standfest.core.sharing.preference import Preference
from standfest.lab import uml
from standfest.model.balancing import Forwarding, Method, Protocol
from standfest.model.forwarding import (
    AddDestination,
    AddService,
    Change,
    Destination,
    DestinationKey,
    ServiceOptions,
    service_key,
)
from standfest.model.sharing import (
    MAX_BUCKETS,
    Answering,
    HashMode,
    Layout,
    Member,
    SharedAddress,
    Target,
)
from standfest.ports.balancer import BalancerBackend
from standfest.ports.sharing import BucketFilter

NEEDED = ("ip", "nft", "nginx", "wrk", "sysctl", "iptables-legacy")
ROOT = Path(__file__).resolve().parent.parent
VIP, MAX_NODES = "10.72.0.100", 4
BUCKETS, CLUSTERIP_BUCKETS = 256, 16
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
SHARED = SharedAddress(
    "bench",
    (ip_interface(f"{VIP}/32"),),
    "eth0",
    bytes.fromhex("01005e7f0064"),
    Layout(HashMode.SOURCE_IP_PORT, BUCKETS, 1),
)
IPTABLES = "iptables-legacy"
TRACKING = ("INPUT", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP")
TABLE_MEMBERS, TABLE_RUNS = 64, 20
NAT, DR = Forwarding.NAT, Forwarding.DIRECT


def run(*words: str) -> str:
    """Run a command and return what it prints."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        sys.exit(f"bench: {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


@dataclass(frozen=True)
class Kernel:
    """What shares and what balances: by nftables, or by what an old kernel has."""

    target: Target
    shared: SharedAddress
    balancer: Callable[[], BalancerBackend]


HOST = Kernel(Target.NFTABLES, SHARED, lambda: NftablesBackend(slots))
GUEST = Kernel(
    Target.CLUSTERIP,
    replace(SHARED, layout=replace(SHARED.layout, buckets=CLUSTERIP_BUCKETS)),
    IpvsBackend,
)


class Lan:
    """A client, a director and the nodes on one switch; servers run all the time."""

    def __init__(self, directory: Path, kernel: Kernel) -> None:
        self._directory, self._kernel = directory, kernel
        tag = f"sfsb{os.getpid()}"
        self._switch, self.client, self._director = f"{tag}-w", f"{tag}-c", f"{tag}-d"
        self._nodes = [f"{tag}-{number}" for number in range(1, MAX_NODES + 1)]
        self._servers: list[int] = []
        self._ports: dict[str, str] = {}

    def build(self) -> None:
        """Make everything."""
        machines = (self.client, self._director, *self._nodes)
        for name in (self._switch, *machines):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run(*f"ip -n {self._switch} link add br0 type bridge mcast_snooping 0".split())
        run("ip", "-n", self._switch, "link", "set", "br0", "up")
        for number, name in enumerate(machines, 1):
            self._ports[name] = f"p{number}"
            end = f"type veth peer name eth0 netns {name}"
            run(*f"ip -n {self._switch} link add p{number} {end}".split())
            run(*f"ip -n {self._switch} link set p{number} master br0 up".split())
            run("ip", "-n", name, "link", "set", "eth0", "up")
            run("ip", "-n", name, "address", "add", f"10.72.0.{number}/24", "dev", "eth0")
            # Enough ports, and no table of connections full of those that have ended.
            words = ("net.ipv4.ip_local_port_range=1024 65535", "net.ipv4.tcp_tw_reuse=1")
            ended = "net.netfilter.nf_conntrack_tcp_timeout_time_wait=1"
            run("ip", "netns", "exec", name, "sysctl", "-q", "-w", *words, ended)
        # Servers of NAT are in a network of their own behind the director.
        run(*f"ip -n {self._director} address add 10.73.0.1/24 dev eth0".split())
        # Clients and servers are on one wire: told of a shorter way, servers would take it.
        quiet = ("conf.all.send_redirects=0", "conf.eth0.send_redirects=0")
        for setting in ("ip_forward=1", *quiet):
            run(*f"ip netns exec {self._director} sysctl -q -w net.ipv4.{setting}".split())
        for number, name in enumerate(self._nodes, 11):
            run(*f"ip -n {name} address add 10.73.0.{number}/24 dev eth0".split())
            self._nginx(name)

    def _nginx(self, name: str) -> None:
        home = self._directory / name
        home.mkdir()
        places = "\n".join(
            f"{kind}_temp_path {home}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        text = (
            f"user root; worker_processes 1; pid {home}/pid; error_log /dev/null;\n"
            "events { worker_connections 8192; }\n"
            f"http {{ access_log off; {places}\n"
            "server { listen 80 backlog=4096; location / { return 200 ok; } } }\n"
        )
        (home / "nginx.conf").write_text(text, encoding="ascii")
        run("ip", "netns", "exec", name, "nginx", "-c", str(home / "nginx.conf"))
        self._servers.append(int((home / "pid").read_text()))

    def destroy(self) -> None:
        """Remove everything."""
        for pid in self._servers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 15)
        for name in (*self._nodes, self._director, self.client, self._switch):
            subprocess.run(("ip", "netns", "delete", name), check=False, capture_output=True)

    @contextlib.contextmanager
    def alone(self, *, tracked: bool = False) -> Iterator[None]:
        """Let the first node have the address for itself; tracked: and know its connections."""
        name = self._nodes[0]
        tracking = ("ip", "netns", "exec", name, IPTABLES)
        with self._only(name), self._has(name, "address", f"{VIP}/32", "dev", "eth0"):
            if tracked:
                run(*tracking, "-A", *TRACKING)
            yield
            if tracked:
                run(*tracking, "-D", *TRACKING)

    @contextlib.contextmanager
    def _only(self, *names: str) -> Iterator[None]:
        """Let nobody else be on the switch: the others' processors are these here, too."""
        others = [port for name, port in self._ports.items() if name not in (*names, self.client)]
        for port in others:
            run("ip", "-n", self._switch, "link", "set", port, "down")
        try:
            yield
        finally:
            for port in others:
                run("ip", "-n", self._switch, "link", "set", port, "up")

    @contextlib.contextmanager
    def shared(self, count: int) -> Iterator[None]:
        """Let so many nodes share the address."""
        with self._only(*self._nodes[:count]), contextlib.ExitStack() as undo:
            for part, name in enumerate(self._nodes[:count]):
                with inside(name):
                    made = open_filter(self._kernel.shared, self._kernel.target)
                    undo.callback(leave, name, made)
                    made.open()
                    buckets = range(part, self._kernel.shared.layout.buckets, count)
                    made.answer(Answering(frozenset(buckets)), None)
            yield

    @contextlib.contextmanager
    def balanced(self, forwarding: Forwarding, count: int) -> Iterator[None]:
        """Let the director balance to so many nodes."""
        with contextlib.ExitStack() as undo:
            undo.enter_context(self._has(self._director, "address", f"{VIP}/32", "dev", "eth0"))
            for name in self._nodes[:count]:
                if forwarding is DR:
                    there = ("address", f"{VIP}/32", "dev", "lo")
                    quiet = "net.ipv4.conf.all.arp_ignore=1"
                    run("ip", "netns", "exec", name, "sysctl", "-q", "-w", quiet)
                else:  # the client's answers go back by the director
                    there = ("route", "10.72.0.1/32", "via", "10.73.0.1")
                undo.enter_context(self._has(name, *there))
            with inside(self._director):
                backend = self._kernel.balancer()
                undo.callback(self._close, backend)
                backend.apply(service(forwarding, count))
            yield

    def _close(self, backend: BalancerBackend) -> None:
        with inside(self._director):
            backend.close(keep=False)

    @contextlib.contextmanager
    def _has(self, name: str, kind: str, *words: str) -> Iterator[None]:
        """Let a machine have an address or a route for a while."""
        run("ip", "-n", name, kind, "add", *words)
        try:
            yield
        finally:
            run("ip", "-n", name, kind, "del", *words)

    def rate(self, seconds: int) -> float:
        """Return new connections a second."""
        run("ip", "-n", self.client, "neigh", "flush", "all")
        text = run(
            *("ip", "netns", "exec", self.client, "wrk", "-t1", "-c64", f"-d{seconds}"),
            *("-H", "Connection: close", f"http://{VIP}/"),
        )
        found = re.search(r"Requests/sec:\s+([\d.]+)", text)
        if found is None or ("Socket errors" in text and "timeout 0" not in text):
            print(f"bench: wrk said: {text}", file=sys.stderr)
        return float(found[1]) if found else 0.0


@contextlib.contextmanager
def inside(name: str) -> Iterator[None]:
    """Be in a namespace for a while."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        LIBC.setns(there, CLONE_NEWNET)
        yield
    finally:
        LIBC.setns(home, CLONE_NEWNET)
        os.close(home)
        os.close(there)


def leave(name: str, shared: BucketFilter) -> None:
    """Let a node share no more."""
    with inside(name):
        shared.close(keep=False)


def service(forwarding: Forwarding, count: int) -> Sequence[Change]:
    """Return the service with so many servers."""
    key = service_key(Protocol.TCP, ip_address(VIP), 80)
    changes: list[Change] = [AddService(key, ServiceOptions("wrr"))]
    for number in range(count):
        place = f"10.72.0.{3 + number}" if forwarding is DR else f"10.73.0.{11 + number}"
        changes.append(
            AddDestination(
                key, DestinationKey(ip_address(place), 80), Destination(Method(forwarding), 1)
            )
        )
    return changes


def packets(rounds: int, count: int) -> None:
    """Measure and print what a packet costs."""
    found: dict[str, list[float]] = {way.name: [] for way in WAYS}
    with Bench() as bench:
        for _ in range(rounds):
            for way in WAYS:
                found[way.name].append(bench.measure(way, count))
    own = min(found[WAYS[0].name])
    print(f"{'ns a packet':44} {'median':>7} {'least':>7} {'most':>7} {'alone':>7}")
    for name, values in found.items():
        row = (statistics.median(values), min(values), max(values), min(values) - own)
        print(f"{name:44}" + "".join(f" {value:7.0f}" for value in row))


def connections(kernel: Kernel, rounds: int, seconds: int) -> None:
    """Measure and print new connections a second."""
    by, director = kernel.target.value, "nftables" if kernel is HOST else "IPVS"
    with tempfile.TemporaryDirectory(prefix="standfest-bench-") as path:
        lan = Lan(Path(path), kernel)
        ways: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
            "one server": lan.alone,
            "one server, connections tracked": lambda: lan.alone(tracked=True),
            f"shared by {by}, 1 node": lambda: lan.shared(1),
            f"shared by {by}, 2 nodes": lambda: lan.shared(2),
            f"shared by {by}, 4 nodes": lambda: lan.shared(4),
            f"director, {director} DR, 4 servers": lambda: lan.balanced(DR, 4),
            f"director, {director} NAT, 4 servers": lambda: lan.balanced(NAT, 4),
        }
        found: dict[str, list[float]] = {name: [] for name in ways}
        try:
            lan.build()
            for _ in range(rounds):
                for name, way in ways.items():
                    with way():
                        found[name].append(lan.rate(seconds))
        finally:
            lan.destroy()
    alone = found["one server"]
    print(f"{'new connections/s':44} {'median':>7} {'least':>7} {'most':>7} {'ratio':>7}")
    for name, values in found.items():
        ratio = statistics.median(a / b for a, b in zip(values, alone, strict=True))
        row = (statistics.median(values), min(values), max(values))
        print(f"{name:44}" + "".join(f" {value:7.0f}" for value in row) + f" {ratio:7.2f}")


def guest(rounds: int, seconds: int) -> None:
    """Do so in User Mode Linux, where there is one."""
    if not rounds or uml.missing():
        print(f"User Mode Linux: {uml.missing() or 'not asked for'}")
        return
    words = ("-m", "bench.sharing", "--guest", "--rounds", str(rounds), "--seconds", str(seconds))
    done = uml.run(
        [sys.executable, *words],
        modules=(*uml.IPVS_MODULES, "ipt_CLUSTERIP", "iptable_filter", "xt_conntrack"),
        environment={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        timeout_s=600,
    )
    print(f"In User Mode Linux:\n{done.output}")


def tables() -> None:
    """Measure and print what it takes to work out who has which bucket."""
    members = [Member(f"node{number}") for number in range(TABLE_MEMBERS)]
    everybody = frozenset(range(TABLE_MEMBERS))
    for name, missing in (("all there", 0), ("one missing", 1), ("half missing", 32)):
        took = []
        for _ in range(TABLE_RUNS):
            began = time.perf_counter()
            Preference(members, MAX_BUCKETS).owners(everybody - set(range(missing)))
            took.append((time.perf_counter() - began) * 1e3)
        print(
            f"{TABLE_MEMBERS} nodes, {MAX_BUCKETS} buckets, {name}: median "
            f"{statistics.median(took):.2f} ms, most {max(took):.2f} ms"
        )


def main() -> int:
    """Measure and print; exit status 1 where that cannot be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--packets", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--guest-rounds", type=int, default=5)
    parser.add_argument("--guest", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.guest:
        connections(GUEST, arguments.rounds, arguments.seconds)
        return 0
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        print(f"bench: needs root, and {', '.join(missing or NEEDED)}", file=sys.stderr)
        return 1
    packets(arguments.rounds, arguments.packets)
    connections(HOST, arguments.rounds, arguments.seconds)
    guest(arguments.guest_rounds, arguments.seconds)
    tables()
    return 0


if __name__ == "__main__":
    sys.exit(main())
