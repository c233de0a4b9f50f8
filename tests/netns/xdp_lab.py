"""A client, a director and real servers on one bridge, each in a network namespace.

Sockets are opened inside and used from here, so there are threads but no processes. Frames that
go through a driver's program must be whole: the client computes its checksums (real cards do).
"""

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from tests.netns.xdp_bench import CLONE_NEWNET, LIBC, ip

from standfest.adapters.linux.xdp import programs
from standfest.adapters.linux.xdp.backend import XdpBackend
from standfest.adapters.linux.xdp.programs import Mode, Verdict
from standfest.adapters.linux.xdp.unwrap import TunnelEnd
from standfest.core.balancer.slots import slots
from standfest.model.forwarding import DestinationKey, IPAddress
from standfest.wire.bpf import R0, Assembler

VIP = {4: ip_address("10.9.0.100"), 6: ip_address("fd09::100")}
PORT, LONG_PORT = 80, 81
CHUNK, CHUNKS, CHUNK_S = 4096, 60, 0.02
PATIENCE_S = 5.0
SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17


@dataclass
class Lab:
    """Names are this process's own. backend: of the director, from `start`."""

    directory: Path
    mode: Mode
    servers: int = 3
    ends: list[TunnelEnd] = field(default_factory=list)
    listeners: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tag = f"sfx{os.getpid()}"
        self.names = ["switch", "client", "director", *(f"rs{n + 1}" for n in range(self.servers))]

    @contextlib.contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Be on a machine for a moment."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.tag}-{name}", os.O_RDONLY)
        try:
            assert LIBC.setns(there, CLONE_NEWNET) == 0
            yield
        finally:
            LIBC.setns(home, CLONE_NEWNET)
            os.close(home)
            os.close(there)

    def build(self) -> None:
        """Make the machines: hosts 1 (director), 2 (client), 11, 12, ... (servers)."""
        for name in self.names:
            ip("netns", "add", f"{self.tag}-{name}")
            ip("-n", f"{self.tag}-{name}", "link", "set", "lo", "up")
        ip("-n", f"{self.tag}-switch", "link", "add", "br0", "type", "bridge")
        ip("-n", f"{self.tag}-switch", "link", "set", "br0", "up")
        for number, name in enumerate(self.names[1:]):
            self._connect(name, (2, 1)[number] if number < 2 else 9 + number)
        for name in self.names[3:]:
            self._real_server(name)
        with self.inside("client"):
            whole_frames("eth0")
        self._address("director", "eth0")
        with self.inside("switch"):
            for name in self.names[2:]:
                receive_from_drivers(f"p-{name}")
        until(lambda: "tentative" not in self._shown(), "addresses are usable")

    def _shown(self) -> str:
        return "".join(ip("-n", f"{self.tag}-{name}", "address", "show") for name in self.names)

    def _connect(self, name: str, host: int) -> None:
        there, port = f"{self.tag}-{name}", f"p-{name}"
        peer = ("type", "veth", "peer", "name", "eth0", "netns", there)
        ip("-n", f"{self.tag}-switch", "link", "add", port, *peer)
        ip("-n", f"{self.tag}-switch", "link", "set", port, "master", "br0", "up")
        ip("-n", there, "link", "set", "eth0", "up")
        ip("-n", there, "address", "add", f"10.9.0.{host}/24", "dev", "eth0")
        ip("-n", there, "address", "add", f"fd09::{host}/64", "dev", "eth0", "nodad")

    def _real_server(self, name: str) -> None:
        with self.inside(name):
            for place, value in (("all/arp_ignore", "1"), ("all/arp_announce", "2")):
                Path(f"/proc/sys/net/ipv4/conf/{place}").write_text(value)
            for place in ("all", "eth0"):
                Path(f"/proc/sys/net/ipv4/conf/{place}/rp_filter").write_text("0")
        self._address(name, "lo")
        for family in (4, 6):
            for port, serve in ((PORT, say_and_echo), (LONG_PORT, trickle)):
                self.listen(name, family, port, serve)

    def _address(self, name: str, device: str) -> None:
        there = f"{self.tag}-{name}"
        ip("-n", there, "address", "add", f"{VIP[4]}/32", "dev", device)
        ip("-n", there, "address", "add", f"{VIP[6]}/128", "dev", device, "nodad")

    def listen(
        self, name: str, family: int, port: int, serve: Callable[[socket.socket, str], None]
    ) -> None:
        """Serve connections to the virtual address on a machine."""
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        with self.inside(name):
            listener = socket.create_server((str(VIP[family]), port), family=kind, backlog=200)
            datagrams = socket.socket(kind, socket.SOCK_DGRAM)
            datagrams.bind((str(VIP[family]), port))
        self.listeners += [listener, datagrams]
        threading.Thread(target=_accept, args=(listener, name, serve), daemon=True).start()
        threading.Thread(target=_answer, args=(datagrams, name), daemon=True).start()

    def start(self) -> XdpBackend:
        """Start a director's backend."""
        with self.inside("director"):
            return XdpBackend(slots, interfaces=("eth0",), directory=self.directory, mode=self.mode)

    def take_tunnels(self) -> None:
        """Let the servers take tunnelled packets."""
        for name in self.names[3:]:
            with self.inside(name):
                end = TunnelEnd(interfaces=("eth0",), directory=self.directory, mode=self.mode)
                for address in VIP.values():
                    end.add(address)
            self.ends.append(end)

    def connect(self, family: int, port: int = PORT) -> socket.socket:
        """Connect from the client to the virtual address."""
        with self.inside("client"):
            kind = socket.AF_INET if family == 4 else socket.AF_INET6
            endpoint = socket.socket(kind)
        endpoint.settimeout(PATIENCE_S)
        try:
            endpoint.connect((str(VIP[family]), port))
        except OSError:
            endpoint.close()
            raise
        return endpoint

    def ask(self, family: int) -> str:
        """Return the name of the server that answers a new connection."""
        with self.connect(family) as endpoint:
            return endpoint.recv(3).decode()

    def clear(self) -> None:
        """Take everything down."""
        for end in self.ends:
            end.close(keep=False)
        for listener in self.listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for name in self.names:
            with contextlib.suppress(Exception):
                ip("netns", "delete", f"{self.tag}-{name}")


def destination(number: int, family: int) -> DestinationKey:
    """Return a real server."""
    address: IPAddress = ip_address(
        f"10.9.0.{10 + number}" if family == 4 else f"fd09::{10 + number}"
    )
    return DestinationKey(address, PORT)


def passing() -> int:
    """Return a program that lets every packet pass."""
    code = Assembler()
    code.move(R0, Verdict.PASS.value)
    code.exit()
    return programs.load(code.assemble().instructions, "sf_pass")


def whole_frames(device: str) -> None:
    """Let a machine compute the checksums of what it sends (`ethtool -K DEVICE tx off`)."""
    command = ctypes.create_string_buffer(struct.pack("=II", ETHTOOL_STXCSUM, 0))
    request = struct.pack("=16sQ16x", device.encode(), ctypes.addressof(command))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        fcntl.ioctl(endpoint, SIOCETHTOOL, request)


def receive_from_drivers(device: str) -> None:
    """Let a veth take what a program at its other end sends: it needs a program as well."""
    programs.attach(passing(), socket.if_nametoindex(device), Mode.NATIVE)


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something, but not for ever."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def say_and_echo(endpoint: socket.socket, name: str) -> None:
    """Say one's name, then echo."""
    endpoint.sendall(name.encode())
    while data := endpoint.recv(65536):
        endpoint.sendall(data)


def trickle(endpoint: socket.socket, name: str) -> None:
    """Say one's name, then send a page slowly, as a download that takes its time."""
    endpoint.sendall(name.encode())
    for _ in range(CHUNKS):
        endpoint.sendall(bytes(CHUNK))
        time.sleep(CHUNK_S)


def _accept(
    listener: socket.socket, name: str, serve: Callable[[socket.socket, str], None]
) -> None:
    with contextlib.suppress(OSError):
        while True:
            endpoint, _ = listener.accept()
            threading.Thread(target=_one, args=(endpoint, name, serve), daemon=True).start()


def _one(endpoint: socket.socket, name: str, serve: Callable[[socket.socket, str], None]) -> None:
    with contextlib.suppress(OSError), endpoint:
        serve(endpoint, name)


def _answer(datagrams: socket.socket, name: str) -> None:
    with contextlib.suppress(OSError):
        while True:
            _, client = datagrams.recvfrom(2000)
            if not client:
                return
            datagrams.sendto(name.encode(), client)


class Download(threading.Thread):
    """A download in flight: which server it is from, and whether it came to its end."""

    def __init__(self, endpoint: socket.socket) -> None:
        super().__init__(daemon=True)
        self.server = endpoint.recv(3).decode()
        self.complete = False
        self._endpoint = endpoint
        self.start()

    def run(self) -> None:
        """Read until the end."""
        got = 0
        with contextlib.suppress(OSError), self._endpoint:
            while data := self._endpoint.recv(65536):
                got += len(data)
        self.complete = got == CHUNK * CHUNKS
