"""First part of the program: from a packet to its connection and its service.

What is balanced: TCP, UDP and SCTP over IPv4 without options or fragments and over IPv6 without
extension headers, and ICMP errors about such packets. Everything else passes to the stack.
Source: RFC 791, 792, 8200, 4443.
"""

from dataclasses import dataclass

from standfest.adapters.linux.xdp.emitting import (
    CONTEXT_DATA,
    CONTEXT_END,
    ETHERNET_BYTES,
    ETHERTYPE,
    FLAGS,
    FLOW,
    HELPER_COARSE_CLOCK,
    HELPER_LOOKUP,
    KEY,
    LENGTH,
    NEW,
    NOW,
    RELATED,
    TICK,
    Layout,
    copy,
    copy_bytes,
    lookup,
    network16,
    network32,
    require,
    stack,
)
from standfest.model.vrrp import Family
from standfest.wire import xdp
from standfest.wire.bpf import (
    ANY_BIT,
    BYTE,
    DOUBLE,
    EQUAL,
    HALF,
    R0,
    R1,
    R2,
    R3,
    R6,
    R7,
    R8,
    R9,
    R10,
    UNEQUAL,
    WORD,
    Assembler,
)

TCP, UDP, SCTP = 6, 17, 132
UDP_BYTES, TCP_FLAGS_AT = 8, 13
ICMP_BYTES, PORTS_BYTES = 8, 4
VIRTUAL_MACS = bytes.fromhex("00005e00")
"""How the MACs of all virtual routers begin; 01 (IPv4) or 02 (IPv6) and the VRID follow."""


@dataclass(frozen=True, slots=True)
class _Errors:
    """ICMP of a family: its protocol number, and the types that quote a packet."""

    protocol: int
    types: tuple[int, ...]


_ERRORS = {Family.IPV4: _Errors(1, (3, 11, 12)), Family.IPV6: _Errors(58, (1, 2, 3, 4))}


def begin(code: Assembler, layouts: tuple[Layout, ...]) -> None:
    """Find the packet, and the part of the program for its family."""
    code.move(R6, R1)
    code.load(WORD, R7, R6, CONTEXT_DATA)
    code.load(WORD, R8, R6, CONTEXT_END)
    require(code, ETHERNET_BYTES, "pass")
    code.load(HALF, R1, R7, 12)
    for layout in layouts:
        ethertype = network16(ETHERTYPE[layout.family])
        code.jump_if(R1, EQUAL, ethertype, layout.name("family"))
    code.jump("pass")


def parse(code: Assembler, layout: Layout) -> None:
    """Put the connection on the stack: its key, and TCP's flags or RELATED."""
    code.label(layout.name("family"))
    require(code, layout.transport + UDP_BYTES, "pass")
    if layout.family is Family.IPV4:
        _whole_packet(code, ETHERNET_BYTES, 0x3FFF)
        code.load(BYTE, R3, R7, ETHERNET_BYTES + 9)
    else:
        code.load(BYTE, R3, R7, ETHERNET_BYTES + 6)
    code.move(R2, 0)
    code.jump_if(R3, EQUAL, UDP, layout.name("direct"))
    code.jump_if(R3, EQUAL, SCTP, layout.name("direct"))
    code.jump_if(R3, EQUAL, _ERRORS[layout.family].protocol, layout.name("error"))
    code.jump_if(R3, UNEQUAL, TCP, "pass")
    require(code, layout.transport + TCP_FLAGS_AT + 1, "pass")
    code.load(BYTE, R2, R7, layout.transport + TCP_FLAGS_AT)
    code.label(layout.name("direct"))
    code.store(WORD, R10, FLAGS, R2)
    code.store(WORD, R10, layout.flow_protocol, R3)
    copy_bytes(code, 2 * layout.bytes, (R10, FLOW), (R7, layout.source))
    copy(code, WORD, (R10, layout.flow_ports), (R7, layout.transport))
    code.jump(layout.name("service"))
    _parse_error(code, layout)


def _parse_error(code: Assembler, layout: Layout) -> None:
    """Take the connection from the packet that an ICMP error quotes: its client is the target."""
    quoted = layout.transport + ICMP_BYTES
    inner_source = quoted + layout.source - ETHERNET_BYTES
    code.label(layout.name("error"))
    require(code, quoted + layout.header_bytes + PORTS_BYTES, "pass")
    code.load(BYTE, R1, R7, layout.transport)
    for kind in _ERRORS[layout.family].types:
        code.jump_if(R1, EQUAL, kind, layout.name("quoting"))
    code.jump("pass")
    code.label(layout.name("quoting"))
    if layout.family is Family.IPV4:
        _whole_packet(code, quoted, 0x1FFF)
        code.load(BYTE, R3, R7, quoted + 9)
    else:
        code.load(BYTE, R3, R7, quoted + 6)
    for at in range(0, layout.bytes, 4):  # sent to the virtual address about what it had sent
        code.load(WORD, R1, R7, inner_source + at)
        code.load(WORD, R2, R7, layout.source + layout.bytes + at)
        code.jump_if(R1, UNEQUAL, R2, "pass")
    code.store(WORD, R10, FLAGS, RELATED)
    code.store(WORD, R10, layout.flow_protocol, R3)
    copy_bytes(code, layout.bytes, (R10, layout.flow_destination), (R7, inner_source))
    copy_bytes(code, layout.bytes, (R10, FLOW), (R7, inner_source + layout.bytes))
    ports = quoted + layout.header_bytes
    copy(code, HALF, (R10, layout.flow_ports + 2), (R7, ports))
    copy(code, HALF, (R10, layout.flow_ports), (R7, ports + 2))


def _whole_packet(code: Assembler, header: int, fragment_bits: int) -> None:
    """Pass unless an IPv4 header has no options and none of the bits that fragments have."""
    code.load(BYTE, R1, R7, header)
    code.jump_if(R1, UNEQUAL, 0x45, "pass")
    code.load(HALF, R1, R7, header + 6)
    code.jump_if(R1, ANY_BIT, network16(fragment_bits), "pass")


def find_service(code: Assembler, layout: Layout, mac: bytes) -> None:
    """R9 = the service at the connection's address and port, or at all ports of the address.

    Frames for other stations, which a switch has flooded, are not ours: another director has them.
    """
    code.label(layout.name("service"))
    copy_bytes(code, layout.bytes, (R10, KEY), (R10, layout.flow_destination))
    copy(code, HALF, (R10, KEY + layout.bytes), (R10, layout.flow_ports + 2))
    code.load(WORD, R1, R10, layout.flow_protocol)
    code.store(BYTE, R10, KEY + layout.bytes + 2, R1)
    code.store(BYTE, R10, KEY + layout.bytes + 3, 0)
    code.map(R1, layout.name("services"))
    stack(code, R2, KEY)
    code.call(HELPER_LOOKUP)
    code.jump_if(R0, UNEQUAL, 0, layout.name("found"))
    code.store(HALF, R10, KEY + layout.bytes, 0)
    lookup(code, layout.name("services"), KEY, "pass")
    code.label(layout.name("found"))
    code.move(R9, R0)
    _for_us(code, layout, mac)
    _measure(code, layout)


def _for_us(code: Assembler, layout: Layout, mac: bytes) -> None:
    """Pass unless the frame is for this interface's MAC, or for a virtual router's."""
    code.load(WORD, R1, R7, 0)
    code.load(HALF, R2, R7, 4)
    code.jump_if(R1, EQUAL, network32(VIRTUAL_MACS), layout.name("virtual"), wide=False)
    code.jump_if(R1, UNEQUAL, network32(mac[:4]), "pass", wide=False)
    code.jump_if(R2, EQUAL, network16(int.from_bytes(mac[4:])), layout.name("ours"))
    code.jump("pass")
    code.label(layout.name("virtual"))
    code.load(BYTE, R2, R7, 4)
    code.jump_if(R2, EQUAL, 1, layout.name("ours"))
    code.jump_if(R2, UNEQUAL, 2, "pass")
    code.label(layout.name("ours"))


def _measure(code: Assembler, layout: Layout) -> None:
    """Note the time and the packet's length without the padding of short frames."""
    code.store(WORD, R10, NEW, 0)
    if layout.family is Family.IPV4:
        code.load(HALF, R1, R7, ETHERNET_BYTES + 2)
        code.swap_network(R1, 16)
    else:
        code.load(HALF, R1, R7, ETHERNET_BYTES + 4)
        code.swap_network(R1, 16)
        code.add(R1, layout.header_bytes)
    code.store(WORD, R10, LENGTH, R1)
    code.call(HELPER_COARSE_CLOCK)
    code.store(DOUBLE, R10, NOW, R0)
    code.shift_right(R0, xdp.TICK_SHIFT)
    code.store(WORD, R10, TICK, R0)
