"""The system calls that the lab needs and Python 3.11 does not offer: namespaces and mounts.

Source: unshare(2), mount(2), umount2(2), pivot_root(2), sethostname(2), prctl(2).
"""

import ctypes
import os
import signal

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 0x2

PR_SET_PDEATHSIG = 1

_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "armv7l": 218, "i686": 217}

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the parent's namespaces."""
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, fstype: str, flags: int = 0, options: str = "") -> None:
    """Mount."""
    result = _libc.mount(
        source.encode(), target.encode(), fstype.encode(), ctypes.c_ulong(flags), options.encode()
    )
    _check(result, f"mount {source or fstype} on {target}")


def unmount(target: str, flags: int = MNT_DETACH) -> None:
    """Unmount, by default lazily."""
    _check(_libc.umount2(target.encode(), flags), f"unmount {target}")


def pivot_root(new_root: str, put_old: str) -> None:
    """Make `new_root` the root of this mount namespace."""
    number = _PIVOT_ROOT[os.uname().machine]
    result = _libc.syscall(number, new_root.encode(), put_old.encode())
    _check(result, f"pivot_root {new_root}")


def set_hostname(name: str) -> None:
    """Set the name of this UTS namespace."""
    _check(_libc.sethostname(name.encode(), len(name.encode())), "sethostname")


def die_with_parent() -> None:
    """Be killed when the parent dies."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0), "prctl")
