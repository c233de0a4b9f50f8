"""Neighbour advertisements: where an IPv6 address is now, and who else says it is theirs.

Source: RFC 4861 sections 4.4 and 7.2.6; RFC 9568 section 6.4.1.
"""

import struct
from dataclasses import dataclass
from typing import Final

from standfest.model.errors import WireError
from standfest.wire.checksum import internet_checksum, is_intact

ETHERTYPE_IPV6: Final = 0x86DD
PROTOCOL_ICMPV6: Final = 58
TYPE_SOLICITATION: Final = 135
TYPE_ADVERTISEMENT: Final = 136
HOP_LIMIT: Final = 255
ALL_NODES: Final = bytes.fromhex("ff020000000000000000000000000001")
ALL_NODES_MAC: Final = bytes.fromhex("333300000001")
ROUTER: Final = 0x80
SOLICITED: Final = 0x40
OVERRIDE: Final = 0x20
SOURCE_LINK_LAYER_ADDRESS: Final = 1
TARGET_LINK_LAYER_ADDRESS: Final = 2
MAX_OPTIONS: Final = 32

_FIXED = struct.Struct("!BBHB3x16s")

REASONS: Final = frozenset({"short", "ndp-type", "hop-limit", "checksum", "ndp-option"})


@dataclass(frozen=True, slots=True)
class NeighbourAdvertisement:
    """One advertisement; mac: None when it names none."""

    target: bytes
    mac: bytes | None
    router: bool
    solicited: bool
    override: bool


def encode(advertisement: NeighbourAdvertisement, *, source: bytes, destination: bytes) -> bytes:
    """Return the ICMPv6 message."""
    flags = (
        (ROUTER if advertisement.router else 0)
        | (SOLICITED if advertisement.solicited else 0)
        | (OVERRIDE if advertisement.override else 0)
    )
    option = b"" if advertisement.mac is None else bytes((2, 1)) + advertisement.mac
    message = _FIXED.pack(TYPE_ADVERTISEMENT, 0, 0, flags, advertisement.target) + option
    total = internet_checksum(_pseudo_header(source, destination, len(message)) + message)
    return message[:2] + total.to_bytes(2) + message[4:]


def unsolicited_frame(mac: bytes, address: bytes, *, router: bool) -> bytes:
    """Return the Ethernet frame to all nodes that says where an address is.

    router: RFC 9568 section 6.4.1 sets R; keepalived's captures have it on machines that forward.
    """
    advertisement = NeighbourAdvertisement(address, mac, router, solicited=False, override=True)
    message = encode(advertisement, source=address, destination=ALL_NODES)
    header = struct.pack("!IHBB", 6 << 28, len(message), PROTOCOL_ICMPV6, HOP_LIMIT)
    ethernet = ALL_NODES_MAC + mac + ETHERTYPE_IPV6.to_bytes(2)
    return ethernet + header + address + ALL_NODES + message


def solicitation_frame(mac: bytes, source: bytes, target: bytes) -> bytes:
    """Return the Ethernet frame that asks who has an address (RFC 4861 section 4.3)."""
    group = bytes.fromhex("ff0200000000000000000001ff") + target[-3:]
    message = _FIXED.pack(TYPE_SOLICITATION, 0, 0, 0, target)
    message += bytes((SOURCE_LINK_LAYER_ADDRESS, 1)) + mac
    total = internet_checksum(_pseudo_header(source, group, len(message)) + message)
    message = message[:2] + total.to_bytes(2) + message[4:]
    header = struct.pack("!IHBB", 6 << 28, len(message), PROTOCOL_ICMPV6, HOP_LIMIT)
    ethernet = bytes.fromhex("3333ff") + target[-3:] + mac + ETHERTYPE_IPV6.to_bytes(2)
    return ethernet + header + source + group + message


def decode(
    message: bytes, *, source: bytes, destination: bytes, hop_limit: int
) -> NeighbourAdvertisement:
    """Return the advertisement of an ICMPv6 message.

    Raises WireError: short, ndp-type, hop-limit (RFC 4861 section 7.1.2), checksum, ndp-option.
    """
    if hop_limit != HOP_LIMIT:
        raise WireError("hop-limit", f"{hop_limit}")
    if len(message) < _FIXED.size:
        raise WireError("short", f"need {_FIXED.size} bytes, have {len(message)}")
    kind, code, _, flags, target = _FIXED.unpack_from(message)
    if (kind, code) != (TYPE_ADVERTISEMENT, 0):
        raise WireError("ndp-type", f"type {kind}, code {code}")
    if not is_intact(_pseudo_header(source, destination, len(message)) + message):
        raise WireError("checksum")
    return NeighbourAdvertisement(
        target,
        _link_layer_address(message),
        router=bool(flags & ROUTER),
        solicited=bool(flags & SOLICITED),
        override=bool(flags & OVERRIDE),
    )


def _link_layer_address(message: bytes) -> bytes | None:
    at = _FIXED.size
    for _ in range(MAX_OPTIONS):
        if at == len(message):
            return None
        size = message[at + 1] * 8 if at + 1 < len(message) else 0
        if size == 0 or at + size > len(message):
            raise WireError("ndp-option", f"option at offset {at} does not fit")
        if message[at] == TARGET_LINK_LAYER_ADDRESS and size == 8:
            return message[at + 2 : at + 8]
        at += size
    raise WireError("ndp-option", f"more than {MAX_OPTIONS} options")


def _pseudo_header(source: bytes, destination: bytes, size_bytes: int) -> bytes:
    return source + destination + size_bytes.to_bytes(4) + bytes((0, 0, 0, PROTOCOL_ICMPV6))
