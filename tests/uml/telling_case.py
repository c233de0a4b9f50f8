"""Runs inside User Mode Linux: keepalived's checkers and ours through the same life.

At each step the kernel's table, the lines of the pipe and the calls of scripts must be the same;
their order within a step is that of checks that nobody has ordered.
"""

import os
import signal
import subprocess
import sys
import time
from ipaddress import IPv4Address
from pathlib import Path

from tests.uml.lvs_lab import inside

from standfest.adapters.linux.ipvs import IpvsBackend
from standfest.model.balancing import Protocol
from standfest.model.forwarding import service_key

RUN = Path("/run/telling")
WORDS = {
    "plain": "",
    "alpha, omega": "alpha\n  omega",
    "sorry server": "sorry_server 127.0.0.9 8081\n  quorum 2",
    "sorry server inhibited": "sorry_server 127.0.0.9 8081\n  quorum 2\n  sorry_server_inhibit",
    "inhibited": "inhibit_on_failure",
    "quorum with hysteresis": "quorum 2\n  hysteresis 1",
    "told at the start": "",
}
GLOBAL = {"told at the start": "rs_init_notifies"}
LISTENER = """
import contextlib, socket, sys
listener = socket.create_server((sys.argv[1], 8081))
while True:
    with contextlib.suppress(OSError):
        listener.accept()[0].close()
"""
KEEPALIVED = ("keepalived", "-n", "-l", "-C", "-f", "{conf}", "-p", "{run}/pid", "-c", "{run}/chk")
OURS = (
    *(sys.executable, "-m", "standfest.daemons.balancer.main", "{conf}"),
    *("--backend", "ipvs"),
)


def configuration(variant: str, run: Path) -> str:
    """Return a service with two servers, of which everything is told."""
    servers = "".join(
        f"""
  real_server 127.0.0.{number} 8081 {{
    notify_up "{run}/note rs{number} up"
    notify_down "{run}/note rs{number} down"
    TCP_CHECK {{
      connect_timeout 1
      retry 0
    }}
  }}"""
        for number in (2, 3)
    )
    return f"""
global_defs {{
  script_user root
  lvs_notify_fifo {run}/fifo
  {GLOBAL.get(variant, "")}
}}
virtual_server 127.0.0.1 8080 {{
  delay_loop 1
  lb_algo rr
  lb_kind NAT
  protocol TCP
  quorum_up "{run}/note quorum up"
  quorum_down "{run}/note quorum down"
  {WORDS[variant]}
{servers}
}}
"""


class Life:
    """One product in a namespace of its own, with two servers."""

    def __init__(self, name: str, variant: str, command: tuple[str, ...]) -> None:
        self.namespace = f"t-{name}"
        self.run = RUN / name
        self.run.mkdir(parents=True)
        subprocess.run(["ip", "netns", "add", self.namespace], check=True)
        subprocess.run(["ip", "-n", self.namespace, "link", "set", "lo", "up"], check=True)
        note = self.run / "note"
        note.write_text(f'#!/bin/sh\necho "$*" >> {self.run}/notes\n')
        note.chmod(0o755)
        (self.run / "notes").touch()
        (self.run / "conf").write_text(configuration(variant, self.run))
        os.mkfifo(self.run / "fifo")
        self.pipe = os.open(self.run / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        self.servers: dict[int, subprocess.Popen[bytes]] = {}
        self.serve(2)
        words = [word.format(conf=self.run / "conf", run=self.run) for word in command]
        self.daemon = self._spawn(*words)

    def serve(self, number: int) -> None:
        address = f"127.0.0.{number}"
        self.servers[number] = self._spawn(sys.executable, "-I", "-S", "-c", LISTENER, address)

    def kill(self, number: int) -> None:
        self.servers[number].kill()
        self.servers[number].wait()

    def told(self) -> tuple[list[str], list[str], dict[str, int]]:
        """Return what was told since the last time, and the table."""
        try:
            lines = os.read(self.pipe, 65536).decode().splitlines()
        except BlockingIOError:
            lines = []
        notes = (self.run / "notes").read_text().splitlines()
        (self.run / "notes").write_text("")
        return sorted(lines), sorted(notes), self.table()

    def table(self) -> dict[str, int]:
        with inside(self.namespace):
            backend = IpvsBackend()
        table = backend.read()
        backend.close(keep=True)
        service = table.get(service_key(Protocol.TCP, IPv4Address("127.0.0.1"), 8080))
        if service is None:
            return {"no service": 0}
        return {str(key): value.weight for key, value in service.destinations.items()}

    def end(self) -> None:
        self.daemon.send_signal(signal.SIGTERM)
        self.daemon.wait(20)

    def close(self) -> None:
        for server in self.servers.values():
            server.kill()
            server.wait()
        os.close(self.pipe)

    def _spawn(self, *words: str) -> "subprocess.Popen[bytes]":
        with (self.run / "log").open("ab") as log:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, *words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip


def compare(number: int, variant: str) -> int:
    """Take both through the same life; return how many steps differ."""
    lives = [
        Life(f"{number}-keepalived", variant, KEEPALIVED),
        Life(f"{number}-standfest", variant, OURS),
    ]
    differ = 0
    for step in ("start", "the second dies", "both live", "end"):
        for life in lives:
            match step:
                case "the second dies":
                    life.kill(2)
                case "both live":
                    life.serve(2)
                    life.serve(3)
                case "end":
                    life.end()
                case _:
                    pass
        time.sleep(5.0)
        theirs, ours = (life.told() for life in lives)
        if theirs != ours:
            differ += 1
            print(f"{variant}: {step}:\n  keepalived {theirs}\n  standfest  {ours}", flush=True)
    for life in lives:
        life.close()
    print(f"{variant}: {'same' if not differ else 'differs'}", flush=True)
    return differ


def main() -> None:
    """Compare in all variants."""
    differ = sum(compare(number, variant) for number, variant in enumerate(WORDS))
    print(f"{differ} steps differ")
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
