"""Heartbeat datagrams: literal vectors, every reason for dropping one, limits."""

import base64
import hashlib
import hmac

import pytest

from standfest.model.errors import WireError
from standfest.model.keys import Key, Keyring, SignatureMethod
from standfest.model.message import FieldValue, Message
from standfest.wire.heartbeat import (
    MAX_DATAGRAM,
    MAX_DEPTH,
    MAX_FIELDS,
    MAX_ITEMS,
    REASONS,
    Form,
    decode,
    decode_signed,
    encode,
    form_for,
    read_inner,
    write_inner,
)
from standfest.wire.signature import heartbeat_crc

SHA1 = Keyring(1, (Key(1, SignatureMethod.SHA1, b"secret"),))
UUID = bytes(range(16))
STATUS = Message((("t", "status"), ("st", "up"), ("src", "n1"), ("srcuuid", UUID), ("seq", "a")))
# Lengths: "(0)t=status" 11, "(0)st=up" 8, "(0)src=n1" 9, "(1)srcuuid=" 11 + 16 = 27, "(0)seq=a" 8.
STATUS_FIELDS = b"11:(0)t=status,8:(0)st=up,9:(0)src=n1,27:(1)srcuuid=" + UUID + b",8:(0)seq=a,"
STATUS_LINES = b"t=status\nst=up\nsrc=n1\n(1)srcuuid=" + base64.b64encode(UUID) + b"\nseq=a\n"


def sha1(data: bytes, key: bytes = b"secret") -> bytes:
    return hmac.new(key, data, hashlib.sha1).hexdigest().encode()


def sealed(fields: bytes, number: bytes = b"1", key: bytes = b"secret") -> bytes:
    """Return a netstring datagram signed here, not by the code under test: 40 + 1 + 1 = 42."""
    body = b"###\n" + fields + b"%%%\n"
    signature = number + b" " + sha1(body, key)
    return body + b"%d:" % len(signature) + signature + b","


def lined(lines: bytes) -> bytes:
    return b">>>\n" + lines + b"auth=1 " + sha1(lines) + b"\n<<<\n\0"


def reason_of(datagram: bytes, keyring: Keyring = SHA1) -> str:
    with pytest.raises(WireError) as raised:
        decode(datagram, keyring)
    return raised.value.reason


def refusal_of(*fields: tuple[str, FieldValue], form: Form = Form.NETSTRING) -> str:
    with pytest.raises(WireError) as raised:
        encode(Message(fields), SHA1, form=form)
    return raised.value.reason


def test_the_netstring_form_is_exactly_these_bytes() -> None:
    assert encode(STATUS, SHA1, inner=False) == sealed(STATUS_FIELDS)
    # The inner signature: "(0)auth=" 8 + "1 " 2 + 40 = 50.
    with_inner = sealed(STATUS_FIELDS + b"50:(0)auth=1 " + sha1(STATUS_LINES) + b",")
    assert encode(STATUS, SHA1) == with_inner
    assert decode(with_inner, SHA1) == decode(sealed(STATUS_FIELDS), SHA1) == STATUS


def test_the_classic_form_is_exactly_these_bytes() -> None:
    assert encode(STATUS, SHA1, form=Form.CLASSIC) == lined(STATUS_LINES)
    assert decode(lined(STATUS_LINES), SHA1) == STATUS


def test_the_crc_is_the_posix_polynomial_without_the_length() -> None:
    # The published check value of CRC-32/CKSUM, "123456789", and no bytes at all: ~0.
    assert heartbeat_crc(b"123456789") == 0x765E7680
    assert heartbeat_crc(b"") == 0xFFFFFFFF


@pytest.mark.parametrize(
    ("method", "secret", "length"),
    # The netstring around "3 TOKEN": 2 + 32 = 34 (md5), 2 + at most 8 (crc).
    [(SignatureMethod.MD5, b"secret", b"34:3 "), (SignatureMethod.CRC, b"", b":3 ")],
)
def test_the_other_methods_sign_and_verify(
    method: SignatureMethod, secret: bytes, length: bytes
) -> None:
    ring = Keyring(3, (Key(3, method, secret),))
    datagram = encode(STATUS, ring)
    assert length in datagram
    assert decode(datagram, ring) == STATUS
    body = datagram[: datagram.rindex(b"%%%\n") + 4]
    if method is SignatureMethod.MD5:
        assert datagram.endswith(hmac.new(b"secret", body, hashlib.md5).hexdigest().encode() + b",")
    damaged = datagram.replace(b"st=up", b"st=uq")
    assert reason_of(damaged, ring) == "bad-signature"


def test_sha256_signs_with_hmac_sha256() -> None:
    ring = Keyring(15, (Key(15, SignatureMethod.SHA256, b"secret"),))
    datagram = encode(STATUS, ring)
    body = datagram[: datagram.rindex(b"%%%\n") + 4]
    # The longest signature: `15 ` and 64 digits are 67 bytes.
    wanted = b"67:15 " + hmac.new(b"secret", body, hashlib.sha256).hexdigest().encode() + b","
    assert datagram == body + wanted
    assert decode(datagram, ring) == STATUS
    assert decode(encode(STATUS, ring, form=Form.CLASSIC), ring) == STATUS
    assert reason_of(datagram.replace(b"st=up", b"st=uq"), ring) == "bad-signature"


def test_our_own_methods_take_no_part_in_heartbeats_bug() -> None:
    """Only heartbeat 3.0.6 signs by one key's method with another's secret."""
    both = (Key(1, SignatureMethod.SHA256, b"one"), Key(2, SignatureMethod.SHA1, b"two"))
    assert reason_of(sealed(STATUS_FIELDS, b"2", b"one"), Keyring(1, both)) == "bad-signature"
    body = encode(STATUS, Keyring(1, (Key(1, SignatureMethod.SHA256, b"two"),)))
    assert reason_of(body, Keyring(2, both)) == "bad-signature"


def test_a_ring_that_encrypts_refuses_plain_messages_unless_it_is_mixed() -> None:
    aes = Key(1, SignatureMethod.AES256_GCM, b"secret")
    assert reason_of(sealed(STATUS_FIELDS, b"1"), Keyring(1, (aes,))) == "plain"
    signs = Key(2, SignatureMethod.SHA1, b"secret")
    mixed = Keyring(1, (aes, signs), mixed=True)
    assert decode(sealed(STATUS_FIELDS, b"2"), mixed) == STATUS
    # A key that encrypts signs nothing, whatever is claimed.
    assert reason_of(sealed(STATUS_FIELDS, b"1"), mixed) == "unknown-key"


def test_what_is_inside_an_encrypted_message_has_no_signature() -> None:
    inner = write_inner(Message((("t", "status"), ("st", "up"))))
    assert inner == b"###\n11:(0)t=status,8:(0)st=up,%%%\n"
    assert read_inner(inner) == Message((("t", "status"), ("st", "up")))
    for broken in (b"", b"###\n%%", b"###\n%%%", inner[1:], inner[:-1], inner + b"x"):
        with pytest.raises(WireError) as raised:
            read_inner(broken)
        assert raised.value.reason == "framing"


def test_a_key_longer_than_a_block_is_hashed_first() -> None:
    long = b"k" * 65  # the block of SHA-1 is 64 bytes
    ring = Keyring(1, (Key(1, SignatureMethod.SHA1, long),))
    hashed = hashlib.sha1(long).digest()
    assert encode(STATUS, ring, inner=False) == sealed(STATUS_FIELDS, key=hashed)


@pytest.mark.parametrize("form", Form)
def test_lists_nested_messages_and_newlines_survive(form: Form) -> None:
    deep = Message((("a", "x\ny"), ("b", b"\n\0%%%\n"), ("c", ("", "d,e\nf"))))
    message = Message((("t", "T_cib"), ("m", Message((("n", deep), ("t", "1")))), ("l", ("abc",))))
    assert decode(encode(message, SHA1, form=form), SHA1) == message


def test_the_documented_list_and_nesting_are_written_so() -> None:
    message = Message((("l", ("abc", "defg")), ("m", Message((("a", "1"),)))))
    # "(3)l=" 5 + "3:abc,4:defg," 13 = 18; "(2)m=" 5 + "###\n" 4 + "6:(0)a=1," 9 + "%%%\n" 4 = 22.
    fields = b"18:(3)l=3:abc,4:defg,,22:(2)m=###\n6:(0)a=1,%%%\n,"
    assert encode(message, SHA1, inner=False) == sealed(fields)
    classic = b"(3)l=3:abc,4:defg,\n(2)m=>>>\x14a=1\x14<<<\x14\n"
    assert encode(message, SHA1, form=Form.CLASSIC) == lined(classic)


def test_duplicate_names_keep_their_order() -> None:
    message = Message((("a", "1"), ("b", "2"), ("a", "3")))
    assert decode(encode(message, SHA1), SHA1).fields == (("a", "1"), ("b", "2"), ("a", "3"))


TWO_KEYS = (Key(1, SignatureMethod.SHA1, b"one"), Key(2, SignatureMethod.SHA1, b"two"))


def test_a_key_change_accepts_the_named_key_and_heartbeats_own_bug() -> None:
    receiver = Keyring(1, TWO_KEYS)
    assert decode(sealed(STATUS_FIELDS, b"2", b"two"), receiver) == STATUS
    # Heartbeat checks number 2 with the receiver's active key 1.
    assert decode(sealed(STATUS_FIELDS, b"2", b"one"), receiver) == STATUS
    assert decode_signed(sealed(STATUS_FIELDS, b"2", b"one"), receiver) == (STATUS, TWO_KEYS[1])
    assert reason_of(sealed(STATUS_FIELDS, b"1", b"two"), receiver) == "bad-signature"
    classic = lined(STATUS_LINES).replace(b"auth=1 " + sha1(STATUS_LINES), b"auth=2 ")
    for key, accepted in ((b"two", True), (b"one", False)):
        datagram = classic.replace(b"auth=2 ", b"auth=2 " + sha1(STATUS_LINES, key))
        if accepted:
            assert decode(datagram, receiver) == STATUS
        else:
            assert reason_of(datagram, receiver) == "bad-signature"


def test_in_the_middle_of_a_change_heartbeat_gets_the_form_that_it_checks_with_the_right_key() -> (
    None
):
    """A real 3.0.6 with `auth 1` and both keys dropped number 2 in netstring form."""
    changing = Keyring(2, TWO_KEYS)
    wanted = b">>>\n" + STATUS_LINES + b"auth=2 " + sha1(STATUS_LINES, b"two") + b"\n<<<\n\0"
    assert encode(STATUS, changing, form=form_for(changing)) == wanted
    # One key, or one of heartbeat's beside ours: nobody can be confused, or nobody listens.
    for keys in (TWO_KEYS[1:], (TWO_KEYS[1], Key(1, SignatureMethod.SHA256, b"one"))):
        assert form_for(Keyring(2, keys)) is Form.NETSTRING


def test_an_active_crc_key_never_becomes_an_empty_secret() -> None:
    ring = Keyring(1, (Key(1, SignatureMethod.CRC), Key(2, SignatureMethod.SHA1, b"two")))
    assert reason_of(sealed(STATUS_FIELDS, b"2", b""), ring) == "bad-signature"


def nested(depth: int) -> bytes:
    field = b"6:(0)a=1,"
    for _ in range(depth):
        item = b"(2)m=###\n" + field + b"%%%\n"
        field = b"%d:%b," % (len(item), item)
    return field


def nested_lines(depth: int) -> bytes:
    lines = b"a=1\n"
    for level in reversed(range(depth)):
        inner = b">>>\n" + lines + b"<<<\n"
        lines = b"(2)m=" + inner.replace(b"\n", bytes([20 + level])) + b"\n"
    return lines


VALID = sealed(STATUS_FIELDS)
MANY = b"6:(0)a=1," * (MAX_FIELDS + 1)
ITEMS = b"1:x," * (MAX_ITEMS + 1)
DROPPED: list[tuple[str, bytes]] = [
    ("oversized", VALID + b"x" * MAX_DATAGRAM),
    ("framing", b""),
    ("framing", b"###\n"),
    ("framing", b"GET / HTTP/1.0\r\n\r\n"),
    ("framing", VALID[:-60]),
    ("framing", VALID + b"x"),
    ("framing", VALID[:-1] + b";"),
    ("framing", lined(STATUS_LINES)[:-1]),
    ("framing", lined(b"").replace(b"\n<<<", b"<<<")),
    ("framing", sealed(b"9:(2)m=####,")),
    ("unsigned", b"###\n" + STATUS_FIELDS + b"%%%\n"),
    ("unsigned", b"###\n" + STATUS_FIELDS + b"%%%\n1:1,"),
    ("unsigned", sealed(STATUS_FIELDS, b"01")),
    ("unsigned", b">>>\n" + STATUS_LINES + b"<<<\n\0"),
    ("unknown-key", sealed(STATUS_FIELDS, b"2")),
    ("bad-signature", sealed(STATUS_FIELDS, key=b"other")),
    ("bad-signature", VALID.replace(b"st=up", b"st=uq")),
    ("bad-signature", lined(STATUS_LINES).replace(b"st=up", b"st=uq")),
    ("length", sealed(b"06:(0)a=1,")),
    ("length", sealed(b"+6:(0)a=1,")),
    ("length", sealed(b"6_0:(0)a=1,")),
    ("length", sealed(b"60000:(0)a=1,")),
    ("length", sealed(b"nonsense")),
    ("field", sealed(b"3:a=1,")),
    ("field", sealed(b"4:(0)a,")),
    ("field", sealed(b"4:(1)a,")),
    ("field", sealed(b"5:(0)=1,")),
    ("field", sealed(b"11:(0)auth=1 x,6:(0)a=1,")),
    ("field", sealed(b"8:(0)\xc3\xa9a=1,")),
    ("field", lined(b"nonsense\n")),
    ("field", lined(b"(1)a=???\n")),
    ("type", sealed(b"6:(9)a=1,")),
    ("type", lined(b"(0)a=1\n")),
    ("compressed", sealed(b"6:(4)a=1,")),
    ("compressed", sealed(b"6:(5)a=1,")),
    ("nesting", sealed(nested(MAX_DEPTH + 1))),
    ("nesting", lined(nested_lines(MAX_DEPTH + 1))),
    ("too-many-fields", sealed(MANY)),
    ("too-many-fields", lined(b"a=1\n" * (MAX_FIELDS + 1))),
    ("too-many-items", sealed(b"%d:(3)l=%b," % (5 + len(ITEMS), ITEMS))),
    ("encoding", sealed(b"6:(0)a=\xff,")),
    ("encoding", sealed(b"6:(0)a=\0,")),
    ("encoding", lined(b"a=\xff\n")),
]


@pytest.mark.parametrize(("reason", "datagram"), DROPPED)
def test_a_bad_datagram_is_dropped_for_its_reason(reason: str, datagram: bytes) -> None:
    assert reason_of(datagram) == reason


def test_every_reason_has_a_datagram() -> None:
    # `plain` is a matter of the keys, not of the datagram, and has a test of its own.
    assert sorted({reason for reason, _ in DROPPED} | {"plain"}) == sorted(REASONS)


def test_what_just_fits_the_limits_is_accepted() -> None:
    assert len(decode(sealed(MANY[9:]), SHA1).fields) == MAX_FIELDS
    deepest = decode(sealed(nested(MAX_DEPTH)), SHA1)
    assert decode(lined(nested_lines(MAX_DEPTH)), SHA1) == deepest
    for form in Form:
        assert decode(encode(deepest, SHA1, form=form), SHA1) == deepest
    # Around the value: 4 + "65452:" 6 + "(0)a=" 5 + "," 1 + 4 + "42:1 " 5 + 40 + "," 1 = 66.
    message = Message((("a", "x" * (65_507 - 66)),))
    assert len(encode(message, SHA1, inner=False)) == 65_507
    assert decode(encode(message, SHA1, inner=False), SHA1) == message


def test_what_cannot_be_represented_is_never_sent() -> None:
    assert refusal_of(("a", "x" * MAX_DATAGRAM)) == "oversized"
    assert refusal_of(("auth", "1 x")) == "field"
    assert refusal_of(("a=b", "x")) == "field"
    assert refusal_of(("", "x")) == "field"
    assert refusal_of(("a", "\0")) == "encoding"
    assert refusal_of(("a", "\ud800")) == "encoding"
    assert refusal_of(("a", "\x13"), form=Form.CLASSIC) == "encoding"
    assert refusal_of(*[("a", "1")] * MAX_FIELDS) == "too-many-fields"
    assert refusal_of(("l", ("x",) * (MAX_ITEMS + 1))) == "too-many-items"
    deep = Message(())
    for _ in range(MAX_DEPTH):  # and one more below `t`
        deep = Message((("m", deep),))
    for form in Form:
        assert refusal_of(("t", deep), form=form) == "nesting"


def test_no_error_shows_the_secret_or_the_datagram() -> None:
    with pytest.raises(WireError) as raised:
        decode(sealed(STATUS_FIELDS, key=b"other"), SHA1)
    assert str(raised.value) == "bad-signature: signature by key 1 does not match"
