"""BFD control packets: bytes to values and back.

Total, bounded, stateless; no authentication (RFC 5880 section 6.7 makes it optional, keepalived has
none). Source: RFC 5880 sections 4.1 and 6.8.6, RFC 5881 section 4 and 5.
"""

import struct
from typing import Final

from standfest.model.bfd import BfdPacket, BfdState, Diagnostic
from standfest.model.errors import WireError
from standfest.model.time import microseconds

VERSION: Final = 1
PORT_SINGLE_HOP: Final = 3784
PORT_MULTIHOP: Final = 4784
SOURCE_PORTS: Final = range(49_152, 65_536)
TTL: Final = 255
PACKET_BYTES: Final = 24

POLL, FINAL, CONTROL_INDEPENDENT, AUTHENTICATED, DEMAND, MULTIPOINT = 32, 16, 8, 4, 2, 1

_PACKET = struct.Struct("!BBBBIIIII")
_DIAGNOSTICS: Final = {int(code): code for code in Diagnostic}

REASONS: Final = frozenset(
    {
        *("short", "version", "length", "authentication", "multiplier", "multipoint"),
        *("my-discriminator", "your-discriminator"),
    }
)


def encode(packet: BfdPacket) -> bytes:
    """Return the 24 bytes of a control packet; intervals are cut to whole microseconds."""
    flags = (
        packet.state << 6
        | (POLL if packet.poll else 0)
        | (FINAL if packet.final else 0)
        | (DEMAND if packet.demand else 0)
    )
    return _PACKET.pack(
        VERSION << 5 | packet.diagnostic,
        flags,
        packet.multiplier,
        PACKET_BYTES,
        packet.my_discriminator,
        packet.your_discriminator,
        packet.desired_min_tx // microseconds(1),
        packet.required_min_rx // microseconds(1),
        packet.required_min_echo_rx // microseconds(1),
    )


def decode(data: bytes) -> BfdPacket:
    """Return a control packet that passes the checks of RFC 5880 section 6.8.6 without a session.

    Unknown diagnostics count as none. Raises WireError, one of REASONS.
    """
    if len(data) < PACKET_BYTES:
        raise WireError("short", f"need {PACKET_BYTES} bytes, have {len(data)}")
    head, flags, multiplier, length, mine, yours, tx, rx, echo = _PACKET.unpack_from(data)
    if head >> 5 != VERSION:
        raise WireError("version", f"version {head >> 5}")
    if not PACKET_BYTES <= length <= len(data):
        raise WireError("length", f"length field {length}, have {len(data)} bytes")
    if flags & AUTHENTICATED:
        raise WireError("authentication", "authenticated, and we have no key")
    if multiplier == 0:
        raise WireError("multiplier", "multiplier 0; expected 1..255")
    if flags & MULTIPOINT:
        raise WireError("multipoint")
    if mine == 0:
        raise WireError("my-discriminator", "my discriminator is 0")
    state = BfdState(flags >> 6)
    if yours == 0 and state not in {BfdState.DOWN, BfdState.ADMIN_DOWN}:
        raise WireError("your-discriminator", f"your discriminator is 0 in state {state.name}")
    return BfdPacket(
        state=state,
        diagnostic=_DIAGNOSTICS.get(head & 31, Diagnostic.NONE),
        multiplier=multiplier,
        my_discriminator=mine,
        your_discriminator=yours,
        desired_min_tx=microseconds(tx),
        required_min_rx=microseconds(rx),
        required_min_echo_rx=microseconds(echo),
        poll=bool(flags & POLL),
        final=bool(flags & FINAL),
        demand=bool(flags & DEMAND),
    )
