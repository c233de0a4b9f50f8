"""AES-256-GCM under keys that HKDF-SHA256 derives for each session: what seals datagrams.

A session's name is its salt, so that two sessions never share a key, whatever their counters are;
the counter is the nonce. What a key of authkeys is for decides its other input: one that encrypts
protects messages, one that signs only hides what is on a service link (docs/adr/0004, 0026).
Source: RFC 5869, NIST SP 800-38D section 8.2.1 (a nonce of fixed field and counter).
"""

from collections import OrderedDict
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from standfest.model.errors import WireError
from standfest.model.keys import Key
from standfest.wire.sealed import HEADER_BYTES, Header

KEY_BYTES: Final = 32
MAX_CIPHERS: Final = 256
"""Derived keys that are kept; another one costs a few microseconds again."""

MESSAGES: Final = b"standfest messages aes256-gcm 1"
SERVICE_LINK: Final = b"standfest service link aes256-gcm 1"
BAD_SEAL: Final = "bad-seal"


class Ciphers:
    """Encrypts and decrypts; knows nothing of replay."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Key, bytes], AESGCM] = OrderedDict()

    def encrypt(self, key: Key, header: Header, inside: bytes) -> bytes:
        """Return the whole datagram; never called twice with the same session and counter."""
        before = header.write()
        cipher = self._cipher(key, header.session)
        self._keep(key, header.session, cipher)
        return before + cipher.encrypt(_nonce(header.counter), inside, before)

    def decrypt(self, key: Key, header: Header, datagram: bytes) -> bytes:
        """Return what is inside; raises WireError `bad-seal`."""
        cipher = self._cipher(key, header.session)
        before, after = datagram[:HEADER_BYTES], datagram[HEADER_BYTES:]
        try:
            inside = cipher.decrypt(_nonce(header.counter), after, before)
        except InvalidTag:
            raise WireError(BAD_SEAL) from None
        self._keep(key, header.session, cipher)  # only now: foreign datagrams displace nothing
        return inside

    def forget(self) -> None:
        """Drop all derived keys: those of authkeys have changed."""
        self._kept.clear()

    def _cipher(self, key: Key, session: bytes) -> AESGCM:
        kept = self._kept.get((key, session))
        if kept is not None:
            return kept
        assert key.secret, "a crc key cannot seal"
        purpose = MESSAGES if key.encrypts else SERVICE_LINK
        return AESGCM(HKDF(SHA256(), KEY_BYTES, salt=session, info=purpose).derive(key.secret))

    def _keep(self, key: Key, session: bytes, cipher: AESGCM) -> None:
        self._kept[key, session] = cipher
        self._kept.move_to_end((key, session))
        if len(self._kept) > MAX_CIPHERS:
            self._kept.popitem(last=False)


def _nonce(counter: int) -> bytes:
    return counter.to_bytes(12)
