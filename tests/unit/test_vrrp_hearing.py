"""What says the same again is recognised: only if it is the same, and intact."""

from dataclasses import replace

import pytest

from standfest.adapters.linux.vrrppath import Hearing
from standfest.model.advertisement import Advertisement
from standfest.model.errors import WireError
from standfest.model.time import milliseconds
from standfest.model.vrrp import Family
from standfest.wire import vrrp
from standfest.wire.ipv4 import encode_header

SOURCE, GROUP = bytes((10, 0, 0, 1)), bytes((224, 0, 0, 18))
SAID = Advertisement(Family.IPV4, 3, 51, 100, milliseconds(10), bytes((10, 0, 0, 100)))


def packet(identification: int, said: Advertisement = SAID) -> bytes:
    message = vrrp.encode(said, source=SOURCE, destination=GROUP)
    header = encode_header(
        source=SOURCE,
        destination=GROUP,
        ttl=255,
        tos=0xC0,
        identification=identification,
        protocol=vrrp.PROTOCOL,
        payload_bytes=len(message),
    )
    return header + message


def test_the_same_advert_with_another_identification_is_the_same_arrival() -> None:
    hearing = Hearing()
    first = hearing.decode(packet(1), "eth0", 4)
    assert first.advertisement == SAID
    assert all(hearing.decode(packet(n), "eth0", 4) is first for n in (2, 3, 0xFFFF))


def test_another_advert_is_read_anew() -> None:
    hearing = Hearing()
    hearing.decode(packet(1), "eth0", 4)
    other = replace(SAID, priority=0)
    assert hearing.decode(packet(2, other), "eth0", 4).advertisement == other


@pytest.mark.parametrize("at", range(32))
def test_no_damaged_byte_is_taken_for_the_same(at: int) -> None:
    hearing = Hearing()
    hearing.decode(packet(1), "eth0", 4)
    damaged = bytearray(packet(2))
    damaged[at] ^= 0x10
    with pytest.raises(WireError):
        hearing.decode(bytes(damaged), "eth0", 4)
