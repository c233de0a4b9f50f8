"""Where recordings are, and how large they may become; everything here is fixed for good reasons.

pulse: some 20,000 inputs, at least half of them there at any time; with two nodes and a heartbeat
a second that is an hour, with sixteen and ten a second two minutes. cluster: a half has room for
the largest message (core.membership.sender: 3.2 MB). The directory is a tmpfs (/run): no disk can
delay whoever records, and nothing outlives the machine. Twice as much is used after a daemon was
started again: its predecessor's recording stays as NAME.before.
"""

from pathlib import Path

PULSE, RING, CLUSTER = "pulse", "ring", "cluster"
PROCESSES = (PULSE, RING, CLUSTER)
SIZES: dict[str, int] = {
    PULSE: 4 * 1024 * 1024,
    RING: 4 * 1024 * 1024,
    CLUSTER: 8 * 1024 * 1024,
}

HIDING = frozenset({PULSE, RING})
"""Processes whose recordings have lengths where payloads were."""


def ring_path(run_dir: Path, process: str) -> Path:
    """Return the file with a process's recording."""
    return run_dir / f"{process}.ring"
