"""The machine as agents see it: netlink for the network, mount(8), /proc."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from standfest.adapters.linux import announce
from standfest.adapters.linux.capture import Capture
from standfest.adapters.linux.rtnetlink import RouteNetlink
from standfest.adapters.linux.shares import Shares
from standfest.adapters.linux.sharing.selection import choose, open_filter
from standfest.model.errors import OperationError
from standfest.model.sharing import SharedAddress, Target
from standfest.ports.host import Address, Link, Mount
from standfest.ports.sharing import BucketFilter

ANNOUNCE_AGAIN_S = (0.2, 0.5, 1.0)
"""Pauses before repetitions: the first may meet a port that is not forwarding yet."""
MOUNT_TIMEOUT_S = 60.0
_ESCAPES = {"\\040": " ", "\\011": "\t", "\\012": "\n", "\\134": "\\"}


class LinuxHost:
    """Implements ports.host.Host."""

    def __init__(self) -> None:
        self._netlink = RouteNetlink()
        self._shares = Shares(choose, open_filter)

    def link(self, device: str) -> Link | None:
        """See Host."""
        return self._netlink.link(device)

    def link_up(self, device: str) -> None:
        """See Host."""
        self._netlink.link_up(device)

    def addresses(self) -> Sequence[Address]:
        """See Host."""
        return self._netlink.addresses()

    def add_address(self, device: str, ip: str, prefix: int) -> None:
        """See Host."""
        self._netlink.add_address(device, ip, prefix)

    def delete_address(self, device: str, ip: str, prefix: int) -> None:
        """See Host."""
        self._netlink.delete_address(device, ip, prefix)

    def default_route(self) -> tuple[str, str] | None:
        """See Host."""
        return self._netlink.default_route()

    def set_default_route(self, gateway: str, device: str) -> None:
        """See Host."""
        self._netlink.set_default_route(gateway, device)

    def delete_default_route(self, gateway: str, device: str) -> None:
        """See Host."""
        self._netlink.delete_default_route(gateway, device)

    def announce(self, device: str, ip: str, mac: bytes = b"") -> None:
        """See Host; the repetitions are a detached process's, and end when the address goes."""
        link = self.link(device)
        if link is None or len(link.mac) != 6:
            return  # nobody to tell: loopback, tunnel
        frames = announce.announcements(mac or link.mac, ip, link.mac)
        with contextlib.suppress(OSError):
            announce.send(device, frames)
        if os.fork() == 0:
            try:
                _announce_again(device, ip, frames)
            finally:
                os._exit(0)

    def sharing(
        self, shared: SharedAddress, target: Target
    ) -> contextlib.AbstractContextManager[BucketFilter]:
        """See Host."""
        return self._shares.sharing(shared, target)

    def mounts(self) -> Sequence[Mount]:
        """See Host."""
        found = []
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
            before, _, after = line.partition(" - ")
            fstype, source = after.split(" ")[:2]
            directory = _unescaped(before.split(" ")[4])
            found.append(Mount(_unescaped(source), directory, fstype))
        return found

    def mount(self, source: str, directory: str, fstype: str, options: str) -> None:
        """See Host."""
        words = ["mount"]
        bind = fstype in ("bind", "none") or "bind" in options.split(",")
        if fstype and not bind:
            words += ["-t", fstype]
        if bind and "bind" not in options.split(","):
            options = f"bind,{options}" if options else "bind"
        if options:
            words += ["-o", options]
        self._command([*words, "--", source, directory])

    def unmount(self, directory: str, *, lazy: bool = False) -> None:
        """See Host."""
        self._command(["umount", *(["-l"] if lazy else []), "--", directory])

    def holders(self, directory: str) -> Sequence[int]:
        """See Host; without this process and its ancestors' own, which hold nothing there."""
        found = []
        for entry in os.scandir("/proc"):
            process = int(entry.name) if entry.name.isdigit() else os.getpid()
            if process != os.getpid() and any(
                _below(path, directory) for path in _open_paths(entry.path)
            ):
                found.append(process)
        return sorted(found)

    def signal(self, processes: Sequence[int], number: int) -> None:
        """See Host."""
        for process in processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, number)

    def run(self, command: Sequence[str], timeout_s: float) -> tuple[int, str]:
        """See Host; judged by the process's exit, not by who keeps its output open."""
        with Capture() as output:
            try:
                process = subprocess.Popen(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=output.fileno(),
                    stderr=output.fileno(),
                )
            except OSError as error:
                raise OperationError(f"{command[0]}: {error.strerror}") from error
            try:
                status = process.wait(timeout_s)
            except subprocess.TimeoutExpired as error:
                process.kill()
                process.wait()
                raise OperationError(f"{command[0]}: no end within {timeout_s:g} s") from error
            text = output.end()
        return (status if status >= 0 else 128 - status), text

    def is_executable(self, path: str) -> bool:
        """See Host."""
        return os.path.isfile(path) and os.access(path, os.X_OK)

    def is_directory(self, path: str) -> bool:
        """See Host."""
        return os.path.isdir(path)

    def make_directory(self, path: str) -> None:
        """See Host."""
        try:
            os.makedirs(path, exist_ok=True)
        except OSError as error:
            raise OperationError(f"{path}: {error.strerror}") from error

    def sleep(self, seconds: float) -> None:
        """See Host."""
        time.sleep(seconds)

    def _command(self, words: Sequence[str]) -> None:
        status, output = self.run(words, MOUNT_TIMEOUT_S)
        if status:
            raise OperationError(output.splitlines()[-1] if output else f"{words[0]}: {status}")


def _announce_again(device: str, ip: str, frames: list[bytes]) -> None:
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.closerange(3, 65_536)
    netlink = RouteNetlink()
    for pause in ANNOUNCE_AGAIN_S:
        time.sleep(pause)
        if not any(a.ip == ip and a.device == device for a in netlink.addresses()):
            return
        with contextlib.suppress(OSError):
            announce.send(device, frames)


def _open_paths(process: str) -> Iterator[str]:
    """Yield what a process has open, runs, maps, or stands in; nothing once it has gone."""
    with contextlib.suppress(OSError):
        for name in ("cwd", "root", "exe"):
            with contextlib.suppress(OSError):
                yield os.readlink(f"{process}/{name}")
        for entry in os.scandir(f"{process}/fd"):
            with contextlib.suppress(OSError):
                yield os.readlink(entry.path)
        maps = Path(f"{process}/maps").read_text(encoding="utf-8", errors="replace")
        for line in maps.splitlines():
            path = line.partition("/")
            if path[1]:
                yield "/" + path[2]


def _below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _unescaped(text: str) -> str:
    for escape, plain in _ESCAPES.items():
        text = text.replace(escape, plain)
    return text
