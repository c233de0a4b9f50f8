"""Mutated packets at running virtual routers: no crash, and no move that the RFCs do not allow.

What may follow a packet is read from its bytes here, a second time and without the decoder: a
packet that is not whole, not intact or not for us changes nothing; nobody becomes Active by hearing
something; an Active lets go for a better router only, or for one that cannot hear it (ADR 14).
"""

import os
import random
import struct
from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv6Address

import pytest
from tests.unit.routers import BOB, CAROL, OWN, VIP, VIP2, director, settings

from standfest.core.vrrp.director import Director
from standfest.core.vrrp.states import Active, Backup, State
from standfest.core.vrrp.status import InstanceStatus
from standfest.model.advertisement import Advertisement, Arrival
from standfest.model.errors import WireError
from standfest.model.time import Duration, Instant, milliseconds, seconds
from standfest.model.vrrp import Authentication, AuthenticationType, Family, VirtualAddress
from standfest.wire import vrrp

SEED = int(os.environ.get("STANDFEST_HUNT_SEED", "9568"))
GROUP = bytes((224, 0, 0, 18))
GROUP_SIX = bytes.fromhex("ff02" + "00" * 13 + "12")
SIX_VIP = VirtualAddress(IPv6Address("fe80::100"), 64)
NEIGHBOURS = (IPv6Address("fe80::9"), IPv6Address("fe80::2"), IPv6Address("fe80::5"))
KEY = b"s3cret\0\0"
PASS = Authentication(AuthenticationType.PASS, b"s3cret")
PRIORITIES = (0, 1, 50, 99, 99, 99, 100, 100, 101, 200, 255)

SOURCES = {
    Family.IPV4: tuple(address.packed for address in (BOB, CAROL, OWN)),
    Family.IPV6: tuple(address.packed for address in NEIGHBOURS),
}
"""Higher than ours, lower, and ours."""

ROUTERS = (
    settings(name="two", vrid=50, version=2, authentication=PASS),
    settings(name="three", vrid=51, addresses=(VIP, VIP2)),
    settings(name="patient", vrid=52, preempt=False),
    settings(name="six", vrid=51, family=Family.IPV6, addresses=(SIX_VIP,), source=None),
)
MINE = {(2, 50, 4): "two", (3, 51, 4): "three", (3, 52, 4): "patient", (3, 51, 16): "six"}
"""Version, VRID and size of an address -> instance."""


@dataclass(frozen=True, slots=True)
class Datagram:
    """What arrives, before anybody has read it."""

    source: bytes
    destination: bytes
    ttl: int
    message: bytes


# --- packets ------------------------------------------------------------------------------------


def original(rng: random.Random) -> Datagram:
    """Return what a neighbour of one of our instances might say."""
    one = rng.choice(ROUTERS)
    six = one.family is Family.IPV6
    source = rng.choice(SOURCES[one.family])
    group = GROUP_SIX if six else GROUP
    block = b"".join(address.ip.packed for address in one.addresses)
    if rng.random() < 0.2:
        block += NEIGHBOURS[0].packed if six else bytes((10, 77, 0, 111))
    interval = seconds(rng.choice((1, 1, 2))) if one.version == 2 else milliseconds(1000)
    kind, secret = (1, KEY) if one.version == 2 else (0, bytes(8))
    told = Advertisement(
        one.family, one.version, one.vrid, rng.choice(PRIORITIES), interval, block, kind, secret
    )
    message = vrrp.encode(told, source=source, destination=group)
    return Datagram(source, group, 255 if rng.random() < 0.97 else rng.randrange(256), message)


def mutated(rng: random.Random, packet: Datagram) -> Datagram:
    """Change up to three places; half of the time make the checksum right again."""
    data = bytearray(packet.message)
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        at = rng.randrange(len(data)) if data else 0
        match rng.randrange(5):
            case 0 | 1 if data:
                data[at] = rng.randrange(256)
            case 2 if data:
                data[at] ^= 1 << rng.randrange(8)
            case 3:
                del data[at : at + rng.randint(1, 8)]
            case _:
                data[at:at] = rng.randbytes(rng.randint(1, 4))
    if len(data) >= 8 and rng.random() < 0.5:
        data[6:8] = bytes(2)
        pseudo = pseudo_header(packet, len(data)) if data[0] >> 4 == 3 else b""
        data[6:8] = struct.pack("!H", ~ones_sum(pseudo + bytes(data)) & 0xFFFF)
    return Datagram(packet.source, packet.destination, packet.ttl, bytes(data))


def pseudo_header(packet: Datagram, size: int) -> bytes:
    if len(packet.source) == 4:
        return packet.source + packet.destination + struct.pack("!BBH", 0, 112, size)
    return packet.source + packet.destination + struct.pack("!IHBB", size, 0, 0, 112)


def ones_sum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


# --- what the RFCs allow ------------------------------------------------------------------------


def addressee(packet: Datagram) -> str:
    """Return whose packet it is when it is whole and intact, or nothing."""
    data, size = packet.message, len(packet.source)
    if len(data) < 8 or packet.ttl != 255 or data[0] & 15 != 1:
        return ""
    version = data[0] >> 4
    if len(data) < 8 + data[3] * size + (8 if version == 2 else 0):
        return ""
    sums = {ones_sum(data)} if size == 4 else set()
    if version == 3:
        sums.add(ones_sum(pseudo_header(packet, len(data)) + data))
    if 0xFFFF not in sums:
        return ""
    end = 8 + data[3] * size
    if version == 2 and (data[4], data[5] == 0, data[end : end + 8]) != (1, False, KEY):
        return ""
    if version == 3 and (data[3] == 0 or (data[4] & 15, data[5]) == (0, 0)):
        return ""
    return MINE.get((version, data[1], size), "")


def waits(status: InstanceStatus, interval: Duration, adverts: int) -> Duration:
    unit = seconds(1) if status.name == "two" else interval
    return adverts * interval + (256 - status.priority) * unit // 256


def said_interval(packet: Datagram) -> Duration:
    high, low = packet.message[4], packet.message[5]
    if packet.message[0] >> 4 == 2:
        return max(seconds(low), seconds(1))  # ours is 1 s; the longer counts
    return milliseconds(10) * ((high & 15) << 8 | low)


def may(now: Instant, before: InstanceStatus, after: State, packet: Datagram) -> bool:
    """Return whether an intact packet for this instance may make its state into `after`."""
    told, interval = packet.message[2], said_interval(packet)
    match before.state, after:
        case Backup() as old, Backup() as new if told == 0:
            return new.down_at == now + waits(before, old.active_interval, 0)
        case Backup() as old, Backup() as new:
            wins = told >= before.priority or before.name == "patient"
            deferred = old.defer_to == packet.source
            return (wins or deferred) and new.down_at == now + waits(before, interval, 3)
        case Active(), Active() as new:
            return new.sent_at == now and told <= before.priority
        case Active(), Backup() as new:
            better = (told, packet.source) > (before.priority, before.source)
            on_time = new.down_at == now + waits(before, interval, 3)
            return (better or new.defer_to == packet.source) and told != 0 and on_time
        case _:
            return False


# --- the run ------------------------------------------------------------------------------------


def hear(made: Director, now: Instant, packet: Datagram) -> str:
    """Give the packet to the decoder and then to the director; return what became of it."""
    try:
        told = vrrp.decode(
            packet.message, source=packet.source, destination=packet.destination, ttl=packet.ttl
        )
    except WireError as error:
        return str(error.reason)
    arrival = Arrival("eth0", packet.source, packet.destination, packet.ttl, told)
    effects = made.on_advertisement(now, arrival)
    return type(effects[0]).__name__ if effects else "obeyed"


def fuzz(count: int, seed: int) -> Counter[str]:
    """Let routers run among mutated packets; return how often what happened."""
    rng, seen, now = random.Random(seed), Counter[str](), 0
    made = director(*ROUTERS)
    made.start(0)
    for number in range(count):
        now += rng.choice((0, milliseconds(1), milliseconds(40), milliseconds(400)))
        for _ in range(10):
            made.on_timer(now)
            deadline = made.deadline()
            if deadline is None or deadline > now:
                break
        packet = mutated(rng, original(rng))
        before = made.status()
        seen[hear(made, now, packet)] += 1
        for old, new in zip(before, made.status(), strict=True):
            if new.state == old.state:
                continue
            kind = f"{type(old.state).__name__} to {type(new.state).__name__}"
            seen[kind] += 1
            allowed = addressee(packet) == old.name and may(now, old, new.state, packet)
            assert allowed, f"packet {number} of seed {seed}: {old}, {new}, {packet}"
    return seen


def test_twenty_thousand_mutated_packets_make_no_move_that_the_rfcs_do_not_allow() -> None:
    seen = fuzz(20_000, SEED)
    # Each move that a packet can cause has been made, or the mutations miss what they aim at.
    assert seen["Active to Backup"] > 100
    assert seen["Active to Active"] > 100
    assert seen["Backup to Backup"] > 100
    assert seen["checksum"] > 1_000
    assert "Backup to Active" not in seen


@pytest.mark.hunt
@pytest.mark.slow
@pytest.mark.skipif("STANDFEST_HUNT_SEED" not in os.environ, reason="runs in ./dev hunt only")
def test_a_million_mutated_packets_make_no_move_that_the_rfcs_do_not_allow() -> None:
    assert fuzz(1_000_000, SEED)["Active to Backup"] > 5_000
