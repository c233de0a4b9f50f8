"""A file's content, unpacked if it is compressed: Pacemaker keeps its inputs as pe-input-N.bz2.

What it is is seen from its first bytes, not from its name. What it unpacks to is limited, so that a
small file cannot fill the memory.
"""

import sys
from pathlib import Path
from typing import Protocol

from standfest.model.errors import ConfigError, Finding, OperationError

MOST_BYTES = 256 << 20
_AT_ONCE = 1 << 20


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def read_file(path: str) -> bytes:
    """Return a file's plain content; `-` is standard input.

    Raises OperationError if it cannot be read, ConfigError if it is damaged or too large.
    """
    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise OperationError(f"{path}: {error.strerror}; expected a CIB file") from error
    return plain(content, path)


def plain(content: bytes, path: str, most: int = MOST_BYTES) -> bytes:
    """Return gzip, bzip2 or xz data unpacked, anything else as it is; at most `most` bytes."""
    if content.startswith(b"\x1f\x8b"):
        return _unpacked(content, path, "gzip", most)
    if content.startswith(b"BZh"):
        return _unpacked(content, path, "bzip2", most)
    if content.startswith(b"\xfd7zXZ\x00"):
        return _unpacked(content, path, "xz", most)
    return content


def _unpacker(kind: str) -> tuple[_Unpacker, type[Exception]]:
    """Return an unpacker and what it raises; modules are loaded only when they are needed."""
    if kind == "gzip":
        import zlib  # noqa: PLC0415

        return zlib.decompressobj(wbits=31), zlib.error
    if kind == "bzip2":
        import bz2  # noqa: PLC0415

        return bz2.BZ2Decompressor(), OSError
    import lzma  # noqa: PLC0415

    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=MOST_BYTES), lzma.LZMAError


def _unpacked(content: bytes, path: str, kind: str, most: int) -> bytes:
    unpacker, error = _unpacker(kind)
    damaged = ConfigError(Finding(path, 0, f"damaged {kind} data", "a whole file"))
    parts: list[bytes] = []
    size = 0
    waiting = content
    while not unpacker.eof:
        try:
            part = unpacker.decompress(waiting, _AT_ONCE)
        except (error, ValueError, EOFError, MemoryError) as raised:
            raise damaged from raised
        waiting = getattr(unpacker, "unconsumed_tail", b"")  # zlib gives back what it left
        if not part and not waiting and not unpacker.eof:
            raise damaged
        size += len(part)
        if size > most:
            problem = f"{kind} data that unpacks to more than {most} bytes"
            raise ConfigError(Finding(path, 0, problem, "a CIB"))
        parts.append(part)
    if unpacker.unused_data:
        raise damaged
    return b"".join(parts)
