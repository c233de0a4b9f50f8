"""What is remembered until the machine is booted again, each a file with the boot's id."""

from contextlib import suppress
from pathlib import Path

from standfest.daemons import identity


def remember(path: Path) -> None:
    """Say that it is so in this boot; raises OSError."""
    path.write_text(identity.boot(), encoding="ascii")


def remembered(path: Path) -> bool:
    """Return whether it was said in this boot."""
    try:
        return path.read_text(encoding="ascii") == identity.boot()
    except (OSError, UnicodeDecodeError):
        return False


def forget(path: Path) -> None:
    """Say that it is not so any more."""
    with suppress(OSError):
        path.unlink()
