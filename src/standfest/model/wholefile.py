"""How a document is kept so that a crash at any instant leaves a whole one: the old or the new.

The new one is written beside, synced, and renamed into place; the one before is kept, because a
disk that lies about syncing can still leave a file cut short. Every file ends with a line that
holds its SHA-256, so that a damaged one is recognised and its predecessor read instead.

The steps are here; the files are somebody's `Files`.
"""

import contextlib
import errno
import hashlib
from typing import Protocol

MAX_BYTES = 64 * 1024 * 1024
PREVIOUS = ".previous"
TEMPORARY = ".new"
_HEAD = b"<!-- sha256 "
_TAIL = b" -->\n"
_DIGEST_BYTES = 64


class Files(Protocol):
    """The files of one folder, by name; every method but `read` raises OSError."""

    def read(self, name: str, at_most: int) -> bytes | None:
        """Return up to `at_most` bytes of a file, or None when it cannot be read."""

    def write_synced(self, name: str, content: bytes) -> None:
        """Create or empty a file, write and sync it."""

    def replace_by_link(self, name: str, new_name: str) -> None:
        """Make `new_name` another name of the file `name`; it may have been another file's."""

    def rename(self, name: str, new_name: str) -> None:
        """Rename a file over another one at once."""

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""

    def sync(self) -> None:
        """Have the folder's names on disk."""


def load(files: Files, name: str) -> bytes | None:
    """Return the newest document that is whole, or None without one."""
    with contextlib.suppress(OSError):
        files.remove(name + TEMPORARY)  # left by a crash; never complete for sure
    for candidate in (name, name + PREVIOUS):
        content = _whole(files, candidate)
        if content is not None:
            return content
    return None


def save(files: Files, name: str, content: bytes) -> None:
    """Replace the document; on disk, folder entry included, when this returns.

    Raises OSError, EFBIG for one that `load` would not read; the old one stays.
    """
    sealed = content + _line(content)
    if len(sealed) > MAX_BYTES:
        raise OSError(errno.EFBIG, f"document larger than {MAX_BYTES} bytes", name)
    files.write_synced(name + TEMPORARY, sealed)
    if _whole(files, name) is not None:
        # A link, not a rename: `name` is never without a whole document.
        files.replace_by_link(name, name + PREVIOUS)
    files.rename(name + TEMPORARY, name)
    files.sync()


def _line(content: bytes) -> bytes:
    return _HEAD + hashlib.sha256(content).hexdigest().encode() + _TAIL


def _whole(files: Files, name: str) -> bytes | None:
    """Return a file's document when the file is whole."""
    raw = files.read(name, MAX_BYTES + 1)
    if raw is None:
        return None
    size = len(_HEAD) + _DIGEST_BYTES + len(_TAIL)
    content, line = raw[:-size], raw[-size:]
    return content if len(raw) >= size and line == _line(content) else None
