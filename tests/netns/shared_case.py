"""What the tests of the report's shared address (B.12) do inside namespaces.

Run as `python -m tests.netns.shared_case report|today`; prints one JSON value. Two nodes with the
real daemons, a client host that counts SYN-ACKs on its wire.
"""

import json
import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from tests.netns import shared_client

from standfest.config import hacf
from standfest.core.sharing.hashing import bucket_of
from standfest.daemons import seed
from standfest.lab import sandbox, syscalls
from standfest.lab.lab import CLIENT, CLIENT_FLAGS, Lab
from standfest.lab.network import configure_host
from standfest.lab.plan import LabPlan, Network
from standfest.model.sharing import Flow, HashMode, Layout

EXAMPLE = Path(__file__).parents[2] / "examples" / "clusterip"
NODES = ("node-1", "node-2")
CLIENT_ADDRESS = "123.123.123.254"
ADDRESS = ("123.123.123.1", 80)
DEADTIME_S = 1.0
LAYOUT = Layout(HashMode.SOURCE_IP_PORT, 2, 0)

SERVER = """import socket, selectors
name = socket.gethostname().encode() + b"\\n"
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("", 80))
listener.listen(4096)
ready = selectors.DefaultSelector()
ready.register(listener, selectors.EVENT_READ)
while True:
    for key, _ in ready.select():
        try:
            if key.fileobj is listener:
                new, _ = listener.accept()
                ready.register(new, selectors.EVENT_READ)
                new.send(name)
            else:
                data = key.fileobj.recv(100)
                if data:
                    key.fileobj.send(data)
                else:
                    ready.unregister(key.fileobj)
                    key.fileobj.close()
        except OSError:
            ready.unregister(key.fileobj)
            key.fileobj.close()
"""


def new_lab(cib_file: str) -> Lab:
    """Return the lab: a public network without addresses of the nodes' own, and heartbeats."""
    text = (EXAMPLE / "ha.cf").read_text(encoding="utf-8")
    settings, _ = hacf.parse(text, "ha.cf")
    files = [EXAMPLE / cib_file, EXAMPLE / "cib-options.xml"]
    configuration = seed.from_files(files, settings.nodes).cib.configuration
    own = tuple((node, f"192.168.0.{50 + number}") for number, node in enumerate(NODES))
    networks = (
        Network("eth0", 24, (), CLIENT_ADDRESS, heartbeat=False, watcher="123.123.123.253"),
        Network("eth1", 24, own, "192.168.0.254", heartbeat=True, watcher="192.168.0.253"),
    )
    plan = LabPlan(NODES, networks, (), (), (), configuration, ())
    logd = (EXAMPLE / "ha_logd.cf").read_text(encoding="utf-8")
    return Lab(plan, {"ha.cf": text, "ha_logd.cf": logd, "authkeys": "auth 1\n1 sha1 labSecret\n"})


class ClientHost:
    """The client host, forked and wired."""

    def __init__(self, lab: Lab) -> None:
        self._control, theirs = socket.socketpair()
        process = os.fork()
        if process == 0:
            self._control.close()
            syscalls.unshare(CLIENT_FLAGS)
            theirs.sendall(b"N")
            theirs.recv(1)
            configure_host(lab.plan.networks, {"eth0": CLIENT_ADDRESS})
            shared_client.serve(theirs, ADDRESS, "eth0")
        theirs.close()
        assert self._control.recv(1) == b"N"
        lab.wiring.plug(CLIENT, 250, ("eth0", "eth1"), process)
        self._control.sendall(b"G")

    def ask(self, question: str) -> Any:
        """Return the answer to one letter."""
        self._control.sendall(question.encode())
        (size,) = struct.unpack("!I", self._control.recv(4, socket.MSG_WAITALL))
        return json.loads(self._control.recv(size, socket.MSG_WAITALL))


def until(condition: Callable[[], bool], limit_s: float) -> float:
    """Wait for the condition, return how long it took; fails after the limit."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + limit_s, "not in time"
        time.sleep(0.02)
    return time.monotonic() - began


def places(lab: Lab, asked: str) -> list[str]:
    """Return on which node each instance runs, as `standfest status` on a node says."""
    code, output = lab.command(asked, "status", "--json")
    if code:
        return []
    (clone,) = json.loads(output)["resources"]
    return [" ".join(instance["nodes"]) for instance in clone["clone"]]


def switch_on(lab: Lab, node: str) -> None:
    """Boot a node, with its web server, and start the cluster on it."""
    lab.boot(node)
    lab.nodes[node].spawn(*lab.nodes[node].python("-I", "-S", "-c", SERVER))
    lab.launch(node)


def bucket(port: int) -> int:
    """Return the bucket of a connection from the client."""
    return bucket_of(LAYOUT, Flow(IPv4Address(CLIENT_ADDRESS), port))


@dataclass(frozen=True, slots=True)
class Seen:
    """What the client host saw; macs: source port -> who sent it SYN-ACKs, each time."""

    attempts: list[shared_client.Attempt]
    macs: dict[int, list[str]]

    def between(self, since: float, before: float) -> "Seen":
        """Return what was begun then."""
        chosen = [one for one in self.attempts if since <= one.began < before]
        return Seen(chosen, {one.port: self.macs.get(one.port, []) for one in chosen})

    def not_once(self) -> int:
        """Return how many connections did not get exactly one SYN-ACK."""
        return sum(len(macs) != 1 for macs in self.macs.values())

    def by_two(self) -> int:
        """Return how many connections got SYN-ACKs of two nodes."""
        return sum(len(set(macs)) > 1 for macs in self.macs.values())

    def nodes(self) -> list[list[str]]:
        """Return for each bucket which nodes answered."""
        found = [{one.node for one in self.attempts if bucket(one.port) == n} for n in (0, 1)]
        return [sorted(nodes) for nodes in found]


def seen(answer: tuple[list[list[Any]], list[tuple[float, int, str]]]) -> Seen:
    """Return what the client host told."""
    attempts = [
        shared_client.Attempt(port, began, answered, node)
        for port, began, answered, node in answer[0]
    ]
    macs: dict[int, list[str]] = {}
    for _at, port, mac in answer[1]:
        macs.setdefault(port, []).append(mac)
    return Seen(sorted(attempts, key=lambda one: one.began), macs)


def agent_seconds(lab: Lab, node: str, since: float, task: str) -> float:
    """Return how long the agent ran there for this task, all its runs together."""
    return sum(
        int(event.field("ms")) / 1000
        for event in lab.events()
        if event.node == node and event.at > since
        if (event.name, event.field("task")) == ("operation-ended", task)
    )


def story(lab: Lab) -> object:
    """Both nodes answer, the first one dies, it comes back."""
    for node in NODES:
        switch_on(lab, node)
    client = ClientHost(lab)
    until(lambda: sorted(places(lab, "node-1")) == ["node-1", "node-2"], 30)
    begun = places(lab, "node-1")
    lost = begun.index("node-1")
    time.sleep(1)
    both = time.monotonic()
    kept = {int(port): node for port, node in client.ask("K").items()}
    time.sleep(2)
    died, wall = time.monotonic(), time.time()
    for device in ("eth0", "eth1"):  # else its kernel would close the dead servers' connections
        lab.wiring.cut("node-1", device)
    lab.kill("node-1")
    until(lambda: places(lab, "node-2") == ["node-2", "node-2"], 5)
    agent = agent_seconds(lab, "node-2", wall, "start")
    time.sleep(2)
    after_death, reset = client.ask("E")
    lab.bury("node-1")
    returned, wall = time.monotonic(), time.time()
    switch_on(lab, "node-1")
    until(lambda: sorted(places(lab, "node-2")) == ["node-1", "node-2"], 20)
    moved = time.monotonic()
    agents = agent_seconds(lab, "node-2", wall, "stop")
    agents += agent_seconds(lab, "node-1", wall, "start")
    last = places(lab, "node-2")
    time.sleep(2)
    after_return, _ = client.ask("E")
    end = time.monotonic()
    time.sleep(1)
    everything = seen(client.ask("S"))

    survivors = sorted(port for port, node in kept.items() if node == "node-2")
    first = min(
        one.answered
        for one in everything.attempts
        if one.node == "node-2" and bucket(one.port) == lost
    )
    alone = everything.between(first, returned)
    given = everything.between(returned, moved)
    silent = [one for one in given.attempts if not one.node]
    gap = max((one.began for one in silent), default=0) - min(
        (one.began for one in silent), default=0
    )
    print(
        f"connections {len(everything.attempts)}, outage {first - died:.3f} s with "
        f"{agent:.3f} s of agents; given back: {len(silent)} unanswered in {gap:.3f} s with "
        f"{agents:.3f} s of agents; now {last}",
        file=sys.stderr,
    )
    return {
        "as placed": [
            everything.between(both, died - 0.1).nodes() == [[node] for node in begun],
            alone.nodes() == [["node-2"], ["node-2"]],
            everything.between(moved, end).nodes() == [[node] for node in last],
        ],
        "not once": [
            everything.between(both, died - 0.1).not_once(),
            alone.not_once(),
            everything.between(moved, end).not_once(),
        ],
        "by two": everything.by_two(),
        "outage within": first - died < DEADTIME_S + 0.3 + agent,
        "unanswered of the survivor's": sum(
            not one.node
            for one in everything.between(both, returned).attempts
            if bucket(one.port) != lost
        ),
        "unanswered when given back": [
            {bucket(one.port) for one in silent} <= {last.index("node-1")},
            gap < 0.3 + agents,
        ],
        "kept": [after_death == survivors, after_return == survivors],
        "reset": reset == sorted(kept.keys() - set(survivors)),
        "shares": all(20 < list(kept.values()).count(node) < 40 for node in NODES),
    }


def main() -> int:
    """Run one case in a sandbox."""
    file = {"report": "cib-clusterip.xml", "today": "cib-clusterip-today.xml"}[sys.argv[1]]

    def inside() -> int:
        with new_lab(file) as lab:
            print(json.dumps(story(lab)), flush=True)
        return 0

    return sandbox.run(inside)


if __name__ == "__main__":
    sys.exit(main())
