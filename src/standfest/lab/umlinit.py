"""The first process inside a User Mode Linux machine: builds a throw-away root, runs one command.

Started by the guest's kernel with `python -I -S -B umlinit.py JOB.json` on the host's files, read
only; standard library alone, no package. Whatever the command writes stays in memory and is gone
with the machine. Source: facts/UML.md section 1.
"""

import ctypes
import json
import os
import socket
import subprocess
import sys
import tty
from pathlib import Path

MARK = "@@standfest-uml-exit "
"""Begins the last line of the output: the command's exit status follows."""

_PIVOT_ROOT, _FINIT_MODULE = 155, 313  # x86-64
_POWER_OFF = 0x4321FEDC
_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str, options: str = "") -> None:
    """Mount a filesystem; raises OSError."""
    words = [word.encode() for word in (source, target, kind)]
    if _libc.mount(*words, ctypes.c_ulong(0), options.encode()):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def insert(path: str) -> None:
    """Load one kernel module that needs no other; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    if _libc.syscall(_FINIT_MODULE, descriptor, b"", 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    os.close(descriptor)


def build_root(modules: str) -> None:
    """Put memory above the host's files, and make that the root."""
    insert(f"{modules}/kernel/fs/overlayfs/overlay.ko")
    mount("tmpfs", "/mnt", "tmpfs")
    for name in ("upper", "work", "root"):
        os.mkdir(f"/mnt/{name}")
    mount("overlay", "/mnt/root", "overlay", "lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work")
    os.chdir("/mnt/root")
    if _libc.syscall(_PIVOT_ROOT, b".", b"mnt"):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "pivot_root")
    os.chroot(".")
    mount("proc", "/proc", "proc")
    mount("sysfs", "/sys", "sysfs")
    mount("devtmpfs", "/dev", "devtmpfs")
    mount("tmpfs", "/run", "tmpfs")
    for name, kind in (("pts", "devpts"), ("shm", "tmpfs")):
        os.makedirs(f"/dev/{name}", exist_ok=True)
        mount(kind, f"/dev/{name}", kind)
    os.makedirs("/run/netns", exist_ok=True)


def load_modules(names: list[str], directory: str) -> None:
    """Load kernel modules with what they need; one that is missing is told and left out."""
    place = Path("/lib/modules") / os.uname().release
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        place.symlink_to(directory)
    if names and subprocess.run(["modprobe", "-a", *names], check=False).returncode:
        print("umlinit: not all modules could be loaded", file=sys.stderr)


def main() -> None:
    """Run the job that the file names, then power off."""
    job = json.loads(Path(sys.argv[1]).read_text())
    os.environ.clear()
    os.environ.update(job["environment"])
    build_root(job["modules_directory"])
    line = os.open("/dev/ttyS0", os.O_RDWR | os.O_NOCTTY)
    tty.setraw(line)
    os.dup2(line, 1)
    os.dup2(line, 2)
    status = 125
    try:
        load_modules(job["modules"], job["modules_directory"])
        socket.sethostname("uml")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=False)
        finished = subprocess.run(
            job["command"], cwd=job["directory"], stdin=subprocess.DEVNULL, check=False
        )
        status = finished.returncode
    except Exception as error:
        os.write(line, f"umlinit: {error!r}\n".encode())
    finally:
        sys.stdout.flush()
        os.write(line, f"\n{MARK}{status}\n".encode())
        os.sync()
        _libc.reboot(_POWER_OFF)


if __name__ == "__main__":
    main()
