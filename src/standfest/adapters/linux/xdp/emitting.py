"""What all parts of the balancer's program share: the stack's places, and common phrases.

The program keeps in registers: R6 the context, R7 the packet, R8 the server (before: its end), R9
the service (later: what its server has carried). Source: linux/bpf.h for the helpers' numbers.
"""

import struct
from dataclasses import dataclass

from standfest.model.vrrp import Family
from standfest.wire import xdp
from standfest.wire.bpf import (
    ABOVE,
    EQUAL,
    R0,
    R1,
    R2,
    R6,
    R7,
    R8,
    R10,
    WORD,
    Assembler,
    Register,
    Size,
)

HELPER_LOOKUP, HELPER_UPDATE, HELPER_RANDOM, HELPER_REDIRECT = 1, 2, 7, 23
HELPER_CHECKSUM, HELPER_ADJUST_HEAD, HELPER_ADJUST_TAIL, HELPER_ROUTE = 28, 44, 65, 69
HELPER_COARSE_CLOCK = 160
CONTEXT_DATA, CONTEXT_END, CONTEXT_INGRESS = 0, 4, 12
ETHERNET_BYTES = 14
ETHERTYPE = {Family.IPV4: 0x0800, Family.IPV6: 0x86DD}

# Places on the stack, below R10.
FLOW = -40  # key of the connection
KEY = -64  # key of the service
SLOT, NEW = -72, -68
VALUE = -88  # of the connection: server, generation, seen, state, limit
SERVER, GENERATION = VALUE + xdp.FLOW_SERVER, VALUE + xdp.FLOW_GENERATION
STICKY = -112  # key of the client
ROUTE, ROUTE_BYTES = -176, 64
NOW, TICK, FLAGS = -184, -188, -192
ENTRY = -200  # pointer to the connection
LENGTH, MTU = -204, -208

RELATED = 0x100
"""In FLAGS beside TCP's: an ICMP error about a connection."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a family's addresses are; offsets from the packet's begin, and in a flow's key."""

    family: Family

    @property
    def bytes(self) -> int:
        """Return the length of an address."""
        return 4 if self.family is Family.IPV4 else 16

    @property
    def header_bytes(self) -> int:
        """Return the length of an IP header without options."""
        return 20 if self.family is Family.IPV4 else 40

    @property
    def source(self) -> int:
        """Return where the source address is in a packet; the destination follows."""
        return ETHERNET_BYTES + (12 if self.family is Family.IPV4 else 8)

    @property
    def transport(self) -> int:
        """Return where the transport header begins."""
        return ETHERNET_BYTES + self.header_bytes

    @property
    def flow_destination(self) -> int:
        """Return where the stack has the virtual address."""
        return FLOW + self.bytes

    @property
    def flow_ports(self) -> int:
        """Return where the stack has the client's port; the service's follows."""
        return FLOW + 2 * self.bytes

    @property
    def flow_protocol(self) -> int:
        """Return where the stack has the protocol, in 4 bytes."""
        return self.flow_ports + 4

    def name(self, what: str) -> str:
        """Return a label or map of this family."""
        return f"{what}{self.family.value}"


LAYOUTS = (Layout(Family.IPV4), Layout(Family.IPV6))


def network16(number: int) -> int:
    """Return what a load of 16 bits gives where a packet has the number."""
    return int(struct.unpack("=H", struct.pack(">H", number))[0])


def network32(data: bytes) -> int:
    """Return what a load of 32 bits gives where a packet has these four bytes."""
    return int(struct.unpack("=I", data)[0])


def copy(
    code: Assembler, size: Size, to: tuple[Register, int], source: tuple[Register, int]
) -> None:
    """Copy one value from memory to memory, by R1."""
    code.load(size, R1, *source)
    code.store(size, *to, R1)


def copy_bytes(
    code: Assembler, count: int, to: tuple[Register, int], source: tuple[Register, int]
) -> None:
    """Copy a number of bytes that four divides, by R1."""
    for at in range(0, count, 4):
        copy(code, WORD, (to[0], to[1] + at), (source[0], source[1] + at))


def require(code: Assembler, count: int, otherwise: str, *, end: Register = R8) -> None:
    """Go on at `otherwise` unless the packet has `count` bytes."""
    code.move(R1, R7)
    code.add(R1, count)
    code.jump_if(R1, ABOVE, end, otherwise)


def reload(code: Assembler, count: int, otherwise: str) -> None:
    """Find the packet again after its begin or end has moved; it must have `count` bytes."""
    code.load(WORD, R7, R6, CONTEXT_DATA)
    code.load(WORD, R2, R6, CONTEXT_END)
    require(code, count, otherwise, end=R2)


def stack(code: Assembler, to: Register, place: int) -> None:
    """Set a register to a place on the stack."""
    code.move(to, R10)
    code.add(to, place)


def lookup(code: Assembler, name: str, key: int, otherwise: str) -> None:
    """R0 = the value of the key at a place on the stack; where there is none, go on elsewhere."""
    code.map(R1, name)
    stack(code, R2, key)
    code.call(HELPER_LOOKUP)
    code.jump_if(R0, EQUAL, 0, otherwise)
