"""Runs a function in namespaces of its own: root there, nothing of it outside, gone when it ends.

As an ordinary user one user namespace makes this user its root. The function becomes process 1 of a
PID namespace, so that whatever it started ends with it, however it ends.
"""

import os
import signal
from collections.abc import Callable
from types import FrameType

from standfest.lab import syscalls
from standfest.model.errors import OperationError


def run(function: Callable[[], int]) -> int:
    """Return what `function` returns, having run it inside; raises OperationError if impossible.

    SIGINT and SIGTERM end the inside, too.
    """
    outside = os.fork()
    if outside == 0:
        os._exit(_enter(function))

    def forward(number: int, _frame: FrameType | None) -> None:
        os.kill(outside, number)

    before = {n: signal.signal(n, forward) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        _, status = os.waitpid(outside, 0)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    code = os.waitstatus_to_exitcode(status)
    if code == _NO_NAMESPACES:
        raise OperationError(
            "no namespaces here; expected root, or unprivileged user namespaces "
            "(sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces)"
        )
    return code if code >= 0 else 128 - code


_NO_NAMESPACES = 99


def _enter(function: Callable[[], int]) -> int:
    """Leave all namespaces, fork process 1 of the new ones, and wait for it."""
    syscalls.die_with_parent()
    user, group = os.getuid(), os.getgid()
    flags = (
        syscalls.CLONE_NEWNS
        | syscalls.CLONE_NEWNET
        | syscalls.CLONE_NEWPID
        | syscalls.CLONE_NEWIPC
        | syscalls.CLONE_NEWUTS
    )
    try:
        syscalls.unshare(flags if user == 0 else flags | syscalls.CLONE_NEWUSER)
        if user != 0:
            _map(user, group)
    except OSError:
        return _NO_NAMESPACES
    inside = os.fork()
    if inside == 0:
        os._exit(_inside(function))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda n, _frame: os.kill(inside, n))
    _, status = os.waitpid(inside, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _inside(function: Callable[[], int]) -> int:
    syscalls.die_with_parent()

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # Process 1 ignores signals without a handler.
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("proc", "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV)
    try:
        return function()
    except KeyboardInterrupt:
        return 130


def _map(user: int, group: int) -> None:
    for path, text in (
        ("/proc/self/setgroups", "deny"),
        ("/proc/self/uid_map", f"0 {user} 1"),
        ("/proc/self/gid_map", f"0 {group} 1"),
    ):
        with open(path, "w", encoding="ascii") as stream:
            stream.write(text)
