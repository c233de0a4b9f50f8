"""Sealed datagrams: what stands around and before an encrypted message, in bytes.

    "SFe1"  key number (1)  session (16)  counter (8)  ciphertext with its tag
    inside: count (1), that many proofs (8 each), the message

Everything before the ciphertext is authenticated, too. A session is one start of one daemon, drawn
at random; its counter never repeats, and both together are never used again (docs/adr/0026).
Nothing here knows a key.
"""

import struct
from dataclasses import dataclass
from typing import Final

from standfest.model.errors import WireError

MAGIC: Final = b"SFe1"
SESSION_BYTES: Final = 16
PROOF_BYTES: Final = 8
"""How much of a session's name is repeated to it, so that its owner knows that it is heard now."""

MAX_PROOFS: Final = 255
_HEADER: Final = struct.Struct(f"!4sB{SESSION_BYTES}sQ")
HEADER_BYTES: Final = _HEADER.size
TAG_BYTES: Final = 16

REASON_FRAMING: Final = "seal-framing"


@dataclass(frozen=True, slots=True)
class Header:
    """Whose datagram this is, and which of that session's."""

    number: int
    session: bytes
    counter: int

    def write(self) -> bytes:
        """Return the bytes before the ciphertext."""
        return _HEADER.pack(MAGIC, self.number, self.session, self.counter)


def is_sealed(datagram: bytes) -> bool:
    """Return whether a datagram claims to be sealed."""
    return datagram.startswith(MAGIC)


def read_header(datagram: bytes) -> Header:
    """Return what stands before the ciphertext; raises WireError `seal-framing`."""
    if len(datagram) < HEADER_BYTES + 1 + TAG_BYTES or not is_sealed(datagram):
        raise WireError(REASON_FRAMING, "too short, or another start")
    _magic, number, session, counter = _HEADER.unpack_from(datagram)
    return Header(number, session, counter)


def write_inside(heard: tuple[bytes, ...], message: bytes) -> bytes:
    """Return what is encrypted: proofs for the sessions that are heard, and the message."""
    assert len(heard) <= MAX_PROOFS
    proofs = [session[:PROOF_BYTES] for session in heard]
    return bytes((len(proofs),)) + b"".join(proofs) + message


def read_inside(plain: bytes) -> tuple[tuple[bytes, ...], bytes]:
    """Return proofs and message; raises WireError `seal-framing`."""
    end = 1 + PROOF_BYTES * plain[0] if plain else 1
    if len(plain) < end:
        raise WireError(REASON_FRAMING, "fewer proofs than said")
    pieces = range(1, end, PROOF_BYTES)
    return tuple(plain[at : at + PROOF_BYTES] for at in pieces), plain[end:]
