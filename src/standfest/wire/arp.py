"""ARP: where an IPv4 address is now (gratuitous requests), and who else says it is theirs.

Source: RFC 826, RFC 5227 section 3; facts/KEEPALIVED.md section 4 for the form keepalived sends.
"""

import struct
from dataclasses import dataclass
from typing import Final

from standfest.model.errors import WireError

ETHERTYPE: Final = 0x0806
BROADCAST: Final = b"\xff" * 6
REQUEST: Final = 1
REPLY: Final = 2

_PACKET = struct.Struct("!HHBBH6s4s6s4s")
_ETHERNET_IPV4: Final = (1, 0x0800, 6, 4)

REASONS: Final = frozenset({"short", "arp-type", "arp-operation"})


@dataclass(frozen=True, slots=True)
class ArpPacket:
    """An ARP packet for Ethernet and IPv4, addresses packed."""

    operation: int
    sender_mac: bytes
    sender: bytes
    target_mac: bytes
    target: bytes


def encode(packet: ArpPacket) -> bytes:
    """Return the packet without its Ethernet header."""
    return _PACKET.pack(
        *_ETHERNET_IPV4,
        packet.operation,
        packet.sender_mac,
        packet.sender,
        packet.target_mac,
        packet.target,
    )


def gratuitous_frame(mac: bytes, address: bytes) -> bytes:
    """Return the broadcast Ethernet frame that says where an address is.

    A request with sender and target the same (RFC 5227 section 3); the target MAC is
    ff:ff:ff:ff:ff:ff as keepalived's is, receivers ignore it.
    """
    packet = ArpPacket(REQUEST, mac, address, BROADCAST, address)
    return BROADCAST + mac + ETHERTYPE.to_bytes(2) + encode(packet)


def request_frame(mac: bytes, sender: bytes, target: bytes) -> bytes:
    """Return the broadcast Ethernet frame that asks who has an address.

    sender 0.0.0.0 makes it a probe (RFC 5227 section 2.1.1), which leaves no neighbour's table
    changed.
    """
    packet = ArpPacket(REQUEST, mac, sender, bytes(6), target)
    return BROADCAST + mac + ETHERTYPE.to_bytes(2) + encode(packet)


def decode(packet: bytes) -> ArpPacket:
    """Return an ARP packet that stands behind an Ethernet header; padding is ignored.

    Raises WireError: short, arp-type, arp-operation.
    """
    if len(packet) < _PACKET.size:
        raise WireError("short", f"need {_PACKET.size} bytes, have {len(packet)}")
    *kind, operation, sender_mac, sender, target_mac, target = _PACKET.unpack_from(packet)
    if tuple(kind) != _ETHERNET_IPV4:
        raise WireError("arp-type", f"hardware and protocol {kind}")
    if operation not in {REQUEST, REPLY}:
        raise WireError("arp-operation", f"operation {operation}")
    return ArpPacket(operation, sender_mac, sender, target_mac, target)
