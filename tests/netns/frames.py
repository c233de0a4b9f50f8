"""Frames that no socket sends, for tests of what a director makes of them."""

import socket
import struct

from tests.netns.balancing_lab import VIP, Lab, Machine


def mac_of(machine: Machine, interface: str) -> str:
    """Return an interface's MAC."""
    return machine.ip("-br", "link", "show", interface).split()[2]


def send_first_segment(lab: Lab, tag: bytes = b"") -> None:
    """Let the client's side send a SYN to the virtual server that nobody ever acknowledges."""
    frame = bytes.fromhex(mac_of(lab.director, "eth0").replace(":", "") + "020000000001")
    frame += tag + b"\x08\x00" + first_segment()
    with lab.client.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind(("eth0", 0))
        sender.send(frame)


def first_segment() -> bytes:
    """Return a SYN to the virtual server, with an address that answers go nowhere from."""
    head = struct.pack(">BBHHHBBH", 0x45, 0, 40, 1, 0, 64, 6, 0) + socket.inet_aton("10.8.0.250")
    head += VIP[4].packed
    head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
    return head + struct.pack(">HHIIBBHHH", 1024, 80, 0, 0, 0x50, 2, 1000, 0, 0)


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
