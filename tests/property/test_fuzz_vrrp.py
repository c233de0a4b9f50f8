"""Random and mutated packets of the VRRP family: a value or a reason, always."""

import random
from collections import Counter
from collections.abc import Callable

from standfest.model.advertisement import Advertisement
from standfest.model.errors import WireError
from standfest.model.time import milliseconds, seconds
from standfest.model.vrrp import Family
from standfest.wire import arp, bfd, ndp, vrrp, vrrp_ah

SOURCE, GROUP = bytes((10, 77, 0, 2)), bytes((224, 0, 0, 18))
SIX, GROUP_SIX = bytes.fromhex("fe80" + "00" * 13 + "02"), bytes.fromhex("ff02" + "00" * 13 + "12")
VIPS = bytes((10, 77, 0, 100, 10, 77, 0, 101))
REASONS = {*vrrp.REASONS, *arp.REASONS, *ndp.REASONS, *bfd.REASONS}

ORIGINALS = (
    Advertisement(Family.IPV4, 2, 51, 150, seconds(1), VIPS, 1, b"s3cret\0\0"),
    Advertisement(Family.IPV4, 3, 51, 150, milliseconds(100), VIPS),
    Advertisement(Family.IPV6, 3, 51, 150, milliseconds(100), SIX),
)


def mutated(rng: random.Random, packet: bytes) -> bytes:
    data = bytearray(packet)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data)) if data else 0
        match rng.randrange(4):
            case 0 if data:
                data[at] = rng.randrange(256)
            case 1 if data:
                data[at] ^= 1 << rng.randrange(8)
            case 2:
                del data[at : at + rng.randint(1, 8)]
            case _:
                data[at:at] = rng.randbytes(rng.randint(1, 4))
    return bytes(data)


def decoders() -> list[tuple[bytes, Callable[[bytes], object]]]:
    """Return an intact packet of each kind, and what decodes it."""
    ah = vrrp_ah.encode_packet(
        ORIGINALS[0], key=b"key", source=SOURCE, destination=GROUP, identification=1
    )
    found: list[tuple[bytes, Callable[[bytes], object]]] = [
        (ah, lambda data: vrrp_ah.decode_packet(data, "eth0", key=b"key")),
        (ah, lambda data: vrrp.decode_ipv4_packet(data, "eth0")),
        (arp.gratuitous_frame(SOURCE + b"\0\0", SOURCE)[14:], arp.decode),
        (
            ndp.unsolicited_frame(SOURCE + b"\0\0", SIX, router=True)[54:],
            lambda data: ndp.decode(data, source=SIX, destination=ndp.ALL_NODES, hop_limit=255),
        ),
        (bytes.fromhex("20c0051801020304050607080000271000002710") + bytes(4), bfd.decode),
    ]
    for original in ORIGINALS:
        six = original.family is Family.IPV6
        source, group = (SIX, GROUP_SIX) if six else (SOURCE, GROUP)

        def decode(data: bytes, source: bytes = source, group: bytes = group) -> object:
            return vrrp.decode(data, source=source, destination=group, ttl=255)

        found.append((vrrp.encode(original, source=source, destination=group), decode))
    return found


def outcome(decode: Callable[[bytes], object], packet: bytes) -> str:
    try:
        return type(decode(packet)).__name__
    except WireError as error:
        return str(error.reason)


def test_mutated_packets_give_a_value_or_a_reason() -> None:
    rng = random.Random(5798)
    pairs = decoders()
    seen: Counter[str] = Counter()
    for _ in range(60_000):
        packet, decode = rng.choice(pairs)
        seen[outcome(decode, mutated(rng, packet))] += 1
    values = {"Arrival", "Advertisement", "ArpPacket", "NeighbourAdvertisement", "BfdPacket"}
    assert set(seen) <= REASONS | values
    assert seen["checksum"] > 5_000
    assert seen["short"] > 1_000


def test_random_bytes_give_a_value_or_a_reason() -> None:
    rng = random.Random(9568)
    pairs = decoders()
    for _ in range(20_000):
        _, decode = rng.choice(pairs)
        assert outcome(decode, rng.randbytes(rng.randrange(120))) in REASONS | {"BfdPacket"}


def test_an_intact_packet_of_each_kind_decodes() -> None:
    names = [outcome(decode, packet) for packet, decode in decoders()]
    assert names == [
        *("Arrival", "protocol", "ArpPacket", "NeighbourAdvertisement", "BfdPacket"),
        *("Advertisement", "Advertisement", "Advertisement"),
    ]
