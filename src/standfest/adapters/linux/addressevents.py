"""The kernel's news of interfaces and addresses: what somebody has changed, not what we renew.

A renewal of a lease is an RTM_NEWADDR, too; only those of addresses without a lifetime wake us.
Source: rtnetlink(7).
"""

import contextlib
import ipaddress
import socket

from standfest.adapters.linux import bpf, rtnetlink
from standfest.adapters.linux.rtnetlink import (
    IFA_ADDRESS,
    IFA_LOCAL,
    RECEIVE_BYTES,
    RTM_DELADDR,
    RTM_NEWADDR,
    RTM_NEWLINK,
    attributes,
    messages,
)
from standfest.model.vrrp import IPAddress

RTM_DELLINK, RTM_DELROUTE, RTM_DELRULE = 17, 25, 33
RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR = 0x1, 0x10, 0x100
RTMGRP_IPV4_ROUTE, RTMGRP_IPV4_RULE, RTMGRP_IPV6_ROUTE, RTMGRP_IPV6_RULE = (
    0x40,
    0x80,
    0x400,
    0x40000,
)
PROTOCOL_KEEPALIVED = 18
"""Who set a route, linux/rtnetlink.h; so are ours marked, as keepalived's users know them."""
PROTOCOL_OFFSET = rtnetlink.HEADER.size + 5
IFA_F_PERMANENT = 0x80
FLAGS_OFFSET = rtnetlink.HEADER.size + 2
RECEIVE_BUFFER = 1 << 20


class AddressEvents:
    """Becomes readable when links change, addresses go, or lasting addresses come."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        bpf.attach(self._socket, _filter())
        self._socket.bind((0, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR))

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    def read(self) -> tuple[list[IPAddress], bool]:
        """Return (addresses that were removed, whether anything else has changed).

        When more has happened than the socket holds, that is a change: read anew from the kernel.
        """
        removed: list[IPAddress] = []
        changed = False
        try:
            while data := self._socket.recv(RECEIVE_BYTES):
                for kind, _, body in messages(data):
                    if kind == RTM_DELADDR:
                        removed += _address(body)
                    else:
                        changed = True
        except BlockingIOError:
            return removed, changed
        except OSError:
            return removed, True
        return removed, changed


class RouteEvents:
    """Becomes readable when a route of ours, or any rule, has been removed by anybody."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.setblocking(False)
        rule, route = (socket.htons(kind) for kind in (RTM_DELRULE, RTM_DELROUTE))
        program = [
            (bpf.LOAD_HALF, 0, 0, 4),
            *((bpf.JUMP_IF_EQUAL, 0, 1, rule), bpf.ACCEPT),
            *((bpf.JUMP_IF_EQUAL, 1, 0, route), bpf.DROP),
            *bpf.require(bpf.LOAD_BYTE, PROTOCOL_OFFSET, PROTOCOL_KEEPALIVED),
            bpf.ACCEPT,
        ]
        bpf.attach(self._socket, program)
        groups = RTMGRP_IPV4_ROUTE | RTMGRP_IPV4_RULE | RTMGRP_IPV6_ROUTE | RTMGRP_IPV6_RULE
        self._socket.bind((0, groups))

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    def read(self) -> None:
        """Take all events; that there was one is all that matters."""
        with contextlib.suppress(OSError):
            while self._socket.recv(RECEIVE_BYTES):
                pass


def _filter() -> list[bpf.Instruction]:
    turned = [socket.htons(kind) for kind in (RTM_NEWLINK, RTM_DELLINK, RTM_DELADDR)]
    program: list[bpf.Instruction] = [(bpf.LOAD_HALF, 0, 0, 4)]
    for kind in turned:
        program += [(bpf.JUMP_IF_EQUAL, 0, 1, kind), bpf.ACCEPT]
    program += [(bpf.JUMP_IF_EQUAL, 1, 0, socket.htons(RTM_NEWADDR)), bpf.DROP]
    program += [(bpf.LOAD_BYTE, 0, 0, FLAGS_OFFSET), (bpf.AND, 0, 0, IFA_F_PERMANENT)]
    return [*program, (bpf.JUMP_IF_EQUAL, 0, 1, IFA_F_PERMANENT), bpf.ACCEPT, bpf.DROP]


def _address(body: bytes) -> list[IPAddress]:
    found = dict(attributes(body[8:]))
    raw = found.get(IFA_LOCAL) or found.get(IFA_ADDRESS, b"")
    with contextlib.suppress(ValueError):
        return [ipaddress.ip_address(raw)]
    return []
