"""Files that hold a number, watched by inotify: nothing is read until something changes.

The directory is watched, so that a file that is made, replaced or removed is seen, too.
Source: inotify(7).
"""

import contextlib
import ctypes
import os
import struct
from pathlib import Path

from standfest.model.errors import OperationError

IN_CLOSE_WRITE, IN_MOVED_FROM, IN_MOVED_TO = 0x8, 0x40, 0x80
IN_CREATE, IN_DELETE, IN_MODIFY, IN_Q_OVERFLOW = 0x100, 0x200, 0x2, 0x4000
CHANGES = IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_MODIFY
EVENT = struct.Struct("=iIII")
MAX_FILE_BYTES = 128
LIMIT = 1 << 31


class FileWatch:
    """One inotify descriptor for any number of files."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OperationError(f"inotify: {os.strerror(ctypes.get_errno())}")
        self._directories: dict[int, str] = {}
        self._files: set[str] = set()

    def fileno(self) -> int:
        """Return the descriptor."""
        return int(self._descriptor)

    def add(self, path: str) -> None:
        """Watch a file, which need not exist; its directory must. Raises OperationError."""
        directory = os.path.dirname(path) or "/"
        watch = self._libc.inotify_add_watch(self._descriptor, directory.encode(), CHANGES)
        if watch < 0:
            raise OperationError(f"{directory}: {os.strerror(ctypes.get_errno())}")
        self._directories[watch] = directory
        self._files.add(path)

    def changed(self) -> set[str]:
        """Return which files may have changed."""
        found: set[str] = set()
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._descriptor, 64 * 1024)
            while len(data) >= EVENT.size:
                watch, mask, _, length = EVENT.unpack_from(data)
                name = data[EVENT.size : EVENT.size + length].rstrip(b"\0").decode(errors="replace")
                data = data[EVENT.size + length :]
                if mask & IN_Q_OVERFLOW:  # events were lost
                    found |= self._files
                found.add(os.path.join(self._directories.get(watch, ""), name))
        return found & self._files

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)


def number_in(path: str) -> int:
    """Return the number that a file begins with; 0 when there is none, or no file."""
    try:
        with Path(path).open("rb") as stream:
            text = stream.read(MAX_FILE_BYTES).split()
        value = int(text[0]) if text else 0
    except (OSError, ValueError):
        return 0
    return max(-LIMIT, min(LIMIT - 1, value))


def write_number(path: str, value: int, *, overwrite: bool) -> None:
    """Write a number to a file that is missing, or to any file; raises OperationError."""
    try:
        with Path(path).open("w" if overwrite else "x", encoding="ascii") as stream:
            stream.write(f"{value}\n")
    except FileExistsError:
        return
    except OSError as error:
        raise OperationError(f"{path}: {error.strerror}") from error
