"""What the packet filter has to be told of the network: interfaces, and the ways to servers.

Where packets are handed over as they come in, the kernel's routes are not asked for each: so they
are asked here, again whenever anything in them has changed. Source: rtnetlink(7).
"""

import socket
import struct
from typing import Final

from standfest.adapters.linux.nexthop import Ways
from standfest.adapters.linux.nftables.ingress import Hop, Interface
from standfest.adapters.linux.rtnetlink import (
    F_DUMP,
    IFLA_IFNAME,
    RTM_GETLINK,
    RouteNetlink,
    attributes,
)
from standfest.model.forwarding import IPAddress

ARPHRD_ETHER, ARPHRD_LOOPBACK = 1, 772
IFLA_LINKINFO, IFLA_INFO_SLAVE_KIND = 18, 4
RTMGRP_ALL: Final = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
"""Links, and addresses and routes of both families."""
RECEIVE_BYTES = 1 << 17
MAX_EVENTS = 10_000
BELOW: Final = frozenset({"bond", "bridge", "openvswitch", "team"})
"""Of an interface's masters: those by which its packets come in again."""


class Network:
    """Two netlink sockets: one asks, one is told that something is otherwise."""

    def __init__(self) -> None:
        self._netlink = RouteNetlink()
        self._ways = Ways()
        self._events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._events.setblocking(False)
        self._events.bind((0, RTMGRP_ALL))

    def close(self) -> None:
        """Close the sockets."""
        self._netlink.close()
        self._ways.close()
        self._events.close()

    def has_changed(self) -> bool:
        """Return whether anything has changed since this was asked last."""
        changed = False
        try:
            for _ in range(MAX_EVENTS):
                changed = bool(self._events.recv(RECEIVE_BYTES)) or changed
        except BlockingIOError:
            return changed
        except OSError:
            return True  # more than the buffer held
        return True

    def interfaces(self) -> frozenset[Interface]:
        """Return those by which a packet for a service may come in."""
        body = struct.pack("=BBHiII", 0, 0, 0, 0, 0, 0)
        answers = self._netlink.request(RTM_GETLINK, F_DUMP, body, "links")
        return frozenset(found for answer in answers if (found := _interface(answer)) is not None)

    def hop(self, address: IPAddress) -> Hop:
        """Return where a server is."""
        way = self._ways.to(address)
        return Hop(way.interface, way.neighbour)


def _interface(answer: bytes) -> Interface | None:
    _, _, kind, _, _, _ = struct.unpack_from("=BBHiII", answer)
    values = dict(attributes(answer[16:]))
    master = dict(attributes(values.get(IFLA_LINKINFO, b""))).get(IFLA_INFO_SLAVE_KIND, b"")
    if kind == ARPHRD_LOOPBACK or _text(master) in BELOW:
        return None
    return Interface(_text(values.get(IFLA_IFNAME, b"")), kind == ARPHRD_ETHER)


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")
