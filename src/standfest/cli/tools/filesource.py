"""A CIB in a file: CIB_file, and the named copies of crm_shadow.

A change is written beside the file, synced and renamed into place, so that the file is always a
whole one; who changes it at the same time is refused.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from standfest.cli.tools.codes import Exit, ToolError
from standfest.config.cib.judge import problems
from standfest.config.compressed import read_file
from standfest.core.cib.counting import counted, rank_of, same
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.errors import ConfigError, OperationError

CONFORMS_NOT = "Call failed: Update does not conform to the configured schema"
OLDER = "Call failed: Update was older than existing configuration"


@dataclass(frozen=True, slots=True)
class FileSource:
    """A CIB in a file; `-` is standard input."""

    path: str

    @property
    def live(self) -> bool:
        """Return False: no cluster has it."""
        return False

    def read(self) -> Element:
        """Return what the file says; raises ToolError for anything but a <cib>."""
        try:
            cib = xml.parse(read_file(self.path), self.path)
        except OperationError as error:
            raise ToolError(Exit.NO_INPUT, str(error)) from error
        except ConfigError as error:
            raise ToolError(Exit.BAD_DATA, str(error)) from error
        if cib.tag != "cib":
            text = f"{self.path}:{cib.line}: root element <{cib.tag}>; expected <cib>"
            raise ToolError(Exit.BAD_DATA, text)
        return cib

    def change(self, before: Element, after: Element) -> None:
        """Write the file anew, with the version counted, as Pacemaker's tools count in files.

        Who wrote it last and when stays as it is said, as with Pacemaker's. Raises ToolError:
        CONFIG with all findings, OLD for a version that is not newer, or when somebody else
        changed the file meanwhile.
        """
        new = counted(before, after)
        if new is before:
            return
        if self.path == "-":
            raise ToolError(Exit.CANNOT_CREATE, "standard input cannot be changed; expected a file")
        if rank_of(new) <= rank_of(before):
            raise ToolError(Exit.OLD, OLDER)
        found = problems(new, self.path)
        if found:
            lines = [*(str(finding) for finding in found), CONFORMS_NOT]
            raise ToolError(Exit.CONFIG, "\n".join(lines))
        with _alone(Path(self.path)):
            if not same(self.read(), before):
                text = f"{self.path}: somebody changed it meanwhile; nothing is changed"
                raise ToolError(Exit.OLD, text)
            write(Path(self.path), new)


def write(path: Path, cib: Element, mode: int = 0o600) -> None:
    """Write a CIB; mode and owner of a file that is there stay; raises ToolError."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        there = path.stat() if path.exists() else None
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(xml.serialise(cib))
            file.flush()
            os.fchmod(descriptor, (there.st_mode & 0o7777) if there else mode)
            if there and (there.st_uid, there.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(descriptor, there.st_uid, there.st_gid)
            os.fsync(descriptor)
        new.rename(path.resolve())
        _sync(path.resolve().parent)
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        text = f"{path}: {error.strerror}; expected a file to write"
        raise ToolError(Exit.CANNOT_CREATE, text) from error


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other changes of files in this folder out meanwhile."""
    try:
        descriptor = os.open(path.resolve().parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        text = f"{path}: {error.strerror}; expected a file in a folder"
        raise ToolError(Exit.CANNOT_CREATE, text) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
