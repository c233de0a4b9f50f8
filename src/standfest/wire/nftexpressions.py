"""The expressions that rules are made of. They work on sixteen registers of four bytes.

What a rule has put into a register is there for the rest of that rule only. Source: linux/
netfilter/nf_tables.h (uapi) as a list of names and numbers; nft(8).
"""

from typing import Final

from standfest.wire import netlink as nl
from standfest.wire.nftables import expression, number, value, verdict

REGISTERS: Final = 16
MILLISECONDS: Final = 1000

_FIRST = 8  # the kernel's number of our register 0
_VERDICT_REGISTER = 0
NETWORK, TRANSPORT = 1, 2
LINK: Final = 0
FAMILY_IPV4, FAMILY_IPV6 = 2, 10
LOOPBACK: Final = 772
ESTABLISHED, RELATED = 2, 4
_META_PROTOCOL, _META_MARK, _META_L4PROTO = 1, 3, 16
_META_IN, _META_IN_TYPE, _META_OUT_TYPE, _META_FAMILY, _META_PACKET_TYPE = 4, 8, 9, 15, 19
_TO_THIS_HOST = 0
_CT_STATE, _CT_DIRECTION, _CT_MARK = 0, 1, 3
_INTERNET_CHECKSUM = 1
_EQUAL, _DIFFERENT = 0, 1
_UPDATE, _DELETE = 1, 2
_INVERT = 1
_ICMP_UNREACHABLE, _TCP_RESET, _ANY_UNREACHABLE = 0, 1, 2
_PORT_UNREACHABLE = 1
_DESTINATION_NAT = 1
_BY_TURN, _AT_RANDOM = 0, 1


def load(base: int, offset: int, size: int, register: int) -> bytes:
    """Load bytes of the packet from the LINK, NETWORK or TRANSPORT header, or end the rule."""
    return expression(
        "payload",
        nl.be32(1, _register(register)),
        nl.be32(2, base),
        nl.be32(3, offset),
        nl.be32(4, size),
    )


def store(base: int, offset: int, size: int, register: int, checksum: int | None = None) -> bytes:
    """Write bytes into the packet; checksum: where in the same header its Internet checksum is."""
    parts = [
        nl.be32(2, base),
        nl.be32(3, offset),
        nl.be32(4, size),
        nl.be32(5, _register(register)),
    ]
    if checksum is not None:
        parts += [nl.be32(6, _INTERNET_CHECKSUM), nl.be32(7, checksum)]
    return expression("payload", *parts)


def link_protocol(register: int) -> bytes:
    """Load the number of the packet's protocol as Ethernet has it, two bytes."""
    return _meta(_META_PROTOCOL, register)


def packet_kind(register: int) -> bytes:
    """Load whose packet it is, a byte: 0 for one to this interface's own address."""
    return _meta(_META_PACKET_TYPE, register)


def transport_protocol(register: int) -> bytes:
    """Load the number of the transport protocol, a byte."""
    return _meta(_META_L4PROTO, register)


def family(register: int) -> bytes:
    """Load FAMILY_IPV4 or FAMILY_IPV6, a byte, in a table of both."""
    return _meta(_META_FAMILY, register)


def incoming_type(register: int) -> bytes:
    """Load what kind of interface the packet came in by, 16 bits: LOOPBACK and others."""
    return _meta(_META_IN_TYPE, register)


def outgoing_type(register: int) -> bytes:
    """Load what kind of interface the packet leaves by, 16 bits."""
    return _meta(_META_OUT_TYPE, register)


def incoming_number(register: int) -> bytes:
    """Load the number of the interface that the packet came in by, 0 for one of this machine's."""
    return _meta(_META_IN, register)


def taken_as_ours(register: int) -> bytes:
    """Let the stack take the packet as one to this machine's own MAC address."""
    return constant(number(_TO_THIS_HOST), register) + expression(
        "meta", nl.be32(2, _META_PACKET_TYPE), nl.be32(3, _register(register))
    )


def connection_state(register: int) -> bytes:
    """Load the bits ESTABLISHED, RELATED and others, 32 bits in this machine's order."""
    return expression("ct", nl.be32(1, _register(register)), nl.be32(2, _CT_STATE))


def packet_mark(register: int) -> bytes:
    """Load the packet's mark."""
    return _meta(_META_MARK, register)


def set_packet_mark(register: int) -> bytes:
    """Mark the packet."""
    return expression("meta", nl.be32(2, _META_MARK), nl.be32(3, _register(register)))


def connection_mark(register: int) -> bytes:
    """Load the connection's mark."""
    return expression("ct", nl.be32(1, _register(register)), nl.be32(2, _CT_MARK))


def connection_direction(register: int) -> bytes:
    """Load 0 for a packet of whoever connected, 1 for an answer, a byte."""
    return expression("ct", nl.be32(1, _register(register)), nl.be32(2, _CT_DIRECTION))


def set_connection_mark(register: int) -> bytes:
    """Mark the connection."""
    return expression("ct", nl.be32(2, _CT_MARK), nl.be32(4, _register(register)))


def constant(data: bytes, register: int) -> bytes:
    """Load a constant of 4 to 16 bytes."""
    return expression("immediate", nl.be32(1, _register(register)), nl.nested(2, value(data)))


def masked(register: int, mask: bytes) -> bytes:
    """Keep only the mask's bits of a value."""
    return expression(
        "bitwise",
        nl.be32(1, _register(register)),
        nl.be32(2, _register(register)),
        nl.be32(3, len(mask)),
        nl.nested(4, value(mask)),
        nl.nested(5, value(bytes(len(mask)))),
    )


def equal(register: int, data: bytes) -> bytes:
    """End the rule unless the register has this value."""
    return _compared(register, _EQUAL, data)


def different(register: int, data: bytes) -> bytes:
    """End the rule if the register has this value."""
    return _compared(register, _DIFFERENT, data)


def by_turn(modulus: int, register: int) -> bytes:
    """Load 0, 1, ... modulus - 1 in turn; the count is this very rule's."""
    return _generated(_BY_TURN, modulus, register)


def at_random(modulus: int, register: int) -> bytes:
    """Load a number below the modulus."""
    return _generated(_AT_RANDOM, modulus, register)


def hashed(source: int, size: int, modulus: int, seed: int, register: int) -> bytes:
    """Load a Jenkins hash below the modulus; size: bytes from the source register on."""
    return expression(
        "hash",
        nl.be32(1, _register(source)),
        nl.be32(2, _register(register)),
        nl.be32(3, size),
        nl.be32(4, modulus),
        nl.be32(5, seed),
        nl.be32(7, 0),
    )


def member(name: str, key: int) -> bytes:
    """End the rule unless the key is in the set; its counter counts the packet."""
    return expression("lookup", nl.text(1, name), nl.be32(2, _register(key)))


def stranger(name: str, key: int) -> bytes:
    """End the rule if the key is in the set."""
    return expression("lookup", nl.text(1, name), nl.be32(2, _register(key)), nl.be32(5, _INVERT))


def looked_up(name: str, key: int, register: int) -> bytes:
    """Load what a map has for a key, or end the rule."""
    return expression(
        "lookup", nl.text(1, name), nl.be32(2, _register(key)), nl.be32(3, _register(register))
    )


def dispatched(name: str, key: int) -> bytes:
    """Go where a map of verdicts says, or end the rule."""
    return expression(
        "lookup", nl.text(1, name), nl.be32(2, _register(key)), nl.be32(3, _VERDICT_REGISTER)
    )


def remembered(name: str, key: int, data: int, seconds: int) -> bytes:
    """Put key and data into a learning map, or renew the entry's time; ends the rule if it is full.

    An entry that is there keeps its data: forget it first. data: a register with a mark that was
    loaded, not one that a map was looked up for: `nft list` 1.0.6 aborts at such a rule.
    """
    time = (seconds * MILLISECONDS).to_bytes(8)
    return expression(
        "dynset",
        nl.text(1, name),
        nl.be32(3, _UPDATE),
        nl.be32(4, _register(key)),
        nl.be32(5, _register(data)),
        nl.attribute(6, time),
    )


def forgotten(name: str, key: int, data: int) -> bytes:
    """Remove a key from a learning map, if it is there; data: any register that is set."""
    return expression(
        "dynset",
        nl.text(1, name),
        nl.be32(3, _DELETE),
        nl.be32(4, _register(key)),
        nl.be32(5, _register(data)),
    )


def translated(family: int, address: int, port: int | None) -> bytes:
    """Send the connection to another address, and port unless None."""
    parts = [
        nl.be32(1, _DESTINATION_NAT),
        nl.be32(2, family),
        nl.be32(3, _register(address)),
    ]
    if port is not None:
        parts.append(nl.be32(5, _register(port)))
    return expression("nat", *parts)


def copied_to(address: int) -> bytes:
    """Send a copy of the packet by way of another machine, its addresses as they are."""
    return expression("dup", nl.be32(1, _register(address)))


def handed_over(family: int, address: int, interface: int) -> bytes:
    """Send the packet itself to a neighbour on an interface, and end."""
    return expression(
        "fwd",
        nl.be32(1, _register(interface)),
        nl.be32(2, _register(address)),
        nl.be32(3, family),
    )


def reset() -> bytes:
    """Refuse a TCP segment."""
    return expression("reject", nl.be32(1, _TCP_RESET), nl.u8(2, 0))


def unreachable(code: int) -> bytes:
    """Refuse a packet by ICMP; code: of "destination unreachable" in the table's family."""
    return expression("reject", nl.be32(1, _ICMP_UNREACHABLE), nl.u8(2, code))


def port_unreachable() -> bytes:
    """Refuse a packet of either family by ICMP."""
    return expression("reject", nl.be32(1, _ANY_UNREACHABLE), nl.u8(2, _PORT_UNREACHABLE))


def decided(code: int, chain: str = "") -> bytes:
    """End with a verdict."""
    return expression(
        "immediate", nl.be32(1, _VERDICT_REGISTER), nl.nested(2, verdict(code, chain))
    )


def _register(own: int) -> int:
    assert 0 <= own < REGISTERS, "sixteen registers"
    return _FIRST + own


def _meta(key: int, register: int) -> bytes:
    return expression("meta", nl.be32(1, _register(register)), nl.be32(2, key))


def _compared(register: int, operator: int, data: bytes) -> bytes:
    return expression(
        "cmp", nl.be32(1, _register(register)), nl.be32(2, operator), nl.nested(3, value(data))
    )


def _generated(kind: int, modulus: int, register: int) -> bytes:
    return expression(
        "numgen", nl.be32(1, _register(register)), nl.be32(2, modulus), nl.be32(3, kind)
    )
