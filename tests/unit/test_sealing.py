"""Sealed datagrams: what they hide, what is replayed, what a restart and a change of keys do."""

import contextlib
import hashlib
import hmac
import itertools
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from standfest.core.sealing.sessions import MAX_BELIEVED, MAX_COUNTER, WINDOW, Refusal, Sessions
from standfest.daemons.sealing import Sealing
from standfest.model.errors import WireError
from standfest.model.keys import Key, Keyring, SignatureMethod
from standfest.wire import sealed

OLD = Key(1, SignatureMethod.AES256_GCM, b"an old passphrase")
NEW = Key(2, SignatureMethod.AES256_GCM, b"a new passphrase.")
SIGNS = Key(3, SignatureMethod.SHA256, b"secret")
RING = Keyring(1, (OLD,))


def drawn(first: int) -> Callable[[int], bytes]:
    """Return a source of sessions: FIRST, FIRST + 1, ... as 16 bytes, most significant first."""
    numbers = itertools.count(first)
    return lambda size: next(numbers).to_bytes(8) + bytes(size - 8)


def node(first: int, keyring: Keyring = RING) -> Sealing:
    return Sealing(keyring, drawn(first * 1_000))


def reason(sealing: Sealing, datagram: bytes) -> str:
    with pytest.raises(WireError) as raised:
        sealing.open(datagram)
    return raised.value.reason


def acquainted(*keyrings: Keyring) -> list[Sealing]:
    """Return nodes that have proved to each other that they are alive."""
    nodes = [node(number, keyring) for number, keyring in enumerate(keyrings or (RING, RING), 1)]
    for _ in range(2):  # the first round makes the names known, the second repeats them
        for sender, receiver in itertools.permutations(nodes, 2):
            with contextlib.suppress(WireError):
                receiver.open(sender.close(b"hello"))
    return nodes


def test_a_sealed_datagram_is_exactly_these_bytes() -> None:
    """HKDF by hand (RFC 5869): extract with the session as salt, expand one block."""
    session = (1_000).to_bytes(8) + bytes(8)
    extracted = hmac.digest(session, b"an old passphrase", hashlib.sha256)
    key = hmac.digest(extracted, b"standfest messages aes256-gcm 1\x01", hashlib.sha256)
    before = b"SFe1\x01" + session + bytes(8)
    # No proof yet, so a count of 0; the nonce is the counter in 12 bytes.
    wanted = before + AESGCM(key).encrypt(bytes(12), b"\x00status of node-1", before)
    assert node(1).close(b"status of node-1") == wanted
    assert len(wanted) == 4 + 1 + 16 + 8 + 1 + 16 + 16


def test_a_key_that_signs_seals_a_service_link_with_a_key_of_its_own() -> None:
    ring = Keyring(3, (SIGNS,))
    session = (1_000).to_bytes(8) + bytes(8)
    extracted = hmac.digest(session, b"secret", hashlib.sha256)
    key = hmac.digest(extracted, b"standfest service link aes256-gcm 1\x01", hashlib.sha256)
    before = b"SFe1\x03" + session + bytes(8)
    datagram = before + AESGCM(key).encrypt(bytes(12), b"\x00signed", before)
    assert node(1, ring).close(b"signed") == datagram
    # What is inside has its own signature and order: no proof is asked for.
    assert node(2, ring).open(datagram) == (SIGNS, b"signed")


def test_nothing_is_readable_and_nothing_is_sent_twice() -> None:
    sender = node(1)
    datagrams = {sender.close(b"status of node-1") for _ in range(100)}
    assert len(datagrams) == 100
    assert not any(b"node-1" in datagram or b"passphrase" in datagram for datagram in datagrams)


def test_damage_another_key_and_other_headers_open_nothing() -> None:
    sender, receiver = acquainted()
    datagram = sender.close(b"status of node-1")
    for at in range(len(datagram)):
        damaged = datagram[:at] + bytes((datagram[at] ^ 1,)) + datagram[at + 1 :]
        # Bytes 0 to 3 the magic, 4 the key number, 5 to 20 the session, 21 to 28 the counter:
        # a flipped last bit makes counter 2 of it 3, and another one a counter far ahead.
        wanted = "seal-framing" if at < 4 else "unknown-key" if at == 4 else "bad-seal"
        assert reason(receiver, damaged) == wanted, at
    for end in range(len(datagram)):
        assert reason(receiver, datagram[:end]) in ("seal-framing", "bad-seal"), end
    other = Keyring(1, (Key(1, SignatureMethod.AES256_GCM, b"a passphrase of others"),))
    assert reason(node(7, other), datagram) == "bad-seal"
    assert receiver.open(datagram) == (OLD, b"status of node-1")


def test_a_recording_is_refused_once_it_was_heard_whatever_its_order() -> None:
    sender, receiver = acquainted()
    sent = [sender.close(b"%d" % number) for number in range(20)]
    shuffled = sent[10:] + sent[9::-1]
    assert [receiver.open(one) for one in shuffled] == [
        (OLD, b"%d" % number) for number in (*range(10, 20), *range(9, -1, -1))
    ]
    assert {reason(receiver, one) for one in sent} == {"seal-replayed"}


def test_our_own_broadcast_is_nobodys() -> None:
    sender = node(1)
    assert sender.open(sender.close(b"hello")) is None


def test_a_recording_from_before_our_start_proves_nothing() -> None:
    sender, receiver = acquainted()
    recorded = [sender.close(b"alive %d" % number) for number in range(50)]
    restarted = node(9)
    for _ in range(2):
        for datagram in recorded:
            assert reason(restarted, datagram) in ("seal-unproved", "seal-replayed")
    assert receiver.open(recorded[0]) is not None
    # We repeat the recorded name: its owner lives and believes us, and repeats ours from then on.
    assert sender.open(restarted.close(b"hello")) == (OLD, b"hello")
    assert restarted.open(sender.close(b"alive")) == (OLD, b"alive")
    assert reason(restarted, recorded[-1]) == "seal-replayed"


def test_a_new_session_is_news_once_and_a_recording_makes_nobody_talk_again() -> None:
    sender, receiver = acquainted()
    assert receiver.newcomer()  # who was heard for the first time
    assert not receiver.newcomer()
    recorded = [sender.close(b"hello") for _ in range(3)]
    assert receiver.open(recorded[0]) is not None
    assert not receiver.newcomer()
    restarted = node(9)
    assert reason(restarted, recorded[1]) == "seal-unproved"
    assert restarted.newcomer()
    assert reason(restarted, recorded[2]) == "seal-unproved"
    assert reason(restarted, recorded[2]) == "seal-replayed"
    assert not restarted.newcomer()


def test_a_restart_with_the_same_generation_and_state_uses_another_key() -> None:
    """What is on disk plays no part: the session is drawn at each start, and it is the salt."""
    first, again = node(1), node(2)
    one, two = first.close(b"the same"), again.close(b"the same")
    assert one[21:29] == two[21:29] == bytes(8)  # both count from 0
    assert one[5:21] != two[5:21]
    # Under one key the same nonce and text would be the same bytes.
    assert one[29:] != two[29:]


def test_keys_change_in_the_middle_and_no_message_is_lost() -> None:
    """Both learn the new key, then each sends with it, then the old one goes; never at once."""
    both = (OLD, NEW)
    steps = ((1, both), (2, both), (2, (NEW,)))
    first, second = acquainted()
    heard = 0
    for active, keys in steps:
        for changing in (first, second):
            under_way = [first.close(b"one"), second.close(b"two")]  # sent with the old ring
            changing.change(Keyring(active, keys))
            under_way += [first.close(b"one"), second.close(b"two")]
            for datagram, receiver in zip(under_way, (second, first) * 2, strict=True):
                assert receiver.open(datagram) is not None
                heard += 1
    assert heard == 3 * 2 * 4
    assert reason(first, node(5).close(b"x")) == "unknown-key"  # the old key is no longer accepted


def test_plain_nodes_cannot_prove_anything_so_mixed_keys_ask_for_nothing() -> None:
    mixed = Keyring(1, (OLD, SIGNS), mixed=True)
    sender, receiver = node(1, mixed), node(2, mixed)
    assert receiver.open(sender.close(b"hello")) == (OLD, b"hello")
    # Once all keys encrypt, it has to: the proof may have been given while they were mixed.
    receiver.change(RING)
    assert reason(receiver, sender.close(b"hello")) == "seal-unproved"
    assert sender.open(receiver.close(b"hello")) == (OLD, b"hello")
    assert receiver.open(sender.close(b"hello")) == (OLD, b"hello")


def test_the_window_ends_where_it_says() -> None:
    sessions = Sessions(b"o" * 16, prove=False)
    name = b"n" * 16
    sessions.accept(name, 10_000, ())
    sessions.check(name, 10_000 - WINDOW + 1)
    for counter, refusal in ((10_000 - WINDOW, Refusal.OLD), (10_000, Refusal.REPLAYED)):
        with pytest.raises(WireError) as raised:
            sessions.check(name, counter)
        assert raised.value.reason == refusal.value
    sessions.accept(name, 10_000 + 2 * WINDOW, ())  # a jump forgets all before
    sessions.check(name, 10_000 + WINDOW + 1)
    with pytest.raises(WireError, match="seal-old"):
        sessions.check(name, 10_000 + WINDOW)


def test_our_session_ends_before_a_believed_one_would_have_to_be_forgotten() -> None:
    sessions = Sessions(b"o" * 16, prove=True)
    for number in range(MAX_BELIEVED):
        assert not sessions.full
        sessions.accept(number.to_bytes(16), 0, (b"o" * 8,))
    assert sessions.full
    sessions.renew(b"p" * 16)
    assert not sessions.full
    # What those sessions said to our old one is void now.
    with pytest.raises(WireError, match="seal-unproved"):
        sessions.accept(bytes(16), 1, (b"o" * 8,))
    sessions.accept(bytes(16), 2, (b"p" * 8,))


def test_a_session_ends_with_its_counters() -> None:
    sender = node(1)
    vars(sender)["_sessions"]._next = MAX_COUNTER - 1
    last, next_ = sender.close(b"x"), sender.close(b"x")
    assert (last[21:29], next_[21:29]) == ((2**32 - 1).to_bytes(8), bytes(8))
    assert last[5:21] != next_[5:21]


def test_sixteen_nodes_hear_each_other_after_two_rounds() -> None:
    nodes = acquainted(*([RING] * 16))
    for sender, receiver in itertools.permutations(nodes, 2):
        assert receiver.open(sender.close(b"hello")) == (OLD, b"hello")
    # 15 proofs of 8 bytes, the count, header 29, tag 16 and 5 bytes of message.
    assert len(nodes[0].close(b"hello")) == 15 * 8 + 1 + 29 + 16 + 5


def test_no_secret_is_shown() -> None:
    shown = repr(RING) + repr(OLD) + repr(sealed.read_header(node(1).close(b"x")))
    assert "passphrase" not in shown
