"""A document on disk that survives a crash at any instant, whole: the old one or the new one.

The new one is written beside, synced, and renamed into place; the one before is kept, because a
disk that lies about syncing can still leave a file cut short. Every file ends with a line that
holds its SHA-256, so that a damaged one is recognised and its predecessor read instead.
"""

import contextlib
import errno
import hashlib
import os
from pathlib import Path

MAX_BYTES = 64 * 1024 * 1024
PREVIOUS = ".previous"
TEMPORARY = ".new"
_HEAD = b"<!-- sha256 "
_TAIL = b" -->\n"
_DIGEST_BYTES = 64


class FileStore:
    """Implements ports.store.Store with `path`, `path.previous` and, during a save, `path.new`."""

    def __init__(self, path: Path, mode: int = 0o600) -> None:
        self._path = path
        self._mode = mode
        self._previous = path.with_name(path.name + PREVIOUS)
        self._temporary = path.with_name(path.name + TEMPORARY)

    def load(self) -> bytes | None:
        """Return the newest document that is whole, or None without one."""
        with contextlib.suppress(OSError):
            os.unlink(self._temporary)  # left by a crash; never complete for sure
        for path in (self._path, self._previous):
            content = _whole(path)
            if content is not None:
                return content
        return None

    def save(self, content: bytes) -> None:
        """Replace the document; on disk, directory entry included, when this returns.

        Raises OSError, EFBIG for one that `load` would not read; the old one stays.
        """
        if len(content) + len(_line(b"")) > MAX_BYTES:
            raise OSError(errno.EFBIG, f"document larger than {MAX_BYTES} bytes", str(self._path))
        descriptor = os.open(
            self._temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, self._mode
        )
        try:
            _write_all(descriptor, content + _line(content))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if _whole(self._path) is not None:
            # A link, not a rename: the name `path` is never without a whole document.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._previous)
            os.link(self._path, self._previous)
        os.rename(self._temporary, self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _line(content: bytes) -> bytes:
    return _HEAD + hashlib.sha256(content).hexdigest().encode() + _TAIL


def _whole(path: Path) -> bytes | None:
    """Return a file's document when the file is whole."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError:
        return None
    size = len(_HEAD) + _DIGEST_BYTES + len(_TAIL)
    content, line = raw[:-size], raw[-size:]
    return content if len(raw) >= size and line == _line(content) else None


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
