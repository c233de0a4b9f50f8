"""Programs of the operator's: started as their user, without a shell, in a session of their own.

Source: keepalived.conf(5) "script_user", "enable_script_security"; execve(2), setsid(2).
"""

import contextlib
import grp
import os
import pwd
import shutil
import signal
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from standfest.model.errors import OperationError
from standfest.model.vrrp import Command

DEFAULT_USER = "keepalived_script"
"""Whom commands run as when nobody is named, if there is such a user; else root."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Person:
    """A user to run as."""

    uid: int
    gid: int


def person(user: str, group: str) -> Person:
    """Return the user and group named, or the default ones; raises OperationError."""
    try:
        if not user:
            with contextlib.suppress(KeyError):
                found = pwd.getpwnam(DEFAULT_USER)
                return Person(found.pw_uid, found.pw_gid)
            return Person(os.geteuid(), os.getegid())
        found = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
        gid = found.pw_gid
        if group:
            gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
        return Person(found.pw_uid, gid)
    except KeyError as error:
        raise OperationError(f"no user or group {user} {group}".rstrip()) from error


def start(command: Command, *, secure: bool) -> subprocess.Popen[bytes]:
    """Start a command; secure: root's must not be another's to write. Raises OperationError."""
    who = person(command.user, command.group)
    program = _program(command.words[0])
    if secure and who.uid == 0 and (culprit := writable_by_others(program)):
        raise OperationError(f"{program}: not run as root: {culprit} can be written by others")
    try:
        if who.uid == os.geteuid() and who.gid == os.getegid():
            return _start(program, command)
        return _start(program, command, who)
    except OSError as error:
        raise OperationError(f"{program}: {error.strerror}") from error


def end(process: "subprocess.Popen[bytes]", number: int = signal.SIGKILL) -> None:
    """Send a signal to a command and all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def writable_by_others(path: str) -> str:
    """Return the first part of a path that others than root may write, or nothing."""
    real = Path(path).resolve()
    for part in (real, *real.parents):
        try:
            found = part.stat()
        except OSError:
            return str(part)
        group = found.st_mode & stat.S_IWGRP and found.st_gid != 0
        others = found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX
        if found.st_uid != 0 or group or others:
            return str(part)
    return ""


def _program(word: str) -> str:
    path = word if "/" in word else shutil.which(word, path=PATH)
    if path is None:
        raise OperationError(f"{word}: no such program in {PATH}")
    return path


def _start(program: str, command: Command, who: Person | None = None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [program, *command.words[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        user=who.uid if who else None,
        group=who.gid if who else None,
        extra_groups=[] if who else None,
        cwd="/",
    )
