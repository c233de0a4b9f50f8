"""The PROXY protocol's header, version 2: tells a server who the client is. Encoding only.

Source: haproxy's doc/proxy-protocol.txt, section 2.2.
"""

import struct
from ipaddress import IPv4Address, IPv6Address

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
VERSION_AND_PROXY = 0x21  # version 2, command PROXY
TCP4, TCP6 = 0x11, 0x21


def header(client: tuple[str, int], destination: tuple[str, int]) -> bytes:
    """Return what is sent before the first byte; both ends of the client's connection."""
    if ":" in client[0]:
        source, target = (
            IPv6Address(end[0].partition("%")[0]).packed for end in (client, destination)
        )
        family = TCP6
    else:
        source, target = (IPv4Address(end[0]).packed for end in (client, destination))
        family = TCP4
    body = source + target + struct.pack("!HH", client[1], destination[1])
    return SIGNATURE + struct.pack("!BBH", VERSION_AND_PROXY, family, len(body)) + body
