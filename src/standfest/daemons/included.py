"""The files on disk that a keepalived.conf includes."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from standfest.daemons.reading import MAX_FILE_BYTES
from standfest.model.errors import ConfigError, Finding

MAX_PATTERNS = 1_000
"""What `{a,b}` in a pattern may expand to."""

MAX_FILES = 10_000


class DiskFiles:
    """Finds and reads included files, relative to the file that includes them."""

    def find(self, pattern: str, directory: str) -> Sequence[str]:
        """Return the regular files that a pattern with wildcards and braces names, in order."""
        found: dict[str, None] = {}
        for simple in braces(pattern):
            where = os.path.join(directory or ".", simple)
            names = sorted(glob.glob(where)) if glob.has_magic(where) else [where]
            found.update(dict.fromkeys(name for name in names if Path(name).is_file()))
        return tuple(found)[:MAX_FILES]

    def read(self, path: str) -> str:
        """Return a file's text; raises ConfigError."""
        return text_of(Path(path))


def text_of(path: Path) -> str:
    """Return a file's text, in UTF-8 or else Latin-1; raises ConfigError naming the file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(Finding(str(path), 0, str(error.strerror), "a file")) from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(
            Finding(str(path), 0, f"{len(content)} bytes", f"at most {MAX_FILE_BYTES}")
        )
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")  # keepalived knows bytes only: old comments may be either


def braces(pattern: str) -> list[str]:
    """Return what `{a,b}` in a pattern stands for, as a C shell expands it."""
    done: list[str] = []
    todo = [pattern]
    while todo and len(done) + len(todo) <= MAX_PATTERNS:
        one = todo.pop(0)
        end = one.find("}")
        begin = one.rfind("{", 0, end) if end >= 0 else -1
        if begin < 0:
            done.append(one)
            continue
        choices = one[begin + 1 : end].split(",")
        todo = [one[:begin] + choice + one[end + 1 :] for choice in choices] + todo
    return list(dict.fromkeys(done))
