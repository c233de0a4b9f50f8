"""The other end of a tunnel, in a real server's driver: for kernels without ipip or ip6_tunnel.

Takes the outer header off packets whose inner destination is one of our virtual addresses, and
passes them to the stack, which holds that address on loopback. Everything else stays as it is, so
nobody can smuggle packets to other addresses. Source: RFC 2003, 2473.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from standfest.adapters.linux.xdp import programs
from standfest.adapters.linux.xdp.attachments import Attachments
from standfest.adapters.linux.xdp.emitting import (
    CONTEXT_DATA,
    CONTEXT_END,
    ETHERNET_BYTES,
    ETHERTYPE,
    HELPER_ADJUST_HEAD,
    LAYOUTS,
    Layout,
    copy,
    copy_bytes,
    lookup,
    network16,
    require,
)
from standfest.adapters.linux.xdp.maps import Kind, Map, Shape, adopt
from standfest.adapters.linux.xdp.programs import Mode, Verdict
from standfest.adapters.linux.xdp.syscall import DIRECTORY, own_directory
from standfest.model.forwarding import IPAddress
from standfest.model.vrrp import Family
from standfest.wire.bpf import (
    BYTE,
    DOUBLE,
    EQUAL,
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
    Code,
)

ADDRESSES = Shape("addresses", Kind.HASH, 16, 4, 1024)
NAME = "unwrap"
KEY = -16
PROTOCOL = {Family.IPV4: (9, 4), Family.IPV6: (6, 41)}
"""Where an outer header names what is in it, and the number that means the same family."""


class TunnelEnd:
    """The virtual addresses whose tunnelled packets this machine takes; pinned like the balancer.

    interfaces: where they come in; empty: every Ethernet interface that is up and has an address.
    """

    def __init__(
        self,
        *,
        interfaces: Sequence[str] = (),
        directory: Path = DIRECTORY,
        mode: Mode | None = None,
    ) -> None:
        self._directory = own_directory(directory, NAME)
        self._addresses = adopt(ADDRESSES, self._directory / ADDRESSES.name)
        self._attachments = Attachments(self._directory, interfaces, self._load, mode)
        self._attachments.adopt()

    def addresses(self) -> list[IPAddress]:
        """Return the addresses whose packets are taken out of their tunnels."""
        return addresses_in(self._addresses)

    def add(self, address: IPAddress) -> None:
        """Take this address's packets out of their tunnels; raises OperationError."""
        self._attachments.follow()
        self._addresses.put(_key(address), address.version.to_bytes(4, "little"))

    def remove(self, address: IPAddress) -> None:
        """Leave this address's packets alone; with the last one the program goes."""
        self._addresses.delete(_key(address))
        if not self.addresses():
            self._attachments.detach()

    def close(self, *, keep: bool) -> None:
        """Let go; keep=False takes the program off its interfaces."""
        if not keep:
            self._attachments.detach()
            for path in self._directory.iterdir():
                path.unlink()
            self._directory.rmdir()
        self._attachments.close()
        self._addresses.close()

    def _load(self, _mac: bytes) -> int:
        code = unwrapper().link({ADDRESSES.name: self._addresses.descriptor})
        return programs.load(code, "sf_unwrap")


def addresses_in(one: Map) -> list[IPAddress]:
    """Return the addresses that a map of ours has."""
    found: list[IPAddress] = []
    for keys, values in one.batches():
        for at in range(0, len(values), ADDRESSES.value_bytes):
            key = keys[at * 4 : at * 4 + 16]
            four = int.from_bytes(values[at : at + 4], "little") == Family.IPV4
            found.append(IPv4Address(key[:4]) if four else IPv6Address(key))
    return sorted(found, key=str)


def unwrapper() -> Code:
    """Return the program."""
    code = Assembler()
    code.move(R6, R1)
    code.load(WORD, R7, R6, CONTEXT_DATA)
    code.load(WORD, R8, R6, CONTEXT_END)
    require(code, ETHERNET_BYTES, "pass")
    code.load(HALF, R1, R7, 12)
    for layout in LAYOUTS:
        ethertype = network16(ETHERTYPE[layout.family])
        code.jump_if(R1, EQUAL, ethertype, layout.name("family"))
    code.jump("pass")
    for layout in LAYOUTS:
        _unwrap(code, layout)
    for label, verdict in (("drop", Verdict.DROP), ("pass", Verdict.PASS)):
        code.label(label)
        code.move(R0, verdict.value)
        code.exit()
    return code.assemble()


def _unwrap(code: Assembler, layout: Layout) -> None:
    """Take the outer header off, if what is inside is for us; the frame's header moves along."""
    code.label(layout.name("family"))
    header = layout.header_bytes
    require(code, layout.transport + header, "pass")
    field, number = PROTOCOL[layout.family]
    code.load(BYTE, R1, R7, ETHERNET_BYTES + field)
    code.jump_if(R1, UNEQUAL, number, "pass")
    if layout.family is Family.IPV4:  # no options, and whole
        code.load(HALF, R1, R7, ETHERNET_BYTES + 6)
        code.bit_and(R1, network16(0x3FFF))
        code.jump_if(R1, UNEQUAL, 0, "pass")
        for at in (ETHERNET_BYTES, layout.transport):
            code.load(BYTE, R1, R7, at)
            code.jump_if(R1, UNEQUAL, 0x45, "pass")
    for at in (0, 8):
        code.store(DOUBLE, R10, KEY + at, 0)
    inner_destination = layout.source + layout.bytes + header
    copy_bytes(code, layout.bytes, (R10, KEY), (R7, inner_destination))
    lookup(code, ADDRESSES.name, KEY, "pass")
    for at in (10, 8, 6, 4, 2, 0):
        copy(code, HALF, (R7, header + at), (R7, at))
    code.store(HALF, R7, header + 12, network16(ETHERTYPE[layout.family]))
    code.move(R1, R6)
    code.move(R2, header)
    code.call(HELPER_ADJUST_HEAD)
    code.jump_if(R0, UNEQUAL, 0, "drop")
    code.jump("pass")


def _key(address: IPAddress) -> bytes:
    return address.packed.ljust(16, b"\0")
