"""Starts alert agents: without a shell, as `hacluster`, with an environment of their own.

What they write goes nowhere: it may hold what their environment keeps secret.
Source: Pacemaker Administration, "Writing an Alert Agent"; execve(2), setsid(2).
"""

import contextlib
import os
import pwd
import subprocess
from collections.abc import Mapping

from standfest.adapters.linux.commands import PATH
from standfest.model.errors import OperationError

USER = "hacluster"


def runs_as() -> pwd.struct_passwd | None:
    """Return the user whom agents run as, or None for the daemon's own: it cannot choose."""
    if os.geteuid() == 0:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(USER)
    return None


def problem_of(path: str) -> str:
    """Return why this cannot be an agent here, or nothing."""
    if not os.path.isfile(path):
        return "is not there" if not os.path.exists(path) else "is no file"
    return "" if os.access(path, os.X_OK) else "is not executable"


def start(path: str, variables: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start an agent in a process group of its own; raises OperationError."""
    who = runs_as()
    home = {} if who is None else {"HOME": who.pw_dir, "USER": who.pw_name}
    environment = {"PATH": PATH, "LANG": "C", **home, **variables}
    try:
        return subprocess.Popen(
            [path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd="/",
            umask=0o022,
            start_new_session=True,
            user=who.pw_uid if who is not None else None,
            group=who.pw_gid if who is not None else None,
            extra_groups=[] if who is not None else None,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        # Not the error's own text: it may name what is in the environment.
        why = error.strerror if isinstance(error, OSError) else type(error).__name__
        raise OperationError(f"{path}: {why}") from error
