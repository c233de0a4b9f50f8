"""The keys that protect messages between nodes (file authkeys)."""

from dataclasses import dataclass, field
from enum import Enum


class SignatureMethod(Enum):
    """How a message is protected; `crc` only detects damage, it keeps nobody out.

    heartbeat 3.0.6 knows the first three. The others are ours: HMAC-SHA256, and AES-256-GCM, which
    hides what it authenticates.
    """

    CRC = "crc"
    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"
    AES256_GCM = "aes256-gcm"


HEARTBEAT_METHODS = frozenset({SignatureMethod.CRC, SignatureMethod.MD5, SignatureMethod.SHA1})
"""The methods that a node running heartbeat 3.0.6 has."""


@dataclass(frozen=True, slots=True)
class Key:
    """One numbered key; the secret stays out of repr() so that no log can show it."""

    number: int
    method: SignatureMethod
    secret: bytes = field(default=b"", repr=False)

    @property
    def encrypts(self) -> bool:
        """Return whether messages under this key are hidden, too."""
        return self.method is SignatureMethod.AES256_GCM


@dataclass(frozen=True, slots=True)
class Keyring:
    """All keys, and the number of the one for what we send.

    mixed: keys that encrypt and keys that only sign are both accepted, while nodes change over.
    """

    active: int
    keys: tuple[Key, ...]
    mixed: bool = False

    def key(self, number: int) -> Key | None:
        """Return the key with this number."""
        return next((key for key in self.keys if key.number == number), None)

    @property
    def signing(self) -> Key:
        """Return the key for what we send."""
        key = self.key(self.active)
        assert key is not None, "config.authkeys refuses a file without its active key"
        return key

    @property
    def only_encrypted(self) -> bool:
        """Return whether a message that can be read by anybody is refused."""
        return all(key.encrypts for key in self.keys)

    @property
    def changing(self) -> bool:
        """Return whether a node running heartbeat 3.0.6 may be in the middle of a key change."""
        theirs = [key for key in self.keys if key.method in HEARTBEAT_METHODS]
        return len(theirs) > 1 and self.signing in theirs
