"""Asks a network who has an address, by ARP or neighbour solicitation, and hears all who answer.

The kernel's own table knows one answer at most; two machines that answer are what we look for.
Source: RFC 826, RFC 5227 section 2.1.1, RFC 4861 section 7.2; packet(7).
"""

import select
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv6Address

from standfest.adapters.linux.neighbours import ClaimSensor
from standfest.adapters.linux.rtnetlink import RouteNetlink
from standfest.model.errors import OperationError
from standfest.model.vrrp import IPAddress
from standfest.wire import arp, ndp

MAX_CLAIMS = 10_000
"""Answers that are read at most: more machines do not answer for a few addresses in earnest."""

ASKS = 2
"""A single question may be lost."""


def who_has(
    interface: str, ips: Iterable[IPAddress], timeout_s: float = 1.0
) -> Mapping[IPAddress, frozenset[bytes]]:
    """Return for each address the MACs of all who say that they have it; raises OperationError.

    This machine's own MACs are not among them: another of its interfaces on the same segment may
    answer.
    """
    mac, ours = _macs(interface)
    wanted = tuple(dict.fromkeys(ips))
    frames = [_question(interface, mac, ip) for ip in wanted]
    try:
        sensor = ClaimSensor(interface)
    except OSError as error:
        raise OperationError(f"cannot listen on {interface}: {error.strerror}") from error
    try:
        sensor.watch(wanted)
        claims = _ask(sensor, interface, frames, timeout_s)
    except OSError as error:
        raise OperationError(f"cannot ask on {interface}: {error.strerror}") from error
    finally:
        sensor.close()
    return {ip: frozenset(mac for found, mac in claims if found == ip) - ours for ip in wanted}


def _question(interface: str, mac: bytes, ip: IPAddress) -> bytes:
    if ip.version == 6:
        return ndp.solicitation_frame(mac, _link_local(interface).packed, ip.packed)
    # A probe's sender is nobody: those asked learn nothing, and answer all the same.
    return arp.request_frame(mac, bytes(4), ip.packed)


def _ask(
    sensor: ClaimSensor, interface: str, frames: Sequence[bytes], timeout_s: float
) -> set[tuple[IPAddress, bytes]]:
    found: set[tuple[IPAddress, bytes]] = set()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as packets:
        packets.bind((interface, 0))
        for _ in range(ASKS):
            for frame in frames:
                packets.send(frame)
            until = time.monotonic() + timeout_s / ASKS
            while (left := until - time.monotonic()) > 0 and len(found) < MAX_CLAIMS:
                if select.select(sensor.descriptors(), [], [], left)[0]:
                    found.update((claim.ip, claim.mac) for claim in sensor.receive())
    return found


def _macs(interface: str) -> tuple[bytes, frozenset[bytes]]:
    """Return an interface's MAC, and those of all interfaces."""
    netlink = RouteNetlink()
    try:
        links = netlink.links()
    finally:
        netlink.close()
    found = next((link for link in links if link.name == interface), None)
    if found is None or len(found.mac) != 6:
        raise OperationError(f"{interface} has no Ethernet address: nobody can be asked there")
    return found.mac, frozenset(link.mac for link in links)


def _link_local(interface: str) -> IPv6Address:
    netlink = RouteNetlink()
    try:
        for one in netlink.addresses():
            if one.device == interface and one.ip.startswith("fe80:"):
                return IPv6Address(one.ip)
    finally:
        netlink.close()
    raise OperationError(f"{interface} has no link-local IPv6 address: nobody can be asked there")
