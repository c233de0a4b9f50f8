"""A small client for NETLINK_ROUTE: links, addresses, the default route, link events.

Our own, because these few messages are needed in processes that fork an agent for each operation,
where pyroute2 would cost 25 MB and 140 ms at import (docs/adr/0002). Source: rtnetlink(7),
netlink(7).
"""

import ipaddress
import os
import socket
import struct
from collections.abc import Iterator

from standfest.model.errors import OperationError
from standfest.ports.host import Address, Link

NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_NEWLINK, RTM_GETLINK = 16, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
F_REQUEST, F_ACK, F_DUMP = 0x1, 0x4, 0x300
F_REPLACE, F_CREATE = 0x100, 0x400
IFF_UP, IFF_LOWER_UP = 0x1, 0x10000
IFLA_ADDRESS, IFLA_IFNAME = 1, 3
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST = 1, 2, 4
IFA_CACHEINFO, LIFETIME_FOREVER = 6, 0xFFFFFFFF
IFA_F_NODAD = 0x02
RTA_DST, RTA_OIF, RTA_GATEWAY = 1, 4, 5
RT_TABLE_MAIN, RTPROT_BOOT, RTN_UNICAST = 254, 3, 1
RTMGRP_LINK = 1
EEXIST, ESRCH, EADDRNOTAVAIL = 17, 3, 99
HEADER = struct.Struct("=IHHII")
RECEIVE_BYTES = 1 << 17
MAX_ANSWERS = 10_000


class RouteNetlink:
    """One netlink socket, used for one request at a time."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def links(self) -> list[Link]:
        """Return all interfaces."""
        body = struct.pack("=BBHiII", 0, 0, 0, 0, 0, 0)
        return [_link(answer) for answer in self.request(RTM_GETLINK, F_DUMP, body, "links")]

    def link(self, device: str) -> Link | None:
        """Return one interface, or None."""
        return next((link for link in self.links() if link.name == device), None)

    def link_up(self, device: str) -> None:
        """Bring an interface up."""
        body = struct.pack("=BBHiII", 0, 0, 0, self.index(device), IFF_UP, IFF_UP)
        self.request(RTM_NEWLINK, F_ACK, body, f"bring {device} up")

    def addresses(self) -> list[Address]:
        """Return all IPv4 and IPv6 addresses."""
        names = {link.index: link.name for link in self.links()}
        body = struct.pack("=BBBBI", 0, 0, 0, 0, 0)
        found = []
        for answer in self.request(RTM_GETADDR, F_DUMP, body, "addresses"):
            _, prefix, _, _, index = struct.unpack_from("=BBBBI", answer)
            values = dict(attributes(answer[8:]))
            raw = values.get(IFA_LOCAL) or values.get(IFA_ADDRESS, b"")
            if len(raw) in (4, 16):
                ip = str(ipaddress.ip_address(raw))
                found.append(Address(names.get(index, str(index)), ip, prefix))
        return found

    def add_address(self, device: str, ip: str, prefix: int, *, deprecated: bool = False) -> None:
        """Add an address with its broadcast; IPv6 without duplicate address detection.

        deprecated: IPv6 takes it as a source only where there is no other; IPv4 knows no such.
        """
        body = self._address(device, ip, prefix)
        if deprecated and ":" in ip:
            body += attribute(IFA_CACHEINFO, struct.pack("=IIII", 0, LIFETIME_FOREVER, 0, 0))
        what = f"add {ip}/{prefix} to {device}"
        self.request(RTM_NEWADDR, F_ACK | F_CREATE, body, what, ignore=EEXIST)

    def delete_address(self, device: str, ip: str, prefix: int) -> None:
        """Delete an address."""
        body = self._address(device, ip, prefix)
        what = f"delete {ip}/{prefix} from {device}"
        self.request(RTM_DELADDR, F_ACK, body, what, ignore=EADDRNOTAVAIL)

    def default_route(self) -> tuple[str, str] | None:
        """Return (gateway, device) of the IPv4 default route in the main table."""
        names = {link.index: link.name for link in self.links()}
        body = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)
        for answer in self.request(RTM_GETROUTE, F_DUMP, body, "routes"):
            _, length, _, _, table, _, _, kind, _ = struct.unpack_from("=BBBBBBBBI", answer)
            values = dict(attributes(answer[12:]))
            gateway = values.get(RTA_GATEWAY)
            if length or table != RT_TABLE_MAIN or kind != RTN_UNICAST or gateway is None:
                continue
            index = struct.unpack("=i", values.get(RTA_OIF, b"\0\0\0\0"))[0]
            return socket.inet_ntoa(gateway), names.get(index, str(index))
        return None

    def set_default_route(self, gateway: str, device: str) -> None:
        """Replace the default route."""
        body = self._route(gateway, device)
        what = f"default route by {gateway}"
        self.request(RTM_NEWROUTE, F_ACK | F_CREATE | F_REPLACE, body, what)

    def delete_default_route(self, gateway: str, device: str) -> None:
        """Delete this default route."""
        body = self._route(gateway, device)
        self.request(RTM_DELROUTE, F_ACK, body, f"default route by {gateway}", ignore=ESRCH)

    def index(self, device: str) -> int:
        """Return the interface's number."""
        try:
            return socket.if_nametoindex(device)
        except OSError as error:
            raise OperationError(f"no network interface {device}") from error

    def _address(self, device: str, ip: str, prefix: int) -> bytes:
        address = ipaddress.ip_address(ip)
        six = address.version == 6
        family = socket.AF_INET6 if six else socket.AF_INET
        flags = IFA_F_NODAD if six else 0
        body = struct.pack("=BBBBI", family, prefix, flags, 0, self.index(device))
        body += attribute(IFA_LOCAL, address.packed) + attribute(IFA_ADDRESS, address.packed)
        if not six and prefix < 31:
            network = ipaddress.ip_network(f"{ip}/{prefix}", strict=False)
            body += attribute(IFA_BROADCAST, network.broadcast_address.packed)
        return body

    def _route(self, gateway: str, device: str) -> bytes:
        body = struct.pack(
            "=BBBBBBBBI", socket.AF_INET, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, 0, RTN_UNICAST, 0
        )
        body += attribute(RTA_GATEWAY, socket.inet_aton(gateway))
        return body + attribute(RTA_OIF, struct.pack("=i", self.index(device)))

    def request(
        self, kind: int, flags: int, body: bytes, what: str, ignore: int = 0
    ) -> list[bytes]:
        """Send a request and return the bodies of the answers; raises OperationError."""
        self._sequence += 1
        header = HEADER.pack(HEADER.size + len(body), kind, flags | F_REQUEST, self._sequence, 0)
        self._socket.send(header + body)
        answers: list[bytes] = []
        while len(answers) < MAX_ANSWERS:
            for answer_kind, sequence, answer in messages(self._socket.recv(RECEIVE_BYTES)):
                if sequence != self._sequence:
                    continue
                if answer_kind == NLMSG_DONE:
                    return answers
                if answer_kind == NLMSG_ERROR:
                    number = -struct.unpack_from("=i", answer)[0]
                    if number and number != ignore:
                        raise OperationError(f"{what}: {os.strerror(number)}")
                    return answers
                answers.append(answer)
        raise OperationError(f"{what}: more than {MAX_ANSWERS} answers")


class LinkEvents:
    """Becomes readable whenever any link changes."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.setblocking(False)
        self._socket.bind((0, RTMGRP_LINK))

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._socket.fileno()

    def read(self) -> None:
        """Take all events; what they say is best read anew from the kernel."""
        try:
            while self._socket.recv(RECEIVE_BYTES):
                pass
        except OSError:
            return  # nothing more, or more than the buffer held: read anew either way


def _link(answer: bytes) -> Link:
    _, _, _, index, flags, _ = struct.unpack_from("=BBHiII", answer)
    values = dict(attributes(answer[16:]))
    name = values.get(IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace")
    mac = values.get(IFLA_ADDRESS, b"")
    return Link(name, index, bool(flags & IFF_UP), bool(flags & IFF_LOWER_UP), mac)


def attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute, padded."""
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + b"\0" * (-length % 4)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (kind, value) of a message's attributes; the first that does not fit is the end."""
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if not 4 <= length <= len(data):
            return
        yield kind & 0x3FFF, data[4:length]
        data = data[(length + 3) & ~3 :]


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield (kind, sequence, body) of the messages of one datagram."""
    while len(data) >= HEADER.size:
        length, kind, _, sequence, _ = HEADER.unpack_from(data)
        if not HEADER.size <= length <= len(data):
            return
        yield kind, sequence, data[HEADER.size : length]
        data = data[(length + 3) & ~3 :]
