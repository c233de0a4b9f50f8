"""`./dev bench packets`: what a packet costs the director, by way, in turn in one set-up.

    ./dev bench packets [--rounds N] [--window MS] [--flows N] [--frames N]

A generator's and a director's network namespace with two cables between them. A number of frames
of 60 bytes go round: the director sends them to its servers, whose driver makes each the next
client's packet and sends it back, on one processor, as fast as that can. So no frame is made or
freed, and the generator's share of a packet is two cables and a program of 40 instructions for all
ways alike; `driver reflects`, where the director's driver does nothing else, shows it. Rates are
counted over a window while the frames go round. Plain forwarding is the kernel's own, with the
program off the interface. Needs root.
"""

import argparse
import contextlib
import ctypes
import fcntl
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address
from pathlib import Path

from standfest.adapters.linux.xdp import maps, programs
from standfest.adapters.linux.xdp.backend import XdpBackend
from standfest.adapters.linux.xdp.emitting import (
    CONTEXT_DATA,
    CONTEXT_END,
    HELPER_ADJUST_HEAD,
    HELPER_REDIRECT,
    lookup,
    network16,
    reload,
    require,
)
from standfest.adapters.linux.xdp.programs import Mode, Verdict
from standfest.adapters.linux.xdp.syscall import address, call
from standfest.core.balancer.slots import slots
from standfest.model.balancing import Forwarding, Method, Protocol
from standfest.model.forwarding import (
    AddDestination,
    AddService,
    Change,
    Destination,
    DestinationKey,
    ServiceOptions,
    SetDestination,
    service_key,
)
from standfest.wire.bpf import (
    BYTE,
    DOUBLE,
    HALF,
    R0,
    R1,
    R2,
    R6,
    R7,
    R8,
    R10,
    UNEQUAL,
    WORD,
    Assembler,
)
from standfest.wire.ipv4 import encode_header

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET, MNT_DETACH = 0x40000000, 2
SIOCETHTOOL, ETHTOOL_SGRO = 0x8946, 0x2C
FRAME_BYTES, HEADERS_BYTES, SERVERS = 60, 54, 4
GENERATOR_MAC, DIRECTOR_MAC = bytes.fromhex("0200000000aa"), bytes.fromhex("020000000001")
CLIENT = IPv4Address("172.16.0.0")
OTHER = ", other interface"
SETTLE_S = 0.02
STATE = struct.Struct("=QQQ4s2s2x")
TURN, STOPPED, DROPPED, TARGET, SUM = 0, 8, 16, 24, 28
TTL = 64
CONTROL_SERVICES = 1000


def ip(*words: str) -> None:
    """Run iproute2."""
    subprocess.run(("ip", *words), check=True, stdout=subprocess.DEVNULL)


@dataclass(frozen=True)
class Way:
    """One way of a packet; target: where the generator sends; prepare: called on the director."""

    name: str
    target: str
    prepare: Callable[[], None]
    clear: Callable[[], None]


@dataclass
class Rig:
    """Both namespaces, the generator's programs and what they count.

    flows: client addresses and ports, a power of two; frames: that go round, less than a cable has.
    """

    flows: int
    frames: int = 64
    tag: str = field(default_factory=lambda: f"sfp{os.getpid()}")

    def build(self) -> None:
        """Make the namespaces: c0 to eth0 (10.9.0.0/24) and c1 to eth1 (10.8.0.0/24)."""
        generator, director = self._names()
        for name in (generator, director):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        for number, network in ((0, 9), (1, 8)):
            end = ("type", "veth", "peer", "name", f"eth{number}", "netns", director)
            ip("-n", generator, "link", "add", f"c{number}", *end)
            mac = (DIRECTOR_MAC[:5] + bytes((number + 1,))).hex(":")  # a new MAC forgets neighbours
            ip("-n", director, "link", "set", f"eth{number}", "address", mac)
            ip("-n", generator, "link", "set", f"c{number}", "up")
            ip("-n", director, "link", "set", f"eth{number}", "up")
            here = ("address", "add", f"10.{network}.0.1/24", "dev", f"eth{number}")
            ip("-n", director, *here)
            for server in range(1, SERVERS + 1):
                mac = f"02:00:00:00:0{number + 1}:{server:02x}"
                host = f"10.{network}.0.{10 + server}"
                ip("-n", director, "neigh", "add", host, "lladdr", mac, "dev", f"eth{number}")
        for network in (7, 6):  # plain forwarding: out by eth0 and by eth1
            gateway = f"10.{network + 2}.0.11"
            ip("-n", director, "route", "add", f"10.{network}.0.0/24", "via", gateway)
        with self.inside(director):
            for name in ("all/send_redirects", "eth0/send_redirects", "all/rp_filter"):
                Path(f"/proc/sys/net/ipv4/conf/{name}").write_text("0")
            for path in Path("/proc/sys/net/ipv4/conf").glob("*/rp_filter"):
                path.write_text("0")
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        with self.inside(generator):
            self.source = socket.if_nametoindex("c0")
            self._state = maps.create(maps.Shape("state", maps.Kind.ARRAY, 4, STATE.size, 1))
            self._program = self._load(self._returning())
            self._links = [
                programs.attach(self._program, socket.if_nametoindex(name), Mode.NATIVE)
                for name in ("c0", "c1")
            ]

    def clear(self) -> None:
        """Remove both namespaces."""
        for name in self._names():
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("netns", "delete", name)

    def measure(self, way: Way, window_s: float) -> float:
        """Return how many packets a second the director carries; raises RuntimeError if none.

        The frames go round on the last processor; who counts waits on another one.
        """
        _, director = self._names()
        with self.inside(director):
            way.prepare()
        frame = self._frame(way.target)
        self._state.put(bytes(4), STATE.pack(0, 0, 0, frame[30:34], frame[24:26]))
        processors = sorted(os.sched_getaffinity(0))
        try:
            os.sched_setaffinity(0, {processors[-1]})
            self._send(frame)
            os.sched_setaffinity(0, {processors[0]})
            time.sleep(SETTLE_S)
            before, began = self._counted(TURN), time.perf_counter()
            time.sleep(window_s)
            arrived, took = self._counted(TURN) - before, time.perf_counter() - began
            self._state.put(bytes(4), STATE.pack(0, 1, 0, frame[30:34], frame[24:26]))
            time.sleep(SETTLE_S)
        finally:
            os.sched_setaffinity(0, processors)
            with self.inside(director):
                way.clear()
        left = self._counted(DROPPED)
        if left != self.frames:
            raise RuntimeError(f"{way.name}: {left} of {self.frames} frames went round to the end")
        return arrived / took

    def _counted(self, place: int) -> int:
        value = self._state.get(bytes(4)) or b""
        return int(struct.unpack_from("=Q", value, place)[0])

    @contextlib.contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Be in a namespace for a while."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{name}", os.O_RDONLY)
        try:
            if LIBC.setns(there, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            yield
        finally:
            LIBC.setns(home, CLONE_NEWNET)
            os.close(home)
            os.close(there)

    def director(self) -> contextlib.AbstractContextManager[None]:
        """Be on the director for a while."""
        return self.inside(self._names()[1])

    def _names(self) -> tuple[str, str]:
        return f"{self.tag}-g", f"{self.tag}-d"

    def _load(self, code: Assembler) -> int:
        return programs.load(code.assemble().link({"state": self._state.descriptor}), "sf_bench")

    def _returning(self) -> Assembler:
        """Make of what has arrived the packet of the next client port, and send it out of c0."""
        code = Assembler()
        code.move(R6, R1)
        code.load(WORD, R7, R6, CONTEXT_DATA)
        code.load(WORD, R8, R6, CONTEXT_END)
        require(code, HEADERS_BYTES, "pass")  # forwarding takes the padding off
        code.load(HALF, R1, R7, 12)
        code.jump_if(R1, UNEQUAL, network16(0x0800), "pass")
        code.load(BYTE, R1, R7, 23)
        code.jump_if(R1, UNEQUAL, 4, "bare")
        code.move(R1, R6)
        code.move(R2, 20)
        code.call(HELPER_ADJUST_HEAD)
        reload(code, HEADERS_BYTES, "pass")
        code.label("bare")
        code.store(WORD, R10, -4, 0)
        lookup(code, "state", -4, "pass")
        code.load(DOUBLE, R1, R0, STOPPED)
        code.jump_if(R1, UNEQUAL, 0, "drop")
        code.load(DOUBLE, R1, R0, TURN)
        code.add(R1, 1)
        code.store(DOUBLE, R0, TURN, R1)
        frame = self._frame("0.0.0.0")
        for at in range(0, 12, 4):
            code.store(WORD, R7, at, struct.unpack_from("=i", frame, at)[0])
        code.store(HALF, R7, 12, network16(0x0800))
        code.store(BYTE, R7, 22, TTL)
        code.load(HALF, R2, R0, SUM)
        code.store(HALF, R7, 24, R2)
        code.load(WORD, R2, R0, TARGET)
        code.store(WORD, R7, 30, R2)
        code.bit_and(R1, self.flows - 1)
        code.store(HALF, R7, 34, R1)
        code.shift_right(R1, 16)
        code.store(HALF, R7, 28, R1)
        code.bit_xor(R1, 0xFFFF)  # so the header's sum stays as it is
        code.store(HALF, R7, 18, R1)
        # Not Verdict.TX: a veth wakes a peer without a program only when frames are redirected.
        code.move(R1, self.source)
        code.move(R2, 0)
        code.call(HELPER_REDIRECT)
        code.exit()
        code.label("drop")
        code.load(DOUBLE, R1, R0, DROPPED)
        code.add(R1, 1)
        code.store(DOUBLE, R0, DROPPED, R1)
        code.move(R0, Verdict.DROP.value)
        code.exit()
        code.label("pass")
        code.move(R0, Verdict.PASS.value)
        code.exit()
        return code

    def _frame(self, target: str) -> bytes:
        """Return the first frame."""
        header = encode_header(
            source=CLIENT.packed, destination=IPv4Address(target).packed, ttl=TTL, tos=0,
            identification=0xFFFF, protocol=6, payload_bytes=FRAME_BYTES - 14 - 20 - 6,
        )  # fmt: skip
        segment = struct.pack(">HHIIBBHHH", 0, 80, 0, 0, 0x50, 0x10, 1000, 0, 0)
        frame = DIRECTOR_MAC + GENERATOR_MAC + b"\x08\x00" + header + segment
        return frame.ljust(FRAME_BYTES, b"\0")

    def _send(self, frame: bytes) -> None:
        """Let the frames come in by c0 for the first time."""
        with self.inside(self._names()[0]):
            data = ctypes.create_string_buffer(frame, len(frame))
            context = ctypes.create_string_buffer(
                struct.pack("=IIIIII", 0, len(frame), 0, self.source, 0, 0)
            )
            asked = struct.pack(
                "=IIIIQQIIIIQQIII", self._program, 0, len(frame), 0, address(data), 0,
                self.frames, 0, 24, 0, address(context), 0, programs.LIVE_FRAMES, 0,
                programs.LIVE_BATCH,
            )  # fmt: skip
            call(programs.TEST_RUN, asked)


def set_gro(device: str, value: int) -> None:
    """Let a veth receive by NAPI, as cards do, without a program (`ethtool -K DEVICE gro`)."""
    command = ctypes.create_string_buffer(struct.pack("=II", ETHTOOL_SGRO, value))
    request = struct.pack("=16sQ16x", device.encode(), ctypes.addressof(command))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        fcntl.ioctl(endpoint, SIOCETHTOOL, request)


def service(vip: str, network: int, forwarding: Forwarding) -> list[Change]:
    """Return a service with four servers on a network."""
    key = service_key(Protocol.TCP, ip_address(vip), 80)
    changes: list[Change] = [AddService(key, ServiceOptions("mh"))]
    for number in range(1, SERVERS + 1):
        name = DestinationKey(ip_address(f"10.{network}.0.{10 + number}"), 80)
        changes.append(AddDestination(key, name, Destination(Method(forwarding), 1)))
    return changes


def reflecting() -> Way:
    """Return the way on which the director's driver sends all back: the generator's own share."""
    links: list[int] = []

    def start() -> None:
        code = Assembler()
        code.move(R0, Verdict.TX.value)
        code.exit()
        program = programs.load(code.assemble().instructions, "sf_bench")
        links.append(programs.attach(program, socket.if_nametoindex("eth0"), Mode.NATIVE))
        programs.close(program)

    def stop() -> None:
        programs.detach(links[-1])
        programs.close(links.pop())

    return Way("driver reflects (the generator alone)", "10.7.0.9", start, stop)


def ways(directory: Path) -> list[Way]:
    """Return the ways that are compared."""
    backends: list[XdpBackend] = []

    def balance(mode: Mode) -> Callable[[], None]:
        def start() -> None:
            backend = XdpBackend(slots, interfaces=("eth0",), directory=directory, mode=mode)
            backends.append(backend)
            backend.apply(
                [
                    *service("10.9.0.100", 9, Forwarding.DIRECT),
                    *service("10.9.0.101", 8, Forwarding.DIRECT),
                    *service("10.9.0.102", 9, Forwarding.TUNNEL),
                    *service("10.9.0.103", 8, Forwarding.TUNNEL),
                ]
            )

        return start

    def stop() -> None:
        backends.pop().close(keep=False)

    def stack(value: int) -> Callable[[], None]:
        return lambda: set_gro("eth0", value)

    native, generic = balance(Mode.NATIVE), balance(Mode.GENERIC)

    def generic_start() -> None:
        set_gro("eth0", 1)
        generic()

    def generic_stop() -> None:
        stop()
        set_gro("eth0", 0)

    return [
        reflecting(),
        Way("plain forwarding", "10.7.0.9", stack(1), stack(0)),
        Way("plain forwarding" + OTHER, "10.6.0.9", stack(1), stack(0)),
        Way("xdp DR", "10.9.0.100", native, stop),
        Way("xdp DR" + OTHER, "10.9.0.101", native, stop),
        Way("xdp TUN", "10.9.0.102", native, stop),
        Way("xdp TUN" + OTHER, "10.9.0.103", native, stop),
        Way("xdp DR, generic mode", "10.9.0.100", generic_start, generic_stop),
        Way("plain forwarding under xdp", "10.7.0.9", native, stop),
    ]


def show(found: dict[str, list[float]]) -> None:
    """Print the table: rates, their ratio to plain forwarding's, and what the director spends.

    Of each round the generator's own time for a packet is taken off; medians of those. Ways out by
    the other interface are compared with plain forwarding out by it.
    """
    first, plain, *_ = found

    def spent(name: str) -> float:
        pairs = zip(found[name], found[first], strict=True)
        return statistics.median(1e9 / rate - 1e9 / alone for rate, alone in pairs)

    print("| way | kpps, median (min to max) | times plain | ns a packet | plain costs |")
    print("|---|---|---|---|---|")
    for name, rates in found.items():
        like = found[f"{plain}{OTHER}"] if name.endswith(OTHER) else found[plain]
        ratio = statistics.median(rate / base for rate, base in zip(rates, like, strict=True))
        span = f"{statistics.median(rates) / 1e3:.0f} ({min(rates) / 1e3:.0f} to "
        cost = spent(name)
        less = f"{spent(plain) / cost:.1f}" if cost > 0 else "-"
        print(f"| {name} | {span}{max(rates) / 1e3:.0f}) | {ratio:.2f} | {cost:.0f} | {less} |")


def control(directory: Path) -> None:
    """Print what it takes to make 1,000 services of 4 servers, to change one weight, to adopt."""
    keys = [
        service_key(Protocol.TCP, ip_address(f"10.1.{number >> 8}.{number & 255}"), 80)
        for number in range(CONTROL_SERVICES)
    ]
    names = [DestinationKey(ip_address(f"10.9.0.{11 + n}"), 80) for n in range(SERVERS)]
    one = Destination(Method(Forwarding.DIRECT), 1)
    print("\n| scheduler | 1,000 services x 4 servers, ms | one weight, ms | adopting all, ms |")
    print("|---|---|---|---|")
    for scheduler in ("wrr", "mh"):
        backend = XdpBackend(slots, interfaces=("eth0",), directory=directory)
        changes: list[Change] = []
        for key in keys:
            changes.append(AddService(key, ServiceOptions(scheduler)))
            changes += [AddDestination(key, name, one) for name in names]
        began = time.perf_counter()
        backend.apply(changes)
        applied = time.perf_counter() - began
        took = []
        for number, key in enumerate(keys[:50]):
            value = Destination(Method(Forwarding.DIRECT), 2 + number % 3)
            began = time.perf_counter()
            backend.apply([SetDestination(key, names[number % SERVERS], value)])
            took.append(time.perf_counter() - began)
        backend.close(keep=True)
        began = time.perf_counter()
        backend = XdpBackend(slots, interfaces=("eth0",), directory=directory)
        adopted = time.perf_counter() - began
        backend.close(keep=False)
        weight = f"{statistics.median(took) * 1e3:.2f} (at most {max(took) * 1e3:.1f})"
        print(f"| {scheduler} | {applied * 1e3:.0f} | {weight} | {adopted * 1e3:.0f} |")


def main() -> int:
    """Measure and print; exit status 1 without root."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--window", type=int, default=40, help="milliseconds that are counted")
    parser.add_argument("--flows", type=int, default=256, help="a power of two up to 2^31")
    parser.add_argument("--frames", type=int, default=64, help="that go round, up to 200")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("bench: needs root (namespaces, bpf(2))", file=sys.stderr)
        return 1
    rig = Rig(arguments.flows, arguments.frames)
    with tempfile.TemporaryDirectory(prefix="standfest-bench-") as path:
        directory = Path(path) / "bpf"
        try:
            rig.build()
            found: dict[str, list[float]] = {}
            for _ in range(arguments.rounds):
                for way in ways(directory):
                    found.setdefault(way.name, []).append(rig.measure(way, arguments.window / 1e3))
            show(found)
            with rig.director():
                control(directory)
        finally:
            rig.clear()
            while LIBC.umount2(os.fsencode(directory), MNT_DETACH) == 0:
                continue
    return 0


if __name__ == "__main__":
    sys.exit(main())
