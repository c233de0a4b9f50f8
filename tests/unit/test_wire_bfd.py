"""BFD control packets: the checks of RFC 5880 section 6.8.6 that need no session."""

import pytest

from standfest.model.bfd import BfdPacket, BfdState, Diagnostic
from standfest.model.errors import WireError
from standfest.model.time import microseconds
from standfest.wire import bfd

PACKET = BfdPacket(
    state=BfdState.UP,
    diagnostic=Diagnostic.NEIGHBOR_SIGNALED_DOWN,
    multiplier=5,
    my_discriminator=0x01020304,
    your_discriminator=0x05060708,
    desired_min_tx=microseconds(10_000),
    required_min_rx=microseconds(20_000),
    poll=True,
)
# version 1 diagnostic 3; state 3 and P; multiplier 5; 24 bytes; 10,000 = 0x2710, 20,000 = 0x4e20
BYTES = bytes.fromhex("23e00518 01020304 05060708 00002710 00004e20 00000000")


def changed(at: int, value: int) -> bytes:
    data = bytearray(BYTES)
    data[at] = value
    return bytes(data)


def test_a_control_packet_has_24_bytes() -> None:
    """5880-4.1-1, 5880-6.8.6-1, 5880-6.8.6-2, 5880-6.8.6-3."""
    assert bfd.encode(PACKET) == BYTES
    assert bfd.decode(BYTES) == PACKET


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (changed(0, 0x03), "version"),
        (changed(0, 0x43), "version"),
        (changed(3, 23), "length"),
        (changed(3, 25), "length"),
        (BYTES[:23], "short"),
        (changed(1, 0xC4), "authentication"),
    ],
)
def test_a_packet_of_another_form_is_refused(data: bytes, reason: str) -> None:
    """5880-6.8.6-1 (version), 5880-6.8.6-2 and 5880-6.8.6-3 (length), 5880-4.1-1."""
    with pytest.raises(WireError) as caught:
        bfd.decode(data)
    assert caught.value.reason == reason
    assert reason in bfd.REASONS


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [(2, 0, "multiplier"), (1, 0xC1, "multipoint"), (4, 0, "my-discriminator")],
)
def test_multiplier_0_multipoint_and_discriminator_0_are_refused(
    at: int, value: int, reason: str
) -> None:
    """5880-6.8.6-4, 5880-6.8.6-5, 5880-6.8.6-6."""
    data = changed(at, value)
    if reason == "my-discriminator":
        data = data[:4] + bytes(4) + data[8:]
    with pytest.raises(WireError) as caught:
        bfd.decode(data)
    assert caught.value.reason == reason


def test_the_smallest_multiplier_and_discriminator_are_accepted() -> None:
    """5880-6.8.6-4, 5880-6.8.6-5, 5880-6.8.6-6: 1 each, the multipoint bit clear."""
    data = BYTES[:2] + b"\x01" + BYTES[3:4] + b"\0\0\0\x01" + BYTES[8:]
    assert bfd.decode(data).multiplier == 1
    assert bfd.decode(data).my_discriminator == 1


@pytest.mark.parametrize("flags", [0x40, 0x00])
def test_your_discriminator_may_be_0_before_the_session(flags: int) -> None:
    """5880-6.8.6-7: in Down and AdminDown."""
    data = changed(1, flags)
    assert bfd.decode(data[:8] + bytes(4) + data[12:]).your_discriminator == 0


@pytest.mark.parametrize("flags", [0x80, 0xC0])
def test_your_discriminator_may_not_be_0_in_the_session(flags: int) -> None:
    """5880-6.8.6-7: in Init and Up."""
    data = changed(1, flags)
    with pytest.raises(WireError, match="your discriminator is 0"):
        bfd.decode(data[:8] + bytes(4) + data[12:])
