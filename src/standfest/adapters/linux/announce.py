"""Gratuitous ARP and unsolicited neighbour advertisements: where an address is now.

Source: RFC 5227 section 2.3 and 3 (ARP announcements), RFC 4861 section 7.2.6 (unsolicited NA).
"""

import ipaddress
import socket
import struct

ETHERTYPE_ARP = 0x0806
ETHERTYPE_IPV6 = 0x86DD
BROADCAST = b"\xff" * 6
ALL_NODES = ipaddress.IPv6Address("ff02::1")
ALL_NODES_MAC = b"\x33\x33\x00\x00\x00\x01"
OVERRIDE = 0x20000000


def announcements(mac: bytes, ip: str, source: bytes = b"") -> list[bytes]:
    """Return the Ethernet frames that announce an address: ARP request and reply, or an NA.

    source: the sender's own MAC address, where it announces another one.
    """
    address = ipaddress.ip_address(ip)
    source = source or mac
    if address.version == 6:
        return [_advertisement(mac, address, source)]
    frames = []
    for operation in (1, 2):  # some neighbours update their table by one, some by the other
        target = BROADCAST if operation == 2 else b"\0" * 6
        arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
        body = arp + mac + address.packed + target + address.packed
        frames.append(BROADCAST + source + struct.pack("!H", ETHERTYPE_ARP) + body)
    return frames


def send(device: str, frames: list[bytes]) -> None:
    """Send frames on a device; raises OSError."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as packets:
        packets.bind((device, 0))
        for frame in frames:
            packets.send(frame)


def _advertisement(mac: bytes, address: ipaddress.IPv6Address, source: bytes) -> bytes:
    option = struct.pack("!BB", 2, 1) + mac  # target link-layer address
    body = struct.pack("!BBHI", 136, 0, 0, OVERRIDE) + address.packed + option
    pseudo = address.packed + ALL_NODES.packed + struct.pack("!IHBB", len(body), 0, 0, 58)
    body = body[:2] + struct.pack("!H", _checksum(pseudo + body)) + body[4:]
    header = struct.pack("!IHBB", 0x60000000, len(body), 58, 255)
    packet = header + address.packed + ALL_NODES.packed + body
    return ALL_NODES_MAC + source + struct.pack("!H", ETHERTYPE_IPV6) + packet


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
