"""What every daemon of ours does at its start: priority, memory, parent's death, readiness."""

import contextlib
import ctypes
import gc
import os
import signal
import socket

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
MCL_CURRENT = 1
MCL_FUTURE = 2
REALTIME_PRIORITY = 20


def die_with_parent(number: signal.Signals = signal.SIGKILL) -> None:
    """Ask the kernel to signal us when the supervisor dies: nobody would restart us then."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def become_realtime() -> list[str]:
    """Take a real-time priority, lock our memory, stop collecting garbage; return what failed.

    A heartbeat must neither wait for a busy processor nor for a page from disk.
    """
    failed: list[str] = []
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(REALTIME_PRIORITY))
    except OSError as error:
        failed.append(f"real-time priority: {error.strerror}")
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, -18)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(MCL_CURRENT) != 0:
        failed.append(f"locked memory: {os.strerror(ctypes.get_errno())}")
    return failed


def hurry(process: int) -> None:
    """Let a process that was just started begin before others; as far as that is allowed.

    Importing takes 0.1 s of a processor. On a busy machine that would be more than half a second,
    in which nobody hears this node.
    """
    with contextlib.suppress(OSError):
        os.sched_setscheduler(process, os.SCHED_FIFO, os.sched_param(1))


def take_time() -> None:
    """Undo `hurry` for this process."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def name_process(name: str) -> None:
    """Give this process a name of its own in `ps`: at most 15 bytes. Source: prctl(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NAME, ctypes.c_char_p(name.encode()[:15]), 0, 0, 0)


def settle_memory() -> None:
    """Move everything that start-up left behind out of the garbage collector's sight."""
    gc.collect()
    gc.freeze()


def tell_systemd(state: str) -> None:
    """Send `READY=1` and the like to systemd, where it started us. Source: sd_notify(3)."""
    target = os.environ.get("NOTIFY_SOCKET", "")
    if not target:
        return
    address = "\0" + target[1:] if target.startswith("@") else target
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(state.encode(), address)
