"""Programs on interfaces: attached in the driver if it can, pinned so that they outlive the daemon.

An interface that comes again under its old name is another one, and gets its program when it is
looked at the next time. Source: linux/bpf.h, Linux Documentation/bpf/libbpf/program_types.rst.
"""

import contextlib
import os
import struct
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from pathlib import Path

from standfest.adapters.linux.rtnetlink import RouteNetlink
from standfest.adapters.linux.xdp import programs
from standfest.adapters.linux.xdp.programs import Mode
from standfest.adapters.linux.xdp.syscall import information, pin, pinned, refused
from standfest.model.errors import OperationError
from standfest.ports.host import Link

PIN = "link"
EBUSY, EEXIST = 16, 17
MAC_BYTES = 6
VIRTUAL_MAC = bytes.fromhex("00005e00")

MakeProgram = Callable[[bytes], int]
"""From an interface's MAC to a program's descriptor."""


class Attachments:
    """The interfaces whose packets go through a program.

    interfaces: their names; empty: every Ethernet interface that is up and has an address.
    mode: None: native where the driver can, else generic.
    """

    def __init__(
        self, directory: Path, interfaces: Sequence[str], make: MakeProgram, mode: Mode | None
    ) -> None:
        self._directory, self._interfaces = directory, tuple(interfaces)
        self._make, self._mode = make, mode
        self._netlink = RouteNetlink()
        self._links: dict[int, int] = {}  # interface -> link
        self._macs: dict[int, bytes] = {}  # interface -> MAC that its program knows

    def adopt(self) -> bool:
        """Put our programs in the place of those that are pinned; return whether any was."""
        there = {link.index: link for link in self._netlink.links()}
        for path in sorted(self._directory.glob(f"{PIN}-*")):
            index = int(path.name.removeprefix(f"{PIN}-"))
            link = pinned(path)
            if link is None:
                continue
            if index in there and self._put(link, there[index]):
                self._links[index] = link
            else:
                path.unlink(missing_ok=True)
                os.close(link)
        return bool(self._links)

    def follow(self) -> None:
        """Attach where that is missing, and tell programs of MACs that have changed."""
        links = self._netlink.links()
        for index, link in self._wanted(links).items():
            if index not in self._links:
                self._attach(link)
            elif self._macs.get(index) != link.mac:
                self._put(self._links[index], link)
        for index in self._links.keys() - {link.index for link in links}:
            self._drop(index)

    def replace(self) -> None:
        """Make all programs anew, each put in its place between two packets."""
        self._macs.clear()
        for link in self._netlink.links():
            if link.index in self._links:
                self._put(self._links[link.index], link)

    def detach(self) -> None:
        """Take all programs off."""
        for index in list(self._links):
            self._drop(index)

    def close(self) -> None:
        """Let go; what is attached stays so."""
        for link in self._links.values():
            os.close(link)
        self._links.clear()
        self._netlink.close()

    def _wanted(self, links: Sequence[Link]) -> dict[int, Link]:
        if not self._interfaces:
            return {link.index: link for link in _usable(links, self._addressed())}
        named = {link.name: link for link in links}
        missing = sorted(set(self._interfaces) - named.keys())
        if missing:
            raise OperationError(f"xdp: no network interface {', '.join(missing)}")
        return {named[name].index: named[name] for name in self._interfaces}

    def _addressed(self) -> set[str]:
        """Return the interfaces with an address beyond that which IPv6 gives to each."""
        there = self._netlink.addresses()
        return {one.device for one in there if not ip_address(one.ip).is_link_local}

    def _attach(self, link: Link) -> None:
        if len(link.mac) != MAC_BYTES:
            raise OperationError(f"xdp: {link.name} has no MAC; expected an Ethernet interface")
        program = self._make(link.mac)
        modes = (self._mode,) if self._mode else (Mode.NATIVE, Mode.GENERIC)
        try:
            descriptor = _first_that_takes(program, link, modes)
        finally:
            programs.close(program)
        path = self._directory / f"{PIN}-{link.index}"
        path.unlink(missing_ok=True)
        pin(descriptor, path)
        self._links[link.index], self._macs[link.index] = descriptor, link.mac

    def _put(self, descriptor: int, link: Link) -> bool:
        """Replace a link's program; False when its interface is gone."""
        program = self._make(link.mac)
        try:
            programs.replace(descriptor, program)
        except OSError:
            return False
        finally:
            programs.close(program)
        self._macs[link.index] = link.mac
        return True

    def _drop(self, index: int) -> None:
        descriptor = self._links.pop(index)
        self._macs.pop(index, None)
        with contextlib.suppress(OSError):  # the interface may be gone, and its link with it
            programs.detach(descriptor)
        os.close(descriptor)
        (self._directory / f"{PIN}-{index}").unlink(missing_ok=True)


def attached(directory: Path) -> set[int]:
    """Return the interfaces with a program that is pinned in a directory; nothing is changed."""
    found = set()
    for path in directory.glob(f"{PIN}-*"):
        link = pinned(path)
        if link is None:
            continue
        try:
            # struct bpf_link_info: type, id, program, then of XDP the interface; 0 when it is gone.
            (index,) = struct.unpack_from("=I", information(link), 16)
        finally:
            os.close(link)
        if index:
            found.add(index)
    return found


def _first_that_takes(program: int, link: Link, modes: Sequence[Mode]) -> int:
    for mode in modes:
        try:
            return programs.attach(program, link.index, mode)
        except OSError as error:
            if error.errno in (EBUSY, EEXIST):
                raise OperationError(f"xdp: {link.name} has another XDP program") from error
            if mode is modes[-1]:
                raise refused(f"attach to {link.name} ({mode.name.lower()})", error) from error
    raise AssertionError("there is at least one mode")


def _usable(links: Iterable[Link], addressed: set[str]) -> list[Link]:
    """Return Ethernet interfaces; a virtual router's own one is its parent's, which sees all."""
    return [
        link
        for link in links
        if link.up and link.name in addressed and len(link.mac) == MAC_BYTES and any(link.mac)
        if not link.mac.startswith(VIRTUAL_MAC)
    ]
