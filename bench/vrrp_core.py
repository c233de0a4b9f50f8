"""`./dev bench vrrp`: what an advertisement costs the machines, without sockets.

Heard: an IPv4 packet is decoded, judged, obeyed, and the down timer set anew. Said: the timer is
found, the machine asked, the message encoded. With 1 and with 255 virtual routers: what one costs
must not grow with their number. Printed are microseconds for each advertisement, the best of RUNS.
"""

import time
from collections.abc import Callable
from ipaddress import IPv4Address

from standfest.core.vrrp.dependencies import InterfaceReport
from standfest.core.vrrp.director import Director
from standfest.core.vrrp.effects import SendAdvertisement
from standfest.model.advertisement import Advertisement
from standfest.model.director import DirectorSettings
from standfest.model.time import Instant, milliseconds, seconds
from standfest.model.vrrp import (
    Authentication,
    AuthenticationType,
    Family,
    InstanceSettings,
    VirtualAddress,
)
from standfest.wire import vrrp
from standfest.wire.ipv4 import encode_header

RUNS = 5
ROUNDS = 20_000
"""Advertisements of one run."""

HERE, THERE, GROUP = IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2"), IPv4Address("224.0.0.18")
PASS = Authentication(AuthenticationType.PASS, b"s3cret")


def vip(vrid: int) -> VirtualAddress:
    return VirtualAddress(IPv4Address("10.1.0.0") + vrid, 24)


def director(count: int, version: int) -> Director:
    """Return so many virtual routers, started, all Backup."""
    instances = tuple(
        InstanceSettings(
            name=f"vi{vrid}",
            interface="eth0",
            vrid=vrid,
            addresses=(vip(vrid),),
            version=version,
            priority=100,
            authentication=PASS if version == 2 else Authentication(),
        )
        for vrid in range(1, count + 1)
    )
    made = Director(DirectorSettings(instances=instances))
    made.on_interface(0, InterfaceReport("eth0", True, (HERE,)))
    made.start(0)
    return made


def packets(count: int, version: int) -> list[bytes]:
    """Return what a better router says for each of them, with IP headers."""
    kind, secret = (1, b"s3cret\0\0") if version == 2 else (0, bytes(8))
    found = []
    for vrid in range(1, count + 1):
        block = vip(vrid).ip.packed
        told = Advertisement(Family.IPV4, version, vrid, 200, seconds(1), block, kind, secret)
        message = vrrp.encode(told, source=THERE.packed, destination=GROUP.packed)
        header = encode_header(
            source=THERE.packed,
            destination=GROUP.packed,
            ttl=vrrp.TTL,
            tos=vrrp.TRAFFIC_CLASS,
            identification=1,
            protocol=vrrp.PROTOCOL,
            payload_bytes=len(message),
        )
        found.append(header + message)
    return found


def hear(count: int, version: int) -> int:
    """Let Backups hear ROUNDS advertisements; return nanoseconds for each."""
    made, arriving = director(count, version), packets(count, version)
    now: Instant = 0
    began = time.perf_counter_ns()
    for number in range(ROUNDS):
        now += milliseconds(1000) // count
        arrival = vrrp.decode_ipv4_packet(arriving[number % count], "eth0")
        effects = made.on_advertisement(now, arrival)
        assert not effects, "obeyed without a word"
        assert made.deadline() is not None
    return (time.perf_counter_ns() - began) // ROUNDS


def say(count: int, version: int) -> int:
    """Let Actives advertise ROUNDS times; return nanoseconds for each."""
    made = director(count, version)
    said = 0
    now: Instant = 0
    while now <= seconds(10):  # become Active, and announce once more after 5 s
        made.on_timer(now)
        now = made.deadline() or 0
    began = time.perf_counter_ns()
    while said < ROUNDS:
        now = made.deadline() or 0
        for effect in made.on_timer(now):
            if isinstance(effect, SendAdvertisement):
                vrrp.encode(effect.advertisement, source=HERE.packed, destination=GROUP.packed)
                said += 1
    return (time.perf_counter_ns() - began) // said


def best(measure: Callable[[int, int], int], count: int, version: int) -> float:
    return min(measure(count, version) for _ in range(RUNS)) / 1000


def main() -> None:
    """Print a table."""
    print("| version | virtual routers | heard | said |")
    print("| --- | --- | --- | --- |")
    for version in (2, 3):
        for count in (1, 255):
            heard, said = best(hear, count, version), best(say, count, version)
            print(f"| {version} | {count} | {heard:.1f} us | {said:.1f} us |")


if __name__ == "__main__":
    main()
