"""The IPv4 header: read from what a raw socket delivers, written where we must do it ourselves.

Never fragments, never options on the way out. Source: RFC 791.
"""

import struct
from dataclasses import dataclass
from typing import Final

from standfest.model.errors import WireError
from standfest.wire.checksum import internet_checksum

SHORT: Final = "short"
HEADER: Final = "ip-header"
FRAGMENT: Final = "fragment"

HEADER_BYTES: Final = 20
MAX_PACKET: Final = 65_535
_FIXED = struct.Struct("!BBHHHBBH4s4s")


@dataclass(frozen=True, slots=True)
class Ipv4Packet:
    """An IPv4 packet taken apart; addresses packed; header: as it stood, options included."""

    source: bytes
    destination: bytes
    ttl: int
    tos: int
    identification: int
    protocol: int
    header: bytes
    payload: bytes


def decode_ipv4(packet: bytes) -> Ipv4Packet:
    """Return the packet without what follows its total length (Ethernet pads short frames).

    The header's checksum is the kernel's to verify. Raises WireError: short, ip-header, fragment.
    """
    if len(packet) < HEADER_BYTES:
        raise WireError(SHORT, f"IPv4 header: need {HEADER_BYTES} bytes, have {len(packet)}")
    first, tos, total, identification, fragment, ttl, protocol, _, source, destination = (
        _FIXED.unpack_from(packet)
    )
    header_bytes = (first & 15) * 4
    if first >> 4 != 4 or not HEADER_BYTES <= header_bytes <= total:
        raise WireError(HEADER, f"version and length are 0x{first:02x}, total {total}")
    if len(packet) < total:
        raise WireError(SHORT, f"IPv4 packet: need {total} bytes, have {len(packet)}")
    if fragment & 0x3FFF:
        raise WireError(FRAGMENT, "part of a larger packet")
    return Ipv4Packet(
        source,
        destination,
        ttl,
        tos,
        identification,
        protocol,
        packet[:header_bytes],
        packet[header_bytes:total],
    )


def encode_header(
    *,
    source: bytes,
    destination: bytes,
    ttl: int,
    tos: int,
    identification: int,
    protocol: int,
    payload_bytes: int,
) -> bytes:
    """Return a header without options, its checksum filled in."""
    total = HEADER_BYTES + payload_bytes
    assert total <= MAX_PACKET, "our own packets are small"
    header = _FIXED.pack(0x45, tos, total, identification, 0, ttl, protocol, 0, source, destination)
    return header[:10] + internet_checksum(header).to_bytes(2) + header[12:]
