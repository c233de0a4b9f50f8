"""The sockets that carry heartbeats: ucast, bcast and mcast as ha.cf names them, and service links.

A service link is an interface that carries cluster addresses but perhaps none of the node's own
(docs/adr/0004): heartbeats go there as broadcast UDP with source 0.0.0.0, built here, because the
kernel would choose another link's address, which reverse-path filters at the receiver drop.
Nothing here is fatal: a link that cannot send now may do so later.
"""

import contextlib
import fcntl
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from standfest.model.settings import Bcast, HeartbeatSettings, Mcast, Ucast

MAX_DATAGRAM = 65_507
RECEIVE_BUFFER_BYTES = 1024 * 1024
MAX_DRAINED = 100_000
IPTOS_LOWDELAY = 0x10
ETHERTYPE_IPV4 = 0x0800
BROADCAST_MAC = b"\xff" * 6
FRAGMENT_BYTES = 1480  # multiple of 8 that fits Ethernet's 1500 with a 20-byte header
SIOCGIFADDR = 0x8915
SO_BINDTODEVICE = 25


def own_address(device: str) -> str | None:
    """Return the device's first IPv4 address, or None without one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("256s", device.encode()[:15])
        try:
            answer = fcntl.ioctl(probe.fileno(), SIOCGIFADDR, request)
        except OSError:
            return None
        return socket.inet_ntoa(answer[20:24])


@dataclass(slots=True)
class Outlet:
    """One way out: `transmit` raises OSError when the link cannot send now."""

    link: str
    sealed: bool
    transmit: Callable[[bytes], object]
    close: Callable[[], None]
    sent: int = 0
    failed: int = 0


class Media:
    """All sockets of one node; `sealed` links must not carry readable content."""

    def __init__(self, settings: HeartbeatSettings) -> None:
        self._port = settings.udpport
        self._receivers: dict[str, socket.socket] = {}
        self._outlets: list[Outlet] = []
        for medium in settings.media:
            self._open_receiver(medium.device, medium if isinstance(medium, Mcast) else None)
            match medium:
                case Ucast(device, address):
                    if own_address(device) != address:
                        self._add(device, _sender(device), (address, self._port))
                case Bcast(device):
                    self._add(device, _sender(device), ("255.255.255.255", self._port))
                case Mcast():
                    target = (medium.group, medium.port)
                    self._add(medium.device, _multicast_sender(medium), target)
        self.configured = tuple(sorted(self._receivers))

    @property
    def links(self) -> tuple[str, ...]:
        """Return the names of all links, service links included."""
        return tuple(sorted(self._receivers))

    def outlets(self) -> tuple[Outlet, ...]:
        """Return every way out with its counters."""
        return tuple(self._outlets)

    def add_service_link(self, device: str) -> bool:
        """Add a sealed broadcast link; False when the device is there already or does not exist."""
        if device in self._receivers:
            return False
        try:
            self._open_receiver(device, None)
            packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        except OSError:
            self._receivers.pop(device, None)
            return False
        packets.setblocking(False)
        target = (device, ETHERTYPE_IPV4, 0, 0, BROADCAST_MAC)

        def transmit(datagram: bytes) -> None:
            for packet in broadcast_packets(datagram, self._port):
                packets.sendto(packet, target)

        self._outlets.append(Outlet(device, True, transmit, packets.close))
        return True

    def descriptors(self) -> Iterator[tuple[str, int]]:
        """Yield (link, file descriptor) of every receiving socket."""
        for link, receiver in self._receivers.items():
            yield link, receiver.fileno()

    def receive(self, link: str) -> bytes | None:
        """Return the datagram that a link is ready with, or None for a false alarm.

        One for each time that the loop finds the socket readable: asking until nothing is left
        would cost a failing system call with every heartbeat.
        """
        try:
            return self._receivers[link].recv(MAX_DATAGRAM + 1)
        except OSError:
            return None  # a link's own trouble (ENETDOWN): reported by its silence

    def drain(self) -> int:
        """Drop what has arrived; return how much. For whoever slept: it is of unknown age."""
        dropped = 0
        for link in self._receivers:
            while dropped < MAX_DRAINED and self.receive(link) is not None:
                dropped += 1
        return dropped

    def _open_receiver(self, device: str, group: Mcast | None) -> None:
        if device not in self._receivers:
            receiver = _bound(device)
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            receiver.bind(("", group.port if group else self._port))
            self._receivers[device] = receiver
        if group is not None:
            membership = struct.pack(
                "4s4si", socket.inet_aton(group.group), b"\0" * 4, socket.if_nametoindex(device)
            )
            self._receivers[device].setsockopt(
                socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership
            )

    def _add(self, link: str, sender: socket.socket, target: tuple[str, int]) -> None:
        def transmit(datagram: bytes) -> object:
            return sender.sendto(datagram, target)

        self._outlets.append(Outlet(link, False, transmit, sender.close))


def broadcast_packets(payload: bytes, port: int) -> Iterator[bytes]:
    """Yield the IPv4 packets (header included) of one UDP broadcast from 0.0.0.0.

    Fragmented to Ethernet's MTU; the UDP checksum is left out, as RFC 768 allows, because what we
    send is signed. Source: RFC 791, RFC 768.
    """
    datagram = struct.pack("!HHHH", port, port, 8 + len(payload), 0) + payload
    identification = zlib.crc32(payload) & 0xFFFF
    for offset in range(0, len(datagram), FRAGMENT_BYTES):
        piece = datagram[offset : offset + FRAGMENT_BYTES]
        more = offset + len(piece) < len(datagram)
        flags = (0x2000 if more else 0) | offset // 8
        header = struct.pack(
            "!BBHHHBBH4s4s",
            *(0x45, IPTOS_LOWDELAY, 20 + len(piece), identification, flags, 1, 17, 0),
            *(b"\0" * 4, b"\xff" * 4),
        )
        yield header[:10] + struct.pack("!H", _checksum(header)) + header[12:] + piece


def _checksum(header: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _bound(device: str) -> socket.socket:
    """Return a UDP socket that only hears and speaks on one device."""
    endpoint = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    endpoint.setblocking(False)
    endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with contextlib.suppress(OSError):
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    endpoint.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, device.encode() + b"\0")
    return endpoint


def _sender(device: str) -> socket.socket:
    sender = _bound(device)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, IPTOS_LOWDELAY)
    return sender


def _multicast_sender(medium: Mcast) -> socket.socket:
    sender = _sender(medium.device)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, medium.ttl)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, int(medium.loop))
    index = struct.pack("4s4si", b"\0" * 4, b"\0" * 4, socket.if_nametoindex(medium.device))
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, index)
    return sender
