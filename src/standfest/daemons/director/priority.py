"""The priority of director and guard: neither a busy processor nor the disk may delay an advert."""

import contextlib
import ctypes
import os

from standfest.model.director import ProcessSettings

MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4
REALTIME_PRIORITY = 20


def prioritise(settings: ProcessSettings) -> list[str]:
    """Take the priority that the settings ask for, else a real-time one; return what failed.

    Children begin with an ordinary one. Memory is locked page by page as it is used: locking all at
    once would copy every page that is shared with the process that we are a fork of.
    """
    failed: list[str] = []
    priority = settings.realtime_priority or REALTIME_PRIORITY
    try:
        if settings.nice and not settings.realtime_priority:
            os.setpriority(os.PRIO_PROCESS, 0, settings.nice)
        else:
            policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
            os.sched_setscheduler(0, policy, os.sched_param(priority))
    except OSError as error:
        failed.append(f"real-time priority: {error.strerror}")
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, -18)
    if settings.cpus:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, settings.cpus)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0:
        failed.append(f"locked memory: {os.strerror(ctypes.get_errno())}")
    return failed
