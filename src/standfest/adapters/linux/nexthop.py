"""The way to a server as the kernel knows it, and neighbours that it is to keep known.

A program in a driver does not make the kernel look for a MAC, nor keep one fresh. So each server's
next hop is made a managed neighbour (Linux 5.16), which the kernel resolves again by itself, with
or without a daemon; an older kernel resolves it once, and then the checkers' traffic keeps it.
Source: rtnetlink(7), linux/neighbour.h.
"""

import contextlib
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from standfest.adapters.linux.rtnetlink import (
    F_ACK,
    F_CREATE,
    F_REPLACE,
    RTA_DST,
    RTA_GATEWAY,
    RTA_OIF,
    RTM_GETROUTE,
    RouteNetlink,
    attribute,
    attributes,
)
from standfest.model.errors import OperationError
from standfest.model.forwarding import IPAddress

RTM_NEWNEIGH, RTM_GETNEIGH = 28, 30
RTA_PREFSRC = 7
RTN_UNICAST = 1
NDA_DST, NDA_FLAGS_EXT = 1, 15
NTF_USE, NTF_EXT_MANAGED = 0x01, 0x01
FIXED, USABLE = 0xC0, 0xDE
"""Neighbour states: set by hand or without ARP; all those in which there is a MAC."""
WAIT_S, LOOK_S = 0.02, 0.001
"""A neighbour on a local network answers within a millisecond, a dead one never."""


@dataclass(frozen=True, slots=True)
class Way:
    """interface: 0 for this machine itself, or where there is no route; neighbour: who is next."""

    interface: int
    neighbour: IPAddress
    source: IPAddress


class Ways:
    """Asks the kernel for ways; one netlink socket."""

    def __init__(self) -> None:
        self._netlink = RouteNetlink()

    def close(self) -> None:
        """Close the socket."""
        self._netlink.close()

    def to(self, address: IPAddress) -> Way:
        """Return the way to an address; where there is none, the source is unspecified."""
        family, width = _family(address)
        body = struct.pack("=BBBBBBBBI", family, width, 0, 0, 0, 0, 0, 0, 0)
        body += attribute(RTA_DST, address.packed)
        kind = type(address)
        nowhere = Way(0, address, kind(0))
        try:
            answers = self._netlink.request(RTM_GETROUTE, F_ACK, body, f"route to {address}")
        except OperationError:
            return nowhere
        for answer in answers:
            values = dict(attributes(answer[12:]))
            source = kind(values.get(RTA_PREFSRC, kind(0).packed))
            if answer[7] != RTN_UNICAST or RTA_OIF not in values:
                return Way(0, address, source)
            (interface,) = struct.unpack("=i", values[RTA_OIF])
            gateway = values.get(RTA_GATEWAY)
            return Way(interface, kind(gateway) if gateway else address, source)
        return nowhere

    def keep_known(self, way: Way) -> None:
        """Have the kernel find the neighbour's MAC now and keep it; failing is not an error.

        One that an administrator has set is left as it is.
        """
        if way.interface and not self._state(way) & FIXED:
            self._keep(way, NTF_EXT_MANAGED)

    def forget(self, way: Way) -> None:
        """Leave the neighbour to the kernel's usual ageing."""
        if way.interface and not self._state(way) & FIXED:
            self._keep(way, 0)

    def wait(self, ways: Iterable[Way]) -> None:
        """Wait until all neighbours are known, but not long: the first packets find their way then.

        A packet whose next hop is not known is dropped, and sent again by its client.
        """
        end = time.monotonic() + WAIT_S
        for way in ways:
            while way.interface and not self._state(way) & USABLE and time.monotonic() < end:
                time.sleep(LOOK_S)

    def _state(self, way: Way) -> int:
        try:
            answers = self._netlink.request(RTM_GETNEIGH, F_ACK, _neighbour(way), "neighbour")
        except OperationError:
            return 0
        return int(struct.unpack_from("=H", answers[0], 8)[0]) if answers else 0

    def _keep(self, way: Way, flags: int) -> None:
        body = _neighbour(way, NTF_USE) + attribute(NDA_FLAGS_EXT, struct.pack("=I", flags))
        what = f"neighbour {way.neighbour}"
        with contextlib.suppress(OperationError):
            self._netlink.request(RTM_NEWNEIGH, F_ACK | F_CREATE | F_REPLACE, body, what)


def _neighbour(way: Way, flags: int = 0) -> bytes:
    family, _ = _family(way.neighbour)
    head = struct.pack("=BxxxiHBB", family, way.interface, 0, flags, 0)
    return head + attribute(NDA_DST, way.neighbour.packed)


def _family(address: IPv4Address | IPv6Address) -> tuple[int, int]:
    return (socket.AF_INET, 32) if address.version == 4 else (socket.AF_INET6, 128)
