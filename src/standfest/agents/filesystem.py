"""`Filesystem`: a mounted file system, with the report's lazy unmount as the last resort.

Source: TUM-I0828 section 5.2.5 and appendix B.4.
"""

import os
import signal

from standfest.agents.kit import Agent, AgentError, Parameter, Timeouts
from standfest.model.errors import OperationError
from standfest.model.operations import ExitCode
from standfest.ports.host import Host

TERM_WAIT_S = 2.0
KILL_WAIT_S = 1.0
POLL_S = 0.05


class Filesystem(Agent):
    """One file system on one directory."""

    name = "Filesystem"
    short = "Mounted file system: local, NFS or bind"
    long = (
        "Mounts a device on a directory. On stop, processes that hold the mount are ended first: "
        "asked, then killed; if it is still busy it is unmounted lazily."
    )
    parameters = (
        Parameter("device", "What to mount: a device, HOST:/PATH, or a directory", required=True),
        Parameter("directory", "Where to mount it", required=True, unique=True),
        Parameter("fstype", "Type of the file system"),
        Parameter("options", "Mount options, separated by commas"),
    )
    timeouts = Timeouts(60, 60, 40)

    def start(self, host: Host) -> ExitCode:
        """Mount; what is mounted there already must be ours."""
        if self.monitor(host) is ExitCode.OK:
            return ExitCode.OK
        directory = self._directory()
        if not host.is_directory(directory):
            host.make_directory(directory)
        host.mount(self.required("device"), directory, self.value("fstype"), self.value("options"))
        return self.monitor(host)

    def stop(self, host: Host) -> ExitCode:
        """Unmount, whatever it takes; all of it where it is mounted more than once."""
        directory = self._directory()
        while self._mounted(host) is not None:
            if self._unmount(host, directory):
                continue
            self._end_holders(host, directory)
            if self._unmount(host, directory):
                continue
            host.unmount(directory, lazy=True)
        return ExitCode.OK

    def monitor(self, host: Host) -> ExitCode:
        """Look at the kernel's table of mounts; touches no file, which could hang."""
        mount = self._mounted(host)
        if mount is None:
            return ExitCode.NOT_RUNNING
        device = self.required("device").rstrip("/")
        bind = os.path.isabs(device) and host.is_directory(device)
        if not bind and os.path.isabs(device):
            device = os.path.realpath(device)  # /dev/disk/by-uuid/... -> /dev/sda1
        if not bind and mount.rstrip("/") != device:
            reason = f"{self._directory()} holds {mount}; expected {device}"
            raise AgentError(ExitCode.GENERIC, reason)
        return ExitCode.OK

    def _directory(self) -> str:
        directory = self.required("directory")
        return directory.rstrip("/") or "/"

    def _mounted(self, host: Host) -> str | None:
        """Return what is mounted on the directory now: the last mount hides earlier ones."""
        directory = os.path.realpath(self._directory())
        found = [mount.source for mount in host.mounts() if mount.directory == directory]
        return found[-1] if found else None

    def _unmount(self, host: Host, directory: str) -> bool:
        try:
            host.unmount(directory)
        except OperationError:
            return False
        return True

    def _end_holders(self, host: Host, directory: str) -> None:
        real = os.path.realpath(directory)
        for number, wait_s in ((signal.SIGTERM, TERM_WAIT_S), (signal.SIGKILL, KILL_WAIT_S)):
            holders = host.holders(real)
            if not holders:
                return
            host.signal(holders, number)
            waited = 0.0
            while waited < wait_s and host.holders(real):
                host.sleep(POLL_S)
                waited += POLL_S
