"""Sealing joins the keys of authkeys, the sessions' rules and the ciphers: datagrams in and out.

`pulse` imports it only where something is sealed: the library behind it takes 9 MB.
"""

from collections.abc import Callable

from standfest.adapters.linux.seal import Ciphers
from standfest.core.sealing.sessions import Sessions
from standfest.model.errors import WireError
from standfest.model.keys import Key, Keyring
from standfest.wire import sealed

UNKNOWN_KEY = "unknown-key"


class Sealing:
    """One node's seals; `random` returns that many unpredictable bytes."""

    def __init__(self, keyring: Keyring, random: Callable[[int], bytes]) -> None:
        self._keyring = keyring
        self._random = random
        self._ciphers = Ciphers()
        own = random(sealed.SESSION_BYTES)
        self._sessions = Sessions(own, prove=keyring.only_encrypted)

    def change(self, keyring: Keyring) -> None:
        """Use other keys from now on; sessions go on, so nothing that is under way is lost."""
        self._keyring = keyring
        self._ciphers.forget()
        self._sessions.prove = keyring.only_encrypted

    def newcomer(self) -> bool:
        """Return, once, whether somebody new waits for a word of ours to believe us."""
        return self._sessions.prove and self._sessions.newcomer()

    def close(self, message: bytes) -> bytes:
        """Return a datagram that has never been before."""
        if self._sessions.full:
            self._sessions.renew(self._random(sealed.SESSION_BYTES))
        session, counter, heard = self._sessions.next()
        key = self._keyring.signing
        header = sealed.Header(key.number, session, counter)
        return self._ciphers.encrypt(key, header, sealed.write_inside(heard, message))

    def open(self, datagram: bytes) -> tuple[Key, bytes] | None:
        """Return the key and the message of somebody else's datagram; None for one of our own.

        Raises WireError, and nothing else, for whatever bytes.
        """
        header = sealed.read_header(datagram)
        if self._sessions.is_own(header.session):
            return None
        key = self._keyring.key(header.number)
        if key is None or not key.secret:
            raise WireError(UNKNOWN_KEY, f"key {header.number} seals nothing in authkeys")
        self._sessions.check(header.session, header.counter)
        inside = self._ciphers.decrypt(key, header, datagram)
        proofs, message = sealed.read_inside(inside)
        self._sessions.accept(header.session, header.counter, proofs)
        return key, message
