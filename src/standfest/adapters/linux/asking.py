"""Asks a network who has an address, by ARP or neighbour solicitation, and hears all who answer.

The kernel's own table knows one answer at most; two machines that answer are what we look for.
Source: RFC 826, RFC 5227 section 2.1.1, RFC 4861 section 7.2; packet(7).
"""

import select
import socket
import time
from ipaddress import IPv6Address

from standfest.adapters.linux.neighbours import ClaimSensor
from standfest.adapters.linux.rtnetlink import RouteNetlink
from standfest.model.errors import OperationError
from standfest.model.vrrp import IPAddress
from standfest.wire import arp, ndp

MAX_CLAIMS = 64
"""More machines than this do not answer for one address in earnest."""

ASKS = 2
"""A single question may be lost."""


def who_has(interface: str, ip: IPAddress, timeout_s: float = 1.0) -> frozenset[bytes]:
    """Return the MACs of all who say that they have an address; raises OperationError.

    What this machine has itself is not among them.
    """
    mac = _mac(interface)
    if ip.version == 6:
        frame = ndp.solicitation_frame(mac, _link_local(interface).packed, ip.packed)
    else:
        # A probe's sender is nobody: those asked learn nothing, and answer all the same.
        frame = arp.request_frame(mac, bytes(4), ip.packed)
    try:
        sensor = ClaimSensor(interface)
    except OSError as error:
        raise OperationError(f"cannot listen on {interface}: {error.strerror}") from error
    try:
        sensor.watch([ip])
        return _ask(sensor, interface, frame, timeout_s)
    except OSError as error:
        raise OperationError(f"cannot ask on {interface}: {error.strerror}") from error
    finally:
        sensor.close()


def _ask(sensor: ClaimSensor, interface: str, frame: bytes, timeout_s: float) -> frozenset[bytes]:
    found: set[bytes] = set()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as packets:
        packets.bind((interface, 0))
        for _ in range(ASKS):
            packets.send(frame)
            until = time.monotonic() + timeout_s / ASKS
            while (left := until - time.monotonic()) > 0 and len(found) < MAX_CLAIMS:
                if select.select(sensor.descriptors(), [], [], left)[0]:
                    found.update(claim.mac for claim in sensor.receive())
    return frozenset(found)


def _mac(interface: str) -> bytes:
    netlink = RouteNetlink()
    try:
        found = netlink.link(interface)
    finally:
        netlink.close()
    if found is None or len(found.mac) != 6:
        raise OperationError(f"{interface} has no Ethernet address: nobody can be asked there")
    return found.mac


def _link_local(interface: str) -> IPv6Address:
    netlink = RouteNetlink()
    try:
        for one in netlink.addresses():
            if one.device == interface and one.ip.startswith("fe80:"):
                return IPv6Address(one.ip)
    finally:
        netlink.close()
    raise OperationError(f"{interface} has no link-local IPv6 address: nobody can be asked there")
