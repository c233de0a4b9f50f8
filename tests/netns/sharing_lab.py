"""Nodes that share addresses on one bridge, and a client with many addresses beside them.

Every node has a real server that says the node's name. Everything is named after this process.
"""

import contextlib
import itertools
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
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
LEGACY = "iptables-legacy"
CLIENT_MAC = bytes.fromhex("0200000000cc")
TCP, UDP = 6, 17
ICMP, ECHO_REPLY = {4: 1, 6: 58}, {4: 0, 6: 129}
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

    def look(self) -> Answering | None:
        """Return what is answered here."""
        with self.inside():
            return self.filter.look()

    def errors_heard(self, version: int) -> int:
        """Return how many "too big" the stack has had."""
        name = "Icmp6InPktTooBigs" if version == 6 else "IcmpInDestUnreachs"
        shown = self.execute("nstat", "-asz", name)
        return int(shown.split(name)[1].split()[0])

    def close(self, *, keep: bool = False) -> None:
        """Take part no more."""
        with self.inside():
            self.filter.close(keep=keep)

    def state(self) -> str:
        """Return everything that sharing touches."""
        return "\n".join((
            self.execute("nft", "list", "ruleset"),
            self.execute(LEGACY, "-t", "mangle", "-S") if shutil.which(LEGACY) else "",
            self.ip("-o", "address"),
            self.ip("maddress", "show", "dev", "eth0"),
            self.execute("sysctl", "-a", "-r", r"nf_conntrack_tcp|\.eth0\."),
            self.execute("bridge", "fdb", "show"),
        ))  # fmt: skip


class Lab:
    """A client, some nodes and the switch between them."""

    def __init__(self, count: int, shared: SharedAddress = SHARED) -> None:
        tag = f"sfs{os.getpid()}of{count}"
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
            mine = every(part, len(self.nodes), self.shared.layout.buckets)
            node.answer(Answering(mine))

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
        if bucket is not None:
            flow = self.flow_in(bucket, source)
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

    def asking(self, flow: Flow, patience_s: float = PATIENCE_S) -> socket.socket:
        """Return a socket for datagrams to the shared address."""
        six = flow.source.version == 6
        with self.client.inside():
            made = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
        made.settimeout(patience_s)
        made.bind((str(flow.source), flow.source_port))
        made.connect((str(vip_of(flow.source.version)), flow.destination_port))
        return made

    def flow_in(self, bucket: int, source: Address) -> Flow:
        """Return a flow that falls into a bucket."""
        while True:
            flow = Flow(source, next(self._ports), PORT)
            if bucket_of(self.shared.layout, flow) == bucket:
                return flow

    def phantom(self, version: int) -> Address:
        """Return an address whose packets come to the client, which does not know it."""
        address = ip_address("fd08::ff" if version == 6 else "10.8.0.250")
        for node in self.nodes:
            where = ("lladdr", mac_of(self.client), "dev", "eth0")
            node.ip("neigh", "replace", str(address), *where)
        return address

    def inject(self, flow: Flow, *packets: bytes) -> None:
        """Send packets to all nodes, of the flow's version of IP."""
        with self.client.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as out:
            out.bind(("eth0", 0))
            ethertype = ETHERTYPES[flow.source.version].to_bytes(2)
            for packet in packets:
                out.send(self.shared.mac + CLIENT_MAC + ethertype + packet)

    def reached(self, node: Node, flows: Sequence[Flow], version: int = 4) -> set[Flow]:
        """Return those flows of which a datagram, sent now, reaches the node's sockets."""
        vip = vip_of(version)
        family = socket.AF_INET6 if version == 6 else socket.AF_INET
        heard = []
        with node.inside():
            for port in sorted({flow.destination_port for flow in flows}):
                one = socket.socket(family, socket.SOCK_DGRAM)
                one.bind((str(vip), port))
                one.settimeout(0.001)
                heard.append(one)
        self.inject(flows[0], *(datagram_packet(flow, vip) for flow in flows))
        time.sleep(0.05)
        found = set()
        for one in heard:
            with one, contextlib.suppress(TimeoutError):
                while True:
                    _, peer = one.recvfrom(100)
                    found.add(Flow(ip_address(peer[0]), peer[1], one.getsockname()[1]))
        return found

    def ping(self, source: Address) -> None:
        """Send an echo request, without waiting for the reply."""
        kind = 128 if source.version == 6 else 8
        request = bytes((kind, 0, 0, 0, 1, 2, 0, 1))
        self.inject(Flow(source), ip_packet(source, vip_of(source.version), ICMP[source.version],
                                            with_checksum(source, request, 2)))  # fmt: skip

    def number_of(self, mac: bytes) -> int:
        """Return whose own MAC this is."""
        return next(node.number for node in self.nodes if mac_of(node) == mac.hex(":"))

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


def mac_of(machine: Machine) -> str:
    """Return eth0's own MAC."""
    return machine.ip("-o", "link", "show", "eth0").split("link/ether ")[1].split()[0]


def with_checksum(source: Address, payload: bytes, at: int, protocol: int = 0) -> bytes:
    """Return a TCP, UDP or ICMP message with its checksum at this place."""
    protocol = protocol or ICMP[source.version]
    pseudo = source.packed + vip_of(source.version).packed
    pseudo += struct.pack("!IHBB", len(payload), 0, 0, protocol)
    covered = payload if protocol == ICMP[4] else pseudo + payload
    return payload[:at] + internet_checksum(covered).to_bytes(2) + payload[at + 2 :]


def segment(flow: Flow, flags: int, sequence: int = 1000, acknowledged: int = 0) -> bytes:
    """Return a packet with a TCP segment to the shared address."""
    acknowledged &= 0xFFFFFFFF
    tcp = struct.pack(
        *("!HHIIBBHHH", flow.source_port, flow.destination_port, sequence, acknowledged),
        *(5 << 4, flags, 1 << 15, 0, 0),
    )
    tcp = with_checksum(flow.source, tcp, 16, TCP)
    return ip_packet(flow.source, vip_of(flow.source.version), TCP, tcp)


def too_big(router: Address, flow: Flow, sequence: int, mtu: int) -> bytes:
    """Return a packet that says which of the shared address's segments did not fit on its way.

    What it quotes tells whose connection it is about; by its own address it is in another bucket.
    """
    version = router.version
    quoted = ip_packet(vip_of(version), flow.source, TCP, struct.pack(
        "!HHIIBBHHH", PORT, flow.source_port, sequence, 0, 5 << 4, ACK, 1 << 15, 0, 0
    ))  # fmt: skip
    message = struct.pack("!BBHI", 2, 0, 0, mtu) if version == 6 else struct.pack(
        "!BBHHH", 3, 4, 0, 0, mtu
    )  # fmt: skip
    return ip_packet(
        router, vip_of(version), ICMP[version], with_checksum(router, message + quoted, 2)
    )


def sequence_of(segment: bytes) -> int:
    """Return a TCP segment's sequence number."""
    return int.from_bytes(segment[4:8])


def datagram_packet(flow: Flow, destination: Address) -> bytes:
    """Return a packet with a UDP datagram, from whichever address."""
    udp = struct.pack("!HHHH", flow.source_port, flow.destination_port, 9, 0) + b"?"
    return ip_packet(flow.source, destination, UDP, with_checksum(flow.source, udp, 6, UDP))


def ip_packet(source: Address, destination: Address, protocol: int, payload: bytes) -> bytes:
    """Return a packet."""
    if source.version == 6:
        header = struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64)
        return header + source.packed + destination.packed + payload
    header = encode_header(
        source=source.packed,
        destination=destination.packed,
        ttl=64,
        tos=0,
        identification=0,
        protocol=protocol,
        payload_bytes=len(payload),
    )
    return header + payload


class Wire:
    """Hears what the client's interface receives from the shared addresses."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
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

    def answers(self, flags: int) -> Counter[tuple[Flow, int]]:
        """Return how many segments had just these flags, by flow and node."""
        found: Counter[tuple[Flow, int]] = Counter()
        for protocol, mac, destination, payload in self.packets():
            if protocol == TCP and payload[13] & ~PSH == flags:
                port = int.from_bytes(payload[2:4])
                found[Flow(destination, port, PORT), self._lab.number_of(mac)] += 1
        return found

    def of(self, flow: Flow, flags: int | None = None) -> list[tuple[int, bytes]]:
        """Return (node, segment) of one flow, those that had just these flags."""
        return [
            (self._lab.number_of(mac), payload)
            for protocol, mac, destination, payload in self.packets()
            if protocol == TCP
            and (destination, int.from_bytes(payload[2:4])) == (flow.source, flow.source_port)
            and flags in (None, payload[13] & ~PSH)
        ]

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
