"""Runs inside User Mode Linux: thousands of open connections while the balancer comes and goes.

Arguments: how many. A reload, a crash and an upgrade break none of them; nothing new reaches a
server that is drained or dead, not even of clients that persist there.
"""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.uml import lvs_lab as lab

PORT = 7
OTHERS = tuple(f"123.123.123.{number}" for number in range(230, 242))
ECHO = """
import contextlib, resource, select, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (50_000, 50_000))
listener = socket.create_server(("", 7), backlog=4096)
listener.setblocking(False)
ready = select.epoll()
ready.register(listener, select.EPOLLIN)
lines = {}
while True:
    for number, _ in ready.poll():
        if number == listener.fileno():
            try:
                line, _ = listener.accept()
            except OSError:
                continue
            lines[line.fileno()] = line
            ready.register(line, select.EPOLLIN)
            with contextlib.suppress(OSError):
                line.send(sys.argv[1].encode())
            continue
        try:
            data = lines[number].recv(4096)
        except OSError:
            data = b""
        if data:
            lines[number].send(data)
        else:
            lines.pop(number).close()
"""
CONFIGURATION = """
virtual_server 123.123.123.1 7 {{
  delay_loop 2
  lb_algo wrr
  lb_kind NAT
  persistence_timeout 50
  protocol TCP
  real_server 192.168.0.101 7 {{
    weight {weight}
    TCP_CHECK {{
      connect_timeout 2
    }}
  }}
  real_server 192.168.0.102 7 {{
    weight 1
    TCP_CHECK {{
      connect_timeout 2
    }}
  }}
}}
"""


class Clients:
    """Many connections, each of which has a server that it must keep."""

    def __init__(self, count: int) -> None:
        self.lines: list[socket.socket] = []
        with lab.inside("client"):
            for number in range(count):
                line = socket.create_connection(
                    (lab.MAIL, PORT), 20, (lab.CLIENTS[number % len(lab.CLIENTS)], 0)
                )
                assert line.recv(2) in (b"m1", b"m2")
                self.lines.append(line)

    def broken(self) -> int:
        """Return how many no longer answer."""
        for line in self.lines:
            line.settimeout(20)
        for line in self.lines:
            line.send(b"x")
        count = 0
        for line in self.lines:
            try:
                count += line.recv(1) != b"x"
            except OSError:
                count += 1
        return count


def start() -> "subprocess.Popen[bytes]":
    """Start a balancer and wait until it has begun."""
    log = lab.RUN / "lb1.log"
    had = log.read_text().count("Balancing 1 virtual") if log.exists() else 0
    path = str(lab.RUN / "lb1.conf")
    words = (sys.executable, "-m", "standfest.daemons.balancer.main", path, "--backend", "ipvs")
    process = lab.spawn("lb1", *words)
    lab.until(lambda: log.exists() and log.read_text().count("Balancing 1 virtual") > had)
    return process


def write(weight: int) -> None:
    """Write the configuration."""
    (lab.RUN / "lb1.conf").write_text(CONFIGURATION.format(weight=weight))


def command(*words: str) -> None:
    """Run `standfest balance` beside the balancer."""
    program = (sys.executable, "-m", "standfest.cli.main", "balance")
    subprocess.run(
        ["ip", "netns", "exec", "lb1", *program, *words], check=True, stdout=subprocess.DEVNULL
    )


def newcomers(sources: tuple[str, ...]) -> set[str]:
    """Return the servers that new connections of clients come to, five of each."""
    found = set()
    for number in range(5 * len(sources)):
        source = sources[number % len(sources)]
        with lab.open_line(source, lab.MAIL, PORT) as line:
            found.add(line.recv(2).decode())
    return found


@contextmanager
def crashing(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Kill the balancer of a supervisor; wait for its successor."""
    text = (lab.RUN / "lb1.log").read_text().count("Adopting VS")
    pids = subprocess.run(
        ["pgrep", "-x", "sf-balancer", "-P", str(process.pid)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    os.kill(int(pids), signal.SIGKILL)
    yield
    lab.until(lambda: (lab.RUN / "lb1.log").read_text().count("Adopting VS") > text)


def main() -> None:
    """Open connections, let everything happen to the balancer, count."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (50_000, 50_000))
    count = int(sys.argv[1])
    lab.build()
    lab.batch("lb1", f"addr add {lab.MAIL}/32 dev eth0", "addr add 192.168.0.1/32 dev eth1")
    servers = {
        name: lab.spawn(name, sys.executable, "-I", "-S", "-c", ECHO, name) for name in ("m1", "m2")
    }
    lab.batch("client", *(f"addr add {address}/24 dev eth0" for address in OTHERS))
    write(1)
    balancer = start()
    time.sleep(3)
    clients = Clients(count)
    found: dict[str, int] = {"open": len(clients.lines), "before": clients.broken()}

    write(3)
    balancer.send_signal(signal.SIGHUP)
    lab.until(
        lambda: lab.weights("lb1", lab.MAIL, PORT) == {"192.168.0.101:7": 3, "192.168.0.102:7": 1}
    )
    found["reload"] = clients.broken()

    with crashing(balancer):
        found["while it is dead"] = clients.broken()
    found["crash"] = clients.broken()

    command("keep")
    balancer.terminate()
    balancer.wait(20)
    found["between"] = clients.broken()
    balancer = start()
    found["upgrade"] = clients.broken()

    command("drain", "192.168.0.101:7")
    assert newcomers(lab.CLIENTS) == {"m2"}, "a drained server gets nothing new"
    found["drain"] = clients.broken()
    command("undrain", "192.168.0.101:7")
    assert newcomers(OTHERS) == {"m1", "m2"}  # those from before stay where they came to

    lab.kill(servers.pop("m1"))
    lab.until(lambda: "192.168.0.101:7" not in lab.weights("lb1", lab.MAIL, PORT))
    assert newcomers(OTHERS) == {"m2"}, "a dead server gets nothing new"
    print(json.dumps(found))
    balancer.terminate()
    balancer.wait(20)
    lab.kill(servers["m2"])


if __name__ == "__main__":
    main()
