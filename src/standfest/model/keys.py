"""The keys that sign messages between nodes (file authkeys)."""

from dataclasses import dataclass, field
from enum import Enum


class SignatureMethod(Enum):
    """How a message is signed; `crc` only detects damage, it keeps nobody out."""

    CRC = "crc"
    MD5 = "md5"
    SHA1 = "sha1"


@dataclass(frozen=True, slots=True)
class Key:
    """One numbered key; the secret stays out of repr() so that no log can show it."""

    number: int
    method: SignatureMethod
    secret: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Keyring:
    """All keys, and the number of the one that signs what we send."""

    active: int
    keys: tuple[Key, ...]

    def key(self, number: int) -> Key | None:
        """Return the key with this number."""
        return next((key for key in self.keys if key.number == number), None)

    @property
    def signing(self) -> Key:
        """Return the key that signs what we send."""
        key = self.key(self.active)
        assert key is not None, "config.authkeys refuses a file without its active key"
        return key
