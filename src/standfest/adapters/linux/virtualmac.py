"""Interfaces with a virtual router's MAC: macvlans (and ipvlans) on the instance's interface.

The machine must not answer ARP for a virtual address with its own MAC, and must not drop what
comes in on the virtual interface because the answer leaves by the real one: hence the sysctls.
Source: RFC 9568 section 7.3, linux/if_link.h, Documentation/networking/ip-sysctl.rst.
"""

import contextlib
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from standfest.adapters.linux.rtnetlink import (
    F_ACK,
    F_CREATE,
    RTM_NEWLINK,
    RouteNetlink,
    attribute,
)
from standfest.model.errors import OperationError

RTM_DELLINK = 17
F_EXCL = 0x200
IFF_UP = 0x1
IFLA_ADDRESS, IFLA_IFNAME, IFLA_LINK, IFLA_LINKINFO = 1, 3, 5, 18
IFLA_INFO_KIND, IFLA_INFO_DATA = 1, 2
IFLA_MACVLAN_MODE, MACVLAN_MODE_BRIDGE = 1, 4
IFLA_IPVLAN_MODE, IFLA_IPVLAN_FLAGS, IPVLAN_MODE_L2 = 1, 2, 0
IPVLAN_FLAGS = {"bridge": 0, "private": 1, "vepa": 2}
ENODEV = 19
NETWORK_SYSCTLS = Path("/proc/sys/net")


@dataclass(frozen=True, slots=True)
class VirtualLink:
    """An interface to make on top of another; mac None: an ipvlan of this mode."""

    name: str
    base: str
    mac: bytes | None
    six: bool
    ipvlan_mode: str = "bridge"


def make(netlink: RouteNetlink, wanted: VirtualLink) -> None:
    """Make the interface and bring it up, or take one that is as wanted; raises OperationError."""
    found = netlink.link(wanted.name)
    if found is not None and wanted.mac is not None and found.mac != wanted.mac:
        remove(netlink, wanted.name)
        found = None
    if found is None:
        netlink.request(
            RTM_NEWLINK, F_ACK | F_CREATE | F_EXCL, _creation(wanted), f"make {wanted.name}"
        )
    _prepare(wanted)
    netlink.link_up(wanted.name)


def remove(netlink: RouteNetlink, name: str) -> None:
    """Remove the interface; one that is not there is a success."""
    with contextlib.suppress(OSError):
        body = struct.pack("=BBHiII", 0, 0, 0, socket.if_nametoindex(name), 0, 0)
        netlink.request(RTM_DELLINK, F_ACK, body, f"remove {name}", ignore=ENODEV)


class BaseSysctls:
    """What the interfaces below virtual ones must not do meanwhile, and how it was before."""

    def __init__(self) -> None:
        self._before: dict[Path, str] = {}

    def protect(self, base: str) -> None:
        """Let the interface answer ARP only for addresses of its own."""
        path = NETWORK_SYSCTLS / "ipv4/conf" / base / "arp_ignore"
        with contextlib.suppress(OSError):
            before = path.read_text(encoding="ascii").strip()
            if before == "0":
                path.write_text("1", encoding="ascii")
                self._before[path] = before

    def restore(self) -> None:
        """Put everything back."""
        for path, value in self._before.items():
            with contextlib.suppress(OSError):
                path.write_text(value, encoding="ascii")
        self._before.clear()


def _creation(wanted: VirtualLink) -> bytes:
    try:
        base = socket.if_nametoindex(wanted.base)
    except OSError as error:
        raise OperationError(f"no network interface {wanted.base}") from error
    if wanted.mac is not None:
        kind = b"macvlan"
        # Not private: such a macvlan swallows what comes in with its own MAC as the source, and
        # with that the adverts of a peer, which has the same virtual MAC.
        data = attribute(IFLA_MACVLAN_MODE, struct.pack("=I", MACVLAN_MODE_BRIDGE))
    else:
        kind = b"ipvlan"
        flags = IPVLAN_FLAGS[wanted.ipvlan_mode]
        data = attribute(IFLA_IPVLAN_MODE, struct.pack("=H", IPVLAN_MODE_L2))
        data += attribute(IFLA_IPVLAN_FLAGS, struct.pack("=H", flags))
    body = struct.pack("=BBHiII", 0, 0, 0, 0, 0, 0)
    body += attribute(IFLA_LINK, struct.pack("=I", base))
    body += attribute(IFLA_IFNAME, wanted.name.encode() + b"\0")
    if wanted.mac is not None:
        body += attribute(IFLA_ADDRESS, wanted.mac)
    information = attribute(IFLA_INFO_KIND, kind) + attribute(IFLA_INFO_DATA, data)
    return body + attribute(IFLA_LINKINFO, information)


def _prepare(wanted: VirtualLink) -> None:
    """Set the sysctls of a virtual interface that is still down."""
    everywhere = _read(NETWORK_SYSCTLS / "ipv4/conf/all/rp_filter")
    settings = {
        "ipv4/conf/{}/arp_ignore": "1",
        "ipv4/conf/{}/accept_local": "1",
        "ipv4/conf/{}/promote_secondaries": "1",
        # The stricter of `all` and this one holds, and only 2 makes a strict `all` loose.
        "ipv4/conf/{}/rp_filter": "2" if everywhere not in ("", "0") else "0",
        "ipv6/conf/{}/addr_gen_mode": "1",  # no link-local address beside the virtual ones
        "ipv6/conf/{}/accept_ra": "0",
        "ipv6/conf/{}/disable_ipv6": "0" if wanted.six else "1",
    }
    for template, value in settings.items():
        with contextlib.suppress(OSError):
            path = NETWORK_SYSCTLS / template.format(wanted.name)
            path.write_text(value, encoding="ascii")


def _read(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="ascii").strip()
    return ""
