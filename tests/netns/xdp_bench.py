"""A director's network namespace around one thread, and packets to put through the XDP program."""

import contextlib
import ctypes
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from standfest.adapters.linux.xdp import programs
from standfest.adapters.linux.xdp.backend import XdpBackend
from standfest.adapters.linux.xdp.programs import Outcome, Verdict
from standfest.core.balancer.slots import slots
from standfest.model.balancing import Forwarding, Method, Protocol
from standfest.model.forwarding import (
    AddDestination,
    AddService,
    Destination,
    DestinationKey,
    IPAddress,
    ServiceKey,
    ServiceOptions,
    service_key,
)
from standfest.wire.checksum import internet_checksum, is_intact
from standfest.wire.ipv4 import encode_header

CLONE_NEWNET, MNT_DETACH = 0x40000000, 2
ROUTER_MAC = bytes.fromhex("0200000000aa")
DIRECTOR_MAC = bytes.fromhex("020000000001")
FIN, SYN, RST, ACK = 1, 2, 4, 16
CLIENT4, VIP4 = ip_address("198.51.100.7"), ip_address("10.9.0.100")
CLIENT6, VIP6 = ip_address("2001:db8::7"), ip_address("fd09::100")
LIBC = ctypes.CDLL(None, use_errno=True)


def why_not() -> str:
    """Return why these tests cannot run here, or nothing."""
    if os.geteuid() != 0:
        return "needs root: bpf(2) and network namespaces"
    return "" if shutil.which("ip") else "not installed: ip"


def ip(*words: str) -> str:
    """Run iproute2 in this thread's namespace."""
    return subprocess.run(("ip", *words), check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def own_namespace() -> Iterator[None]:
    """Be in a new network namespace for a while; it goes with what is in it."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    assert LIBC.unshare(CLONE_NEWNET) == 0
    try:
        yield
    finally:
        assert LIBC.setns(home, CLONE_NEWNET) == 0
        os.close(home)


@contextlib.contextmanager
def bpf_directory(path: Path) -> Iterator[Path]:
    """Have a bpf file system of one's own, which the backend mounts, for a while."""
    path.mkdir()
    try:
        yield path
    finally:
        unmount(path)


def unmount(path: Path) -> None:
    """Remove what is mounted at a place."""
    while LIBC.umount2(os.fsencode(path), MNT_DETACH) == 0:
        continue


def server(number: int, family: int = 4) -> IPAddress:
    """Return the address of a server that the director has a neighbour for."""
    return ip_address(f"10.9.0.{10 + number}" if family == 4 else f"fd09::{10 + number}")


def server_mac(number: int) -> bytes:
    """Return its MAC."""
    return bytes((2, 0, 0, 0, 1, number))


def build_director() -> int:
    """Make eth0 with addresses and neighbours in this namespace; return its index."""
    ip("link", "set", "lo", "up")
    ip("link", "add", "eth0", "type", "veth", "peer", "name", "cable")
    ip("link", "set", "eth0", "address", DIRECTOR_MAC.hex(":"))
    ip("address", "add", "10.9.0.1/24", "dev", "eth0")
    ip("address", "add", "fd09::1/64", "dev", "eth0", "nodad")
    for device in ("eth0", "cable"):
        ip("link", "set", device, "up")
    for number in range(1, 5):
        for family in (4, 6):
            words = ("neigh", "add", str(server(number, family)))
            ip(*words, "lladdr", server_mac(number).hex(":"), "dev", "eth0", "nud", "permanent")
    return int(ip("-o", "link", "show", "dev", "eth0").split(":")[0])


@dataclass
class Director:
    """The backend under test, and its program for eth0."""

    directory: Path
    interface: int

    def __post_init__(self) -> None:
        self.backend = self.open()
        self._program: int | None = None

    def open(self) -> XdpBackend:
        """Start a backend on what is there."""
        return XdpBackend(slots, interfaces=("eth0",), directory=self.directory)

    def restart(self) -> None:
        """Let the daemon go and another one begin."""
        self.forget_program()
        self.backend.close(keep=True)
        self.backend = self.open()

    def put(self, packet: bytes) -> Outcome:
        """Let a packet come in by eth0."""
        if self._program is None:
            self._program = self.backend.load_program(DIRECTOR_MAC)
        return programs.run(self._program, packet, ingress=self.interface)

    def forget_program(self) -> None:
        """Load the program anew for the next packet."""
        if self._program is not None:
            programs.close(self._program)
        self._program = None

    def close(self) -> None:
        """End it all."""
        self.forget_program()
        self.backend.close(keep=False)


def destination(number: int, family: int = 4) -> DestinationKey:
    """Return a server as a service knows it."""
    return DestinationKey(server(number, family), 80)


def value(weight: int = 1, forwarding: Forwarding = Forwarding.DIRECT) -> Destination:
    """Return how it is reached."""
    return Destination(Method(forwarding), weight)


def service(
    director: Director,
    *weights: int,
    options: ServiceOptions | None = None,
    family: int = 4,
    protocol: Protocol = Protocol.TCP,
    port: int = 80,
    forwarding: Forwarding = Forwarding.DIRECT,
) -> ServiceKey:
    """Add a service at the VIP with servers 1, 2, ... of these weights."""
    key = service_key(protocol, VIP4 if family == 4 else VIP6, port)
    servers = [
        AddDestination(key, destination(number, family), value(weight, forwarding))
        for number, weight in enumerate(weights, start=1)
    ]
    director.backend.apply([AddService(key, options or ServiceOptions("rr")), *servers])
    return key


@dataclass(frozen=True)
class Packet:
    """One packet from a client; what is not said is ordinary."""

    client: IPv4Address | IPv6Address = CLIENT4
    vip: IPv4Address | IPv6Address = VIP4
    client_port: int = 40000
    port: int = 80
    flags: int = SYN
    protocol: int = 6
    payload: bytes = b""
    hops: int = 64
    mac: bytes = DIRECTOR_MAC

    def transport(self) -> bytes:
        """Return the transport header with its payload; checksums are not looked at."""
        ports = struct.pack(">HH", self.client_port, self.port)
        if self.protocol == 6:
            return (
                ports + struct.pack(">IIBBHHH", 1, 0, 0x50, self.flags, 1000, 0, 0) + self.payload
            )
        return ports + struct.pack(">HH", 8 + len(self.payload), 0) + self.payload

    def packet(self) -> bytes:
        """Return it from the IP header on."""
        body = self.transport()
        if self.vip.version == 4:
            return ipv4(self.client, self.vip, self.protocol, body, ttl=self.hops)
        return ipv6(self.client, self.vip, self.protocol, body, hops=self.hops)

    def frame(self) -> bytes:
        """Return the Ethernet frame."""
        return ethernet(self.packet(), mac=self.mac)


def ipv4(
    source: IPAddress, target: IPAddress, protocol: int, body: bytes, *, ttl: int = 64
) -> bytes:
    """Return a packet that must not be fragmented."""
    header = bytearray(
        encode_header(
            source=source.packed, destination=target.packed, ttl=ttl, tos=0x10, identification=7,
            protocol=protocol, payload_bytes=len(body),
        )
    )  # fmt: skip
    header[6:8] = b"\x40\x00"
    return with_checksum(bytes(header)) + body


def with_checksum(header: bytes) -> bytes:
    """Return an IPv4 header whose checksum is right."""
    cleared = header[:10] + b"\0\0" + header[12:]
    return cleared[:10] + internet_checksum(cleared).to_bytes(2) + cleared[12:]


def ipv6(
    source: IPAddress, target: IPAddress, protocol: int, body: bytes, *, hops: int = 64
) -> bytes:
    """Return a packet with traffic class 0x10."""
    first = 6 << 28 | 0x10 << 20
    return (
        struct.pack(">IHBB", first, len(body), protocol, hops)
        + source.packed
        + target.packed
        + body
    )


def ethernet(packet: bytes, *, mac: bytes = DIRECTOR_MAC) -> bytes:
    """Return the frame from the router."""
    ethertype = b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd"
    return (mac + ROUTER_MAC + ethertype + packet).ljust(60, b"\0")


def intact(header: bytes) -> bool:
    """Return whether an IPv4 header's checksum is right."""
    return is_intact(header[:20])


SIX = Packet(client=CLIENT6, vip=VIP6)


def reached(outcome: Outcome) -> int:
    """Return the number of the server that a frame goes to."""
    assert outcome.verdict is Verdict.TX, outcome
    assert outcome.packet[:5] == server_mac(0)[:5]
    return outcome.packet[5]


def new(director: Director, port: int, *, client: IPAddress = CLIENT4) -> int:
    """Open a connection from a port and return its server."""
    return reached(director.put(Packet(client=client, client_port=port).frame()))


def more(director: Director, port: int, flags: int = ACK) -> int:
    """Send another packet of the connection."""
    return reached(director.put(Packet(client_port=port, flags=flags).frame()))
