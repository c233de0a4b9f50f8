"""What a fork keeps of its parent's files: no more than it was meant to have."""

import os


def close_all_but(kept: frozenset[int]) -> None:
    """Close every descriptor of this process but these."""
    beyond = 1 + max(int(name) for name in os.listdir("/proc/self/fd"))
    last = -1
    for number in (*sorted(kept), beyond):
        if number > last + 1:  # closerange(0, 0) closes everything (Python 3.11)
            os.closerange(last + 1, number)
        last = number
