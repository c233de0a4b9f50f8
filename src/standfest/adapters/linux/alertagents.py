"""Starts alert agents: without a shell, as `hacluster`, with an environment of their own.

What they write goes nowhere: it may hold what their environment keeps secret.
Source: Pacemaker Administration, "Writing an Alert Agent"; execve(2), setsid(2).
"""

import contextlib
import os
import pwd
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from standfest.adapters.linux.commands import PATH
from standfest.model.errors import OperationError

USER = "hacluster"
MAP = Path("/proc/self/uid_map")


def runs_as() -> pwd.struct_passwd | None:
    """Return the user whom agents run as, or None for the daemon's own.

    That is where there is no such user, and where the daemon can be nobody else: it is not root, or
    root of a user namespace (user_namespaces(7)) that has no other users.
    """
    if os.geteuid() == 0:
        with contextlib.suppress(KeyError, OSError):
            found = pwd.getpwnam(USER)
            ranges = [line.split() for line in MAP.read_text(encoding="ascii").splitlines()]
            if any(0 <= found.pw_uid - int(first) < int(count) for first, _, count in ranges):
                return found
    return None


def problem_of(path: str) -> str:
    """Return why this cannot be an agent here, or nothing."""
    if not os.path.isfile(path):
        return "is not there" if not os.path.exists(path) else "is no file"
    return "" if os.access(path, os.X_OK) else "is not executable"


def start(path: str, variables: Mapping[str, str]) -> int:
    """Start an agent in a process group of its own; return its process id.

    The caller waits for it. Raises OperationError.
    """
    who = runs_as()
    home = {} if who is None else {"HOME": who.pw_dir, "USER": who.pw_name}
    environment = {"PATH": PATH, "LANG": "C", **home, **variables}
    try:
        process = subprocess.Popen(
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
    process.returncode = 0  # whoever called waits for it; Popen must not
    return process.pid


def end(process: int) -> None:
    """End an agent and all that it started, at once; it is still to be waited for."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process, signal.SIGKILL)
