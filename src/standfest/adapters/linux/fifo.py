"""Named pipes that are written without waiting for a reader. Source: fifo(7)."""

import contextlib
import os
import stat

from standfest.adapters.linux.commands import person
from standfest.model.errors import OperationError

MODE = 0o600


class Fifo:
    """One pipe; made if there is none, and removed then at the end."""

    def __init__(self, path: str, user: str = "", group: str = "") -> None:
        """Open, or make; raises OperationError."""
        self.path = path
        self._made = False
        try:
            with contextlib.suppress(FileExistsError):
                os.mkfifo(path, MODE)
                self._made = True
            if not stat.S_ISFIFO(os.stat(path).st_mode):
                raise OperationError(f"{path}: is not a named pipe; expected one, or nothing")
            if user:
                who = person(user, group)
                os.chown(path, who.uid, who.gid)
            # Opened for both: no waiting for a reader, and no end of file for one that comes.
            self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise OperationError(f"{path}: {error.strerror}") from error

    def write(self, line: str) -> bool:
        """Write a line whole; False when the pipe is full, because nobody reads."""
        try:
            os.write(self._descriptor, line.encode() + b"\n")
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close, and remove what we made."""
        os.close(self._descriptor)
        if self._made:
            with contextlib.suppress(OSError):
                os.unlink(self.path)
