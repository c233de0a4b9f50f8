"""Second part of the program: from a connection to its server.

A connection that is known stays with its server while that serves, even without weight. A new one
goes to its client's server if the service is persistent, else to the owner of the slot that the
scheduler's choice falls on. A TCP packet in the middle of a connection that is not known goes by
the table if that is a hash, else to the stack. Source: docs/adr/0018-xdp-backend.md.
"""

from dataclasses import dataclass

from standfest.adapters.linux.xdp.emitting import (
    ENTRY,
    FLAGS,
    FLOW,
    GENERATION,
    HELPER_RANDOM,
    HELPER_UPDATE,
    NEW,
    RELATED,
    SERVER,
    SLOT,
    STICKY,
    TICK,
    VALUE,
    Layout,
    lookup,
    stack,
)
from standfest.model.slots import Choice
from standfest.model.vrrp import Family
from standfest.wire import xdp
from standfest.wire.bpf import (
    ABOVE,
    ANY_BIT,
    AT_LEAST,
    BELOW,
    DOUBLE,
    EQUAL,
    HALF,
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R8,
    R9,
    R10,
    UNEQUAL,
    WORD,
    Assembler,
)

BACKWARDS = 0x80000000
"""A difference of times that is negative."""
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
TCP = 6
MIX_1, MIX_2 = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93
"""Odd numbers whose bits are well spread: each round brings every bit down into the lower half."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a silent connection is remembered, in seconds."""

    opening_s: int = 60
    tcp_s: int = 900
    tcp_fin_s: int = 120
    udp_s: int = 300

    def of(self, state: int) -> int:
        """Return the limit of a connection in a state."""
        return {
            xdp.OPENING: self.opening_s,
            xdp.ESTABLISHED: self.tcp_s,
            xdp.CLOSING: self.tcp_fin_s,
            xdp.DATAGRAMS: self.udp_s,
        }[state]


def choose(code: Assembler, layout: Layout, limits: Limits) -> None:
    """R8 = the server; its number and generation are on the stack."""
    _known(code, layout, limits)
    _unknown(code, layout)
    _slot(code, layout)
    _remember(code, layout, limits)


def _known(code: Assembler, layout: Layout, limits: Limits) -> None:
    """Stay with the server of a known connection, and note what the packet does to it."""
    n = layout.name
    code.load(WORD, R1, R9, xdp.SERVICE_FLAGS)
    code.jump_if(R1, ANY_BIT, xdp.ONE_PACKET, n("unknown"))
    lookup(code, n("flows"), FLOW, n("unknown"))
    code.store(DOUBLE, R10, ENTRY, R0)
    _server_of(code, layout, otherwise="unknown")
    code.load(DOUBLE, R1, R10, ENTRY)
    code.load(WORD, R2, R10, TICK)
    code.load(WORD, R3, R1, xdp.FLOW_SEEN)
    code.move(R4, R2, wide=False)
    code.subtract(R4, R3, wide=False)
    code.load(HALF, R5, R1, xdp.FLOW_LIMIT)
    # Another CPU may have written a later time than this packet came at.
    code.jump_if(R4, AT_LEAST, BACKWARDS, n("heard"), wide=False)
    code.jump_if(R4, ABOVE, R5, n("unknown"))
    code.label(n("heard"))
    code.load(WORD, R5, R10, FLAGS)
    code.jump_if(R5, ANY_BIT, RELATED, n("send"))
    code.load(HALF, R4, R1, xdp.FLOW_STATE)
    code.jump_if(R5, ANY_BIT, FIN | RST, n("closes"))
    code.jump_if(R5, ANY_BIT, ACK, n("answers"))
    code.jump_if(R5, ANY_BIT, SYN, n("opens"))
    code.jump(n("seen"))
    code.label(n("opens"))  # the ports of a connection that has ended are used again
    code.jump_if(R4, EQUAL, xdp.CLOSING, n("unknown"))
    code.jump(n("seen"))
    code.label(n("closes"))
    _enter(code, layout, xdp.CLOSING, limits)
    code.label(n("answers"))
    code.jump_if(R4, UNEQUAL, xdp.OPENING, n("seen"))
    _enter(code, layout, xdp.ESTABLISHED, limits)
    code.label(n("seen"))  # written once in 0.27 s only: the line is shared by all CPUs
    code.jump_if(R2, EQUAL, R3, n("send"))
    code.store(WORD, R1, xdp.FLOW_SEEN, R2)
    code.load(WORD, R3, R9, xdp.SERVICE_STICKY)
    code.jump_if(R3, EQUAL, 0, n("send"))
    _client(code, layout)
    lookup(code, n("clients"), STICKY, n("send"))
    code.load(WORD, R2, R10, TICK)
    code.store(WORD, R0, xdp.FLOW_SEEN, R2)
    code.jump(n("send"))


def _enter(code: Assembler, layout: Layout, state: int, limits: Limits) -> None:
    """Note a connection's new state; R1 is its entry."""
    code.store(HALF, R1, xdp.FLOW_STATE, state)
    code.store(HALF, R1, xdp.FLOW_LIMIT, xdp.limit(limits.of(state)))
    code.jump(layout.name("seen"))


def _server_of(code: Assembler, layout: Layout, *, otherwise: str) -> None:
    """R8 = the server that the entry at R0 names, if it is the one that it was then."""
    code.load(WORD, R1, R0, xdp.FLOW_SERVER)
    code.store(WORD, R10, SERVER, R1)
    code.load(WORD, R1, R0, xdp.FLOW_GENERATION)
    code.store(WORD, R10, GENERATION, R1)
    lookup(code, "servers", SERVER, layout.name(otherwise))
    code.move(R8, R0)
    code.load(WORD, R1, R8, xdp.SERVER_GENERATION)
    code.load(WORD, R2, R10, GENERATION)
    code.jump_if(R1, UNEQUAL, R2, layout.name(otherwise))
    code.load(WORD, R1, R8, xdp.SERVER_SERVICE)
    code.load(WORD, R2, R9, xdp.SERVICE_ID)
    code.jump_if(R1, UNEQUAL, R2, layout.name(otherwise))


def _unknown(code: Assembler, layout: Layout) -> None:
    """Take the client's server, if the service is persistent and the server takes new ones."""
    n = layout.name
    code.label(n("unknown"))
    code.load(WORD, R1, R10, FLAGS)
    code.jump_if(R1, ANY_BIT, RELATED, "pass")
    _if_in_the_middle(code, layout, n("middle"))
    code.load(WORD, R1, R9, xdp.SERVICE_STICKY)
    code.jump_if(R1, EQUAL, 0, n("slot"))
    _client(code, layout)
    lookup(code, n("clients"), STICKY, n("slot"))
    code.load(WORD, R1, R0, xdp.FLOW_SEEN)
    code.load(WORD, R2, R10, TICK)
    code.subtract(R2, R1, wide=False)
    code.load(WORD, R1, R9, xdp.SERVICE_STICKY)
    code.jump_if(R2, AT_LEAST, BACKWARDS, n("client-heard"), wide=False)
    code.jump_if(R2, ABOVE, R1, n("slot"))
    code.label(n("client-heard"))
    _server_of(code, layout, otherwise="slot")
    code.load(WORD, R1, R8, xdp.SERVER_WEIGHT)
    code.jump_if(R1, UNEQUAL, 0, n("remember"))
    code.jump(n("slot"))
    # What another director may have begun: a hash finds its server, chance does not, so that the
    # stack ends it. Neither is a client's new connection, nor anybody's turn.
    code.label(n("middle"))
    code.load(WORD, R1, R9, xdp.SERVICE_CHOICE)
    code.jump_if(R1, BELOW, xdp.CHOICES.index(Choice.SOURCE), "pass")


def _if_in_the_middle(code: Assembler, layout: Layout, label: str) -> None:
    """Go on at the label with a TCP packet that begins no connection."""
    other = f"{label}-not-in-the-middle"
    code.load(WORD, R1, R10, layout.flow_protocol)
    code.jump_if(R1, UNEQUAL, TCP, other)
    code.load(WORD, R1, R10, FLAGS)
    code.jump_if(R1, ANY_BIT, SYN, other)
    code.jump(label)
    code.label(other)


def _client(code: Assembler, layout: Layout) -> None:
    """Put the key of the client on the stack: the service, and those bits that tell it apart."""
    code.load(WORD, R1, R9, xdp.SERVICE_ID)
    code.store(WORD, R10, STICKY, R1)
    for at in range(0, layout.bytes, 4):
        code.load(WORD, R1, R10, FLOW + at)
        code.load(WORD, R2, R9, xdp.SERVICE_MASK + at)
        code.bit_and(R1, R2)
        code.store(WORD, R10, STICKY + 4 + at, R1)


def _slot(code: Assembler, layout: Layout) -> None:
    """Choose a slot and take its owner; a service without slots passes, so the stack refuses."""
    n = layout.name
    code.label(n("slot"))
    code.load(WORD, R1, R9, xdp.SERVICE_SIZE)
    code.jump_if(R1, EQUAL, 0, "pass")
    code.load(WORD, R1, R9, xdp.SERVICE_CHOICE)
    for number, choice in enumerate(xdp.CHOICES):
        if choice is not Choice.TURN:
            code.jump_if(R1, EQUAL, number, n(choice.value))
    code.load(WORD, R1, R9, xdp.SERVICE_ID)
    code.store(WORD, R10, SLOT, R1)
    lookup(code, "turns", SLOT, "drop")
    code.move(R1, 1)
    code.fetch_and_add(R0, 0, R1)
    code.load(WORD, R2, R9, xdp.SERVICE_SIZE)
    code.modulo(R1, R2)
    code.jump(n("owner"))
    _hashes(code, layout)
    code.label(n("scale"))  # 32 bits of chance times the size, shifted: as even as a division
    code.load(WORD, R2, R9, xdp.SERVICE_SIZE)
    code.multiply(R1, R2)
    code.shift_right(R1, 32)
    code.label(n("owner"))
    code.load(WORD, R2, R9, xdp.SERVICE_FIRST)
    code.add(R1, R2, wide=False)
    code.store(WORD, R10, SLOT, R1)
    lookup(code, "slots", SLOT, "drop")
    code.load(DOUBLE, R1, R0, 0)
    code.store(WORD, R10, SERVER, R1)
    lookup(code, "servers", SERVER, "drop")
    code.move(R8, R0)
    # A slot that has changed hands under our eyes is of another service: the client tries again.
    code.load(WORD, R1, R8, xdp.SERVER_SERVICE)
    code.load(WORD, R2, R9, xdp.SERVICE_ID)
    code.jump_if(R1, UNEQUAL, R2, "drop")
    code.load(WORD, R1, R8, xdp.SERVER_GENERATION)
    code.store(WORD, R10, GENERATION, R1)


def _hashes(code: Assembler, layout: Layout) -> None:
    """R1 = 32 bits: by chance, or a hash of what the choice looks at."""
    n = layout.name
    code.label(n(Choice.RANDOM.value))
    code.call(HELPER_RANDOM)
    code.move(R1, R0, wide=False)
    code.jump(n("scale"))
    code.label(n(Choice.SOURCE_PORT.value))
    code.load(HALF, R2, R10, layout.flow_ports)
    _gather(code, layout, FLOW)
    code.bit_xor(R1, R2)
    code.jump(n("mix"))
    code.label(n(Choice.DESTINATION.value))
    _gather(code, layout, layout.flow_destination)
    code.jump(n("mix"))
    code.label(n(Choice.SOURCE.value))
    _gather(code, layout, FLOW)
    code.label(n("mix"))
    for constant in (MIX_1, MIX_2):
        code.move_wide(R3, constant)
        code.multiply(R1, R3)
        code.move(R3, R1)
        code.shift_right(R3, 32)
        code.bit_xor(R1, R3)
    code.move(R1, R1, wide=False)


def _gather(code: Assembler, layout: Layout, place: int) -> None:
    """R1 = an address in 64 bits; the lowest 16 are free for a port."""
    if layout.family is Family.IPV4:
        code.load(WORD, R1, R10, place)
        code.shift_left(R1, 16)
        return
    code.load(DOUBLE, R1, R10, place)
    code.move_wide(R3, MIX_1)
    code.multiply(R1, R3)
    code.load(DOUBLE, R3, R10, place + 8)
    code.bit_xor(R1, R3)
    code.move(R3, R1)  # all bits of an address count, those that make room for the port as well
    code.shift_right(R3, 48)
    code.bit_xor(R1, R3)
    code.shift_left(R1, 16)


def _remember(code: Assembler, layout: Layout, limits: Limits) -> None:
    """Note the new connection, and whose client this is."""
    n = layout.name
    code.label(n("remember"))
    code.store(WORD, R10, NEW, 1)
    code.load(WORD, R1, R9, xdp.SERVICE_FLAGS)
    code.jump_if(R1, ANY_BIT, xdp.ONE_PACKET, n("send"))
    _first_state(code, layout, limits)
    code.load(WORD, R1, R10, TICK)
    code.store(WORD, R10, VALUE + xdp.FLOW_SEEN, R1)
    code.map(R1, n("flows"))
    stack(code, R2, FLOW)
    _update(code)
    code.load(WORD, R1, R9, xdp.SERVICE_STICKY)
    code.jump_if(R1, EQUAL, 0, n("send"))
    _if_in_the_middle(code, layout, n("send"))
    _client(code, layout)
    code.map(R1, n("clients"))
    stack(code, R2, STICKY)
    _update(code)
    code.label(n("send"))


def _first_state(code: Assembler, layout: Layout, limits: Limits) -> None:
    """Note what the first packet says about the connection; without SYN it is one in the middle."""
    n = layout.name
    states = (
        ("datagrams", xdp.DATAGRAMS),
        ("closing", xdp.CLOSING),
        ("opening", xdp.OPENING),
        ("established", xdp.ESTABLISHED),
    )
    code.load(WORD, R1, R10, layout.flow_protocol)
    code.load(WORD, R2, R10, FLAGS)
    code.jump_if(R1, UNEQUAL, TCP, n("datagrams"))
    code.jump_if(R2, ANY_BIT, FIN | RST, n("closing"))
    code.jump_if(R2, ANY_BIT, SYN, n("opening"))
    code.jump(n("established"))
    for name, state in states:
        code.label(n(name))
        code.store(HALF, R10, VALUE + xdp.FLOW_STATE, state)
        code.store(HALF, R10, VALUE + xdp.FLOW_LIMIT, xdp.limit(limits.of(state)))
        code.jump(n("noted"))
    code.label(n("noted"))


def _update(code: Assembler) -> None:
    """Write the connection's value; a table that is full forgets the longest silent one."""
    stack(code, R3, VALUE)
    code.move(R4, 0)
    code.call(HELPER_UPDATE)
