"""A document in a folder, kept by the steps of `model.wholefile`."""

import contextlib
import os
from pathlib import Path

from standfest.model import wholefile


class FileStore:
    """Implements ports.store.Store with `path`, `path.previous` and, during a save, `path.new`."""

    def __init__(self, path: Path, mode: int = 0o600) -> None:
        self._name = path.name
        self._files = _Folder(path.parent, mode)

    def load(self) -> bytes | None:
        """Return the newest document that is whole, or None without one."""
        return wholefile.load(self._files, self._name)

    def save(self, content: bytes) -> None:
        """Replace the document; on disk when this returns. Raises OSError; the old one stays."""
        wholefile.save(self._files, self._name, content)


class _Folder:
    """Implements model.wholefile.Files by system calls."""

    def __init__(self, path: Path, mode: int) -> None:
        self._path = path
        self._mode = mode

    def read(self, name: str, at_most: int) -> bytes | None:
        try:
            with (self._path / name).open("rb") as stream:
                return stream.read(at_most)
        except OSError:
            return None

    def write_synced(self, name: str, content: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        descriptor = os.open(self._path / name, flags, self._mode)
        try:
            _write_all(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def replace_by_link(self, name: str, new_name: str) -> None:
        self.remove(new_name)
        os.link(self._path / name, self._path / new_name)

    def rename(self, name: str, new_name: str) -> None:
        os.rename(self._path / name, self._path / new_name)

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(self._path / name)

    def sync(self) -> None:
        descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
