"""Virtual addresses in the kernel, each as a lease that must be renewed.

An address is added with a lifetime about as long as the other routers wait for our adverts, and
renewed while we send them. So the kernel itself takes it away when everything of ours has been
killed or stopped, and no address outlives its director for good (docs/adr/0016). Messages are
encoded once; adding, renewing and deleting are one system call for any number of addresses.
Source: rtnetlink(7), linux/if_addr.h.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from standfest.adapters.linux import rtnetlink
from standfest.adapters.linux.rtnetlink import F_ACK, F_CREATE, F_REPLACE, F_REQUEST, attribute
from standfest.model.errors import OperationError
from standfest.model.vrrp import VirtualAddress

RTM_NEWADDR, RTM_DELADDR = rtnetlink.RTM_NEWADDR, rtnetlink.RTM_DELADDR
IFA_ADDRESS, IFA_LOCAL, IFA_LABEL, IFA_BROADCAST = 1, 2, 3, 4
IFA_CACHEINFO, IFA_FLAGS = 6, 8
FLAG_NODAD, FLAG_HOMEADDRESS, FLAG_MANAGETEMPADDR = 0x02, 0x10, 0x100
FLAG_NOPREFIXROUTE, FLAG_MCAUTOJOIN = 0x200, 0x400
FLAGS = {
    "home": FLAG_HOMEADDRESS,
    "mngtmpaddr": FLAG_MANAGETEMPADDR,
    "noprefixroute": FLAG_NOPREFIXROUTE,
    "autojoin": FLAG_MCAUTOJOIN,
}
SCOPES = {"global": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255}
FOREVER = 0xFFFFFFFF
ENODEV, EEXIST, EADDRNOTAVAIL = 19, 17, 99
MAX_BATCH_BYTES = 32 * 1024
"""One datagram to the kernel; a socket's send buffer holds more."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The three messages of one address on one interface, ready but for their sequence numbers."""

    what: str
    add: bytes
    renew: bytes
    delete: bytes


def encode(address: VirtualAddress, interface: str, index: int, lifetime_s: int) -> Lease:
    """Return the messages for an address; lifetime_s 0 is for ever, without renewal."""
    version = address.ip.version
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    flags = 0 if version == 4 or "-nodad" in address.flags else FLAG_NODAD
    for word in address.flags:
        flags |= FLAGS.get(word, 0)
    scope = SCOPES.get(address.scope, 0)
    if address.scope.isdigit():
        scope = int(address.scope) & 0xFF
    if version == 6 and address.ip.is_link_local:
        scope = SCOPES["link"]
    prefix = address.prefix if address.peer_prefix is None else address.peer_prefix
    head = struct.pack("=BBBBI", family, prefix, flags & 0xFF, scope, index)
    local, peer = address.ip.packed, (address.peer or address.ip).packed
    identity = attribute(IFA_LOCAL, local) + attribute(IFA_ADDRESS, peer)
    details = attribute(IFA_FLAGS, struct.pack("=I", flags))
    if version == 4:
        if address.label:
            details += attribute(IFA_LABEL, address.label.encode() + b"\0")
        if broadcast := _broadcast(address):
            details += attribute(IFA_BROADCAST, broadcast)
    details += attribute(IFA_CACHEINFO, _lifetimes(address, lifetime_s))
    body = head + identity + details
    return Lease(
        f"{address.ip}/{address.prefix} on {interface}",
        _message(RTM_NEWADDR, F_REQUEST | F_ACK | F_CREATE | F_REPLACE, body),
        _message(RTM_NEWADDR, F_REQUEST | F_REPLACE, body),
        _message(RTM_DELADDR, F_REQUEST | F_ACK, head + identity),
    )


class LeaseSocket:
    """One netlink socket for leases; every call waits for the kernel's answer, which is at once."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def add(self, leases: Sequence[Lease]) -> None:
        """Add addresses, or begin their lifetimes anew; raises OperationError, the rest is done."""
        self._all([lease.add for lease in leases], leases, ())

    def delete(self, leases: Sequence[Lease]) -> None:
        """Delete addresses; one that is not there is a success. Raises OperationError."""
        self._all([lease.delete for lease in leases], leases, (EADDRNOTAVAIL, ENODEV))

    def renew(self, leases: Sequence[Lease]) -> None:
        """Begin lifetimes anew; an address that is gone is not put back by this."""
        for batch, _ in _batches([lease.renew for lease in leases]):
            with contextlib.suppress(OSError):
                self._socket.send(b"".join(batch))
        self._forget_answers()

    def _all(
        self, encoded: Sequence[bytes], leases: Sequence[Lease], accepted: Sequence[int]
    ) -> None:
        errors: list[str] = []
        self._forget_answers()
        for batch, first in _batches(encoded):
            start = self._sequence + 1
            numbered = []
            for message in batch:
                self._sequence += 1
                numbered.append(message[:8] + struct.pack("=I", self._sequence) + message[12:])
            self._socket.send(b"".join(numbered))
            for sequence, error in self._answers(start, self._sequence):
                if error and error not in accepted:
                    what = leases[first + sequence - start].what
                    errors.append(f"{what}: {os.strerror(error)}")
        if errors:
            raise OperationError("; ".join(errors))

    def _answers(self, first: int, last: int) -> list[tuple[int, int]]:
        """Return (sequence, error number) of all acknowledgements first..last."""
        found: list[tuple[int, int]] = []
        while len(found) <= last - first:
            for kind, sequence, body in rtnetlink.messages(
                self._socket.recv(rtnetlink.RECEIVE_BYTES)
            ):
                if kind == rtnetlink.NLMSG_ERROR and first <= sequence <= last:
                    found.append((sequence, -struct.unpack_from("=i", body)[0]))
            if found and found[-1][0] == last:
                break
        return found

    def _forget_answers(self) -> None:
        """Drop complaints about renewals of addresses that somebody has removed: events tell."""
        with contextlib.suppress(OSError):
            while self._socket.recv(rtnetlink.RECEIVE_BYTES, socket.MSG_DONTWAIT):
                pass


def _message(kind: int, flags: int, body: bytes) -> bytes:
    padded = body + b"\0" * (-len(body) % 4)
    length = rtnetlink.HEADER.size + len(body)
    return rtnetlink.HEADER.pack(length, kind, flags, 0, 0) + padded


def _batches(encoded: Sequence[bytes]) -> list[tuple[list[bytes], int]]:
    """Return lists of messages that fit one datagram, each with the number of its first."""
    found: list[tuple[list[bytes], int]] = []
    size = MAX_BATCH_BYTES
    for number, message in enumerate(encoded):
        if size + len(message) > MAX_BATCH_BYTES:
            found.append(([], number))
            size = 0
        found[-1][0].append(message)
        size += len(message)
    return found


def _broadcast(address: VirtualAddress) -> bytes:
    """Return the broadcast address that the words ask for, or nothing."""
    if address.broadcast in ("+", "-"):
        network = IPv4Network((int(address.ip), address.prefix), strict=False)
        return (
            network.broadcast_address if address.broadcast == "+" else network.network_address
        ).packed
    return socket.inet_aton(address.broadcast) if address.broadcast else b""


def _lifetimes(address: VirtualAddress, lifetime_s: int) -> bytes:
    """Return struct ifa_cacheinfo: preferred and valid lifetime in seconds."""
    valid = lifetime_s or FOREVER
    preferred = address.preferred_lifetime
    if preferred is None:
        preferred = 0 if address.ip.version == 6 and address.prefix == 128 else -1
    wanted = FOREVER if preferred < 0 else preferred
    return struct.pack("=IIII", min(wanted, valid), valid, 0, 0)
