"""What the sockets of ping nodes take for an answer, on a loopback of their own.

Run as `python -m tests.netns.ping_case`. Prints one JSON value.
"""

import json
import socket
import sys
import time

from standfest.adapters.linux.pingsockets import MAX_READS, PingSockets
from standfest.adapters.linux.rtnetlink import RouteNetlink
from standfest.lab import sandbox
from standfest.wire import icmp
from standfest.wire.checksum import internet_checksum

HOST, STRANGER, SIX = "127.0.0.1", "127.0.0.2", "::1"


def reply(identifier: int, sequence: int, data: bytes) -> bytes:
    """Return an echo reply of IPv4 without its header."""
    bare = icmp.echo(4, identifier, sequence, data)
    bare = b"\0\0\0\0" + bare[4:]
    return bare[:2] + internet_checksum(bare).to_bytes(2, "big") + bare[4:]


def from_address(source: str, packet: bytes) -> None:
    """Send a packet of ours to the loopback address, as if from another."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as one:
        one.bind((source, 0))
        one.sendto(packet, (HOST, 0))


def heard(sockets: PingSockets, version: int = 4) -> list[tuple[str, int]]:
    """Return what has been taken for answers within a moment."""
    time.sleep(0.05)
    return list(sockets.receive(version))


def inside() -> int:
    """Ask, be answered, and be lied to."""
    RouteNetlink().link_up("lo")
    sockets = PingSockets([HOST, SIX])
    own = vars(sockets)
    identifier, token = own["_identifier"], own["_token"]
    found: dict[str, object] = {}
    sockets.send(HOST, 7)
    sockets.send(SIX, 8)
    found["answers"] = [heard(sockets), heard(sockets, 6)]
    lies = {
        "good": (HOST, reply(identifier, 9, token)),
        "other sender": (STRANGER, reply(identifier, 9, token)),
        "other identifier": (HOST, reply(identifier ^ 1, 9, token)),
        "other token": (HOST, reply(identifier, 9, token[::-1])),
        "longer": (HOST, reply(identifier, 9, token + b"!")),
        "damaged": (HOST, reply(identifier, 9, token)[:-1] + b"?"),
        "short": (HOST, b"\0\0\0"),
    }
    for name, (source, packet) in lies.items():
        from_address(source, packet)
        found[name] = heard(sockets)
    for number in range(MAX_READS + 10):
        from_address(HOST, reply(identifier, number, token))
    found["at once"] = [len(heard(sockets)), len(heard(sockets))]
    print(json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(sandbox.run(inside))
