"""Tunnels that end in this machine's drivers, for commands that come and go.

What is attached stays until it is taken back: it is pinned in a bpf file system, which therefore
has to outlive the command. Looking changes nothing.
"""

import socket
from collections.abc import Sequence
from pathlib import Path

from standfest.adapters.linux.xdp import unwrap
from standfest.adapters.linux.xdp.attachments import attached
from standfest.adapters.linux.xdp.maps import Map
from standfest.adapters.linux.xdp.syscall import DIRECTORY, lasts, own_path, pinned
from standfest.adapters.linux.xdp.unwrap import ADDRESSES, TunnelEnd
from standfest.model.errors import OperationError
from standfest.model.forwarding import IPAddress


def open_on(devices: Sequence[str] | None, directory: Path = DIRECTORY) -> list[IPAddress]:
    """Return the addresses whose packets are taken out of tunnels on all of these interfaces.

    devices: None: on any at all.
    """
    try:
        place = own_path(directory, unwrap.NAME)
        path = place / ADDRESSES.name
        descriptor = pinned(path) if path.exists() else None
    except OSError:  # not for us to see, or a kernel that has no such thing
        return []
    if descriptor is None:
        return []
    there = Map(ADDRESSES, descriptor)
    try:
        found = unwrap.addresses_in(there)
    finally:
        there.close()
    on = attached(place)
    if devices is None:
        return found if on else []
    return found if all(_index(device) in on for device in devices) else []


def open_for(address: IPAddress, devices: Sequence[str], directory: Path = DIRECTORY) -> None:
    """Take an address's packets out of tunnels on these interfaces, too; raises OperationError."""
    if not lasts(directory):
        raise OperationError(
            f"xdp: {directory.parent} has no bpf file system that outlives this command; expected "
            "one, or the machine's own mounts (nsenter --net instead of ip netns exec)"
        )
    end = TunnelEnd(interfaces=devices, directory=directory)
    keep = bool(end.addresses())
    try:
        end.add(address)
        keep = True
    finally:
        end.close(keep=keep)


def close_for(address: IPAddress, directory: Path = DIRECTORY) -> None:
    """Leave an address's packets alone; with the last one everything is taken back."""
    if not (own_path(directory, unwrap.NAME) / ADDRESSES.name).exists():
        return
    end = TunnelEnd(directory=directory)
    end.remove(address)
    end.close(keep=bool(end.addresses()))


def _index(device: str) -> int:
    """Return an interface's number, 0 if there is none, which no program is on."""
    try:
        return socket.if_nametoindex(device)
    except OSError:
        return 0
