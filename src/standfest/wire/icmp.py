"""ICMP echo, version 4 and 6. Source: RFC 792, RFC 4443 section 4."""

import struct
from dataclasses import dataclass
from typing import Final

from standfest.model.errors import WireError
from standfest.wire.checksum import internet_checksum, is_intact

ECHO: Final = {4: 8, 6: 128}
ECHO_REPLY: Final = {4: 0, 6: 129}
_ECHO: Final = struct.Struct("!BBHHH")
_MAX_HEADER_WORDS: Final = 15


def echo(version: int, identifier: int, sequence: int, data: bytes) -> bytes:
    """Return an echo request; the kernel fills in ICMPv6's checksum, which needs the addresses."""
    bare = _ECHO.pack(ECHO[version], 0, 0, identifier, sequence) + data
    if version == 6:
        return bare
    return bare[:2] + internet_checksum(bare).to_bytes(2, "big") + bare[4:]


def is_reply(version: int, message: bytes, sequence: int, data: bytes) -> bool:
    """Return whether a message is the reply to our request; data: what only we have sent.

    The identifier does not count: a kernel's ping socket puts its own in.
    """
    if len(message) < _ECHO.size:
        return False
    kind, code, _checksum, _identifier, number = _ECHO.unpack_from(message)
    same = number == sequence and message[_ECHO.size :] == data
    return bool(kind == ECHO_REPLY[version] and code == 0 and same)


def without_ipv4_header(packet: bytes) -> bytes:
    """Return what an IPv4 packet carries. Reasons of WireError: short."""
    length = (packet[0] & _MAX_HEADER_WORDS) * 4 if packet else 0
    if not packet or len(packet) < length or length < 20:
        raise WireError("short", "no IPv4 packet")
    return packet[length:]


@dataclass(frozen=True, slots=True)
class EchoReply:
    """The answer to an echo request; identifier and sequence 0 to 65,535; data: as it was sent."""

    identifier: int
    sequence: int
    data: bytes


def read_reply(version: int, packet: bytes) -> EchoReply:
    """Return the echo reply in what a raw socket gave: for IPv4 with its header, for IPv6 without.

    Reasons of WireError: short, not-a-reply, checksum (IPv4; ICMPv6's is the kernel's to check).
    """
    message = without_ipv4_header(packet) if version == 4 else packet
    if len(message) < _ECHO.size:
        raise WireError("short", f"{len(message)} bytes of ICMP, {_ECHO.size} needed")
    kind, code, _checksum, identifier, sequence = _ECHO.unpack_from(message)
    if kind != ECHO_REPLY[version] or code != 0:
        raise WireError("not-a-reply", f"type {kind}, code {code}")
    if version == 4 and not is_intact(message):
        raise WireError("checksum", "of the echo reply")
    return EchoReply(identifier, sequence, bytes(message[_ECHO.size :]))
