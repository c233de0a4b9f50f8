"""Sectors of a shared disk, past every cache of this machine: O_DIRECT and O_SYNC.

Every call may take as long as the disk likes. Source: open(2), ioctl_block BLKSSZGET.
"""

import fcntl
import mmap
import os
import stat
from pathlib import Path
from typing import Final

from standfest.model.errors import OperationError

BLKSSZGET: Final = 0x1268
BLKGETSIZE64: Final = 0x80081272
FILE_SECTOR: Final = 4096
"""Of a file: enough for whatever lies below."""
_FLAGS: Final = os.O_RDWR | os.O_DIRECT | os.O_SYNC | os.O_CLOEXEC


class SharedDisk:
    """A block device, or a file on a file system that several nodes have."""

    def __init__(self, path: Path) -> None:
        """Open it; raises OperationError."""
        self.path = path
        try:
            self._file = os.open(path, _FLAGS)
        except OSError as error:
            why = "no direct I/O here" if error.errno == 22 else error.strerror
            raise OperationError(f"{path}: {why}; expected a shared disk, or a file on one") from (
                error
            )
        self.is_device = stat.S_ISBLK(os.fstat(self._file).st_mode)
        self.sector = FILE_SECTOR
        if self.is_device:
            answer = fcntl.ioctl(self._file, BLKSSZGET, bytes(4))
            self.sector = int.from_bytes(answer, "little")
        self._page = mmap.mmap(-1, FILE_SECTOR)  # direct I/O needs aligned memory

    def close(self) -> None:
        """Close it."""
        os.close(self._file)

    @property
    def size(self) -> int:
        """Return its bytes."""
        if self.is_device:
            return int.from_bytes(fcntl.ioctl(self._file, BLKGETSIZE64, bytes(8)), "little")
        return os.fstat(self._file).st_size

    def read(self, number: int) -> bytes:
        """Return a sector; raises OperationError."""
        view = memoryview(self._page)[: self.sector]
        try:
            count = os.preadv(self._file, [view], number * self.sector)
        except OSError as error:
            raise OperationError(f"{self.path}: sector {number}: {error.strerror}") from error
        if count != self.sector:
            raise OperationError(f"{self.path}: sector {number}: the end is before it")
        return bytes(view)

    def write(self, number: int, content: bytes) -> None:
        """Write a sector; on the disk when this returns. Raises OperationError."""
        assert len(content) == self.sector
        view = memoryview(self._page)[: self.sector]
        view[:] = content
        try:
            count = os.pwritev(self._file, [view], number * self.sector)
        except OSError as error:
            raise OperationError(f"{self.path}: sector {number}: {error.strerror}") from error
        if count != self.sector:
            raise OperationError(f"{self.path}: sector {number}: only {count} bytes were written")
