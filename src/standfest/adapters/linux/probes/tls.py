"""TLS for checkers: any certificate is taken unless the settings ask for more, as keepalived does.

Asked for, a certificate must be valid today, for the name, from an authority that is trusted; or
have a fingerprint, whoever signed it. Source: Python's `ssl`, memory BIOs.
"""

import hashlib
import ssl
from typing import Final

from standfest.adapters.linux.probes.web import Demands
from standfest.model.balancing import TlsSettings
from standfest.model.errors import OperationError, WireError

MAX_PIECE: Final = 65_536
MAX_PIECES: Final = 64


class Secure:
    """Makes clients that meet demands, with one context for all of them."""

    def __init__(self, demands: Demands, settings: TlsSettings | None) -> None:
        """Read the files that the settings name; raises OperationError."""
        self._demands = demands
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        # Debian 12's Python (3.11.2) sets it, and an end without close_notify would go unnoticed.
        self._context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        try:
            self._read(settings or TlsSettings())
        except (OSError, ssl.SSLError) as error:
            text = error.strerror or str(error)
            files = settings or TlsSettings()
            names = [n for n in (files.certificate, files.key, files.authority) if n]
            raise OperationError(f"{', '.join(names) or 'authorities'}: {text}") from error

    def client(self) -> "TlsClient":
        """Return the end of one connection."""
        return TlsClient(self._context, self._demands)

    def _read(self, files: TlsSettings) -> None:
        if files.certificate:
            password = files.password or ""
            self._context.load_cert_chain(files.certificate, files.key or None, lambda: password)
        if self._demands.verify:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.check_hostname = bool(self._demands.name)
            if files.authority:
                self._context.load_verify_locations(files.authority)
            else:
                self._context.load_default_certs()


class TlsClient:
    """One end of one connection, without a socket."""

    def __init__(self, context: ssl.SSLContext, demands: Demands) -> None:
        self._demands = demands
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = demands.name or None
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=name)
        self.is_open = False

    def incoming(self, data: bytes) -> None:
        """Take what came from the socket, b"" for its end."""
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    def outgoing(self) -> bytes:
        """Return what goes to the socket."""
        return self._out.read()

    def shake_hands(self) -> bool:
        """Go on with the handshake; return whether it is done. Raises WireError."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLCertVerificationError as error:
            raise WireError("certificate", f"certificate: {error.verify_message}") from error
        except ssl.SSLError as error:
            raise WireError("handshake", f"TLS handshake: {_words(error)}") from error
        self.is_open = True
        return True

    def problem(self) -> str:
        """Return why this is not the other end that was asked for, "" when it is."""
        wanted = self._demands.fingerprint
        if not wanted:
            return ""
        shown = hashlib.sha256(self._tls.getpeercert(binary_form=True) or b"").hexdigest()
        return "" if shown == wanted else f"certificate has fingerprint {shown}; expected {wanted}"

    def write(self, data: bytes) -> None:
        """Send something."""
        if data:
            self._tls.write(data)

    def read(self) -> list[bytes]:
        """Return the pieces that can be read, b"" at the end. Raises WireError."""
        pieces: list[bytes] = []
        try:
            for _ in range(MAX_PIECES):
                data = self._tls.read(MAX_PIECE)
                pieces.append(data)
                if not data:
                    break
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            pieces.append(b"")
        except ssl.SSLError as error:
            if not _cut_off(error):
                raise WireError("tls", f"TLS: {_words(error)}") from error
            if self._demands.compliant:
                raise WireError("close", "TLS ended without close_notify") from error
            pieces.append(b"")
        return pieces


def _cut_off(error: ssl.SSLError) -> bool:
    """Return whether an end came without close_notify; Python 3.11.2 has no class for it."""
    return isinstance(error, ssl.SSLEOFError) or error.reason == "UNEXPECTED_EOF_WHILE_READING"


def _words(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()
