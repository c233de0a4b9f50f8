"""Nodes that share addresses on one bridge, and a client with many addresses beside them.

Every node has a real server that says the node's name. Everything is named after this process.
"""

import contextlib
import itertools
import os
import socket
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface

from tests.netns.balancing_lab import SERVER, Machine, run

from standfest.adapters.linux.sharing.selection import open_filter
from standfest.core.sharing.hashing import bucket_of
from standfest.model.sharing import (
    Answering,
    Flow,
    HashMode,
    Layout,
    SharedAddress,
    Target,
)
from standfest.model.time import Duration, seconds
from standfest.ports.sharing import BucketFilter
from standfest.wire.checksum import internet_checksum
from standfest.wire.ipv4 import encode_header

VIP4, VIP6 = ip_address("10.8.0.100"), ip_address("fd08::100")
GROUP_MAC, SINGLE_MAC = bytes.fromhex("01005e7f0064"), bytes.fromhex("020000000064")
CLIENTS = 20
PORT = 80
BUCKETS = 64
LONG: Duration = seconds(600)
PATIENCE_S = 5.0
CLIENT_MAC = bytes.fromhex("0200000000cc")
TCP, UDP = 6, 17
SYN, RST, PSH, ACK = 2, 4, 8, 16
ETH_P_ALL, SOL_PACKET, PACKET_IGNORE_OUTGOING, SO_RCVBUFFORCE = 3, 263, 23, 33
ETHERTYPES = {4: 0x0800, 6: 0x86DD}

Address = IPv4Address | IPv6Address

SHARED = SharedAddress(
    "web",
    (ip_interface(f"{VIP4}/32"), ip_interface(f"{VIP6}/128")),
    "eth0",
    GROUP_MAC,
    Layout(HashMode.SOURCE_IP_PORT, BUCKETS, 0xDEADBEEF),
)


def every(part: int, of: int, buckets: int = BUCKETS) -> frozenset[int]:
    """Return every so manieth bucket."""
    return frozenset(range(part, buckets, of))


class Node(Machine):
    """A machine that shares the address."""

    def __init__(self, name: str, number: int) -> None:
        super().__init__(name)
        self.number = number
        self.filter: BucketFilter

    def open(self, shared: SharedAddress, target: Target) -> None:
        """Take part, answering nothing yet."""
        with self.inside():
            self.filter = open_filter(shared, target)
            self.filter.open()

    def answer(self, answering: Answering, duration: Duration | None = LONG) -> None:
        """Answer these."""
        with self.inside():
            self.filter.answer(answering, duration)

    def close(self, *, keep: bool = False) -> None:
        """Take part no more."""
        with self.inside():
            self.filter.close(keep=keep)

    def state(self) -> str:
        """Return everything that sharing touches."""
        return "\n".join((
            self.execute("nft", "list", "ruleset"),
            self.ip("-o", "address"),
            self.ip("maddress", "show", "dev", "eth0"),
            self.execute("sysctl", "-a", "-r", r"nf_conntrack_tcp|\.eth0\."),
            self.execute("bridge", "fdb", "show"),
        ))  # fmt: skip


class Lab:
    """A client, some nodes and the switch between them."""

    def __init__(self, count: int, shared: SharedAddress = SHARED) -> None:
        tag = f"sfs{os.getpid()}"
        self.shared = shared
        self.switch, self.client = Machine(f"{tag}-switch"), Machine(f"{tag}-client")
        self.nodes = [Node(f"{tag}-{number}", number) for number in range(1, count + 1)]
        self.talks: list[Talk] = []
        self._ports = itertools.count(20_000)

    def build(self) -> None:
        """Make the machines with their servers; nobody shares yet."""
        for machine in (self.switch, self.client, *self.nodes):
            run("ip", "netns", "add", machine.name)
            machine.ip("link", "set", "lo", "up")
            machine.sysctl(
                net__ipv6__conf__all__accept_dad=0,
                net__ipv6__conf__default__accept_dad=0,
                net__ipv4__ip_nonlocal_bind=1,
                net__ipv6__ip_nonlocal_bind=1,
            )
        self.switch.ip("link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        self.switch.ip("link", "set", "br0", "up")
        for number, machine in enumerate((self.client, *self.nodes)):
            port = f"port{number}"
            end = ("type", "veth", "peer", "name", "eth0", "netns", machine.name)
            self.switch.ip("link", "add", port, *end)
            self.switch.ip("link", "set", port, "master", "br0", "up")
            machine.ip("link", "set", "eth0", "up")
        for number in range(CLIENTS):
            self._address(self.client, f"10.8.0.{number + 1}/24", f"fd08::{number + 1:x}/64")
        for node in self.nodes:
            self._address(node, f"10.8.0.{node.number + 200}/24", f"fd08::a{node.number}/64")
            self._serve(node)

    def _address(self, machine: Machine, four: str, six: str) -> None:
        machine.ip("address", "add", four, "dev", "eth0")
        machine.ip("address", "add", six, "dev", "eth0", "nodad")

    def _serve(self, node: Node) -> None:
        words = [sys.executable, str(SERVER), f"node{node.number}", f"{VIP4},{VIP6}", str(PORT)]
        node.process = subprocess.Popen(
            ["ip", "netns", "exec", node.name, *words], stdout=subprocess.PIPE
        )
        assert node.process.stdout is not None
        assert node.process.stdout.readline() == b"ready\n"

    def share(self, target: Target = Target.NFTABLES, **changes: object) -> None:
        """Let all nodes share, each an equal part."""
        self.shared = replace(self.shared, **changes)  # type: ignore[arg-type]
        for node in self.nodes:
            node.open(self.shared, target)
        for part, node in enumerate(self.nodes):
            node.answer(Answering(mine=every(part, len(self.nodes))))

    def unshare(self) -> None:
        """Let nobody share any more, and end all connections."""
        for talk in self.talks:
            talk.socket.close()
        self.talks.clear()
        for node in self.nodes:
            node.close()

    def destroy(self) -> None:
        """Remove everything, whatever state it is in."""
        for node in self.nodes:
            if node.process is not None:
                node.process.kill()
                node.process.wait(10)
                assert node.process.stdout is not None
                node.process.stdout.close()
        for machine in (self.switch, self.client, *self.nodes):
            with contextlib.suppress(subprocess.CalledProcessError):
                run("ip", "netns", "delete", machine.name)

    # --- the client -----------------------------------------------------------------------------

    def connect(
        self,
        version: int = 4,
        client: int = 0,
        bucket: int | None = None,
        patience_s: float = PATIENCE_S,
    ) -> "Talk":
        """Connect; bucket: from a port whose flow falls into it. Raises OSError."""
        vip, source = vip_of(version), client_address(client, version)
        flow = Flow(source, next(self._ports), PORT)
        while bucket is not None and bucket_of(self.shared.layout, flow) != bucket:
            flow = Flow(source, next(self._ports), PORT)
        with self.client.inside():
            made = socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET)
        made.settimeout(patience_s)
        try:
            made.bind((str(source), flow.source_port))
            made.connect((str(vip), PORT))
            self.talks.append(talk := Talk(made, flow, made.recv(100).decode()))
            return talk
        except OSError:
            made.close()
            raise

    def owner(self, flow: Flow) -> str:
        """Return who must answer a flow while every node has an equal part."""
        return f"node{bucket_of(self.shared.layout, flow) % len(self.nodes) + 1}"


@dataclass
class Talk:
    """A connection that a server has greeted; server: its name."""

    socket: socket.socket
    flow: Flow
    server: str
    missing: int = 0

    def is_alive(self, patience_s: float = PATIENCE_S) -> bool:
        """Return whether the server still echoes, all that it was sent before too."""
        try:
            self.socket.settimeout(patience_s)
            self.socket.sendall(b"still there?")
            self.missing += len(b"still there?")
            while self.missing and (part := self.socket.recv(self.missing)):
                self.missing -= len(part)
        except OSError:
            return False
        return not self.missing

    def is_reset(self, patience_s: float = PATIENCE_S) -> bool:
        """Return whether a word more ends the connection at once."""
        try:
            self.socket.settimeout(patience_s)
            self.socket.sendall(b"still there?")
            return self.socket.recv(100) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


def vip_of(version: int) -> Address:
    """Return the shared address of this version of IP."""
    return VIP6 if version == 6 else VIP4


def client_address(number: int, version: int = 4) -> Address:
    """Return one of the client's addresses, counted from 0."""
    return ip_address(f"fd08::{number + 1:x}" if version == 6 else f"10.8.0.{number + 1}")


def datagram_frame(mac: bytes, flow: Flow, destination: Address, data: bytes = b"?") -> bytes:
    """Return an Ethernet frame with a UDP datagram, from whichever address."""
    udp = struct.pack("!HHHH", flow.source_port, flow.destination_port, 8 + len(data), 0) + data
    ends = flow.source.packed + destination.packed
    total = internet_checksum(ends + struct.pack("!IHBB", len(udp), 0, 0, UDP) + udp) or 0xFFFF
    udp = udp[:6] + total.to_bytes(2) + udp[8:]
    return mac + CLIENT_MAC + ip_packet(flow.source, destination, UDP, udp)


def ip_packet(source: Address, destination: Address, protocol: int, payload: bytes) -> bytes:
    """Return a packet with what stands before it in an Ethernet frame."""
    ethertype = ETHERTYPES[source.version].to_bytes(2)
    if source.version == 6:
        header = struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64)
        return ethertype + header + source.packed + destination.packed + payload
    header = encode_header(
        source=source.packed,
        destination=destination.packed,
        ttl=64,
        tos=0,
        identification=0,
        protocol=protocol,
        payload_bytes=len(payload),
    )
    return ethertype + header + payload


class Wire:
    """Hears what the client's interface receives from the shared addresses."""

    def __init__(self, lab: Lab) -> None:
        with lab.client.inside():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
            self._socket.bind(("eth0", 0))
        self._socket.settimeout(0.2)

    def __enter__(self) -> "Wire":
        """Listen."""
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no more."""
        self._socket.close()

    def segments(self, flags: int) -> Counter[tuple[Address, int]]:
        """Return how many TCP segments had just these flags, by the client's address and port."""
        found: Counter[tuple[Address, int]] = Counter()
        for protocol, _, destination, payload in self.packets():
            if protocol == TCP and payload[13] & ~PSH == flags:
                found[destination, int.from_bytes(payload[2:4])] += 1
        return found

    def packets(self) -> Iterator[tuple[int, bytes, Address, bytes]]:
        """Yield (protocol, source's MAC, destination, payload) of all from a shared address."""
        with contextlib.suppress(TimeoutError):
            while frame := self._socket.recv(65536):
                packet, ethertype = frame[14:], int.from_bytes(frame[12:14])
                if ethertype == ETHERTYPES[4] and packet[12:16] == VIP4.packed:
                    yield packet[9], frame[6:12], ip_address(packet[16:20]), packet[20:]
                elif ethertype == ETHERTYPES[6] and packet[8:24] == VIP6.packed:
                    yield packet[6], frame[6:12], ip_address(packet[24:40]), packet[40:]


@contextlib.contextmanager
def lab(count: int, shared: SharedAddress = SHARED) -> Iterator[Lab]:
    """Give a lab for as long as it is needed."""
    made = Lab(count, shared)
    try:
        made.build()
        yield made
    finally:
        made.destroy()
