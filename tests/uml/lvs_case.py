"""The report's chapter 5.3 with our directors: arguments are the method and the backend.

Prints one JSON object with what was measured; what must hold is asserted here.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

from tests.uml import lvs_lab as lab

VIRTUAL = ((lab.MAIL, 25), (lab.MAIL, 993), (lab.MAIL, 995), (lab.WEB, 80))
OPEN = 20
"""Mail clients that are connected when their director dies."""


def ports_of(name: str) -> tuple[int, ...]:
    """Return what a server serves."""
    return (25, 993, 995) if name.startswith("m") else (80,)


def clients_see_round_robin() -> None:
    """Eight clients alternate, and each stays where it was: persistence."""
    for address, port in VIRTUAL:
        first = [lab.who(client, address, port) for client in lab.CLIENTS[:8]]
        assert sorted(set(first)) == sorted(
            name for name in lab.SERVERS if port in ports_of(name)
        ), (address, port, first)
        assert all(a != b for a, b in pairwise(first)), first
        again = [lab.who(client, address, port) for client in lab.CLIENTS[:8]]
        assert again == first, (first, again)


def a_dead_service(
    running: dict[tuple[str, int], "subprocess.Popen[bytes]"],
    name: str,
    port: int,
    director: str,
    backend: str,
) -> dict[str, float]:
    """Kill a service, wait until it has left the pool, start it, wait until it is back."""
    address = lab.MAIL if name.startswith("m") else lab.WEB
    server = f"192.168.0.{lab.SERVERS[name]}:{port}"
    lab.kill(running.pop((name, port)))
    gone = lab.until(lambda: server not in lab.weights(director, address, port, backend))
    others = {lab.who(client, address, port) for client in lab.CLIENTS[:8]}
    assert name not in others, (name, others)
    running[name, port] = lab.START[port](name)
    back = lab.until(lambda: server in lab.weights(director, address, port, backend))
    return {"gone_s": round(gone, 2), "back_s": round(back, 2)}


def outage(began: float) -> float:
    """Return for how long new connections to mail have failed since `began`."""
    while True:
        try:
            lab.open_line(lab.CLIENTS[9], lab.MAIL, 995, 0.2).close()
            return time.monotonic() - began
        except OSError:
            time.sleep(0.02)


def alive(lines: list[socket.socket]) -> int:
    """Return how many SMTP dialogues still go on."""
    count = 0
    for line in lines:
        try:
            line.settimeout(10)
            line.sendall(b"NOOP\r\n")
            count += line.recv(4096).startswith(b"250")
        except OSError:
            continue
    return count


def dialogues() -> list[socket.socket]:
    """Open SMTP dialogues through the director, far enough for the kernel to tell of them."""
    lines = [lab.open_line(lab.CLIENTS[n % 8], lab.MAIL, 25) for n in range(OPEN)]
    for line in lines:
        assert line.recv(4096).startswith(b"220"), "greeted"
        for word in (b"EHLO client.example\r\n", b"NOOP\r\n", b"NOOP\r\n"):
            line.sendall(word)
            line.recv(4096)
    return lines


def main() -> None:
    """Run everything for one method."""
    kind, backend = sys.argv[1:]
    found: dict[str, object] = {"kind": kind, "backend": backend}
    lab.build()
    lab.make_certificate()
    if (kind, backend) == ("TUN", "xdp"):
        lab.set_servers_up()
    elif kind != "NAT":
        lab.prepare_servers(kind)
    if backend == "xdp":
        lab.prepare_drivers()
    running = {
        (name, port): lab.START[port](name) for name in lab.SERVERS for port in ports_of(name)
    }
    time.sleep(2)  # TCP_CHECK is content at once, and the first check comes within delay_loop
    directors = {name: lab.start_director(name, kind, backend) for name in ("lb2", "lb1")}
    found["roles_s"] = round(
        lab.until(lambda: [lab.holder(lab.MAIL), lab.holder(lab.WEB)] == [["lb1"], ["lb2"]]), 1
    )
    for address, port in VIRTUAL:
        lab.until(lambda: len(lab.weights("lb1", address, port, backend)) == 2)  # noqa: B023
    time.sleep(8)  # every server has been checked once
    for address, port in VIRTUAL:
        assert len(lab.weights("lb1", address, port, backend)) == 2, (address, port)
    clients_see_round_robin()

    # delay_loop 6, one retry 1 s later (HTTP: 3 s), a refused connection takes no time.
    for name, port, director, limit in (
        ("m1", 25, "lb1", 7.5), ("m1", 993, "lb1", 7.5), ("w1", 80, "lb2", 9.5)
    ):  # fmt: skip
        took = a_dead_service(running, name, port, director, backend)
        assert took["gone_s"] <= limit, (name, port, took)
        assert took["back_s"] <= 6 + 2.5, (name, port, took)  # a loop, and the service's own start
        found[f"{name}_{port}"] = took

    lines = dialogues()
    crash(directors["lb1"])
    assert alive(lines) == OPEN, "a balancer that dies breaks no connection"
    directors["lb1"].send_signal(signal.SIGHUP)
    time.sleep(2)
    assert alive(lines) == OPEN, "a reload breaks no connection"

    began = time.monotonic()
    lab.batch("net", "link set lb1-0 down", "link set lb1-1 down")
    lab.kill(directors["lb1"])
    found["outage_s"] = round(outage(began), 2)
    lab.until(lambda: "lb2" in lab.holder(lab.MAIL) and "lb2" in lab.holder(lab.WEB), 10)
    found["dialogues_survived"] = f"{alive(lines)} of {OPEN}"
    for address, port in VIRTUAL:
        assert lab.who(lab.CLIENTS[10], address, port) in lab.SERVERS
    print(json.dumps(found))
    lab.kill(directors["lb2"], signal.SIGTERM)
    for process in running.values():
        lab.kill(process)


def crash(director: "subprocess.Popen[bytes]") -> None:
    """Kill a director's balancer, and wait until another one has taken over."""
    before = balancer(director)
    os.kill(before, signal.SIGKILL)
    lab.until(lambda: balancer(director) not in (0, before), 10)
    time.sleep(1)


def balancer(director: "subprocess.Popen[bytes]") -> int:
    """Return the process id of a director's balancer, 0 if there is none."""
    for entry in os.listdir("/proc"):
        try:
            name, _, rest = Path(f"/proc/{entry}/stat").read_text().rpartition(")")
        except OSError:
            continue
        if name.endswith("(sf-balancer") and int(rest.split()[3]) == director.pid:
            return int(entry)
    return 0


if __name__ == "__main__":
    main()
