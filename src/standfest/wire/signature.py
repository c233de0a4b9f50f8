"""Signatures of heartbeat messages: HMAC-SHA1, -MD5, heartbeat's CRC (no protection), HMAC-SHA256.

Source: facts/HEARTBEAT-WIRE.md section 4; `sha256` is ours (RFC 2104, FIPS 180-4).
Never shows a secret or a token in an error.
"""

import hmac
import zlib
from typing import Final

from standfest.model.errors import WireError
from standfest.model.keys import HEARTBEAT_METHODS, Key, Keyring, SignatureMethod
from standfest.wire.heartbeat_format import Reason

_MIRRORED_BYTES: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def heartbeat_crc(data: bytes) -> int:
    """Return the CRC-32 that `crc` keys use, 0..0xffffffff.

    Polynomial 0x04C11DB7, most significant bit first, start 0, final complement. zlib computes the
    same polynomial least significant bit first, so mirror every byte before and the sum after;
    0xffffffff is the register 0 in zlib's terms.
    """
    mirrored = zlib.crc32(data.translate(_MIRRORED_BYTES), 0xFFFFFFFF)
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_MIRRORED_BYTES), "big")


def token(method: SignatureMethod, secret: bytes, data: bytes) -> bytes:
    """Return the signature of `data` in lower-case hex as it stands in a message."""
    match method:
        case SignatureMethod.SHA1:
            return hmac.digest(secret, data, "sha1").hex().encode()
        case SignatureMethod.MD5:
            return hmac.digest(secret, data, "md5").hex().encode()
        case SignatureMethod.CRC:
            return b"%x" % heartbeat_crc(data)
        case SignatureMethod.SHA256:
            return hmac.digest(secret, data, "sha256").hex().encode()
        case SignatureMethod.AES256_GCM:
            raise AssertionError("a key that encrypts signs nothing")


def sign(key: Key, data: bytes) -> bytes:
    """Return `NUMBER TOKEN` for `data`."""
    return b"%d %b" % (key.number, token(key.method, key.secret, data))


def verify(signature: bytes, data: bytes, keyring: Keyring, *, also_active: bool) -> Key:
    """Return the key that `signature`, `NUMBER TOKEN`, names if it is good for `data`.

    Compares in constant time.

    also_active: accept the packet key's method with our active key's secret as well. That is what
    heartbeat 3.0.6 itself demands in netstring form (a bug), so it is how a peer in the middle of a
    key change may sign. It lets nobody in who does not know the active secret.
    Raises WireError: unsigned, unknown-key, bad-signature.
    """
    number, separator, given = signature.partition(b" ")
    # The number stands outside what is signed: only its canonical form is accepted.
    if not separator or not number.isdigit() or len(number) > 2 or b"%d" % int(number) != number:
        raise WireError(Reason.UNSIGNED, "the signature is not `number token`")
    key = keyring.key(int(number))
    if key is None or key.encrypts:
        raise WireError(Reason.UNKNOWN_KEY, f"key {int(number)} signs nothing in authkeys")
    if hmac.compare_digest(token(key.method, key.secret, data), given):
        return key
    active = keyring.signing
    # An empty secret (an active `crc` key) must never become the key of an HMAC.
    if (
        also_active
        and {key.method, active.method} <= HEARTBEAT_METHODS
        and key.secret
        and active.secret
        and hmac.compare_digest(token(key.method, active.secret, data), given)
    ):
        return key
    raise WireError(Reason.BAD_SIGNATURE, f"signature by key {key.number} does not match")
