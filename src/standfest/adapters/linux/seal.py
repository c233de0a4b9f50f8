"""Sealed datagrams for service links: nobody on the public network reads the cluster's messages.

AES-256-GCM with a key derived by HKDF-SHA256 from the signing key of authkeys; format: magic, 12
random bytes of nonce, ciphertext with its 16-byte tag. What is inside is an ordinary signed
heartbeat datagram with its own protection against replay. A `crc` key is no secret: it seals
nothing, and a node with such a key has no service links.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from standfest.model.errors import WireError
from standfest.model.keys import Key

MAGIC = b"SFs1"
NONCE_BYTES = 12
TAG_BYTES = 16


class Seal:
    """Seals and opens datagrams with one key."""

    def __init__(self, key: Key) -> None:
        assert key.secret, "a crc key cannot seal"
        derived = HKDF(SHA256(), 32, salt=None, info=b"standfest service link").derive(key.secret)
        self._cipher = AESGCM(derived)

    def close(self, datagram: bytes) -> bytes:
        """Return the datagram sealed."""
        nonce = os.urandom(NONCE_BYTES)
        return MAGIC + nonce + self._cipher.encrypt(nonce, datagram, MAGIC)

    def open(self, sealed: bytes) -> bytes:
        """Return the datagram inside; raises WireError `unsealed` or `bad-seal`."""
        if not sealed.startswith(MAGIC) or len(sealed) < len(MAGIC) + NONCE_BYTES + TAG_BYTES:
            raise WireError("unsealed")
        nonce = sealed[len(MAGIC) : len(MAGIC) + NONCE_BYTES]
        try:
            return self._cipher.decrypt(nonce, sealed[len(MAGIC) + NONCE_BYTES :], MAGIC)
        except InvalidTag as error:
            raise WireError("bad-seal") from error
