"""The ledger of set-up steps on disk: below /run, since a boot undoes all of it.

One file for each network namespace, whose cookie the kernel never gives twice. Read by root only.
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from standfest.model.errors import OperationError
from standfest.model.setup import Step, from_json, to_json

SO_NETNS_COOKIE = 71
MAX_BYTES = 1 << 20

Content = tuple[dict[str, tuple[Step, ...]], tuple[tuple[Step, Step], ...]]
"""Entries, and (step, undo) of all that was changed, oldest first."""


def path_in(directory: Path) -> Path:
    """Return the file of this network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
        try:
            cookie = anything.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8)
            name = str(int.from_bytes(cookie, "little"))
        except OSError:  # before Linux 5.14: the inode, which may come back
            name = f"inode{os.stat('/proc/self/ns/net').st_ino}"
    return directory / f"setup-{name}.json"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep others from changing the machine's set-up meanwhile."""
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(
            path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
    except OSError as error:
        raise OperationError(f"{path.parent}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def load(path: Path) -> Content:
    """Return what a file holds, nothing where there is none; raises OperationError."""
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(MAX_BYTES))
    except FileNotFoundError:
        return {}, ()
    except (OSError, ValueError) as error:
        raise OperationError(f"{path}: {error}") from error
    try:
        entries = {
            str(name): tuple(from_json(step) for step in steps)
            for name, steps in data["entries"].items()
        }
        done = tuple((from_json(one["step"]), from_json(one["undo"])) for one in data["done"])
    except (KeyError, TypeError, AttributeError, OperationError) as error:
        raise OperationError(f"{path}: not a ledger of Standfest: {error}") from error
    return entries, done


def save(path: Path, content: Content) -> None:
    """Write the file anew, or remove it when there is nothing to remember."""
    entries, done = content
    try:
        if not entries and not done:
            path.unlink(missing_ok=True)
            return
        data = {
            "entries": {name: [to_json(step) for step in steps] for name, steps in entries.items()},
            "done": [{"step": to_json(step), "undo": to_json(undo)} for step, undo in done],
        }
        new = path.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(data, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
    except OSError as error:
        raise OperationError(f"{path}: {error.strerror}") from error
