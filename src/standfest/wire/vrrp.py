"""VRRP packets: bytes to advertisements and back, versions 2 and 3, IPv4 and IPv6.

Total, bounded, stateless. What can be judged without knowing a virtual router is judged here:
length, version, type, checksum, and the TTL of multicast. All else is judged by `core/vrrp`.
Source: RFC 3768 section 5, RFC 9568 section 5; facts/KEEPALIVED.md section 4 where keepalived
does otherwise.
"""

import struct
from enum import StrEnum
from typing import Final

from standfest.model.advertisement import ADDRESS_BYTES, Advertisement, Arrival
from standfest.model.errors import WireError
from standfest.model.time import Duration, milliseconds, seconds
from standfest.model.vrrp import Family
from standfest.wire.checksum import internet_checksum, is_intact
from standfest.wire.ipv4 import decode_ipv4

PROTOCOL: Final = 112
TTL: Final = 255
TRAFFIC_CLASS: Final = 0xC0  # internetwork control, as keepalived marks it
TYPE_ADVERTISEMENT: Final = 1
MAX_ADDRESSES: Final = 255
CENTISECOND: Final[Duration] = milliseconds(10)
MAX_INTERVAL_CS: Final = 4095
AUTHENTICATION_BYTES: Final = 8

_FIXED = struct.Struct("!BBBBHH")


class Reason(StrEnum):
    """Why a packet was not understood; `short`, `ip-header` and `fragment` come from wire/ipv4."""

    SHORT = "short"
    IP_HEADER = "ip-header"
    FRAGMENT = "fragment"
    PROTOCOL = "protocol"
    TTL = "ttl"
    VERSION = "version"
    TYPE = "type"
    VRID = "vrid"
    INTERVAL = "interval"
    CHECKSUM = "checksum"
    AUTHENTICATION_HEADER = "authentication-header"


REASONS: Final = frozenset(Reason)


def multicast_mac(group: bytes) -> bytes:
    """Return the Ethernet address of an IPv4 (RFC 1112) or IPv6 (RFC 2464) multicast group."""
    if len(group) == ADDRESS_BYTES[Family.IPV4]:
        return bytes((1, 0, 0x5E, group[1] & 0x7F, group[2], group[3]))
    return b"\x33\x33" + group[-4:]


def virtual_mac(family: Family, vrid: int) -> bytes:
    """Return the virtual router's own MAC (RFC 9568 section 7.3)."""
    return bytes((0, 0, 0x5E, 0, 1 if family is Family.IPV4 else 2, vrid))


def decode_ipv4_packet(packet: bytes, interface: str) -> Arrival:
    """Return the advertisement of a whole IPv4 packet, as a raw socket delivers it.

    Packets with an authentication header are wire/vrrp_ah's. Raises WireError, one of REASONS.
    """
    ip = decode_ipv4(packet)
    if ip.protocol != PROTOCOL:
        raise WireError(Reason.PROTOCOL, f"protocol {ip.protocol}")
    advertisement = decode(ip.payload, source=ip.source, destination=ip.destination, ttl=ip.ttl)
    return Arrival(interface, ip.source, ip.destination, ip.ttl, advertisement)


def decode(message: bytes, *, source: bytes, destination: bytes, ttl: int) -> Advertisement:
    """Return the advertisement in a VRRP message; addresses packed, both of one family.

    The checks are those of RFC 3768 and RFC 9568 section 7.1 that need no configuration. Bytes
    after the last field are covered by the checksum and otherwise ignored.
    Raises WireError, one of REASONS.
    """
    if ttl != TTL and _is_multicast(destination):
        raise WireError(Reason.TTL, f"TTL {ttl}")
    if len(message) < _FIXED.size:
        raise WireError(Reason.SHORT, f"need {_FIXED.size} bytes, have {len(message)}")
    first, vrid, priority, count, word, _ = _FIXED.unpack_from(message)
    family = Family.IPV4 if len(source) == ADDRESS_BYTES[Family.IPV4] else Family.IPV6
    version = first >> 4
    if version != 3 and (version != 2 or family is Family.IPV6):
        raise WireError(Reason.VERSION, f"version {version}")
    if first & 15 != TYPE_ADVERTISEMENT:
        raise WireError(Reason.TYPE, f"type {first & 15}")
    end = _FIXED.size + count * ADDRESS_BYTES[family]
    need = end + AUTHENTICATION_BYTES if version == 2 else end
    if len(message) < need:
        raise WireError(Reason.SHORT, f"{count} addresses: need {need}, have {len(message)} bytes")
    if not _checksum_is_right(message, version, source, destination):
        raise WireError(Reason.CHECKSUM)
    if vrid == 0:
        raise WireError(Reason.VRID, "VRID 0; expected 1..255")
    addresses = message[_FIXED.size : end]
    if version == 2:
        kind, interval_s = word >> 8, word & 0xFF
        if interval_s == 0:
            raise WireError(Reason.INTERVAL, "0 s; expected 1..255")
        interval = seconds(interval_s)
        secret = message[end:need]
        return Advertisement(family, 2, vrid, priority, interval, addresses, kind, secret)
    interval_cs = word & MAX_INTERVAL_CS  # the upper four bits are reserved: ignored
    if interval_cs == 0:
        raise WireError(Reason.INTERVAL, "0 cs; expected 1..4095")
    return Advertisement(family, 3, vrid, priority, interval_cs * CENTISECOND, addresses)


def encode(
    advertisement: Advertisement,
    *,
    source: bytes,
    destination: bytes,
    pseudo_header: bool = True,
) -> bytes:
    """Return the VRRP message, without an IP header.

    pseudo_header: of version 3 over IPv4 only. True is what RFC 5798 and keepalived send and
    expect, False is RFC 9568 section 5.2.8. IPv6 always has it, version 2 never.
    """
    assert advertisement.count <= MAX_ADDRESSES, "the settings limit the addresses"
    if advertisement.version == 2:
        word = advertisement.authentication_type << 8 | advertisement.interval // seconds(1)
        tail = advertisement.addresses + advertisement.authentication
    else:
        word = advertisement.interval // CENTISECOND
        tail = advertisement.addresses
    message = (
        _FIXED.pack(
            advertisement.version << 4 | TYPE_ADVERTISEMENT,
            advertisement.vrid,
            advertisement.priority,
            advertisement.count,
            word,
            0,
        )
        + tail
    )
    summed = message
    if advertisement.family is Family.IPV6 or (advertisement.version == 3 and pseudo_header):
        summed = _pseudo_header(source, destination, len(message)) + message
    return message[:6] + internet_checksum(summed).to_bytes(2) + message[8:]


def _checksum_is_right(message: bytes, version: int, source: bytes, destination: bytes) -> bool:
    if version == 2:
        return is_intact(message)
    if is_intact(_pseudo_header(source, destination, len(message)) + message):
        return True
    # RFC 9568 section 5.2.8 has IPv4 without a pseudo header. Either proves as much; a router that
    # refused the other kind would become a second Active.
    return len(source) == ADDRESS_BYTES[Family.IPV4] and is_intact(message)


def _pseudo_header(source: bytes, destination: bytes, size_bytes: int) -> bytes:
    if len(source) == ADDRESS_BYTES[Family.IPV4]:
        return source + destination + bytes((0, PROTOCOL)) + size_bytes.to_bytes(2)
    return source + destination + size_bytes.to_bytes(4) + bytes((0, 0, 0, PROTOCOL))


def _is_multicast(address: bytes) -> bool:
    if len(address) == ADDRESS_BYTES[Family.IPV4]:
        return 224 <= address[0] <= 239
    return address[0] == 0xFF
