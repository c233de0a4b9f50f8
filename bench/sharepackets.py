"""What the filter of a shared address costs a packet, way by way; part of `./dev bench sharing`.

A generator's kernel sends frames of 60 bytes to a node as fast as it can (live frames of
BPF_PROG_TEST_RUN); the node counts what its interface has received and drops what it accepts at
the end of its input hook, the same in each way. All on one processor, so that a figure has the
generator's share in it: `received` is a node whose driver drops everything.
"""

import contextlib
import ctypes
import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_interface
from pathlib import Path

from bench.packets import Rig, set_gro
from standfest.adapters.linux.conntrack import Conntrack
from standfest.adapters.linux.sharing.selection import open_filter
from standfest.adapters.linux.xdp import maps, programs
from standfest.adapters.linux.xdp.emitting import lookup, require
from standfest.adapters.linux.xdp.programs import Mode, Verdict
from standfest.adapters.linux.xdp.syscall import address, call
from standfest.model.flows import Flow, FlowKey, FlowTuple
from standfest.model.sharing import Answering, HashMode, Layout, SharedAddress, Target
from standfest.wire.bpf import DOUBLE, HALF, R0, R1, R2, R6, R7, R8, R10, WORD, Assembler
from standfest.wire.ipv4 import encode_header

VIP, CLIENT = IPv4Address("10.9.0.100"), IPv4Address("10.9.0.2")
GROUP_MAC = bytes.fromhex("01005e7f0064")
NODE_MAC, CLIENT_MAC = bytes.fromhex("020000000001"), bytes.fromhex("0200000000aa")
FRAME_BYTES, FLOWS, BUCKETS = 60, 256, 256
SYN, ACK = 2, 16
ESTABLISHED, HELPER_REDIRECT = 3, 23
SHARED = SharedAddress(
    "bench",
    (ip_interface(f"{VIP}/32"),),
    "eth0",
    GROUP_MAC,
    Layout(HashMode.SOURCE_IP_PORT, BUCKETS, 1),
)
ALL = frozenset(range(BUCKETS))
SINK = (
    "table inet sink {{ chain in {{ type filter hook input priority 100; "
    "{tracked} ip daddr {vip} drop; }}; }}"
)


@dataclass(frozen=True)
class Way:
    """One way of a packet to its end."""

    name: str
    mac: bytes
    flags: int
    tracked: bool = True
    answering: Answering | None = None
    driver: bool = False


WAYS = (
    Way("received (the generator alone)", NODE_MAC, ACK, driver=True),
    Way("no filter, nothing tracked", NODE_MAC, ACK, tracked=False),
    Way("no filter, connection known", NODE_MAC, ACK),
    Way("shared, own bucket, connection known", GROUP_MAC, ACK, answering=Answering(ALL)),
    Way("no filter, new connection", NODE_MAC, SYN),
    Way("shared, own bucket, new connection", GROUP_MAC, SYN, answering=Answering(ALL)),
    Way("shared, another node's bucket", GROUP_MAC, ACK, answering=Answering()),
)


class Bench:
    """The namespaces `TAG-g` and `TAG-d` with a cable between them, made as the director's rig."""

    def __init__(self) -> None:
        self._rig = Rig(FLOWS)
        self._generator, self._node = f"{self._rig.tag}-g", f"{self._rig.tag}-d"

    def __enter__(self) -> "Bench":
        """Make everything."""
        self._rig.build()
        with self._rig.inside(self._generator):
            self._turn = maps.create(maps.Shape("turn", maps.Kind.ARRAY, 4, 8, 1))
        with self._rig.inside(self._node):
            set_gro("eth0", 1)
            Path("/proc/sys/net/netfilter/nf_conntrack_checksum").write_text("0")
            subprocess.run(("ip", "address", "add", f"{VIP}/32", "dev", "eth0"), check=True)
        return self

    def __exit__(self, *_: object) -> None:
        """Remove it."""
        self._rig.clear()

    def measure(self, way: Way, packets: int) -> float:
        """Return nanoseconds a packet, the generator's share included."""
        with self._rig.inside(self._node), self._prepared(way):
            frame, program = self._program(way)
            processors = os.sched_getaffinity(0)
            try:
                os.sched_setaffinity(0, {max(processors)})
                self._send(frame, program, 2000)
                before, began = self._received(way), time.perf_counter()
                self._send(frame, program, packets)
                took, arrived = time.perf_counter() - began, self._received(way) - before
            finally:
                os.sched_setaffinity(0, processors)
                programs.close(program)
        return took / (packets if way.driver else max(arrived, 1)) * 1e9

    @contextlib.contextmanager
    def _prepared(self, way: Way) -> Iterator[None]:
        undo: list[Callable[[], None]] = []
        try:
            if way.driver:
                code = Assembler()
                code.move(R0, Verdict.DROP.value)
                code.exit()
                program = programs.load(code.assemble().instructions, "sf_bench")
                link = programs.attach(program, socket.if_nametoindex("eth0"), Mode.NATIVE)
                undo += [lambda: programs.detach(link), lambda: programs.close(program)]
            tracked = "ct state invalid counter;" if way.tracked else ""
            text = SINK.format(vip=VIP, tracked=tracked)
            nft("-f", "-", text=text)
            undo.append(lambda: nft("delete", "table", "inet", "sink"))
            if way.answering is not None:
                shared = open_filter(SHARED, Target.NFTABLES)
                shared.open()
                shared.answer(way.answering, None)
                undo.append(lambda: shared.close(keep=False))
            if way.tracked and way.flags == ACK:
                self._know()
            yield
        finally:
            for step in reversed(undo):
                step()
            subprocess.run(
                ("ip", "address", "replace", f"{VIP}/32", "dev", "eth0"), check=True
            )  # closing a shared address takes it away

    def _know(self) -> None:
        """Let the kernel know the connections."""
        ports = [struct.unpack(">H", struct.pack("<H", n | 0x0400))[0] for n in range(FLOWS)]
        kernel = Conntrack()
        kernel.put(
            [
                Flow(
                    FlowKey(6, FlowTuple(CLIENT.packed, VIP.packed, port, 80)),
                    FlowTuple(VIP.packed, CLIENT.packed, 80, port),
                    1, 600, ESTABLISHED,
                )
                for port in ports
            ]
        )  # fmt: skip
        kernel.close()

    def _received(self, way: Way) -> int:
        shown = subprocess.run(
            ("ip", "-n", self._node, "-s", "-s", "link", "show", "eth0"),
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        lines = shown.stdout.splitlines()
        at = next(number for number, line in enumerate(lines) if line.strip().startswith("RX:"))
        return int(lines[at + 1].split()[1])

    def _program(self, way: Way) -> tuple[bytes, int]:
        """Return a frame and what writes it anew each time, from the next client port."""
        header = encode_header(
            source=CLIENT.packed, destination=VIP.packed, ttl=64, tos=0, identification=1,
            protocol=6, payload_bytes=20,
        )  # fmt: skip
        segment = struct.pack(">HHIIBBHHH", 0, 80, 1, 1, 0x50, way.flags, 1000, 0, 0)
        frame = (way.mac + CLIENT_MAC + b"\x08\x00" + header + segment).ljust(FRAME_BYTES, b"\0")
        code = Assembler()
        code.move(R6, R1)
        code.load(WORD, R7, R6, 0)
        code.load(WORD, R8, R6, 4)
        require(code, FRAME_BYTES, "end")
        for at in range(0, 56, 4):
            code.store(WORD, R7, at, struct.unpack_from("=i", frame, at)[0])
        code.store(WORD, R10, -4, 0)
        lookup(code, "turn", -4, "end")
        code.load(DOUBLE, R1, R0, 0)
        code.add(R1, 1)
        code.store(DOUBLE, R0, 0, R1)
        code.bit_and(R1, FLOWS - 1)
        code.add(R1, 0x0400)
        code.store(HALF, R7, 34, R1)
        code.move(R1, self._rig.source)
        code.move(R2, 0)
        code.call(HELPER_REDIRECT)
        code.exit()
        code.label("end")
        code.move(R0, Verdict.DROP.value)
        code.exit()
        linked = code.assemble().link({"turn": self._turn.descriptor})
        with self._rig.inside(self._generator):
            return frame, programs.load(linked, "sf_bench")

    def _send(self, frame: bytes, program: int, count: int) -> None:
        with self._rig.inside(self._generator):
            data = ctypes.create_string_buffer(frame, len(frame))
            context = ctypes.create_string_buffer(
                struct.pack("=IIIIII", 0, len(frame), 0, self._rig.source, 0, 0)
            )
            asked = struct.pack(
                "=IIIIQQIIIIQQIII", program, 0, len(frame), 0, address(data), 0,
                count, 0, 24, 0, address(context), 0, programs.LIVE_FRAMES, 0,
                programs.LIVE_BATCH,
            )  # fmt: skip
            call(programs.TEST_RUN, asked)


def nft(*words: str, text: str = "") -> None:
    """Run nft."""
    subprocess.run(("nft", *words), input=text, text=True, check=True)
