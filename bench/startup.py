"""1,000 services from nothing to the kernel, one weight by a reload: beside keepalived, in turn.

Printed by `./dev bench balancer`. Each starts from its file where all servers accept. keepalived's
IPVS messages are answered by the rigs' stub, at no cost; ours is the whole daemon with nftables, up
to the word that everything is in the kernel.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("STANDFEST_SHARED", ROOT.parent / "shared"))
STUB = SHARED / "rigs" / "keepalived" / "nlstub.c"
SERVERS = 4
CHANGED = 17
"""The server whose weight the reload changes."""
ADDED, SET = "5", "6"  # what the stub writes down of a server
LIMIT_S = 60.0
ACCEPT = """
import socket
listener = socket.create_server(("", 80), backlog=4096)
while True:
    listener.accept()[0].close()
"""


def configuration(services: int, weight: int) -> str:
    """Return the file; weight: of one server, all others have 1."""
    lines = ["global_defs {", "  router_id bench", "}"]
    for service in range(services):
        lines.append(f"virtual_server 10.64.{service >> 8}.{service & 255} 80 {{")
        lines += ["  delay_loop 6", "  lb_algo rr", "  lb_kind NAT", "  protocol TCP"]
        for server in range(service * SERVERS + 1, service * SERVERS + SERVERS + 1):
            lines.append(f"  real_server 10.128.{server >> 8}.{server & 255} 80 {{")
            lines.append(f"    weight {weight if server == CHANGED else 1}")
            lines += ["    TCP_CHECK {", "      connect_timeout 3", "    }", "  }"]
        lines.append("}")
    return "\n".join(lines) + "\n"


class Place:
    """A namespace with all the servers' addresses, and a directory for files."""

    def __init__(self, directory: Path, services: int) -> None:
        self.namespace, self.directory = f"sfstart{os.getpid()}", directory
        self.services, self.path = services, directory / "balancer.conf"
        self._stub, self._notes = directory / "nlstub.so", directory / "notes"
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", self._stub, STUB], check=True)
        subprocess.run(["ip", "netns", "add", self.namespace], check=True)
        for words in ("link set lo up", "route add local 10.128.0.0/16 dev lo"):
            subprocess.run(["ip", "-n", self.namespace, *words.split()], check=True)
        self._servers = self._spawn([sys.executable, "-I", "-S", "-c", ACCEPT])

    def _spawn(
        self, words: list[str], output: int = subprocess.PIPE, **environment: str
    ) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            ["ip", "netns", "exec", self.namespace, *words],
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **environment},
        )

    def close(self) -> None:
        """Remove everything."""
        self._servers.kill()
        self._servers.wait()
        subprocess.run(["ip", "netns", "del", self.namespace], check=True)

    def write(self, weight: int) -> None:
        """Write the file anew."""
        self.path.write_text(configuration(self.services, weight), encoding="ascii")

    def standfest(self) -> tuple[float, float]:
        """Return seconds of a start and of a reload."""
        self.write(1)
        words = [sys.executable, "-m", "standfest.daemons.balancer.main", str(self.path)]
        began = time.monotonic()
        daemon = self._spawn([*words, "--backend", "nftables"], PYTHONPATH=str(ROOT / "src"))
        assert daemon.stdout is not None, "it is a pipe"

        def said(text: str) -> float:
            assert daemon.stdout is not None, "it is a pipe"
            assert any(text in line for line in daemon.stdout), f"it did not say {text!r}"
            return time.monotonic()

        try:
            started = said(f"Balancing {self.services} virtual servers") - began
            return started, self._reload(daemon, lambda: said("Reload complete"))
        finally:
            daemon.terminate()
            daemon.communicate()

    def keepalived(self) -> tuple[float, float]:
        """Return the same of keepalived."""
        self.write(1)
        self._notes.write_text("")
        files = [str(self.directory / name) for name in ("parent.pid", "checker.pid")]
        words = ["keepalived", "-n", "-l", "-C", "-f", str(self.path), "-p", files[0], "-c"]
        began = time.monotonic()
        stub = {"LD_PRELOAD": str(self._stub), "NLSTUB_LOG": str(self._notes)}
        daemon = self._spawn([*words, files[1]], subprocess.DEVNULL, **stub)

        def noted(kind: str, count: int) -> float:
            while time.monotonic() - began < LIMIT_S:
                lines = [line.split() for line in self._notes.read_text().splitlines()]
                times = [float(line[0]) for line in lines if line[1:] == [kind]]
                if len(times) >= count:
                    return times[count - 1]
                time.sleep(0.02)
            raise TimeoutError(f"keepalived has not sent {count} messages {kind}")

        try:
            started = noted(ADDED, self.services * SERVERS) - began
            return started, self._reload(daemon, lambda: noted(SET, 1))
        finally:
            daemon.terminate()
            daemon.communicate()

    def _reload(self, daemon: "subprocess.Popen[str]", done: Callable[[], float]) -> float:
        time.sleep(1)  # the start is over, and the first checks are on their way
        self.write(7)
        began = time.monotonic()
        daemon.send_signal(signal.SIGHUP)
        return done() - began


def startup(runs: int, services: int) -> None:
    """Print what both take, the median of the runs, least and most."""
    with tempfile.TemporaryDirectory(prefix="standfest-bench-") as directory:
        place = Place(Path(directory), services)
        took: dict[str, list[tuple[float, float]]] = {"keepalived": [], "standfest": []}
        try:
            for _ in range(runs):
                took["keepalived"].append(place.keepalived())
                took["standfest"].append(place.standfest())
        finally:
            place.close()
    print(f"\n| {services:,} services x {SERVERS} servers, whole daemon | start s | one weight s |")
    print("|---|---|---|")
    for name, found in took.items():
        print(f"| {name} | {' | '.join(_shown(column) for column in zip(*found, strict=True))} |")


def _shown(column: tuple[float, ...]) -> str:
    return f"{statistics.median(column):.2f} ({min(column):.2f} to {max(column):.2f})"
