"""What a command writes, kept in memory, for processes that may leave daemons behind.

A daemon that keeps its starter's output open must neither hold us up (so no waiting for the end of
a pipe), nor be killed by writing to a closed one, nor fill memory: when the command has ended, its
memory file is sealed, and later writes fail. Source: memfd_create(2), fcntl(2) "File Sealing".
"""

import fcntl
import os
from types import TracebackType

MAX_OUTPUT_BYTES = 8192
"""Only the end of what was written is read."""
F_ADD_SEALS = 1033
F_SEAL_GROW = 0x0004


class Capture:
    """A file for a child's stdout and stderr."""

    def __init__(self) -> None:
        flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
        self._descriptor = os.memfd_create("standfest-output", flags)

    def fileno(self) -> int:
        """Return the descriptor to hand to the child."""
        return self._descriptor

    def end(self) -> str:
        """Seal the file and return the end of what it holds."""
        fcntl.fcntl(self._descriptor, F_ADD_SEALS, F_SEAL_GROW)
        size = os.fstat(self._descriptor).st_size
        start = max(0, size - MAX_OUTPUT_BYTES)
        content = os.pread(self._descriptor, MAX_OUTPUT_BYTES, start)
        return content.decode(errors="replace").strip()

    def close(self) -> None:
        """Close our end."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "Capture":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
