"""Process 1 of a node on which heartbeat 3.0.6 or ours runs: files of its own, then only waiting.

Run as `python -m tests.interop.heartbeat_node NAME ETC LOG` in new network, mount, PID, UTS and IPC
namespaces. ETC becomes /etc/ha.d, LOG /var/log; /run and /var/lib are fresh. Prints `ready`.
"""

import grp
import os
import pwd
import signal
import sys
from pathlib import Path

from standfest.lab import syscalls

SHIPPED = Path("/usr/lib/tmpfiles.d/heartbeat.conf")
STATE = ("/var/lib/heartbeat", "/var/lib/heartbeat/api", "/var/lib/heartbeat/cores")
STATE_OF_USERS = tuple(f"/var/lib/heartbeat/cores/{name}" for name in ("root", "hacluster"))


def main() -> None:
    name, etc, log = sys.argv[1:]
    syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("proc", "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV)
    syscalls.set_hostname(name)
    for fresh in ("/run", "/var/lib", "/dev/shm"):
        syscalls.mount("tmpfs", fresh, "tmpfs", 0, "mode=755")
    syscalls.mount(etc, "/etc/ha.d", "", syscalls.MS_BIND)
    syscalls.mount(log, "/var/log", "", syscalls.MS_BIND)
    for directory in (*STATE, *STATE_OF_USERS):
        Path(directory).mkdir()
    if SHIPPED.exists():
        for line in SHIPPED.read_text(encoding="utf-8").splitlines():
            if line.startswith("d "):
                _directory(*line.split()[1:5])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # daemons that detach are collected
    print("ready", flush=True)
    while True:
        signal.pause()


def _directory(path: str, mode: str, user: str, group: str) -> None:
    """Make a directory as systemd-tmpfiles would."""
    made = Path(path)
    made.mkdir(parents=True, exist_ok=True)
    os.chown(made, pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid)
    made.chmod(int(mode, 8))


if __name__ == "__main__":
    main()
