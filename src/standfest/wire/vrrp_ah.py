"""VRRPv2 below an IPsec authentication header, as keepalived's `auth_type AH` has it.

HMAC-MD5-96 over the whole IPv4 packet. RFC 2402 zeroes the TTL, too; keepalived 2.2.7 does not
(found by recomputing captured packets), and so neither do we.
Source: RFC 2338 section 5.3.6.3, RFC 2402, RFC 2403; facts/keepalived/pcap/v2_auth_ah.pcap.
"""

import hashlib
import hmac
import struct
from typing import Final

from standfest.model.advertisement import Advertisement, Arrival
from standfest.model.errors import WireError
from standfest.wire.ipv4 import decode_ipv4, encode_header
from standfest.wire.vrrp import PROTOCOL, TRAFFIC_CLASS, TTL, Reason, decode, encode

AH_PROTOCOL: Final = 51
ICV_BYTES: Final = 12
KEY_BYTES: Final = 8

_FIXED = struct.Struct("!BBHII")
_AH_BYTES: Final = _FIXED.size + ICV_BYTES
_AH_WORDS: Final = _AH_BYTES // 4 - 2  # RFC 2402 section 2.2: minus two words


def encode_packet(
    advertisement: Advertisement,
    *,
    key: bytes,
    source: bytes,
    destination: bytes,
    identification: int,
    ttl: int = TTL,
) -> bytes:
    """Return the whole IPv4 packet: the ICV covers its header, so the kernel must not write it.

    The security parameters index is the sender's address. identification: 1..65535, because Linux
    replaces 0.
    """
    message = encode(advertisement, source=source, destination=destination)
    spi = int.from_bytes(source)
    fixed = _FIXED.pack(PROTOCOL, _AH_WORDS, 0, spi, advertisement.sequence)
    header = encode_header(
        source=source,
        destination=destination,
        ttl=ttl,
        tos=TRAFFIC_CLASS,
        identification=identification,
        protocol=AH_PROTOCOL,
        payload_bytes=_AH_BYTES + len(message),
    )
    return header + fixed + _icv(key, header, fixed, message) + message


def decode_packet(packet: bytes, interface: str, *, key: bytes) -> Arrival:
    """Return the advertisement of a packet whose ICV is right; its sequence is not judged here.

    Raises WireError: authentication-header, or what vrrp.decode and decode_ipv4 raise.
    """
    ip = decode_ipv4(packet)
    if ip.protocol != AH_PROTOCOL:
        raise WireError(Reason.PROTOCOL, f"protocol {ip.protocol}")
    if len(ip.payload) < _AH_BYTES:
        raise WireError(Reason.SHORT, f"need {_AH_BYTES} bytes, have {len(ip.payload)}")
    following, words, _, spi, sequence = _FIXED.unpack_from(ip.payload)
    if following != PROTOCOL or words != _AH_WORDS or spi.to_bytes(4) != ip.source:
        raise WireError(Reason.AUTHENTICATION_HEADER, "not VRRP with a 96-bit ICV of its sender")
    fixed, icv = ip.payload[: _FIXED.size], ip.payload[_FIXED.size : _AH_BYTES]
    message = ip.payload[_AH_BYTES:]
    if not hmac.compare_digest(_icv(key, ip.header, fixed, message), icv):
        raise WireError(Reason.AUTHENTICATION_HEADER, "the ICV is wrong")
    plain = decode(message, source=ip.source, destination=ip.destination, ttl=ip.ttl)
    advertisement = Advertisement(
        plain.family,
        plain.version,
        plain.vrid,
        plain.priority,
        plain.interval,
        plain.addresses,
        plain.authentication_type,
        plain.authentication,
        sequence,
    )
    return Arrival(interface, ip.source, ip.destination, ip.ttl, advertisement)


def _icv(key: bytes, header: bytes, fixed: bytes, message: bytes) -> bytes:
    # Zeroed: TOS, flags and fragment offset, header checksum, the ICV itself.
    still = header[:1] + b"\0" + header[2:6] + b"\0\0" + header[8:10] + b"\0\0" + header[12:]
    signed = still + fixed + bytes(ICV_BYTES) + message
    return hmac.digest(key[:KEY_BYTES], signed, hashlib.md5)[:ICV_BYTES]
