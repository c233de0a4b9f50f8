"""Who this node is: its name, its UUID and the generation of this start.

Source: facts/HEARTBEAT-WIRE.md section 3 (`srcuuid`, `hg`); the generation grows with every start,
so that peers tell a restart from an old packet.
"""

import os
import time
import uuid
from pathlib import Path

UUID_FILE = "hb_uuid"
GENERATION_FILE = "hb_generation"


def node_name() -> str:
    """Return this node's name as ha.cf must spell it: `uname -n`, lower case."""
    return os.uname().nodename.lower()


def node_uuid(state_dir: Path) -> bytes:
    """Return this node's 16 bytes, drawn and kept at the first start."""
    path = state_dir / UUID_FILE
    try:
        stored = path.read_bytes()
    except FileNotFoundError:
        stored = b""
    if len(stored) == 16:
        return stored
    fresh = uuid.uuid4().bytes
    replace_file(path, fresh)
    return fresh


def next_generation(state_dir: Path) -> int:
    """Return the generation of this start, on disk before anybody hears of it.

    The first one is the time, like heartbeat's, so that a node that lost its state is not behind.
    """
    path = state_dir / GENERATION_FILE
    try:
        last = int(path.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        last = int(time.time())
    replace_file(path, str(last + 1).encode())
    return last + 1


def boot() -> str:
    """Return what tells this start of the machine from all others. Source: random(4)."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file as a whole: old or new after a crash, nothing between."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(temporary, path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
