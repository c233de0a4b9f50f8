"""`./dev bench proxy`: the user-space balancer beside HAProxy and the kernel's NAT, in turn.

    ./dev bench proxy [--runs N] [--seconds S]

A client, a director and a server host with four addresses, each in a namespace; wrk asks, nginx
answers, everything shares the machine's cores. Printed are medians of the runs and, for who
balances in user space, the processor time that one connection and one gigabyte cost it: a rate
depends on all three parties, that time only on the balancer. Needs root, haproxy, nginx and wrk.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLIENT, DIRECTOR, SERVER = "sfpx-c", "sfpx-d", "sfpx-s"
VIP = "10.71.1.1"
SERVERS = tuple(f"10.71.2.{last}" for last in (11, 12, 13, 14))
BIG_BYTES = 10_000_000
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
NEEDED = ("ip", "haproxy", "nginx", "wrk", "nft")
UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9}
PORTS = {"HAProxy": 81, "HAProxy, splice": 82, "proxy": 83, "proxy, 2 workers": 84, "nft NAT": 85}
PEER = "HAProxy"


@dataclass(slots=True)
class Figures:
    """What one balancer reached, run by run."""

    connections: list[float] = field(default_factory=list)
    requests: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    connection_us: list[float] = field(default_factory=list)
    gigabyte_ms: list[float] = field(default_factory=list)


def run(*words: str, check: bool = True) -> str:
    """Run a command and return what it prints."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    if check and done.returncode:
        sys.exit(f"bench: {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def inside(namespace: str, *words: str) -> str:
    """Run a command in a namespace."""
    return run("ip", "netns", "exec", namespace, *words)


def topology() -> None:
    """Make the namespaces and the two links between them."""
    for name in (CLIENT, DIRECTOR, SERVER):
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
    for far, subnet in ((CLIENT, 1), (SERVER, 2)):
        near = "c0" if far == CLIENT else "s0"
        link = f"link add {near} netns {far} type veth peer name {near} netns {DIRECTOR}"
        run("ip", *link.split())
        run("ip", "-n", DIRECTOR, "address", "add", f"10.71.{subnet}.1/24", "dev", near)
        addresses = SERVERS if far == SERVER else ("10.71.1.2",)
        for address in addresses:
            run("ip", "-n", far, "address", "add", f"{address}/24", "dev", near)
        for side in (far, DIRECTOR):
            run("ip", "-n", side, "link", "set", near, "up")
        run("ip", "-n", far, "route", "add", "default", "via", f"10.71.{subnet}.1")
    inside(DIRECTOR, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
    for name in (CLIENT, DIRECTOR, SERVER):  # enough ports for connections in TIME_WAIT
        inside(name, "sysctl", "-q", "-w", "net.ipv4.ip_local_port_range=1024 65535")


def nginx(directory: Path) -> int:
    """Start the server; return its master's process."""
    (directory / "big").write_bytes(bytes(BIG_BYTES))
    places = "\n".join(
        f"{kind}_temp_path {directory}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = directory / "nginx.conf"
    configuration.write_text(
        f"user root; worker_processes 1; pid {directory}/nginx.pid; error_log /dev/null;\n"
        "events { worker_connections 8192; }\n"
        f"http {{ access_log off; keepalive_requests 1000000000; {places}\n"
        "server { listen 80 backlog=4096; location / { return 200 ok; }\n"
        f"location /big {{ root {directory}; }} }} }}\n",
        encoding="ascii",
    )
    inside(SERVER, "nginx", "-c", str(configuration))
    return int((directory / "nginx.pid").read_text())


def haproxy(directory: Path, name: str, port: int) -> int:
    """Start HAProxy with one thread; return its process."""
    servers = "\n".join(f"server s{n} {host}:80" for n, host in enumerate(SERVERS))
    splice = "option splice-auto\n" if "splice" in name else ""
    configuration = directory / f"haproxy-{port}.cfg"
    configuration.write_text(
        "global\nmaxconn 4000\nnbthread 1\ndefaults\nmode tcp\ntimeout connect 5s\n"
        "timeout client 60s\ntimeout server 60s\n"
        f"listen web\nbind {VIP}:{port}\nbalance roundrobin\n{splice}{servers}\n",
        encoding="ascii",
    )
    pid = directory / f"haproxy-{port}.pid"
    inside(DIRECTOR, "haproxy", "-D", "-f", str(configuration), "-p", str(pid))
    return int(pid.read_text().split()[0])


PROXY = """
import sys
from ipaddress import ip_address
from pathlib import Path
from standfest.adapters.linux.proxy import ProxyBackend
from standfest.model.balancing import Method, Protocol
from standfest.model.forwarding import *
path, workers, vip, port, *servers = sys.argv[1:]
backend = ProxyBackend(Path(path), workers=int(workers))
key = service_key(Protocol.TCP, ip_address(vip), int(port))
backend.apply([AddService(key, ServiceOptions("rr"))] + [
    AddDestination(key, DestinationKey(ip_address(host), 80), Destination(Method(), 1))
    for host in servers])
description = backend.describe()
print(description.pid, *description.workers)
"""


def proxy(directory: Path, workers: int, port: int) -> list[int]:
    """Start our proxy; return its processes, the first one first."""
    path = str(directory / f"proxy-{port}.sock")
    words = (sys.executable, "-c", PROXY, path, str(workers), VIP, str(port), *SERVERS)
    environment = f"PYTHONPATH={ROOT / 'src'}"
    return [int(pid) for pid in inside(DIRECTOR, "env", environment, *words).split()]


def nft(port: int) -> None:
    """Let the kernel translate, one server after another."""
    servers = ", ".join(f"{n} : {host}" for n, host in enumerate(SERVERS))
    rules = (
        "table ip sfpx { chain pre { type nat hook prerouting priority -100;\n"
        f"ip daddr {VIP} tcp dport {port} dnat ip to numgen inc mod {len(SERVERS)} "
        f"map {{ {servers} }} : 80\n}}\n}}\n"
    )
    done = subprocess.run(
        ["ip", "netns", "exec", DIRECTOR, "nft", "-f", "-"],
        input=rules,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(f"bench: no NAT by nft here: {done.stderr.strip()[:200]}", file=sys.stderr)


@contextmanager
def rig() -> Iterator[dict[str, list[int]]]:
    """Yield balancer -> its processes that carry something, everything running."""
    directory = Path(tempfile.mkdtemp(prefix="sfpx-"))
    directory.chmod(0o755)
    others: list[int] = []
    carriers: dict[str, list[int]] = {}
    try:
        topology()
        others.append(nginx(directory))
        for name, port in PORTS.items():
            if name.startswith("HAProxy"):
                carriers[name] = [haproxy(directory, name, port)]
            elif name.startswith("proxy"):
                first, *carriers[name] = proxy(directory, 2 if "2" in name else 1, port)
                others.append(first)
            else:
                nft(port)
                carriers[name] = []
        yield carriers
    finally:
        for pid in [*others, *(pid for pids in carriers.values() for pid in pids)]:
            try:
                os.kill(pid, 15)
            except ProcessLookupError:
                pass
        time.sleep(0.3)
        for name in (CLIENT, DIRECTOR, SERVER):
            run("ip", "netns", "del", name, check=False)
        shutil.rmtree(directory, ignore_errors=True)


def spent_s(pids: list[int]) -> float:
    """Return the processor time of processes until now."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total * TICK_S


def wrk(port: int, path: str, seconds: int, *words: str) -> tuple[float, float, float]:
    """Ask for a while; return requests, requests a second, bytes a second."""
    text = inside(
        CLIENT, "wrk", "-t1", f"-d{seconds}", *words, f"http://{VIP}:{port}{path}"
    )  # fmt: skip
    count = re.search(r"(\d+) requests in", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    volume = re.search(r"Transfer/sec:\s+([\d.]+)([KMG]?)B", text)
    if not count or not rate or not volume:
        sys.exit(f"bench: wrk said: {text}")
    return int(count[1]), float(rate[1]), float(volume[1]) * UNITS[volume[2]]


def measure(port: int, pids: list[int], seconds: int, found: Figures) -> None:
    """Measure one balancer once."""
    before = spent_s(pids)
    count, rate, _ = wrk(port, "/", seconds, "-c64", "-H", "Connection: close")
    found.connections.append(rate)
    found.connection_us.append((spent_s(pids) - before) / max(count, 1) * 1e6)
    _, rate, _ = wrk(port, "/", seconds, "-c64")
    found.requests.append(rate)
    before = spent_s(pids)
    count, _, volume = wrk(port, "/big", seconds, "-c8")
    found.megabytes.append(volume / 1e6)
    found.gigabyte_ms.append((spent_s(pids) - before) / max(count * BIG_BYTES / 1e9, 1e-9) * 1e3)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="./dev bench proxy")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    given = parser.parse_args()
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if os.geteuid() or missing:
        sys.exit(f"bench: needs root and {', '.join(missing) or 'nothing else'}; see ./dev help")
    found = {name: Figures() for name in PORTS}
    with rig() as carriers:
        for _ in range(given.runs):
            for name, port in PORTS.items():
                measure(port, carriers[name], given.seconds, found[name])
    print("| balancer | new conn/s | ratio | requests/s | ratio | MB/s | ratio | us/conn | ms/GB |")
    print("|---|---|---|---|---|---|---|---|---|")
    peer = found[PEER]
    for name, figures in found.items():
        cells = []
        for ours, theirs in (
            (figures.connections, peer.connections),
            (figures.requests, peer.requests),
            (figures.megabytes, peer.megabytes),
        ):
            # Runs are paired: what the machine did beside them hits both alike.
            ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
            cells.append(f"{statistics.median(ours):.0f} | {ratio:.2f}")
        if "NAT" in name:
            cells.append("in the kernel | in the kernel")
        else:
            costs = (figures.connection_us, figures.gigabyte_ms)
            cells.append(" | ".join(f"{statistics.median(cost):.0f}" for cost in costs))
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
