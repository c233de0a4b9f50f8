"""100,000 random and mutated datagrams: the decoder answers with a message or a reason, always."""

import random
from collections import Counter

from standfest.model.errors import WireError
from standfest.model.keys import Key, Keyring, SignatureMethod
from standfest.model.message import Message
from standfest.wire.heartbeat import REASONS, Form, decode, encode, read_inner, write_inner
from standfest.wire.signature import sign

SHA1 = Keyring(1, (Key(1, SignatureMethod.SHA1, b"secret"), Key(2, SignatureMethod.MD5, b"two")))
STATUS = Message(
    (
        *(("t", "status"), ("st", "up"), ("dt", "3e8"), ("protocol", "1"), ("src", "n1")),
        *(("srcuuid", bytes(range(16))), ("seq", "1"), ("hg", "6b02a98d"), ("ts", "6b02a98d")),
    )
)
RICH = Message((("t", "T"), ("m", Message((("a", b"\n\0"), ("l", ("x", "y\nz")))))))
ALPHABET = b"0123456789:(),=#%><\n\0abct"


def mutated(rng: random.Random, datagram: bytes) -> bytes:
    """Return the datagram with one to four bytes changed, removed, inserted, or a piece moved."""
    data = bytearray(datagram)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data))
        match rng.randrange(5):
            case 0:
                data[at] = rng.randrange(256)
            case 1:
                data[at] ^= 1 << rng.randrange(8)
            case 2:
                del data[at : at + rng.randint(1, 8)]
            case 3:
                data[at:at] = rng.randbytes(rng.randint(1, 4))
            case _:
                piece = data[at : at + 16]
                other = rng.randrange(len(data))
                data[other:other] = piece
        if not data:
            break
    return bytes(data)


def outcome(datagram: bytes) -> Message | str:
    try:
        return decode(datagram, SHA1)
    except WireError as error:
        return error.reason if error.reason in REASONS else f"UNKNOWN REASON {error.reason}"


def test_no_mutated_datagram_is_believed() -> None:
    rng = random.Random(20_081)
    originals = [
        (message, encode(message, SHA1, form=form)) for message in (STATUS, RICH) for form in Form
    ]
    seen: Counter[str] = Counter()
    for _ in range(60_000):
        message, datagram = rng.choice(originals)
        attack = mutated(rng, datagram)
        result = outcome(attack)
        if isinstance(result, Message):
            assert attack == datagram, "one message has one signed spelling"
            assert result == message
            seen["unchanged"] += 1
        else:
            seen[result] += 1
    assert set(seen) <= {*REASONS, "unchanged"}
    assert seen["bad-signature"] > 10_000
    assert seen["framing"] > 1_000


def test_random_bytes_never_break_the_decoder() -> None:
    rng = random.Random(20_082)
    for _ in range(20_000):
        size = rng.randrange(200)
        head = rng.choice((b"", b"###\n", b">>>\n"))
        noise = rng.randbytes(size) if rng.random() < 0.5 else bytes(rng.choices(ALPHABET, k=size))
        assert outcome(head + noise) in REASONS


def test_damage_under_a_good_signature_never_breaks_the_decoder() -> None:
    """A peer that holds the key may still be broken: sign whatever was mutated."""
    rng = random.Random(20_083)
    seen: Counter[str] = Counter()
    for _ in range(20_000):
        message = rng.choice((STATUS, RICH))
        if rng.random() < 0.5:
            whole = encode(message, SHA1, inner=False)
            body = mutated(rng, whole[4 : whole.rindex(b"%%%\n")])
            signed = b"###\n" + body + b"%%%\n"
            signature = sign(SHA1.signing, signed)
            datagram = b"%b%d:%b," % (signed, len(signature), signature)
        else:
            whole = encode(message, SHA1, form=Form.CLASSIC)
            body = mutated(rng, whole[4 : whole.rindex(b"auth=")])
            body = body if body.endswith(b"\n") else body + b"\n"
            datagram = b">>>\n" + body + b"auth=" + sign(SHA1.signing, body) + b"\n<<<\n\0"
        result = outcome(datagram)
        seen["message" if isinstance(result, Message) else result] += 1
    assert set(seen) <= {*REASONS, "message"}
    assert seen["message"] > 1_000
    assert len(seen) >= 5


def test_damage_under_a_good_seal_never_breaks_the_decoder() -> None:
    """Who encrypts may be broken, too: what is inside has no signature of its own."""
    rng = random.Random(20_084)
    seen: Counter[str] = Counter()
    for _ in range(20_000):
        try:
            read_inner(mutated(rng, write_inner(rng.choice((STATUS, RICH)))))
            seen["message"] += 1
        except WireError as error:
            seen[error.reason] += 1
    assert set(seen) <= {*REASONS, "message"}
    assert seen["message"] > 300
    assert len(seen) >= 5
