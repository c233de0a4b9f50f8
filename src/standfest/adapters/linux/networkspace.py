"""Standing outside the network namespace that one works in. Source: setns(2), namespaces(7)."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

from standfest.model.errors import OperationError

CLONE_NEWNET = 0x40000000
NAMESPACES = Path("/run/netns")
"""Where ip-netns(8) keeps names."""


def enter(name: str) -> None:
    """Enter a network namespace that `ip netns add` has made; "": stay. Raises OperationError."""
    if not name:
        return
    try:
        with (NAMESPACES / name).open("rb") as place:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.setns(place.fileno(), CLONE_NEWNET) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
    except OSError as error:
        raise OperationError(f"network namespace {name}: {error.strerror}") from error


class Outside:
    """Leaves the current network namespace for an empty one; sockets that are open keep working.

    A guard must outlive what it guards. Whoever clears a namespace ends the processes that
    `ip netns pids` lists; a process that needs nothing but its open sockets need not be among them.
    """

    def __init__(self) -> None:
        """Leave, or stay where that is not permitted: `left` says which."""
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.left = self._libc.unshare(CLONE_NEWNET) == 0
        self._empty = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Be back for a moment, to open a socket there; raises OSError."""
        self._enter(self._home)
        try:
            yield
        finally:
            self._enter(self._empty)

    def back(self) -> None:
        """Be back for good."""
        self._enter(self._home)
        os.close(self._home)
        os.close(self._empty)

    def _enter(self, descriptor: int) -> None:
        if self.left and self._libc.setns(descriptor, CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"setns: {os.strerror(number)}")
