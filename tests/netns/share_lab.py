"""Members of a shared address as real daemons on one bridge, and a client with 65,536 addresses.

The client sends openings of connections as bare frames, as fast as it can, and counts on the wire
who answers each; and it has real HTTP connections. Everything is named after this process.
"""

import contextlib
import http.client
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

from tests.netns.balancing_lab import SOURCE, Machine, run

from standfest.core.sharing.hashing import bucket_of
from standfest.daemons.sharing.daemon import socket_path
from standfest.model.errors import OperationError
from standfest.model.sharing import Flow, HashMode, Layout
from standfest.runtime import channel
from standfest.runtime.frames import Command, Query, Reply
from standfest.wire.checksum import internet_checksum

SERVER = Path(__file__).with_name("share_web_server.py")
VIP, VIP6 = IPv4Address("10.8.0.100"), IPv6Address("fd08::100")
MAC = bytes.fromhex("01005e080064")  # of 10.8.0.100: 01:00:5e, then its low 23 bits
ROUTER, ROUTER6 = "10.8.0.200", "fd08::c8"
PORT = 80
PATIENCE_S = 5.0
KEEPALIVE_S, DEADTIME_S = 0.1, 1.0
BATCH = 100
ETH_P_IP, PACKET_IGNORE_OUTGOING, SO_RCVBUFFORCE, SOL_PACKET = 0x0800, 23, 33, 263
SYN, ACK = 2, 16
WINDOW = 64_240
FlowKey = tuple[int, int]
"""Source address and port."""


def until(condition: Callable[[], bool], limit_s: float, look_s: float = 0.02) -> bool:
    """Return whether the condition came true in time."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(look_s)
    return True


@dataclass
class Member(Machine):
    """One node: a web server, and the daemon that shares its address."""

    member: str = ""
    directory: Path = field(default=Path())
    daemon: subprocess.Popen[bytes] | None = field(default=None)

    def start(self, file: Path) -> None:
        """Start the daemon."""
        self.directory.mkdir(exist_ok=True)
        words = [sys.executable, "-m", "standfest.cli.main", "share", str(file)]
        words += ["--name", self.member, "--run-dir", str(self.directory / "run")]
        words += ["--state-dir", str(self.directory / "state")]
        with (self.directory / "log").open("ab") as log:
            self.daemon = subprocess.Popen(
                ["ip", "netns", "exec", self.name, *words],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": SOURCE},
                start_new_session=True,
            )

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the daemon, and wait for it."""
        assert self.daemon is not None
        self.daemon.send_signal(number)
        self.daemon.wait(20)
        self.daemon = None

    def status(self) -> dict[str, Any]:
        """Return what the daemon says; empty when nobody answers."""
        try:
            reply = channel.request(socket_path(self.directory / "run", "web"), Query("status"), 5)
        except OperationError:
            return {}
        assert isinstance(reply, Reply)
        found: dict[str, Any] = json.loads(reply.text)
        return found

    def command(self, verb: str, member: str = "") -> Reply:
        """Have something done."""
        path = socket_path(self.directory / "run", "web")
        reply = channel.request(path, Command(verb, node=member))
        assert isinstance(reply, Reply)
        return reply

    def holds(self) -> int:
        """Return the set of buckets that it says it answers."""
        own = [one for one in self.status().get("members", ()) if one["here"]]
        return int(own[0]["holds"], 16) if own else 0

    def serve(self) -> None:
        """Start the web server."""
        words = [sys.executable, str(SERVER), self.member, str(PORT)]
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", self.name, *words], stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def mac(self) -> bytes:
        """Return the hardware address of its interface."""
        words = self.ip("-o", "link", "show", "dev", "eth0").split()
        return bytes.fromhex(words[words.index("link/ether") + 1].replace(":", ""))

    def log(self) -> str:
        """Return what the daemon has printed."""
        return (self.directory / "log").read_text(encoding="utf-8", errors="replace")

    def die(self) -> None:
        """Kill every process, at once; what a machine's memory held is gone, too."""
        for word in self.ip_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(word, signal.SIGKILL)
        for process in (self.process, self.daemon):
            if process is not None:
                process.wait(10)
                if process.stdout is not None:
                    process.stdout.close()
        self.process = self.daemon = None
        shutil.rmtree(self.directory / "run", ignore_errors=True)

    def member_pid(self) -> int:
        """Return the process that is the member, below its supervisor."""
        for pid in self.ip_pids():
            if Path(f"/proc/{pid}/comm").read_text(encoding="ascii") == "sf-share\n":
                return pid
        raise AssertionError(self.log())

    def ip_pids(self) -> list[int]:
        """Return all processes of the node."""
        return [int(word) for word in run("ip", "netns", "pids", self.name).split()]


class Lab:
    """The members, the client and the switch between them."""

    def __init__(
        self,
        directory: Path,
        weights: Sequence[int],
        *,
        heartbeats: bool = False,
        **keys: object,
    ) -> None:
        """heartbeats: to each member's address, not to all; keys: more lines of the file."""
        self.heartbeats = heartbeats
        tag = f"sfl{os.getpid()}"
        self.directory, self.weights = directory, weights
        self.switch, self.client = Machine(f"{tag}-switch"), Machine(f"{tag}-client")
        self.members = [
            Member(f"{tag}-{number}", member=f"web{number}", directory=directory / str(number))
            for number in range(1, len(weights) + 1)
        ]
        self.buckets = 64 * len(weights)
        self.layout = Layout(HashMode.SOURCE_IP_PORT, self.buckets, 0)
        self.file = directory / "web.toml"
        self._keys = keys
        self._browsers: list[Browser] = []
        self.wire: Wire

    def build(self) -> None:
        """Make everything but start no daemon."""
        for machine in (self.switch, self.client, *self.members):
            run("ip", "netns", "add", machine.name)
            machine.ip("link", "set", "lo", "up")
        self.switch.ip("link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        self.switch.ip("link", "set", "br0", "up")
        for number, machine in enumerate((self.client, *self.members)):
            port = f"port{number}"
            end = ("type", "veth", "peer", "name", "eth0", "netns", machine.name)
            self.switch.ip("link", "add", port, *end)
            self.switch.ip("link", "set", port, "master", "br0", "up")
            machine.ip("link", "set", "eth0", "up")
        self.client.ip("address", "add", f"{ROUTER}/24", "dev", "eth0")
        self.client.ip("address", "add", f"{ROUTER6}/64", "dev", "eth0", "nodad")
        for number, member in enumerate(self.members, 1):
            member.ip("address", "add", f"10.8.0.{number}/24", "dev", "eth0")
            member.ip("address", "add", f"fd08::{number}/64", "dev", "eth0", "nodad")
            # Flows come from 10.9.0.0/16; only what an opening is answered with comes back there.
            member.ip("route", "add", "10.9.0.0/16", "via", ROUTER)
            member.sysctl(net__ipv4__tcp_synack_retries=0)
            member.serve()
        self.write()
        names = {member.mac(): member.member for member in self.members}
        mac = str(self._keys.get("mac", MAC.hex(":")))
        self.wire = Wire(self.client, bytes.fromhex(mac.replace(":", "")), names)

    def write(self, **keys: object) -> None:
        """Write the file that all members have."""
        self._keys = {**self._keys, **keys}
        lines = [f'address = ["{VIP}/24", "{VIP6}/64"]', 'interface = "eth0"']
        lines += [f"buckets = {self.buckets}"]
        lines += [f"keepalive = {KEEPALIVE_S}", f"deadtime = {DEADTIME_S}", 'authkeys = "keys"']
        lines += [f"{key} = {json.dumps(value)}" for key, value in self._keys.items()]
        for member, weight in zip(self.members, self.weights, strict=True):
            lines += ["[[members]]", f'name = "{member.member}"', f"weight = {weight}"]
            if self.heartbeats:
                lines += [f'address = "10.8.0.{member.member.removeprefix("web")}"']
        self.file.write_text("\n".join(lines), encoding="ascii")
        keys_file = self.directory / "keys"
        keys_file.write_text("auth 1\n1 sha1 RatherSecret\n", encoding="ascii")
        keys_file.chmod(0o600)

    def start(self) -> None:
        """Start all daemons and wait until everything is answered as it should be."""
        for member in self.members:
            member.start(self.file)
        self.settle()

    def settle(self, *here: Member, limit_s: float = 10.0) -> None:
        """Wait until those who are here (all) answer everything, each bucket once and for good."""
        present = here or tuple(self.members)
        assert until(lambda: self._is_settled(present), limit_s), "\n".join(
            f"{member.member}: {member.status()}\n{member.log()}" for member in present
        )

    def _is_settled(self, present: Sequence[Member]) -> bool:
        """Return whether all agree on who is to answer what, that is everybody who is here does."""
        held: dict[str, str] = {}
        wished: list[dict[str, str]] = []
        for member in present:
            members = member.status().get("members", ())
            held.update({one["name"]: one["holds"] for one in members if one["here"]})
            wished.append({one["name"]: one["wished"] for one in members if one["wished"] != "0"})
        return all(one == held for one in wished) and len(held) == len(present)

    def cut(self, member: Member, *, cut: bool = True) -> None:
        """Pull a member's cable, or put it back."""
        port = f"port{self.members.index(member) + 1}"
        self.switch.ip("link", "set", port, "down" if cut else "up")

    def destroy(self) -> None:
        """Remove everything, whatever state it is in."""
        for browser in self._browsers:
            browser.close()
        for member in self.members:
            with contextlib.suppress(subprocess.CalledProcessError):
                member.die()
        with contextlib.suppress(AttributeError):
            self.wire.close()
        for machine in (self.client, *self.members, self.switch):
            with contextlib.suppress(subprocess.CalledProcessError):
                run("ip", "netns", "delete", machine.name)

    def connect(self, count: int, first_port: int = 30_000, version: int = 4) -> "list[Browser]":
        """Return as many HTTP connections from ports in a row."""
        ports = range(first_port, first_port + count)
        made = [Browser(self.client, port, version) for port in ports]
        self._browsers += made
        return made


class Browser:
    """A client with one HTTP connection that stays open; server: who answered its first request."""

    def __init__(self, client: Machine, port: int, version: int = 4) -> None:
        own, shared = (ROUTER, VIP) if version == 4 else (ROUTER6, VIP6)
        with client.inside():
            made = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6)
        made.settimeout(PATIENCE_S)
        try:
            made.bind((own, port))
            made.connect((str(shared), PORT))
        except OSError:
            made.close()
            raise
        self.port = port
        self._connection = http.client.HTTPConnection(str(shared), PORT, timeout=PATIENCE_S)
        self._connection.sock = made
        try:
            self.server = self.ask()
        except OSError:
            made.close()
            raise

    def ask(self) -> str:
        """Return who answers a request on the connection."""
        self._connection.request("GET", "/")
        with self._connection.getresponse() as response:
            return response.read().decode()

    def is_alive(self) -> bool:
        """Return whether the connection is still answered by whom it began with."""
        try:
            return self.ask() == self.server
        except (OSError, http.client.HTTPException):
            return False

    def close(self) -> None:
        """End it."""
        self._connection.close()


class Wire:
    """Bare frames of the client's: openings out, and who answers each."""

    def __init__(self, client: Machine, mac: bytes, names: dict[bytes, str]) -> None:
        """mac: the shared one; names: hardware address -> member."""
        self._shared_mac, self._names = mac, names
        with client.inside():
            self._out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self._in = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
            for endpoint in (self._out, self._in):
                endpoint.bind(("eth0", 0 if endpoint is self._out else ETH_P_IP))
        self._in.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self._in.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 * 1024 * 1024)
        self._in.setblocking(False)
        words = client.ip("-o", "link", "show", "dev", "eth0").split()
        self._mac = bytes.fromhex(words[words.index("link/ether") + 1].replace(":", ""))
        self.answers: defaultdict[FlowKey, list[str]] = defaultdict(list)

    def close(self) -> None:
        """Close the sockets."""
        self._out.close()
        self._in.close()

    def open_all(self, flows: Sequence[FlowKey], wait_s: float = 1.0) -> None:
        """Send an opening for each flow; then wait for answers, also for second ones."""
        for start in range(0, len(flows), BATCH):
            for flow in flows[start : start + BATCH]:
                self._out.send(self.opening(flow))
            self.collect()
        end = time.monotonic() + wait_s
        while (left := end - time.monotonic()) > 0:
            select.select([self._in], [], [], left)
            self.collect()

    def opening(self, flow: FlowKey) -> bytes:
        """Return the frame of a connection's first packet, from an address to the shared one."""
        source, port = flow
        addresses = struct.pack("!II", source, int(VIP))
        tcp = struct.pack("!HHIIBBHHH", port, PORT, 1, 0, 5 << 4, SYN, WINDOW, 0, 0)
        pseudo = addresses + struct.pack("!BBH", 0, 6, len(tcp))
        tcp = tcp[:16] + struct.pack("!H", internet_checksum(pseudo + tcp)) + tcp[18:]
        header = struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0x4000, 64, 6, 0) + addresses
        header = header[:10] + struct.pack("!H", internet_checksum(header)) + header[12:]
        return self._shared_mac + self._mac + struct.pack("!H", ETH_P_IP) + header + tcp

    def collect(self) -> None:
        """Note the answers that have arrived: who has accepted which flow."""
        with contextlib.suppress(BlockingIOError):
            while True:
                frame = self._in.recv(256)
                # Ethernet 14, IPv4 20 (ours have no options): protocol 23, source 26, target 30.
                if len(frame) < 54 or frame[23] != 6 or frame[26:30] != VIP.packed:
                    continue
                if frame[47] & (SYN | ACK) == SYN | ACK:
                    flow = (int.from_bytes(frame[30:34]), int.from_bytes(frame[36:38]))
                    self.answers[flow].append(self._names[frame[6:12]])

    def counted(self, flows: Sequence[FlowKey]) -> tuple[Counter[str], int, int]:
        """Return (how many flows each has answered, how many nobody, how many more than once)."""
        by: Counter[str] = Counter()
        none = twice = 0
        for flow in flows:
            answers = self.answers.get(flow, [])
            none += not answers
            twice += len(answers) > 1
            by.update(answers[:1])
        return by, none, twice


def flows(count: int, seed: int = 0) -> list[FlowKey]:
    """Return as many flows, all different, of many addresses and ports."""
    base = int(IPv4Address("10.9.0.0")) + 1
    # A step that has no factor in common with 2^16 comes to every address.
    return [
        (base + (seed + number * 40_503) % 65_000, 1_024 + (number * 7 + seed) % 60_000)
        for number in range(count)
    ]


def bucket(layout: Layout, flow: FlowKey) -> int:
    """Return the bucket of a flow."""
    return bucket_of(layout, Flow(IPv4Address(flow[0]), flow[1], PORT))


@dataclass
class Gap:
    """How long whose buckets were not answered, from an instant on; doubled: answers too many."""

    longest_s: float
    doubled: int
    lost: int


def gap_after(
    lab: Lab, buckets: int, happening: Callable[[], object], watch_s: float, step_s: float = 0.02
) -> Gap:
    """Open a flow in each of a set of buckets every so often; return how long one was unanswered.

    happening: what happens, after three rounds; time counts from its beginning.
    """
    rounds = int(watch_s / step_s) + 3
    pools: dict[int, list[FlowKey]] = {
        number: [] for number in range(lab.buckets) if buckets >> number & 1
    }
    missing = set(pools)
    for flow in flows(2_000_000, seed=int(time.monotonic() * 1000) % 50_000):
        number = bucket(lab.layout, flow)
        if number in missing:
            pools[number].append(flow)
            if len(pools[number]) == rounds:
                missing.discard(number)
        if not missing:
            break
    sent: dict[FlowKey, float] = {}
    began = time.monotonic()
    turn = 0
    while turn < rounds:
        if turn == 3:
            began = time.monotonic()
            happening()
        for pool in pools.values():
            flow = pool[turn]
            sent[flow] = time.monotonic()
            lab.wire._out.send(lab.wire.opening(flow))
        lab.wire.collect()
        turn += 1
        time.sleep(step_s)
        if time.monotonic() - began > watch_s and turn > 3:
            break
    time.sleep(0.3)
    lab.wire.collect()
    unanswered = [at for flow, at in sent.items() if not lab.wire.answers.get(flow)]
    doubled = sum(len(lab.wire.answers.get(flow, ())) > 1 for flow in sent)
    longest = max((at - began for at in unanswered), default=0.0)
    return Gap(longest, doubled, len(unanswered))


@contextmanager
def lab(
    directory: Path, weights: Sequence[int], *, heartbeats: bool = False, **keys: object
) -> Iterator[Lab]:
    """Give a lab for as long as it is needed."""
    made = Lab(directory, weights, heartbeats=heartbeats, **keys)
    try:
        made.build()
        yield made
    finally:
        made.destroy()
