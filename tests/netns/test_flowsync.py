"""A NAT director dies; its partner carries the connections on, because it was told of them."""

import contextlib
import itertools
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from tests.netns.vrrp_lab import until

SKIP = ""
if os.geteuid() != 0:
    SKIP = "needs root"
elif shutil.which("nft") is None or shutil.which("ip") is None:
    SKIP = "needs nft and ip"
pytestmark = pytest.mark.skipif(bool(SKIP), reason=SKIP)

VIP, SERVER, GATEWAY = "10.60.0.100", "10.61.0.10", "10.61.0.254"
CONNECTIONS = 50
KEY = "00112233445566778899aabbccddeeff"
_names = itertools.count()

RULES = """
table ip nat {{
  chain pre {{ type nat hook prerouting priority -100;
    ip daddr {vip} tcp dport 80 ct mark set {mark} dnat to {server}:8080
  }}
  chain strict {{ type filter hook forward priority 0;
    ct state invalid drop
    tcp flags & (syn|ack|rst|fin) != syn ct state new drop
  }}
}}
"""

SERVER_CODE = """
import asyncio
async def serve(reader, writer):
    while data := await reader.read(100):
        writer.write(data)
    writer.close()
async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", 8080, backlog=500)
    print("ready", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""

CLIENT_CODE = """
import socket, sys
lines = [socket.create_connection((sys.argv[1], 80), timeout=5) for _ in range(int(sys.argv[2]))]
def ask(text):
    answered = 0
    for line in lines:
        try:
            line.settimeout(2.0 if answered else 1.0)
            line.sendall(text)
            answered += line.recv(100) == text
        except OSError:
            pass
        if not answered and line is lines[4]:
            break  # five that do not answer speak for all
    print(answered, flush=True)
ask(b"before")
sys.stdin.readline()
ask(b"after")
"""


class Site:
    """A client, two directors and a server, each in a namespace of its own."""

    def __init__(self) -> None:
        self.tag = f"sffs{os.getpid() % 10000}{next(_names)}"
        self.started: list[subprocess.Popen[str]] = []

    def name(self, node: str) -> str:
        return f"{self.tag}{node}"

    def run(self, *words: str) -> None:
        subprocess.run(words, check=True, capture_output=True, text=True)

    def inside(self, node: str, *words: str) -> None:
        self.run("ip", "netns", "exec", self.name(node), *words)

    def start(self, node: str, *words: str) -> subprocess.Popen[str]:
        command = ["ip", "netns", "exec", self.name(node), *words]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
        )
        self.started.append(process)
        return process

    def build(self) -> None:
        for node in ("sw", "c", "a", "b", "s"):
            self.run("ip", "netns", "add", self.name(node))
            self.inside(node, "ip", "link", "set", "lo", "up")
        for bridge in ("front", "back"):
            self.inside("sw", "ip", "link", "add", bridge, "type", "bridge")
            self.inside("sw", "ip", "link", "set", bridge, "up")
        for node, wires in {"c": ("front",), "a": WIRES, "b": WIRES, "s": ("back",)}.items():
            for wire in wires:
                self.plug(node, wire)
        self.address("c", "front", "10.60.0.9/24")
        self.address("a", "front", "10.60.0.1/24", "10.60.0.100/24")
        self.address("a", "back", "10.61.0.1/24", "10.61.0.254/24")
        self.address("b", "front", "10.60.0.2/24")
        self.address("b", "back", "10.61.0.2/24")
        self.address("s", "back", "10.61.0.10/24")
        self.inside("s", "ip", "route", "add", "default", "via", GATEWAY)
        for node, mark in MARKS.items():
            self.inside(node, "sysctl", "-qw", "net.ipv4.ip_forward=1")
            self.inside(node, "nft", RULES.format(vip=VIP, mark=mark, server=SERVER))

    def plug(self, node: str, wire: str) -> None:
        there = ("netns", self.name(node))
        self.inside(
            "sw", "ip", "link", "add", f"{node}{wire}", "type", "veth", "peer", wire, *there
        )
        self.inside("sw", "ip", "link", "set", f"{node}{wire}", "master", wire, "up")
        self.inside(node, "ip", "link", "set", wire, "up")

    def address(self, node: str, wire: str, *addresses: str) -> None:
        for address in addresses:
            self.inside(node, "ip", "addr", "add", address, "dev", wire)

    def sync(self, node: str, peer: str, role: str, key: str = KEY) -> subprocess.Popen[str]:
        case = ("-m", "tests.netns.flowsync_case", "back", peer, key, str(MARKS[node]), role)
        return self.start(node, sys.executable, *case)

    def move_to_b(self) -> None:
        """Director a's machine dies; b gets the addresses."""
        for wire in WIRES:
            self.inside("sw", "ip", "link", "set", f"a{wire}", "down")
        self.address("b", "front", "10.60.0.100/24")
        self.address("b", "back", "10.61.0.254/24")
        self.inside("c", "ip", "neigh", "flush", "all")
        self.inside("s", "ip", "neigh", "flush", "all")

    def close(self) -> None:
        for process in self.started:
            process.kill()
            process.communicate()
        for node in ("c", "a", "b", "s", "sw"):
            with contextlib.suppress(subprocess.CalledProcessError):
                self.run("ip", "netns", "del", self.name(node))


WIRES = ("front", "back")
MARKS = {"a": 7, "b": 9}


def said(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    for found in process.stdout:
        if found.strip() == line:
            return
    raise AssertionError(f"it ended without saying {line!r}")


def number(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    try:
        made.build()
        yield made
    finally:
        made.close()


@pytest.mark.parametrize(
    ("key", "survivors"), [(KEY, CONNECTIONS), ("aa" * 16, 0), (None, 0)],
    ids=["told", "told with another key", "not told"],
)  # fmt: skip
def test_connections_survive_their_director(site: Site, key: str | None, survivors: int) -> None:
    server = site.start("s", sys.executable, "-c", SERVER_CODE)
    said(server, "ready")
    listener = site.sync("b", "10.61.0.1", "passive")
    said(listener, "ready")
    if key is not None:
        said(site.sync("a", "10.61.0.2", "active", key), "ready")
    client = site.start("c", sys.executable, "-c", CLIENT_CODE, VIP, str(CONNECTIONS))
    assert number(client) == CONNECTIONS
    time.sleep(0.5)  # what is gathered has been told after 20 ms
    site.move_to_b()
    listener.send_signal(signal.SIGUSR1)
    said(listener, "active")
    assert client.stdin is not None
    client.stdin.write("\n")
    client.stdin.flush()
    assert number(client) == survivors


SPEAKER_CODE = """
import socket, sys, time
from standfest.model.flows import Entry, Flow, FlowKey, FlowTuple
from standfest.wire import flowsync
key, target = bytes.fromhex(sys.argv[1]), sys.argv[2]
client, vip, server = bytes((10, 60, 0, 9)), bytes((10, 60, 0, 100)), bytes((10, 61, 0, 10))
flow = Flow(FlowKey(6, FlowTuple(client, vip, 40000, 80)),
            FlowTuple(server, client, 8080, 40000), 7, 600, 3, (7, 7))
def signed(sequence, sent, key=key):
    return flowsync.encode(flowsync.Told(1, sequence, sent, (Entry(flow),)), key)
now, good = time.time_ns(), signed(2, time.time_ns())
said = {
    "good": good, "replayed": good, "older": signed(9, now - 10**9), "cut": good[:-1],
    "unsigned": signed(3, now, b""), "forged": signed(4, now, b"x" * 16),
    "yesterday": signed(5, now - 301 * 10**9),
}
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
line.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, int(sys.argv[3]))
line.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
for name in sys.argv[4:]:
    line.sendto(said[name], (target, 8848))
    time.sleep(0.05)
print("spoken", flush=True)
"""


def speak(site: Site, node: str, target: str, hops: int, *names: str) -> None:
    words = (sys.executable, "-c", SPEAKER_CODE, KEY, target, str(hops), *names)
    said(site.start(node, *words), "spoken")


def refusals(listener: subprocess.Popen[str], count: int) -> list[str]:
    """Return the reasons of the first refusal of each kind, as far as they come."""
    assert listener.stdout is not None
    output, text = listener.stdout.fileno(), b""
    while text.count(b"\n") < count and select.select([output], [], [], 5)[0]:
        text += os.read(output, 4096)
    lines = text.decode().splitlines()
    return [line.partition("so far): ")[2].partition(":")[0] for line in lines]


def tracked(site: Site) -> bool:
    """Return whether b's kernel has the connection that is spoken of."""
    words = ("ip", "netns", "exec", site.name("b"), "cat", "/proc/net/nf_conntrack")
    found = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    return "sport=40000" in found


def test_only_the_partner_is_believed_and_nothing_twice(site: Site) -> None:
    listener = site.sync("b", "10.61.0.1", "passive")
    said(listener, "ready")
    speak(site, "s", "10.61.0.2", 255, "good")
    speak(site, "a", "10.61.0.2", 254, "good")
    speak(site, "a", "10.61.0.2", 255, "cut", "unsigned", "yesterday")
    # One line for the first of each kind: `forged` is the second signature that is wrong.
    assert refusals(listener, 4) == ["sender", "hops", "signature", "clock"]
    assert not tracked(site)
    speak(site, "a", "10.61.0.2", 255, "forged", "good", "replayed", "older")
    assert refusals(listener, 1) == ["replayed"]
    assert until(lambda: tracked(site), 5)


def test_a_group_hears_what_was_sent_to_it_and_nothing_else(site: Site) -> None:
    listener = site.sync("b", "group", "passive", "")
    said(listener, "ready")
    site.inside("a", "ip", "route", "add", "239.0.0.0/8", "dev", "back")
    speak(site, "a", "10.61.0.2", 255, "unsigned")
    speak(site, "a", "239.255.88.48", 255, "forged")
    assert refusals(listener, 1) == ["signature"]  # it is signed, and nobody has a key here
    assert not tracked(site)
    speak(site, "a", "239.255.88.48", 255, "unsigned")
    assert until(lambda: tracked(site), 5)
