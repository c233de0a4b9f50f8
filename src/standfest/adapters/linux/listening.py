"""At which addresses and ports this network namespace is listened at. Source: proc(5)."""

import contextlib
import sys
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

NET = Path("/proc/self/net")
TCP_LISTEN, UDP_UNCONNECTED = "0A", "07"
MAX_LINES = 100_000

Place = tuple[str, IPv4Address | IPv6Address, int]
"""Protocol (tcp, udp), address (all zero: any), port."""


def places() -> frozenset[Place]:
    """Return all."""
    found: set[Place] = set()
    for name, state in (
        ("tcp", TCP_LISTEN),
        ("tcp6", TCP_LISTEN),
        ("udp", UDP_UNCONNECTED),
        ("udp6", UDP_UNCONNECTED),
    ):
        with contextlib.suppress(OSError), (NET / name).open(encoding="ascii") as stream:
            for line in list(stream)[1 : MAX_LINES + 1]:
                words = line.split()
                if words[3] == state:
                    address, _, port = words[1].partition(":")
                    found.add((name.removesuffix("6"), _address(address), int(port, 16)))
    return frozenset(found)


def _address(digits: str) -> IPv4Address | IPv6Address:
    """Return an address as the kernel prints it: words of 32 bits in the machine's own order."""
    words = [int(digits[at : at + 8], 16) for at in range(0, len(digits), 8)]
    packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)
