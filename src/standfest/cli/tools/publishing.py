"""A page that is written again and again: whole at every moment, by a daemon if wanted.

Readers of the file see the old page or the new one, never half of one.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

from standfest.cli.tools.codes import Exit, ToolError

MODE = 0o644
BESIDE = ".new"
LIMIT_SECONDS = 60.0


def publish(path: str, content: str) -> None:
    """Put a page in a file's place at once; raises ToolError where it cannot be written."""
    beside = path + BESIDE
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)  # of a daemon that was killed; never one that somebody has put there
        try:
            with os.fdopen(os.open(beside, flags, MODE), "w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.rename(beside, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(beside)
    except OSError as error:
        why = f"{path}: {error.strerror}; expected a file to write"
        raise ToolError(Exit.CANNOT_CREATE, why) from error


def repeat(
    step: Callable[[], None],
    interval: float,
    first: Callable[[], None],
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Do `first`, then a step every `interval` seconds until SIGINT or SIGTERM: a good end.

    wait: for so many seconds, or until there is something new.
    """
    _listen()
    with contextlib.suppress(SystemExit):
        first()
        while True:
            wait(interval)
            step()


def _listen() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(Exit.OK)


def claim(pid_file: str) -> None:
    """Refuse to start while the process that a pid file names is there."""
    try:
        text = Path(pid_file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return
    if text.isdecimal() and len(text) < 10 and _runs(int(text)):
        raise ToolError(Exit.ERROR, f"crm_mon: already running [pid {text} in {pid_file}]")


def _runs(pid: int) -> bool:
    if pid == os.getpid():
        return False
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"crm_mon" in command  # a number may have gone to another program since


def daemonize(pid_file: str, work: Callable[[], None]) -> None:
    """Do `work` in a process of its own that holds a pid file; returns in the caller at once.

    Raises ToolError where the pid file cannot be written; then nothing was started.
    """
    ready, told = os.pipe()
    if os.fork():
        os.close(told)
        with os.fdopen(ready, "rb") as answer:
            said = answer.read().decode()
        os.wait()
        if said:
            raise ToolError(Exit.CANNOT_CREATE, said)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    os.close(ready)
    try:
        publish(pid_file, f"{os.getpid():>10}\n")
    except ToolError as error:
        os.write(told, error.text.encode())
        os._exit(1)
    code = 0
    try:
        _listen()  # before the caller knows of us: its first signal must find us ready
        _detach(told)
        work()
    except ToolError as error:
        code = int(error.code)
    except SystemExit:
        pass
    finally:
        with contextlib.suppress(OSError):
            os.unlink(pid_file)
    os._exit(code)


def _detach(told: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    os.close(nothing)
    os.close(told)  # the caller may go now


def run(program: str, environment: Mapping[str, str]) -> None:
    """Run a program with these variables added, and wait for its end, a minute at most."""
    try:
        subprocess.run(
            [program],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"crm_mon: {program}: {error}", file=sys.stderr)
