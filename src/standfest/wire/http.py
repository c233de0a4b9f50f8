"""One HTTP request and its answer, read piece by piece: bounded, whatever a server sends.

The body is hashed as it comes, and kept as far as the caller wants to look into it.
Source: RFC 9112.
"""

from typing import TYPE_CHECKING, Final

from standfest.model.errors import WireError

if TYPE_CHECKING:
    from hashlib import _Hash

MAX_HEAD: Final = 65_536
"""Bytes of a status line with its headers."""
MAX_INTERIM: Final = 16
"""Answers 1xx before the one that counts."""
MAX_CHUNK_LINE: Final = 4096
MAX_DIGITS: Final = 16
_BODILESS: Final = frozenset({204, 304})
_SPARED: Final = frozenset(b"!#$%&'()*+,-./:;=?@[]_~")


def request(path: str, host: str, protocol: str = "1.0") -> bytes:
    """Return a GET; protocol: 1.0, 1.0C (says "close"), 1.1 or one with K (says "keep-alive").

    What may not stand in a request line is percent-encoded, so that no setting adds a line.
    """
    version = protocol.rstrip("CK")
    lines = [f"GET {_escape(path) or '/'} HTTP/{version}", "User-Agent: standfest"]
    if host:
        lines.append(f"Host: {_escape(host)}")
    if protocol.endswith("K"):
        lines.append("Connection: keep-alive")
    elif protocol != "1.0":
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def _escape(text: str) -> str:
    return "".join(
        chr(byte) if byte in _SPARED or (chr(byte).isalnum() and byte < 128) else f"%{byte:02X}"
        for byte in text.encode("utf-8", "surrogateescape")
    )


class Answer:
    """What a server answers; `receive` until it says that all is there.

    keep: bytes of the body that are kept; hashed: whether `digest` is wanted. Reasons of WireError:
    status (no HTTP status line), head (headers too long or not understood), length, chunk, cut (the
    connection ended too early).
    """

    def __init__(self, keep: int = 0, *, hashed: bool = False) -> None:
        self.status = 0
        self.length = 0
        self.body = bytearray()
        self.is_complete = False
        self._keep = keep
        self._md5: _Hash | None = _md5() if hashed else None
        self._buffer = bytearray()
        self._in_head = True
        self._interim = 0
        self._left: int | None = None  # of the body or of the chunk; None: until the end
        self._chunked = False
        self._in_chunk = False
        self._trailers = 0

    @property
    def digest(self) -> str:
        """Return the MD5 of the body, as `genhash` prints it."""
        assert self._md5 is not None, "whoever asks has said so"
        return self._md5.hexdigest()

    def receive(self, data: bytes) -> bool:
        """Take what has come, b"" for the end; return whether the answer is complete."""
        if self.is_complete:
            return True
        if not data:
            self._end()
            return True
        self._buffer += data
        while self._in_head:
            if not self._read_head():
                return False
        if self._chunked:
            while not self.is_complete and self._read_chunk():
                pass
        else:
            self._read_body()
        return self.is_complete

    def _end(self) -> None:
        if self._in_head:
            what = "in its headers" if self._buffer else "without an answer"
            raise WireError("cut", f"the connection ended {what}")
        if self._chunked or self._left:
            raise WireError("cut", f"the connection ended after {self.length} bytes of the body")
        self.is_complete = True

    # --- head -----------------------------------------------------------------------------------

    def _read_head(self) -> bool:
        """Read one head; return whether it is there."""
        if b"HTTP/"[: len(self._buffer)] != self._buffer[:5]:
            raise WireError("status", "no HTTP status line")
        end, size = self._buffer.find(b"\r\n\r\n"), 4
        bare = self._buffer.find(b"\n\n")
        if bare >= 0 and (end < 0 or bare < end):  # RFC 9112 section 2.2 lets a recipient take it
            end, size = bare, 2
        if end < 0 or end > MAX_HEAD:
            if len(self._buffer) > MAX_HEAD:
                raise WireError("head", f"headers longer than {MAX_HEAD} bytes")
            return False
        head = bytes(self._buffer[:end]).decode("latin-1")
        del self._buffer[: end + size]
        lines = head.replace("\r\n", "\n").split("\n")
        self.status = _status(lines[0])
        if 100 <= self.status < 200 and self.status != 101:
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise WireError("head", f"more than {MAX_INTERIM} interim answers")
            return bool(self._buffer)
        self._in_head = False
        self._frame(lines[1:])
        return True

    def _frame(self, lines: list[str]) -> None:
        """Find out how the body ends (RFC 9112 section 6.3)."""
        lengths: set[str] = set()
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon:
                continue
            key = name.strip().lower()
            if key == "transfer-encoding" and "chunked" in value.lower():
                self._chunked = True
            elif key == "content-length":
                lengths |= {part.strip() for part in value.split(",")}
        if self.status in _BODILESS:
            self._chunked, self._left = False, 0
        elif not self._chunked and lengths:
            if len(lengths) > 1:
                raise WireError("length", "several content lengths")
            self._left = _number(lengths.pop(), 10, "length")

    # --- body -----------------------------------------------------------------------------------

    def _read_body(self) -> None:
        if self._left is None:
            self._take(len(self._buffer))
            return
        self._left -= self._take(min(self._left, len(self._buffer)))
        self.is_complete = self._left == 0

    def _read_chunk(self) -> bool:
        """Read one piece of a chunked body; return whether there may be more in the buffer."""
        if self._in_chunk:
            assert self._left is not None, "a chunk has a length"
            self._left -= self._take(min(self._left, len(self._buffer)))
            if self._left:
                return False
            self._in_chunk = False
        end = self._buffer.find(b"\n")
        if end < 0 or end > MAX_CHUNK_LINE:
            if len(self._buffer) > MAX_CHUNK_LINE:
                raise WireError("chunk", f"a chunk's line is longer than {MAX_CHUNK_LINE} bytes")
            return False
        line = bytes(self._buffer[:end]).strip()
        del self._buffer[: end + 1]
        if self._trailers:
            self._trailers += 1
            self.is_complete = not line
            if self._trailers > MAX_INTERIM:
                raise WireError("chunk", f"more than {MAX_INTERIM} trailers")
        elif line:  # else it is the end of the chunk before
            size = line.split(b";")[0].strip().decode("latin-1")
            self._left = _number(size, 16, "chunk")
            self._in_chunk = self._left > 0
            self._trailers = int(not self._in_chunk)
        return True

    def _take(self, count: int) -> int:
        piece = bytes(self._buffer[:count])
        del self._buffer[:count]
        if self._md5 is not None:
            self._md5.update(piece)
        self.length += count
        room = self._keep - len(self.body)
        if room > 0:
            self.body += piece[:room]
        return count


def _md5() -> "_Hash":
    import hashlib  # noqa: PLC0415  4 MB that only a check with a digest pays

    return hashlib.md5(usedforsecurity=False)


def _status(line: str) -> int:
    parts = line.split(None, 2)
    if len(parts) < 2 or len(parts[1]) != 3 or not (parts[1].isascii() and parts[1].isdigit()):
        raise WireError("status", "no HTTP status line")
    return int(parts[1])


def _number(text: str, base: int, reason: str) -> int:
    digits = "0123456789abcdef"[:base]
    if not 0 < len(text) <= MAX_DIGITS or any(c not in digits for c in text.lower()):
        raise WireError(reason, "no number where a length is expected")
    return int(text, base)
