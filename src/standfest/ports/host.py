"""What a resource agent may do to the machine that it runs on."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from standfest.model.sharing import SharedAddress, Target
from standfest.ports.sharing import BucketFilter


@dataclass(frozen=True, slots=True)
class Link:
    """One network interface; carrier: its cable (or bridge port) is connected."""

    name: str
    index: int
    up: bool
    carrier: bool
    mac: bytes


@dataclass(frozen=True, slots=True)
class Address:
    """One address on an interface; prefix: length in bits."""

    device: str
    ip: str
    prefix: int


@dataclass(frozen=True, slots=True)
class Mount:
    """One mounted file system."""

    source: str
    directory: str
    fstype: str


class Host(Protocol):
    """The machine; every method raises OperationError with one line when the kernel refuses."""

    def link(self, device: str) -> Link | None:
        """Return an interface, or None when there is none of that name."""

    def link_up(self, device: str) -> None:
        """Bring an interface up; it needs no address for that."""

    def addresses(self) -> Sequence[Address]:
        """Return all addresses."""

    def add_address(self, device: str, ip: str, prefix: int) -> None:
        """Add an address (broadcast derived); one that is there already is a success."""

    def delete_address(self, device: str, ip: str, prefix: int) -> None:
        """Delete an address; one that is gone already is a success."""

    def default_route(self) -> tuple[str, str] | None:
        """Return (gateway, device) of the IPv4 default route, or None."""

    def set_default_route(self, gateway: str, device: str) -> None:
        """Make this the default route, in place of any other."""

    def delete_default_route(self, gateway: str, device: str) -> None:
        """Delete exactly this default route; one that is gone already is a success."""

    def announce(self, device: str, ip: str, mac: bytes = b"") -> None:
        """Tell the neighbours where the address is now: at once, and a few times more.

        mac: what they are told in place of the device's own.
        """

    def sharing(
        self, shared: SharedAddress, target: Target
    ) -> AbstractContextManager[BucketFilter]:
        """Return the filter of a shared address; within the block nobody else changes it."""

    def mounts(self) -> Sequence[Mount]:
        """Return what is mounted, in the order in which it was."""

    def mount(self, source: str, directory: str, fstype: str, options: str) -> None:
        """Attach a file system to a directory, by the rules of the command of this name."""

    def unmount(self, directory: str, *, lazy: bool = False) -> None:
        """Unmount; lazy: detach now, finish when the last user has gone."""

    def holders(self, directory: str) -> Sequence[int]:
        """Return the processes with a file, a working directory or a map below `directory`."""

    def signal(self, processes: Sequence[int], number: int) -> None:
        """Send a signal; processes that are gone are ignored."""

    def run(self, command: Sequence[str], timeout_s: float) -> tuple[int, str]:
        """Run a command without a shell; return its exit status and the end of its output."""

    def is_executable(self, path: str) -> bool:
        """Return whether the file is there and may be executed."""

    def is_directory(self, path: str) -> bool:
        """Return whether the path is a directory."""

    def make_directory(self, path: str) -> None:
        """Make a directory with its parents."""

    def sleep(self, seconds: float) -> None:
        """Wait."""
