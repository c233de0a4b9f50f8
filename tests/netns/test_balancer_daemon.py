"""The balancer's daemon with real checks and a real data plane (the proxy), in a namespace."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.netns.vrrp_lab import SOURCE, why_not

why = why_not()
pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(why), reason=why or "there")]

VIRTUAL = """
virtual_server 127.0.0.1 8080 {{
  delay_loop 1
  lb_algo {algorithm}
  lb_kind NAT
  protocol TCP
  quorum_up "{here}/note quorum up"
  quorum_down "{here}/note quorum down"
  {more}
  real_server 127.0.0.2 8081 {{
    weight {weight}
    notify_up "{here}/note first up"
    notify_down "{here}/note first down"
    TCP_CHECK {{
      connect_timeout 1
      retry 0
    }}
  }}
  real_server 127.0.0.3 8081 {{
    TCP_CHECK {{
      connect_timeout 1
      retry 0
    }}
  }}
}}
"""
ECHO = """
import socket, sys, threading
listener = socket.create_server((sys.argv[1], 8081))
def serve(line):
    with line:
        try:
            line.sendall(sys.argv[1].encode() + b"\\n")
            while data := line.recv(4096):
                line.sendall(data)
        except OSError:
            pass
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""

HOLD = """
import socket, sys, time
line = socket.create_connection(("127.0.0.1", 8080), 3)
line.recv(64)
while True:
    line.sendall(b"x")
    assert line.recv(1)
    with open(sys.argv[1], "a") as beat:
        beat.write(".")
    time.sleep(0.05)
"""


class Place:
    """A namespace with a balancer, and what it has written."""

    def __init__(self, directory: Path) -> None:
        self.namespace, self.directory = f"sfbal{os.getpid()}", directory
        self.log = directory / "log"
        self.daemon: subprocess.Popen[bytes] | None = None
        self.servers: dict[str, subprocess.Popen[bytes]] = {}
        note = directory / "note"
        note.write_text(f'#!/bin/sh\necho "$*" >> {directory}/notes\n')
        note.chmod(0o755)
        (directory / "notes").touch()
        subprocess.run(["ip", "netns", "add", self.namespace], check=True)
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ip", "netns", "exec", self.namespace, *words],
            capture_output=True, text=True, timeout=60, check=False, env=self.environment(),
        )  # fmt: skip

    def spawn(self, *words: str) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, *words],
                stdin=subprocess.DEVNULL, stderr=log, env=self.environment(),
            )  # fmt: skip

    @staticmethod
    def environment() -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": SOURCE}

    def write(
        self, *, algorithm: str = "rr", weight: int = 1, more: str = "", head: str = ""
    ) -> Path:
        path = self.directory / "balancer.conf"
        body = VIRTUAL.format(algorithm=algorithm, weight=weight, more=more, here=self.directory)
        path.write_text("global_defs {\n  script_user root\n" + head + "\n}\n" + body)
        return path

    def serve(self, address: str) -> None:
        self.servers[address] = self.spawn(sys.executable, "-I", "-S", "-c", ECHO, address)

    def start(self, path: Path, backend: str = "proxy") -> None:
        main = (sys.executable, "-m", "standfest.daemons.balancer.main", str(path))
        self.daemon = self.spawn(*main, "--backend", backend)
        self.until(lambda: "Balancing 1 virtual servers" in self.log.read_text())

    def balance(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "standfest.cli.main", "balance", *words)

    def servers_now(self) -> dict[str, dict[str, Any]]:
        found = json.loads(self.balance("status", "--json").stdout)
        return {server["server"]: server for server in found["services"][0]["servers"]}

    def states(self) -> list[str]:
        return [server["state"] for server in self.servers_now().values()]

    def balancer(self) -> int:
        assert self.daemon is not None
        found = subprocess.run(
            ["pgrep", "-x", "sf-balancer", "-P", str(self.daemon.pid)],
            capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip
        return int(found) if found.strip() else 0

    def answer(self) -> str:
        """Return which server answers one connection; empty: none does."""
        code = (
            "import socket\ns=socket.create_connection(('127.0.0.1',8080),3)\n"
            "print(s.recv(64).decode().strip())"
        )
        return self.run(sys.executable, "-I", "-S", "-c", code).stdout.strip()

    @staticmethod
    def until(condition: Callable[[], bool], limit_s: float = 15.0) -> None:
        end = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < end, "not in time"
            time.sleep(0.05)

    def end(self) -> None:
        if self.daemon is not None and self.daemon.poll() is None:
            self.daemon.terminate()
            self.daemon.wait(20)

    def close(self) -> None:
        self.end()
        for server in self.servers.values():
            server.kill()
            server.wait()
        left = subprocess.run(
            ["ip", "netns", "pids", self.namespace], capture_output=True, text=True, check=False
        ).stdout
        for word in left.split():
            os.kill(int(word), signal.SIGKILL)
        subprocess.run(["ip", "netns", "del", self.namespace], check=False)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    try:
        yield made
    finally:
        made.close()


def test_a_balancer_takes_dead_servers_out_and_tells_scripts_and_pipes(place: Place) -> None:
    pipe = place.directory / "events"
    place.serve("127.0.0.2")
    path = place.write(head=f"  lvs_notify_fifo {pipe}")
    place.start(path)
    place.until(pipe.exists)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    place.until(lambda: place.states() == ["up", "down"])
    reason = place.servers_now()["127.0.0.3:8081"]["failures"]
    assert "connection refused" in next(iter(reason.values()))
    assert {place.answer() for _ in range(4)} == {"127.0.0.2"}

    place.servers["127.0.0.2"].kill()
    place.servers.pop("127.0.0.2").wait()
    place.until(lambda: place.states() == ["down", "down"])
    assert place.answer() == ""
    notes = place.directory / "notes"
    place.until(lambda: notes.read_text() == "quorum up\nfirst down\nquorum down\n")
    told = os.read(reader, 4096).decode().splitlines()
    os.close(reader)
    where = "[127.0.0.1]:tcp:8080"
    assert told[-2:] == [f"RS [127.0.0.2]:tcp:8081 {where} DOWN", f"VS {where} DOWN"]


def test_a_crash_and_a_reload_break_no_connection(place: Place) -> None:
    for address in ("127.0.0.2", "127.0.0.3"):
        place.serve(address)
    place.start(place.write())
    holder = place.spawn(sys.executable, "-I", "-S", "-c", HOLD, f"{place.directory}/beat")
    beat = place.directory / "beat"
    place.until(beat.exists)
    before = place.balancer()
    os.kill(before, signal.SIGKILL)
    place.until(lambda: place.balancer() not in (0, before))
    place.until(lambda: "Adopting VS [127.0.0.1]:tcp:8080" in place.log.read_text())
    assert place.daemon is not None
    place.write(weight=7)
    place.daemon.send_signal(signal.SIGHUP)
    place.until(lambda: place.servers_now()["127.0.0.2:8081"]["weight"] == 7)
    beats = beat.stat().st_size
    place.until(lambda: beat.stat().st_size > beats + 10)
    assert holder.poll() is None
    holder.kill()
    holder.wait()


def test_a_drained_server_gets_nothing_new_and_says_when_it_is_empty(place: Place) -> None:
    for address in ("127.0.0.2", "127.0.0.3"):
        place.serve(address)
    path = place.write()
    place.start(path)
    place.until(lambda: {place.answer(), place.answer()} == {"127.0.0.2", "127.0.0.3"})
    drained = place.balance("drain", "127.0.0.2", "--wait", "--timeout", "20")
    assert drained.returncode == 0, drained.stderr
    assert {place.answer() for _ in range(4)} == {"127.0.0.3"}
    assert place.daemon is not None
    place.daemon.send_signal(signal.SIGHUP)
    place.until(lambda: "Reload complete" in place.log.read_text())
    assert place.states() == ["drained", "up"]
    place.balance("undrain", "127.0.0.2:8081")
    place.until(lambda: {place.answer(), place.answer()} == {"127.0.0.2", "127.0.0.3"})
    unknown = place.balance("drain", "127.0.0.9")
    assert unknown.returncode == 69
    assert "no server '127.0.0.9'; expected ADDRESS or ADDRESS:PORT" in unknown.stderr


@pytest.mark.skipif(not shutil.which("nft"), reason="needs nft to look at the tables")
def test_turns_follow_what_is_counted_where_the_kernel_only_looks_up(place: Place) -> None:
    for address in ("127.0.0.2", "127.0.0.3"):
        place.serve(address)
    place.start(place.write(algorithm="wlc", weight=100), "nftables")

    def slots() -> int:
        return place.run("nft", "list", "map", "ip", "standfest", "slots-1").stdout.count(" : 0x")

    # By the weights 100 and 1 there are 101 slots; once it is counted, 120: shares of 119 and 1.
    place.until(lambda: slots() == 120)
    assert place.servers_now()["127.0.0.2:8081"]["weight"] == 100


def test_what_is_kept_is_taken_over_by_the_next_one(place: Place) -> None:
    place.serve("127.0.0.2")
    path = place.write()
    place.start(path)
    place.until(lambda: place.states() == ["up", "down"])
    place.balance("keep")
    place.end()
    assert place.answer() == "127.0.0.2"
    place.log.write_text("")
    place.start(path)
    assert "to be checked: [127.0.0.3]:tcp:8081" in place.log.read_text()
    assert place.states() == ["up", "down"]
    place.end()
    assert place.answer() == ""


def test_what_the_backend_lacks_is_said_at_the_start_and_changes_nothing_later(
    place: Place,
) -> None:
    main = (sys.executable, "-m", "standfest.daemons.balancer.main")
    refused = place.run(*main, str(place.write(algorithm="lblc")), "--backend", "proxy")
    assert refused.returncode == 78
    assert "proxy has no scheduler lblc; expected sh, or --backend ipvs" in refused.stderr
    place.serve("127.0.0.2")
    place.start(place.write())
    place.until(lambda: place.states() == ["up", "down"])
    place.write(algorithm="lblc", weight=9)
    assert place.daemon is not None
    place.daemon.send_signal(signal.SIGHUP)
    place.until(lambda: "cannot be balanced: everything stays as it was" in place.log.read_text())
    assert place.servers_now()["127.0.0.2:8081"]["weight"] == 1
