"""Sealed traffic over a hostile network: nothing twice, nothing forged, nothing lost by a change.

What arrives is delayed, reordered, doubled, damaged, cut and replayed at random, nodes restart and
keys change meanwhile; every message that is believed was sent, by a living session, and once.
"""

import os
import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from standfest.core.sealing.sessions import Refusal
from standfest.daemons.sealing import Sealing
from standfest.model.errors import WireError
from standfest.model.keys import Key, Keyring, SignatureMethod
from standfest.wire.sealed import HEADER_BYTES, MAGIC

OLD = Key(1, SignatureMethod.AES256_GCM, b"an old passphrase")
NEW = Key(2, SignatureMethod.AES256_GCM, b"a new passphrase.")
RING, BOTH, NEXT, LAST = (
    Keyring(1, (OLD,)),
    Keyring(1, (OLD, NEW)),
    Keyring(2, (OLD, NEW)),
    Keyring(2, (NEW,)),
)
REASONS = {*Refusal, "bad-seal", "seal-framing", "unknown-key"}
STEPS = 300


def outcome(sealing: Sealing, datagram: bytes) -> bytes | str | None:
    try:
        opened = sealing.open(datagram)
        return None if opened is None else opened[1]
    except WireError as error:
        reason = error.reason
    assert reason in REASONS
    return reason


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_open(data: bytes, magic: bool) -> None:
    sealing = Sealing(RING, random.Random(1).randbytes)
    datagram = MAGIC + data if magic else data
    assert isinstance(outcome(sealing, datagram), str)


@given(st.integers(0, 2**32))
@settings(max_examples=60)
def test_on_a_hostile_network_nothing_is_believed_twice_or_lost(seed: int) -> None:
    rng = random.Random(seed)
    names = ("a", "b", "c")
    nodes = {name: Sealing(RING, rng.randbytes) for name in names}
    rings = dict.fromkeys(names, 0)
    starts: Counter[str] = Counter()
    recorded: list[tuple[str, bytes, bytes]] = []  # sender, message, datagram
    sealed_once: set[tuple[bytes, bytes]] = set()
    believed: set[tuple[str, int, bytes]] = set()

    def send(sender: str) -> bytes:
        message = f"{sender} {starts[sender]} {len(recorded)}".encode()
        datagram = nodes[sender].close(message)
        place = datagram[5:21], datagram[21:HEADER_BYTES]
        assert place not in sealed_once  # session and counter: the key and the nonce
        sealed_once.add(place)
        recorded.append((sender, message, datagram))
        return datagram

    def arrive(receiver: str, datagram: bytes, message: bytes) -> bool:
        """Let a datagram arrive; whatever is believed is this message, for the first time."""
        got = outcome(nodes[receiver], datagram)
        if not isinstance(got, bytes):
            return False
        assert got == message
        mark = receiver, starts[receiver], message
        assert mark not in believed
        believed.add(mark)
        return True

    def meet() -> None:
        """Two rounds of undisturbed heartbeats, as a keepalive each brings them."""
        for _ in range(2):
            for sender in names:
                datagram = send(sender)
                for receiver in names:
                    arrive(receiver, datagram, recorded[-1][1])

    order = (RING, BOTH, NEXT, LAST)
    meet()
    for _ in range(STEPS):
        sender, receiver = rng.sample(names, 2)
        match rng.randrange(12):
            case 0:  # a crash: whatever was recorded of the others, it must hear them live
                starts[receiver] += 1
                nodes[receiver] = Sealing(order[rings[receiver]], rng.randbytes)
                for old in rng.sample(recorded, min(40, len(recorded))):
                    assert not arrive(receiver, old[2], old[1])
                meet()
            case 1 if max(rings.values()) - rings[sender] or len(set(rings.values())) == 1:
                # One node after the other goes one step on: never two steps apart.
                rings[sender] = min(rings[sender] + 1, len(order) - 1)
                nodes[sender].change(order[rings[sender]])
            case 2 | 3:
                old = rng.choice(recorded)
                arrive(receiver, old[2], old[1])
            case 4:
                data = bytearray(rng.choice(recorded)[2])
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
                assert not isinstance(outcome(nodes[receiver], bytes(data)), bytes)
            case 5:
                data = bytearray(rng.choice(recorded)[2])
                assert not isinstance(
                    outcome(nodes[receiver], bytes(data[: rng.randrange(len(data))])), bytes
                )
            case _:
                datagrams = [(send(sender), recorded[-1][1]) for _ in range(rng.randrange(1, 5))]
                rng.shuffle(datagrams)
                for datagram, message in datagrams:
                    # Fresh, from somebody known: believed whatever keys are changing.
                    assert arrive(receiver, datagram, message)


def test_no_start_repeats_session_and_counter() -> None:
    """Restarts with whatever was on disk: only the session drawn at the start tells them apart."""
    rounds = 20 if "STANDFEST_HUNT_SEED" not in os.environ else 1_000
    seen: set[bytes] = set()
    for _ in range(rounds):
        sealing = Sealing(RING, os.urandom)
        seen |= {sealing.close(b"")[5:HEADER_BYTES] for _ in range(1_000)}
    assert len(seen) == rounds * 1_000
