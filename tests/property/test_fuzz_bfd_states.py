"""Mutated BFD packets at running sessions: no crash, and no move that RFC 5880 does not allow."""

import os
import random
from collections import Counter
from ipaddress import IPv4Address

import pytest

from standfest.core.bfd.effects import SessionChanged
from standfest.core.bfd.sessions import Sessions
from standfest.model.bfd import BfdState
from standfest.model.director import BfdInstance
from standfest.model.errors import WireError
from standfest.model.time import milliseconds
from standfest.wire import bfd

SEED = int(os.environ.get("STANDFEST_HUNT_SEED", "5880"))
PEER, STRANGER = IPv4Address("10.77.0.2"), IPv4Address("10.77.0.9")
SETTINGS = BfdInstance("b", PEER, min_rx=milliseconds(10), min_tx=milliseconds(20), multiplier=3)
ADMIN_DOWN, DOWN, INIT, UP = BfdState
# RFC 5880 sections 6.2 and 6.8.6: what we are, what the neighbour says it is, what we become.
MOVES = {
    (DOWN, DOWN, INIT),
    (DOWN, INIT, UP),
    (INIT, INIT, UP),
    (INIT, UP, UP),
    (INIT, ADMIN_DOWN, DOWN),
    (UP, DOWN, DOWN),
    (UP, ADMIN_DOWN, DOWN),
}


def packet(rng: random.Random, mine: int) -> bytes:
    """Return a control packet of any state, intervals 1 to 50 ms, now and then mutated."""
    state = rng.choices((0, 1, 2, 3), (1, 4, 6, 10))[0]
    flags = state << 6 | (rng.choice((0x20, 0x10, 0x02)) if rng.random() < 0.1 else 0)
    yours = mine if rng.random() < 0.9 else rng.choice((0, 1))
    data = bytearray((0x20, flags, 3, 24))
    for number in (7, yours, rng.randint(1_000, 50_000), rng.randint(0, 50_000), 0):
        data += number.to_bytes(4)
    for _ in range(rng.choice((0, 0, 1, 2))):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data) if rng.random() < 0.97 else bytes(data[: rng.randrange(24)])


def is_ours(data: bytes, mine: int) -> bool:
    """Return whether a packet of our neighbour passes section 6.8.6, read a second time."""
    if len(data) < 24 or data[0] >> 5 != 1 or not 24 <= data[3] <= len(data):
        return False
    if data[1] & 0x05 or data[2] == 0 or data[4:8] == bytes(4):
        return False
    yours = int.from_bytes(data[8:12])
    return yours == mine or (yours == 0 and data[1] >> 6 in {0, 1})


def changes(effects: object) -> list[SessionChanged]:
    assert isinstance(effects, list)
    return [effect for effect in effects if isinstance(effect, SessionChanged)]


def fuzz(count: int, seed: int) -> Counter[tuple[BfdState, BfdState, BfdState]]:
    """Let a session hear packets; return how often which move was made."""
    rng, now, state = random.Random(seed), 0, DOWN
    sessions = Sessions([SETTINGS], rng)
    (first,) = sessions.start(0)
    mine: int = first.packet.my_discriminator  # type: ignore[union-attr]
    made: Counter[tuple[BfdState, BfdState, BfdState]] = Counter()
    for number in range(count):
        now += rng.choice((0, milliseconds(1), milliseconds(10), milliseconds(40)))
        for change in changes(sessions.on_timer(now)):
            assert (change.state, state in {INIT, UP}) == (DOWN, True), f"timer at {number}"
            state = DOWN
        data, source = packet(rng, mine), PEER if rng.random() < 0.97 else STRANGER
        try:
            effects = sessions.on_packet(now, source, 255, bfd.decode(data))
        except WireError:
            continue
        for change in changes(effects):
            move = (state, BfdState(data[1] >> 6), change.state)
            place = f"packet {number} of seed {seed}: {data.hex()}"
            assert move in MOVES, place
            assert source == PEER, place
            assert is_ours(data, mine), place
            made[move] += 1
            state = change.state
    return made


def test_thirty_thousand_mutated_packets_make_no_move_that_rfc_5880_does_not_allow() -> None:
    made = fuzz(30_000, SEED)
    assert set(made) == MOVES, "the packets miss what they aim at"
    assert min(made.values()) > 20


@pytest.mark.hunt
@pytest.mark.slow
@pytest.mark.skipif("STANDFEST_HUNT_SEED" not in os.environ, reason="runs in ./dev hunt only")
def test_a_million_mutated_packets_make_no_move_that_rfc_5880_does_not_allow() -> None:
    assert set(fuzz(1_000_000, SEED)) == MOVES
