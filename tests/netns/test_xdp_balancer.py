"""The balancer's daemon on the xdp backend, with 10,000 connections open through its crashes."""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.netns import xdp_bench as bench
from tests.netns.vrrp_lab import SOURCE
from tests.netns.xdp_lab import Lab

from standfest.adapters.linux.xdp.programs import Mode

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(bench.why_not()), reason=bench.why_not()),
]
CONNECTIONS, PORT = 10_000, 82
DESCRIPTORS = CONNECTIONS + 1000
FILE = """
virtual_server 10.9.0.100 82 {{
  delay_loop 1
  lb_algo {scheduler}
  lb_kind {method}
  protocol TCP
  {servers}
}}
"""
SERVER = """
  real_server {address} 82 {{
    weight {weight}
    TCP_CHECK {{
      connect_timeout 1
      retry 0
    }}
  }}
"""


def serve(lab: Lab, name: str) -> "subprocess.Popen[bytes]":
    """Let a machine serve."""
    case = str(Path(__file__).with_name("echo_case.py"))
    there = ["ip", "netns", "exec", f"{lab.tag}-{name}"]
    return subprocess.Popen([*there, sys.executable, case, str(PORT), name])


class Daemon:
    """The balancer on the director, with a configuration that can change."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self._lab, self._directory = lab, directory
        self.log, self._file = directory / "log", directory / "balancer.conf"
        self._process: subprocess.Popen[bytes] | None = None

    def write(self, *weights: int, method: str = "DR", scheduler: str = "wrr") -> None:
        """Write the configuration: servers of these weights, 0 for none."""
        servers = "".join(
            SERVER.format(address=f"10.9.0.{10 + number}", weight=weight)
            for number, weight in enumerate(weights, start=1)
        )
        text = FILE.format(servers=servers, method=method, scheduler=scheduler)
        self._file.write_text(f"global_defs {{\n  script_user root\n}}\n{text}")

    def start(self) -> None:
        """Start it, and wait until it balances."""
        words = ("standfest.daemons.balancer.main", str(self._file), "--backend", "xdp")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["ip", "netns", "exec", f"{self._lab.tag}-director", sys.executable, "-m", *words],
                stdin=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, "PYTHONPATH": SOURCE},
            )
        self.until(lambda: "Balancing 1 virtual servers by xdp" in self.log.read_text())

    def balancer(self) -> int:
        """Return the process that balances, 0 while there is none."""
        assert self._process is not None
        words = ["pgrep", "-x", "sf-balancer", "-P", str(self._process.pid)]
        found = subprocess.run(words, capture_output=True, text=True, check=False).stdout
        return int(found) if found.strip() else 0

    def kill(self) -> None:
        """Kill the balancer, and wait until another one balances."""
        before, times = self.balancer(), self.log.read_text().count("Balancing 1 virtual")
        os.kill(before, signal.SIGKILL)
        self.until(lambda: self.log.read_text().count("Balancing 1 virtual") > times)

    def reload(self) -> None:
        """Read the configuration again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """End it in good order."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(20)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something, but not for ever."""
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.02)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Three servers, and room for all the sockets."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, max(DESCRIPTORS, before[1])))
    except (OSError, ValueError):
        pytest.skip(f"needs {DESCRIPTORS} descriptors, the limit is {before[1]}")
    machines = Lab(tmp_path, Mode.NATIVE)
    servers: list[subprocess.Popen[bytes]] = []
    try:
        machines.build()
        with machines.inside("client"):
            Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("20000 60000")
        servers += [serve(machines, f"rs{number}") for number in (1, 2, 3)]
        yield machines
    finally:
        for one in servers:
            one.kill()
            one.wait()
        machines.clear()
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def answered(connections: list[socket.socket]) -> int:
    """Send a byte on each connection; return how many come back."""
    found = 0
    for begin in range(0, len(connections), 500):
        part = connections[begin : begin + 500]
        for one in part:
            with contextlib.suppress(OSError):
                one.sendall(b"?")
        for one in part:
            with contextlib.suppress(OSError):
                found += one.recv(1) == b"?"
    return found


def test_ten_thousand_connections_outlive_a_crash_and_a_reload(lab: Lab, tmp_path: Path) -> None:
    daemon = Daemon(lab, tmp_path)
    daemon.write(1, 1)
    daemon.start()
    connections: list[socket.socket] = []
    try:
        connections += [lab.connect(4, PORT) for _ in range(CONNECTIONS)]
        owners = Counter(one.recv(3).decode() for one in connections)
        assert owners == {"rs1": CONNECTIONS // 2, "rs2": CONNECTIONS // 2}
        daemon.kill()
        assert answered(connections) == CONNECTIONS
        daemon.write(0, 1, 1)
        daemon.reload()
        daemon.until(lambda: one_more(lab) == "rs3")
        assert answered(connections) == CONNECTIONS
        assert {one_more(lab) for _ in range(10)} == {"rs2", "rs3"}
    finally:
        for one in connections:
            one.close()
        daemon.stop()


def one_more(lab: Lab) -> str:
    """Return who answers a new connection."""
    with lab.connect(4, PORT) as endpoint:
        return endpoint.recv(3).decode()


def test_a_dead_server_leaves_and_comes_back(lab: Lab, tmp_path: Path) -> None:
    daemon = Daemon(lab, tmp_path)
    daemon.write(1, 1)
    daemon.start()
    try:
        assert {one_more(lab) for _ in range(4)} == {"rs1", "rs2"}
        bench.ip("-n", f"{lab.tag}-rs1", "link", "set", "eth0", "down")
        daemon.until(lambda: "10.9.0.11" in daemon.log.read_text())
        daemon.until(lambda: {one_more(lab) for _ in range(4)} == {"rs2"})
        bench.ip("-n", f"{lab.tag}-rs1", "link", "set", "eth0", "up")
        daemon.until(lambda: {one_more(lab) for _ in range(4)} == {"rs1", "rs2"})
    finally:
        daemon.stop()
    with lab.inside("director"):
        assert "xdp" not in bench.ip("link", "show", "dev", "eth0")
