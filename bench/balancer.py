"""`./dev bench balancer`: what a packet costs by the packet filter's ways, in turn in one set-up.

    ./dev bench balancer [--rounds N] [--pairs N] [--window MS] [--flows N] [--services N]
                         [--starts N]

The rig is that of `./dev bench packets`: frames that go round, everything on one processor.
Compared are plain forwarding, forwarding with connections tracked, NAT by iptables and by us, DR by
us (nftables and xdp), with `--flows` connections: 256 are all known, of 2^20 each packet is a new
one. A machine is not equally fast from one second to the next, so NAT by iptables and by us are
measured in `--pairs`, too: one right after the other, each first in turn. Then what changes cost:
services with four servers, one weight, adopting them. First the whole daemon's start with them and
a reload, beside keepalived (`--starts`; `--rounds 0 --pairs 0` for nothing else). Needs root, nft,
iptables, keepalived and a C compiler.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

from bench.packets import LIBC, MNT_DETACH, SERVERS, Rig, Way, reflecting, service, set_gro, show
from bench.startup import startup
from standfest.adapters.linux.conntrack import Conntrack
from standfest.adapters.linux.nftables.backend import NftablesBackend
from standfest.adapters.linux.xdp.backend import XdpBackend
from standfest.adapters.linux.xdp.programs import Mode
from standfest.core.balancer.slots import slots
from standfest.model.balancing import Forwarding, Method, Protocol
from standfest.model.forwarding import (
    AddDestination,
    AddService,
    Change,
    Destination,
    DestinationKey,
    ServiceOptions,
    SetDestination,
    service_key,
)
from standfest.ports.balancer import BalancerBackend

VIRTUAL = "10.9.0.100"
WEIGHTS = 50


def run(*words: str) -> None:
    """Run a program."""
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def backend_way(
    name: str, make: Callable[[], BalancerBackend], forwarding: Forwarding, more: int
) -> Way:
    """Return a way by a backend with one service, and `more` others beside it."""
    made: list[BalancerBackend] = []

    def start() -> None:
        set_gro("eth0", 1)
        backend = make()
        made.append(backend)
        backend.apply([*service(VIRTUAL, 9, forwarding), *others(more, forwarding)])

    def stop() -> None:
        made.pop().close(keep=False)
        set_gro("eth0", 0)

    return Way(name, VIRTUAL, start, stop)


def others(count: int, forwarding: Forwarding = Forwarding.NAT) -> list[Change]:
    """Return services with four servers each, which get no packet here."""
    changes: list[Change] = []
    one = Destination(Method(forwarding), 1)
    for number in range(count):
        address = ip_address(f"10.{64 + (number >> 16)}.{number >> 8 & 255}.{number & 255}")
        key = service_key(Protocol.TCP, address, 80)
        changes.append(AddService(key, ServiceOptions("wrr")))
        for server in range(1, SERVERS + 1):
            name = DestinationKey(ip_address(f"10.9.0.{10 + server}"), 80)
            changes.append(AddDestination(key, name, one))
    return changes


def stack_way(name: str, start: Callable[[], None], stop: Callable[[], None], target: str) -> Way:
    """Return a way by the kernel alone, with NAPI as cards have it."""

    def prepare() -> None:
        set_gro("eth0", 1)
        start()

    def clear() -> None:
        stop()
        set_gro("eth0", 0)

    return Way(name, target, prepare, clear)


def nothing() -> None:
    """Leave the kernel as it is."""


def track() -> None:
    """Let every connection be tracked, and nothing else."""
    run("iptables", "-t", "filter", "-A", "FORWARD", "-m", "conntrack", "--ctstate", "NEW")


def translate_by_iptables() -> None:
    """Spread over four servers as iptables can: each rule takes its share at random."""
    rule = [
        "iptables",
        "-t",
        "nat",
        "-A",
        "PREROUTING",
        "-d",
        VIRTUAL,
        "-p",
        "tcp",
        "--dport",
        "80",
    ]
    for number in range(1, SERVERS + 1):
        left = SERVERS + 1 - number
        share = ["-m", "statistic", "--mode", "nth", "--every", str(left), "--packet", "0"]
        target = ["-j", "DNAT", "--to-destination", f"10.9.0.{10 + number}:80"]
        run(*rule, *(share if left > 1 else ()), *target)


def flush_iptables() -> None:
    """Remove what `iptables` made, and all connections: the next way shall make its own."""
    run("nft", "flush", "ruleset")
    table = Conntrack()
    table.delete_mark(0, 0)
    table.close()


def iptables_way() -> Way:
    """Return the way by NAT of iptables."""
    return stack_way("NAT by iptables", translate_by_iptables, flush_iptables, VIRTUAL)


def nat_way(more: int = 0) -> Way:
    """Return the way by our NAT, with so many other services."""
    name = f"nftables NAT, {more:,} other services" if more else "nftables NAT"
    return backend_way(name, lambda: NftablesBackend(slots), Forwarding.NAT, more)


def counted_way() -> Way:
    """Return the way by our NAT while somebody asks for packets."""
    way = nat_way()

    def prepare() -> None:
        way.prepare()
        asking = NftablesBackend(slots)
        asking.count_packets()
        asking.close(keep=True)

    return Way("nftables NAT, packets counted", way.target, prepare, way.clear)


def show_pairs(rig: Rig, count: int, window_s: float) -> None:
    """Measure NAT by iptables and by nftables next to each other; print the pairs' ratios."""
    print("\n| NAT in pairs | kpps | nftables / iptables, median (half of the pairs) |")
    print("|---|---|---|")
    for make in (nat_way, counted_way):
        name = make().name
        found: dict[str, list[float]] = {"NAT by iptables": [], name: []}
        for number in range(count):
            order = (iptables_way(), make()) if number % 2 else (make(), iptables_way())
            for way in order:
                found[way.name].append(rig.measure(way, window_s))
        pairs = zip(found[name], found["NAT by iptables"], strict=True)
        ratios = sorted(ours / theirs for ours, theirs in pairs)
        theirs, ours = (statistics.median(rates) / 1e3 for rates in found.values())
        least, most = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
        ratio = f"{statistics.median(ratios):.3f} ({least:.2f} to {most:.2f})"
        print(f"| iptables and {name} | {theirs:.0f}, {ours:.0f} | {ratio} |")


def ways(directory: Path, more: int) -> list[Way]:
    """Return the ways that are compared; plain forwarding second, as `show` expects."""

    def xdp() -> BalancerBackend:
        return XdpBackend(slots, interfaces=("eth0",), directory=directory, mode=Mode.NATIVE)

    def nftables() -> BalancerBackend:
        return NftablesBackend(slots)

    direct = Forwarding.DIRECT
    found = [
        reflecting(),
        stack_way("plain forwarding", nothing, nothing, "10.7.0.9"),
        stack_way("forwarding, connections tracked", track, flush_iptables, "10.7.0.9"),
        iptables_way(),
        nat_way(),
        counted_way(),
        backend_way("nftables DR", nftables, direct, 0),
    ]
    if more:
        found += [
            nat_way(more),
            backend_way(f"nftables DR, {more:,} other services", nftables, direct, more),
        ]
    return [*found, backend_way("xdp DR", xdp, direct, 0)]


def control(count: int) -> None:
    """Print what it takes to make services, to change one weight, to adopt all."""
    print(f"\n| {count:,} services x {SERVERS} servers | ms |\n|---|---|")
    for forwarding in (Forwarding.NAT, Forwarding.DIRECT):
        backend = NftablesBackend(slots)
        changes = others(count, forwarding)
        keys = list(dict.fromkeys(c.key for c in changes if isinstance(c, AddService)))
        began = time.perf_counter()
        backend.apply(changes)
        applied = time.perf_counter() - began
        took = []
        for number, key in enumerate(keys[:WEIGHTS]):
            name = DestinationKey(ip_address(f"10.9.0.{11 + number % SERVERS}"), 80)
            value = Destination(Method(forwarding), 2 + number % 3)
            began = time.perf_counter()
            backend.apply([SetDestination(key, name, value)])
            took.append(time.perf_counter() - began)
        wanted = backend.read()
        backend.close(keep=True)
        began = time.perf_counter()
        backend = NftablesBackend(slots)
        assert backend.read() == wanted
        adopted = time.perf_counter() - began
        began = time.perf_counter()
        backend.close(keep=False)
        removed = time.perf_counter() - began
        way, most = forwarding.value, max(took) * 1e3
        print(f"| {way}: all applied in one transaction | {applied * 1e3:.0f} |")
        print(f"| {way}: one weight | {statistics.median(took) * 1e3:.2f} (at most {most:.1f}) |")
        print(f"| {way}: adopted after a restart | {adopted * 1e3:.0f} |")
        print(f"| {way}: all removed | {removed * 1e3:.0f} |")


def let_frames_pass(rig: Rig) -> None:
    """Let connection tracking take the generator's frames: all alike, without a checksum."""
    with rig.director():
        for name, value in (("checksum", "0"), ("tcp_be_liberal", "1"), ("tcp_loose", "1")):
            Path(f"/proc/sys/net/netfilter/nf_conntrack_{name}").write_text(value)


def main() -> int:
    """Measure and print; exit status 1 where something that is needed is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--pairs", type=int, default=25)
    parser.add_argument("--window", type=int, default=40, help="milliseconds that are counted")
    parser.add_argument("--flows", type=int, default=256, help="a power of two up to 2^31")
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--starts", type=int, default=3, help="runs of the whole daemon")
    arguments = parser.parse_args()
    needed = ("nft", "iptables", *(("keepalived", "cc") if arguments.starts else ()))
    missing = [program for program in needed if shutil.which(program) is None]
    if os.geteuid() != 0 or missing:
        print(f"bench: needs root and {', '.join(needed)}; missing: {missing}", file=sys.stderr)
        return 1
    if arguments.starts:
        startup(arguments.starts, arguments.services)
    if not arguments.rounds and not arguments.pairs:
        return 0
    rig = Rig(arguments.flows)
    with tempfile.TemporaryDirectory(prefix="standfest-bench-") as path:
        directory = Path(path) / "bpf"
        try:
            rig.build()
            let_frames_pass(rig)
            found: dict[str, list[float]] = {}
            for _ in range(arguments.rounds):
                for way in ways(directory, arguments.services):
                    found.setdefault(way.name, []).append(rig.measure(way, arguments.window / 1e3))
            if found:
                show(found)
            if arguments.pairs:
                show_pairs(rig, arguments.pairs, arguments.window / 1e3)
            if arguments.services:
                with rig.director():
                    control(arguments.services)
        finally:
            rig.clear()
            while LIBC.umount2(os.fsencode(directory), MNT_DETACH) == 0:
                continue
    return 0


if __name__ == "__main__":
    sys.exit(main())
