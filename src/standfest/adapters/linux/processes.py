"""How many processes of a name run, read from /proc. Source: proc(5)."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from standfest.model.director import TrackProcess

NAME_BYTES = 15
"""What the kernel keeps of a process's name."""


def count_processes(wanted: Sequence[TrackProcess]) -> list[int]:
    """Return how many processes match each."""
    counts = [0] * len(wanted)
    lines = any(process.full_command or len(process.words) > 1 for process in wanted)
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        name = _text(f"{entry.path}/comm").rstrip("\n")
        line = _text(f"{entry.path}/cmdline").split("\0")[:-1] if lines else []
        for number, process in enumerate(wanted):
            counts[number] += matches(process, name, line)
    return counts


def matches(wanted: TrackProcess, name: str, line: Sequence[str]) -> bool:
    """Return whether a process is meant; line: its command line, [] when nobody asks for it."""
    program, *parameters = wanted.words
    if wanted.full_command:
        if not line or line[0] != program:
            return False
    elif name != os.path.basename(program)[:NAME_BYTES]:
        return False
    own = list(line[1:])
    match wanted.parameter_match:
        case "partial":
            return own[: len(parameters)] == parameters
        case "initial" if parameters:
            *first, last = parameters
            found = own[: len(first)] == first and len(own) > len(first)
            return found and own[len(first)].startswith(last)
        case _:
            return own == parameters if parameters or wanted.full_command else True


def _text(path: str) -> str:
    with contextlib.suppress(OSError):
        return Path(path).read_text(encoding="utf-8", errors="replace")
    return ""
