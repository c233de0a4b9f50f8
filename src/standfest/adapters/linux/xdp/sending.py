"""Last part of the program: on the way to the server, directly or in a tunnel.

The way comes from the kernel's own tables and is remembered for a moment on each CPU, so routes and
neighbours are followed without a daemon. A packet that is too long for it is answered as a router
would. Source: linux/bpf.h (bpf_fib_lookup), RFC 2003, 2473, 792, 4443.
"""

from standfest.adapters.linux.xdp.emitting import (
    CONTEXT_DATA,
    CONTEXT_END,
    CONTEXT_INGRESS,
    ETHERNET_BYTES,
    ETHERTYPE,
    FLOW,
    HELPER_ADJUST_HEAD,
    HELPER_ADJUST_TAIL,
    HELPER_CHECKSUM,
    HELPER_REDIRECT,
    HELPER_ROUTE,
    LENGTH,
    MTU,
    NEW,
    NOW,
    ROUTE,
    ROUTE_BYTES,
    SERVER,
    Layout,
    copy,
    copy_bytes,
    lookup,
    network16,
    network32,
    reload,
    stack,
)
from standfest.adapters.linux.xdp.programs import Verdict
from standfest.model.vrrp import Family
from standfest.wire import xdp
from standfest.wire.bpf import (
    ABOVE,
    ANY_BIT,
    AT_MOST,
    BELOW,
    BYTE,
    DOUBLE,
    EQUAL,
    HALF,
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
    UNEQUAL,
    WORD,
    Assembler,
)

WAY_LASTS_NS = 200_000_000
"""How long the way to a server is used without asking again: a new MAC counts after that."""
ROUTE_LENGTH, ROUTE_INTERFACE, ROUTE_SOURCE, ROUTE_DESTINATION = 6, 8, 16, 32
ROUTE_SENDER_MAC, ROUTE_TARGET_MAC = 52, 58
FOUND, NOT_FORWARDED = 0, 4
LOOPBACK = 1
"""Routes are asked for as for what the director itself sends."""
ADDRESS_FAMILY = {Family.IPV4: 2, Family.IPV6: 10}
DONT_FRAGMENT = 0x4000
ICMP_BYTES, QUOTED_TRANSPORT_BYTES = 8, 8
TUNNEL_PROTOCOL = 41  # IPv6 in IPv6; IPv4 in IPv4 (4) is in the constant sum


def send(code: Assembler, layout: Layout) -> None:
    """Count the packet, find the way, and send."""
    n = layout.name
    lookup(code, "carried", SERVER, "drop")
    code.move(R9, R0)
    _count(code)
    code.load(DOUBLE, R1, R10, NOW)
    code.load(DOUBLE, R2, R9, xdp.CARRIED_ASKED)
    code.subtract(R1, R2)
    code.jump_if(R1, BELOW, WAY_LASTS_NS, n("way"))
    _ask_the_way(code, layout)
    code.label(n("way"))
    code.load(WORD, R1, R9, xdp.CARRIED_ACTION)
    code.jump_if(R1, EQUAL, Verdict.PASS, "pass")  # the server is this machine
    code.load(HALF, R3, R8, xdp.SERVER_METHOD)
    code.load(WORD, R1, R9, xdp.CARRIED_MTU)
    code.load(WORD, R2, R10, LENGTH)
    code.jump_if(R3, UNEQUAL, xdp.TUNNEL, n("fits"))
    code.subtract(R1, layout.header_bytes)
    code.label(n("fits"))
    code.jump_if(R2, ABOVE, R1, n("long"))
    _one_hop_less(code, layout)
    code.jump_if(R3, EQUAL, xdp.TUNNEL, n("tunnel"))
    code.jump("forward")
    _tunnel(code, layout)
    _too_long(code, layout)


def finish(code: Assembler) -> None:
    """Write the frame's header and let it go; then the other ends of the program."""
    code.label("forward")
    copy_bytes(code, 12, (R7, 0), (R9, xdp.CARRIED_MACS))
    code.load(WORD, R1, R9, xdp.CARRIED_INTERFACE)
    code.load(WORD, R2, R6, CONTEXT_INGRESS)
    code.jump_if(R1, EQUAL, R2, "back")
    code.move(R2, 0)
    code.call(HELPER_REDIRECT)
    code.exit()
    for label, verdict in (("back", Verdict.TX), ("drop", Verdict.DROP), ("pass", Verdict.PASS)):
        code.label(label)
        code.move(R0, verdict.value)
        code.exit()


def _count(code: Assembler) -> None:
    """Add the packet to what this CPU has carried for the server."""
    for place, field in ((NEW, xdp.CARRIED_CONNECTIONS), (LENGTH, xdp.CARRIED_BYTES)):
        code.load(WORD, R2, R10, place)
        code.load(DOUBLE, R1, R9, field)
        code.add(R1, R2)
        code.store(DOUBLE, R9, field, R1)
    code.load(DOUBLE, R1, R9, xdp.CARRIED_PACKETS)
    code.add(R1, 1)
    code.store(DOUBLE, R9, xdp.CARRIED_PACKETS, R1)


def _ask_the_way(code: Assembler, layout: Layout) -> None:
    """Ask the kernel for interface, MACs and MTU; without a neighbour's MAC the packet is lost."""
    n = layout.name
    for at in range(0, ROUTE_BYTES, 8):
        code.store(DOUBLE, R10, ROUTE + at, 0)
    code.store(BYTE, R10, ROUTE, ADDRESS_FAMILY[layout.family])
    code.store(WORD, R10, ROUTE + ROUTE_INTERFACE, LOOPBACK)
    copy_bytes(code, layout.bytes, (R10, ROUTE + ROUTE_SOURCE), (R8, xdp.SERVER_SOURCE))
    copy_bytes(code, layout.bytes, (R10, ROUTE + ROUTE_DESTINATION), (R8, xdp.SERVER_ADDRESS))
    code.move(R1, R6)
    stack(code, R2, ROUTE)
    code.move(R3, ROUTE_BYTES)
    code.move(R4, 0)
    code.call(HELPER_ROUTE)
    code.move(R1, Verdict.PASS.value)
    code.jump_if(R0, EQUAL, NOT_FORWARDED, n("action"))
    code.jump_if(R0, UNEQUAL, FOUND, "drop")
    copy(code, WORD, (R9, xdp.CARRIED_INTERFACE), (R10, ROUTE + ROUTE_INTERFACE))
    for at in range(0, 6, 2):
        copy(code, HALF, (R9, xdp.CARRIED_MACS + at), (R10, ROUTE + ROUTE_TARGET_MAC + at))
        copy(code, HALF, (R9, xdp.CARRIED_MACS + 6 + at), (R10, ROUTE + ROUTE_SENDER_MAC + at))
    code.load(HALF, R1, R10, ROUTE + ROUTE_LENGTH)
    code.store(WORD, R9, xdp.CARRIED_MTU, R1)
    code.move(R1, Verdict.TX.value)
    code.label(n("action"))
    code.store(WORD, R9, xdp.CARRIED_ACTION, R1)
    copy(code, DOUBLE, (R9, xdp.CARRIED_ASKED), (R10, NOW))


def _one_hop_less(code: Assembler, layout: Layout) -> None:
    """Take one from the packet's hops, so that directors that send to each other come to an end."""
    n = layout.name
    if layout.family is Family.IPV6:
        code.load(BYTE, R1, R7, ETHERNET_BYTES + 7)
        code.jump_if(R1, AT_MOST, 1, "pass")
        code.subtract(R1, 1)
        code.store(BYTE, R7, ETHERNET_BYTES + 7, R1)
        return
    code.load(BYTE, R1, R7, ETHERNET_BYTES + 8)
    code.jump_if(R1, AT_MOST, 1, "pass")
    code.subtract(R1, 1)
    code.store(BYTE, R7, ETHERNET_BYTES + 8, R1)
    code.load(HALF, R1, R7, ETHERNET_BYTES + 10)  # RFC 1624: the checksum grows by what went
    code.add(R1, network16(0x0100))
    code.jump_if(R1, BELOW, 0xFFFF, n("summed"))
    code.add(R1, 1)
    code.label(n("summed"))
    code.store(HALF, R7, ETHERNET_BYTES + 10, R1)


def _tunnel(code: Assembler, layout: Layout) -> None:
    """Put an outer header in front, from the director to the server."""
    code.label(layout.name("tunnel"))
    code.move(R1, R6)
    code.move(R2, -layout.header_bytes)
    code.call(HELPER_ADJUST_HEAD)
    code.jump_if(R0, UNEQUAL, 0, "drop")
    reload(code, layout.transport + layout.header_bytes, "drop")
    code.store(HALF, R7, 12, network16(ETHERTYPE[layout.family]))
    if layout.family is Family.IPV4:
        _outer_ipv4(code, layout)
    else:
        _outer_ipv6(code, layout)
    copy_bytes(code, layout.bytes, (R7, layout.source), (R8, xdp.SERVER_SOURCE))
    destination = layout.source + layout.bytes
    copy_bytes(code, layout.bytes, (R7, destination), (R8, xdp.SERVER_ADDRESS))
    code.jump("forward")


def _outer_ipv4(code: Assembler, layout: Layout) -> None:
    """Write version, class of service, length and sum; never to be fragmented."""
    outer = ETHERNET_BYTES
    code.load(HALF, R2, R7, layout.transport)
    code.store(HALF, R7, outer, R2)
    code.load(WORD, R1, R10, LENGTH)
    code.add(R1, layout.header_bytes)
    code.swap_network(R1, 16)
    code.store(HALF, R7, outer + 2, R1)
    code.store(HALF, R7, outer + 4, 0)
    code.store(HALF, R7, outer + 6, network16(DONT_FRAGMENT))
    code.store(HALF, R7, outer + 8, network16(xdp.OUTER_TTL << 8 | 4))
    code.load(WORD, R0, R8, xdp.SERVER_OUTER_SUM)
    code.add(R0, R1)
    code.add(R0, R2)
    _fold(code)
    code.store(HALF, R7, outer + 10, R0)


def _outer_ipv6(code: Assembler, layout: Layout) -> None:
    """Write the first eight bytes; the flow label spreads connections over paths (RFC 6438)."""
    outer = ETHERNET_BYTES
    code.load(WORD, R1, R7, layout.transport)
    code.bit_and(R1, network32(bytes.fromhex("0ff00000")))
    code.bit_or(R1, network32(bytes.fromhex("60000000")))
    code.load(WORD, R2, R10, layout.flow_ports)
    code.load(WORD, R3, R10, FLOW + 12)
    code.bit_xor(R2, R3)
    code.multiply(R2, 0x61C88647, wide=False)
    code.bit_and(R2, network32(bytes.fromhex("000fffff")))
    code.bit_or(R1, R2)
    code.store(WORD, R7, outer, R1)
    code.load(WORD, R1, R10, LENGTH)
    code.swap_network(R1, 16)
    code.store(HALF, R7, outer + 4, R1)
    code.store(HALF, R7, outer + 6, network16(TUNNEL_PROTOCOL << 8 | xdp.OUTER_TTL))


def _too_long(code: Assembler, layout: Layout) -> None:
    """Answer `fragmentation needed` or `packet too big`; R1 is what the way takes."""
    header = layout.header_bytes
    quoted_at = layout.transport + ICMP_BYTES
    total = quoted_at + header + QUOTED_TRANSPORT_BYTES
    code.label(layout.name("long"))
    if layout.family is Family.IPV4:
        code.load(HALF, R2, R7, ETHERNET_BYTES + 6)
        code.jump_if(R2, ANY_BIT, network16(DONT_FRAGMENT), "answer")
        code.jump("drop")
        code.label("answer")
    code.store(WORD, R10, MTU, R1)
    _resize(code, grow=header + ICMP_BYTES, total=total)
    old = header + ICMP_BYTES  # where the frame's header is now
    for at in range(0, 6, 2):
        copy(code, HALF, (R7, at), (R7, old + 6 + at))
        copy(code, HALF, (R7, 6 + at), (R7, old + at))
    code.store(HALF, R7, 12, network16(ETHERTYPE[layout.family]))
    inner_source = quoted_at + layout.source - ETHERNET_BYTES
    copy_bytes(
        code, layout.bytes, (R7, layout.source), (R7, inner_source + layout.bytes)
    )  # it answers in the virtual address's name
    copy_bytes(code, layout.bytes, (R7, layout.source + layout.bytes), (R7, inner_source))
    code.load(WORD, R1, R10, MTU)
    if layout.family is Family.IPV4:
        _fragmentation_needed(code, layout, total)
    else:
        _packet_too_big(code, layout, total)
    code.jump("back")


def _resize(code: Assembler, *, grow: int, total: int) -> None:
    """Make room in front, and cut the frame to `total` bytes."""
    code.move(R1, R6)
    code.move(R2, -grow)
    code.call(HELPER_ADJUST_HEAD)
    code.jump_if(R0, UNEQUAL, 0, "drop")
    code.load(WORD, R1, R6, CONTEXT_DATA)
    code.load(WORD, R3, R6, CONTEXT_END)
    code.move(R2, total)
    code.add(R2, R1)
    code.subtract(R2, R3)
    code.move(R1, R6)
    code.call(HELPER_ADJUST_TAIL)
    code.jump_if(R0, UNEQUAL, 0, "drop")
    reload(code, total, "drop")


def _fragmentation_needed(code: Assembler, layout: Layout, total: int) -> None:
    """Write the IPv4 and ICMP headers of type 3, code 4."""
    code.store(HALF, R7, ETHERNET_BYTES, network16(0x4500))
    code.store(HALF, R7, ETHERNET_BYTES + 2, network16(total - ETHERNET_BYTES))
    code.store(WORD, R7, ETHERNET_BYTES + 4, 0)
    code.store(HALF, R7, ETHERNET_BYTES + 8, network16(xdp.OUTER_TTL << 8 | 1))
    code.store(HALF, R7, ETHERNET_BYTES + 10, 0)
    icmp = layout.transport
    code.store(HALF, R7, icmp, network16(3 << 8 | 4))
    code.store(WORD, R7, icmp + 2, 0)
    code.swap_network(R1, 16)
    code.store(HALF, R7, icmp + 6, R1)
    _sum(code, ETHERNET_BYTES, layout.header_bytes, ETHERNET_BYTES + 10)
    _sum(code, icmp, total - icmp, icmp + 2)


def _packet_too_big(code: Assembler, layout: Layout, total: int) -> None:
    """Write the IPv6 and ICMPv6 headers of type 2, whose sum includes the addresses."""
    icmp = layout.transport
    code.store(WORD, R7, ETHERNET_BYTES, network32(bytes.fromhex("60000000")))
    code.store(HALF, R7, ETHERNET_BYTES + 4, network16(total - icmp))
    code.store(HALF, R7, ETHERNET_BYTES + 6, network16(58 << 8 | xdp.OUTER_TTL))
    code.store(WORD, R7, icmp, network32(bytes.fromhex("02000000")))
    code.swap_network(R1, 32)
    code.store(WORD, R7, icmp + 4, R1)
    code.move(R5, network16(total - icmp) + network16(58))
    _partial_sum(code, layout.source, 2 * layout.bytes)
    code.move(R5, R0)
    _partial_sum(code, icmp, total - icmp)
    _fold(code)
    code.store(HALF, R7, icmp + 2, R0)


def _sum(code: Assembler, at: int, count: int, field: int) -> None:
    """Write the Internet checksum of `count` bytes into their checksum field, which is 0."""
    code.move(R5, 0)
    _partial_sum(code, at, count)
    _fold(code)
    code.store(HALF, R7, field, R0)


def _partial_sum(code: Assembler, at: int, count: int) -> None:
    """R0 = R5 plus the words of the packet, not folded."""
    code.move(R1, 0)
    code.move(R2, 0)
    code.move(R3, R7)
    code.add(R3, at)
    code.move(R4, count)
    code.call(HELPER_CHECKSUM)


def _fold(code: Assembler) -> None:
    """R0 = the complement of the sum of its 16-bit words (RFC 1071)."""
    code.move(R0, R0, wide=False)
    for _ in range(2):
        code.move(R1, R0)
        code.shift_right(R1, 16)
        code.bit_and(R0, 0xFFFF)
        code.add(R0, R1)
    code.bit_xor(R0, 0xFFFF)
