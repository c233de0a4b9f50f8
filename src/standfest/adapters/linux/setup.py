"""Looks at this machine's network and does the steps of a plan on it. Implements ports.Machine.

Source: rtnetlink(7), linux/if_link.h, linux/rtnetlink.h, Documentation/networking/ip-sysctl.rst.
"""

import contextlib
import socket
import struct
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from standfest.adapters.linux import nfttable
from standfest.adapters.linux.networkspace import Outside
from standfest.adapters.linux.rtnetlink import (
    F_ACK,
    F_CREATE,
    F_DUMP,
    F_REPLACE,
    RTM_DELROUTE,
    RTM_GETLINK,
    RTM_GETROUTE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWROUTE,
    RouteNetlink,
    attribute,
    attributes,
)
from standfest.adapters.linux.virtualmac import remove
from standfest.adapters.linux.xdp import tunnels
from standfest.model.errors import OperationError
from standfest.model.setup import (
    AddAddress,
    CloseTunnel,
    DefaultRoute,
    DropTable,
    Interface,
    LoadTable,
    LocalAddress,
    MakeLink,
    OpenTunnel,
    RemoveAddress,
    RemoveDefault,
    RemoveLink,
    SetDefault,
    SetLink,
    SetMtu,
    SetSysctl,
    Situation,
    Step,
)
from standfest.model.vrrp import Family
from standfest.wire import netlink as nl

SYSCTLS = Path("/proc/sys")
READ_SYSCTLS = (
    *("net/ipv4/conf/*/arp_ignore", "net/ipv4/conf/*/arp_announce", "net/ipv4/conf/*/rp_filter"),
    *("net/ipv4/conf/*/send_redirects", "net/ipv4/ip_forward"),
    *("net/ipv6/conf/*/forwarding", "net/ipv6/conf/*/disable_ipv6", "net/ipv4/vs/conntrack"),
)
IFF_UP, IFF_LOOPBACK, IFF_NOARP = 0x1, 0x8, 0x80
IFLA_IFNAME, IFLA_MTU, IFLA_LINKINFO, IFLA_INFO_KIND = 3, 4, 18, 1
IFA_ADDRESS, IFA_LOCAL, IFA_CACHEINFO = 1, 2, 6
IFA_F_NODAD = 0x02
FOREVER = 0xFFFFFFFF
RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_CACHEINFO, RTA_TABLE = 4, 5, 6, 12, 15
RT_TABLE_MAIN, RTPROT_STATIC, RTN_UNICAST, RTM_F_CLONED = 254, 4, 1, 0x200
ROUTE = struct.Struct("=BBBBBBBBI")
F_EXCL = 0x200
ESRCH, EEXIST = 3, 17


class LinuxMachine:
    """This network namespace."""

    def __init__(self) -> None:
        self._netlink = RouteNetlink()

    def close(self) -> None:
        """Close the socket."""
        self._netlink.close()

    # --- looking --------------------------------------------------------------------------------

    def look(self, kinds: Sequence[str] = ()) -> Situation:
        """Return what there is, and which of these interfaces the kernel makes, found by trying."""
        found = makeable(kinds)  # first: a module that this loads may bring an interface along
        return Situation(
            kinds=found,
            interfaces=self._interfaces(),
            addresses=tuple(
                LocalAddress(one.device, one.ip, one.prefix) for one in self._netlink.addresses()
            ),
            defaults=tuple(
                DefaultRoute(family, gateway, device, metric)
                for family, gateway, device, metric, _ in self._defaults()
            ),
            sysctls=_sysctls(),
            tunnels=tuple(str(ip) for ip in tunnels.open_on(None)),
        )

    def _interfaces(self) -> tuple[Interface, ...]:
        body = struct.pack("=BBHiII", 0, 0, 0, 0, 0, 0)
        found = []
        for answer in self._netlink.request(RTM_GETLINK, F_DUMP, body, "links"):
            _, _, _, _, flags, _ = struct.unpack_from("=BBHiII", answer)
            values = dict(attributes(answer[16:]))
            kind = nl.string(nl.values(values.get(IFLA_LINKINFO, b"")), IFLA_INFO_KIND)
            found.append(
                Interface(
                    nl.string(values, IFLA_IFNAME),
                    kind,
                    bool(flags & IFF_UP),
                    not flags & (IFF_NOARP | IFF_LOOPBACK),
                    nl.number(values, IFLA_MTU),
                    bool(flags & IFF_LOOPBACK),
                )
            )
        return tuple(found)

    def _defaults(self) -> list[tuple[Family, str, str, int, bytes]]:
        """Return (family, gateway, device, metric, message) of the main table's default routes."""
        names = {link.index: link.name for link in self._netlink.links()}
        found = []
        for family, version in ((socket.AF_INET, Family.IPV4), (socket.AF_INET6, Family.IPV6)):
            body = ROUTE.pack(family, *[0] * 8)
            try:
                answers = self._netlink.request(RTM_GETROUTE, F_DUMP, body, "routes")
            except OperationError:
                continue  # a kernel without this family has no routes of it
            for answer in answers:
                _, length, _, _, table, _, _, kind, flags = ROUTE.unpack_from(answer)
                values = dict(attributes(answer[ROUTE.size :]))
                table = nl.number(values, RTA_TABLE, table)
                if length or table != RT_TABLE_MAIN or kind != RTN_UNICAST or flags & RTM_F_CLONED:
                    continue
                raw = values.get(RTA_GATEWAY, b"")
                gateway = str(ip_address(raw)) if len(raw) in (4, 16) else ""
                index = nl.number(values, RTA_OIF)
                metric = nl.number(values, RTA_PRIORITY)
                found.append((version, gateway, names.get(index, str(index)), metric, answer))
        return found

    # --- doing ----------------------------------------------------------------------------------

    def holds(self, step: Step) -> bool:
        """Return whether the machine is as the step would make it."""
        match step:
            case SetSysctl(name, value):
                return _read(name) == value
            case MakeLink(name, kind):
                found = self._interface(name)
                return found is not None and found.kind == kind
            case RemoveLink(name):
                return self._interface(name) is None
            case SetLink(name, up):
                found = self._interface(name)
                return found is not None and found.up == up
            case SetMtu(name, mtu):
                found = self._interface(name)
                return found is not None and found.mtu == mtu
            case AddAddress(device, ip, _):
                return self._has(device, ip)
            case RemoveAddress(device, ip, _):
                return not self._has(device, ip)
            case SetDefault() | RemoveDefault():
                return self._is_default(step) == isinstance(step, SetDefault)
            case LoadTable(family, name, text):
                return nfttable.holds(family, name, text)
            case DropTable(family, name):
                return not nfttable.exists(family, name)
            case OpenTunnel(ip, devices):
                return ip_address(ip) in tunnels.open_on(devices.split())
            case CloseTunnel(ip):
                return ip_address(ip) not in tunnels.open_on(())

    def undo_of(self, step: Step) -> Step:
        """Return the step that leads back to what is there now."""
        match step:
            case SetSysctl(name):
                return SetSysctl(name, _read(name))
            case MakeLink(name):
                return RemoveLink(name)
            case SetLink(name, up):
                return SetLink(name, not up)
            case SetMtu(name):
                found = self._interface(name)
                return SetMtu(name, found.mtu if found is not None else 0)
            case AddAddress(device, ip, prefix):
                return RemoveAddress(device, ip, prefix)
            case SetDefault(family, gateway, device, metric):
                for version, old, at, priority, raw in self._defaults():
                    if version == family and priority == metric:
                        return SetDefault(family, old, at, metric, raw.hex())
                return RemoveDefault(family, gateway, device, metric)
            case LoadTable(family, name):
                return DropTable(family, name)
            case OpenTunnel(ip):
                return CloseTunnel(ip)
            case _:
                raise OperationError(f"no way back is known from: {step}")

    def do(self, step: Step) -> None:
        """Do a step; doing it again is a success."""
        match step:
            case SetSysctl(name, value):
                _write(name, value)
            case MakeLink(name, kind):
                self._make(name, kind)
            case RemoveLink(name):
                remove(self._netlink, name)
            case SetLink(name, up):
                self._change(name, IFF_UP if up else 0, b"", str(step))
            case SetMtu(name, mtu):
                self._change(name, None, attribute(IFLA_MTU, struct.pack("=I", mtu)), str(step))
            case AddAddress(device, ip, prefix):
                self._add(device, ip, prefix, str(step))
            case RemoveAddress(device, ip, prefix):
                self._netlink.delete_address(device, ip, prefix)
            case SetDefault():
                flags = F_ACK | F_CREATE | F_REPLACE
                self._netlink.request(RTM_NEWROUTE, flags, self._route(step), str(step))
            case RemoveDefault():
                body = self._route(step)
                self._netlink.request(RTM_DELROUTE, F_ACK, body, str(step), ignore=ESRCH)
            case LoadTable(family, name, text):
                nfttable.load(family, name, text)
            case DropTable(family, name):
                nfttable.drop(family, name)
            case OpenTunnel(ip, devices):
                tunnels.open_for(ip_address(ip), devices.split())
            case CloseTunnel(ip):
                tunnels.close_for(ip_address(ip))

    def _interface(self, name: str) -> Interface | None:
        return next((one for one in self._interfaces() if one.name == name), None)

    def _has(self, device: str, ip: str) -> bool:
        found = self._netlink.addresses()
        return any(one.device == device and one.ip == ip for one in found)

    def _is_default(self, step: SetDefault | RemoveDefault) -> bool:
        wanted = (step.family, step.gateway, step.device, step.metric)
        return any(tuple(found[:4]) == wanted for found in self._defaults())

    def _make(self, name: str, kind: str) -> None:
        body = struct.pack("=BBHiII", 0, 0, 0, 0, 0, 0)
        body += attribute(IFLA_IFNAME, name.encode() + b"\0")
        body += attribute(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, kind.encode()))
        flags = F_ACK | F_CREATE | F_EXCL
        self._netlink.request(RTM_NEWLINK, flags, body, f"make {name} ({kind})", ignore=EEXIST)

    def _change(self, name: str, flags: int | None, more: bytes, what: str) -> None:
        mask = 0 if flags is None else IFF_UP
        body = struct.pack("=BBHiII", 0, 0, 0, _index(name), flags or 0, mask)
        self._netlink.request(RTM_NEWLINK, F_ACK, body + more, what)

    def _add(self, device: str, ip: str, prefix: int, what: str) -> None:
        address = ip_address(ip)
        six = address.version == 6
        family = socket.AF_INET6 if six else socket.AF_INET
        body = struct.pack("=BBBBI", family, prefix, IFA_F_NODAD * six, 0, _index(device))
        body += attribute(IFA_LOCAL, address.packed) + attribute(IFA_ADDRESS, address.packed)
        if six:  # deprecated at once: answers leave from it, connections of our own do not
            body += attribute(IFA_CACHEINFO, struct.pack("=IIII", 0, FOREVER, 0, 0))
        self._netlink.request(RTM_NEWADDR, F_ACK | F_CREATE, body, what, ignore=EEXIST)

    def _route(self, step: SetDefault | RemoveDefault) -> bytes:
        if isinstance(step, SetDefault) and step.raw:
            message = bytes.fromhex(step.raw)
            kept = attributes(message[ROUTE.size :])
            return message[: ROUTE.size] + b"".join(
                attribute(kind, value) for kind, value in kept if kind != RTA_CACHEINFO
            )
        family = socket.AF_INET if step.family == Family.IPV4 else socket.AF_INET6
        body = ROUTE.pack(family, 0, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, 0, RTN_UNICAST, 0)
        if step.gateway:
            body += attribute(RTA_GATEWAY, ip_address(step.gateway).packed)
        body += attribute(RTA_OIF, struct.pack("=i", _index(step.device)))
        return body + attribute(RTA_PRIORITY, struct.pack("=I", step.metric))


def makeable(kinds: Sequence[str]) -> frozenset[str]:
    """Return which kinds of interfaces the kernel makes, tried where nobody sees them."""
    if not kinds:
        return frozenset()
    try:
        outside = Outside()
    except OSError:
        return frozenset()
    found = set()
    try:
        if outside.left:  # else the right to it is missing, and nothing is known
            for kind in kinds:
                with contextlib.suppress(OperationError, OSError):
                    inside = LinuxMachine()
                    try:
                        inside.do(MakeLink("sftry", kind))
                    finally:
                        inside.close()
                    found.add(kind)
    finally:
        outside.back()
    return frozenset(found)


def _index(device: str) -> int:
    try:
        return socket.if_nametoindex(device)
    except OSError as error:
        raise OperationError(f"no network interface {device}") from error


def _sysctls() -> dict[str, str]:
    found = {}
    for pattern in READ_SYSCTLS:
        for path in SYSCTLS.glob(pattern):
            name = str(path.relative_to(SYSCTLS))
            found[name] = _read(name)
    return found


def _read(name: str) -> str:
    try:
        return (SYSCTLS / name).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _write(name: str, value: str) -> None:
    try:
        (SYSCTLS / name).write_text(value, encoding="ascii")
    except OSError as error:
        raise OperationError(f"set {name} to {value}: {error.strerror}") from error
