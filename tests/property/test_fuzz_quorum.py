"""What arrives at the quorum server, or stands on the shared disk, is a value or a WireError."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfest.core.quorum.asking import Asking
from standfest.core.quorum.server import MAX_NODES, VoteServer
from standfest.model.errors import WireError
from standfest.model.quorum import Ask, Presence, Token, Told, Wish
from standfest.model.time import seconds
from standfest.wire import quorum, quorumdisk, values

NUMBERS = st.integers(0, 2**63 - 1)
NAMES = st.text("abcxyz-.", min_size=1, max_size=64)
ASKS = st.builds(
    Ask,
    NAMES,
    NUMBERS,
    NUMBERS,
    st.sets(NAMES, max_size=64).map(lambda names: tuple(sorted(names))),
    st.integers(0, quorum.MAX_VOTES),
    st.sampled_from(Wish),
    NUMBERS,
)
TOLDS = st.builds(Told, NUMBERS, NUMBERS, st.sampled_from(Token), st.text(max_size=40))
WORDS = st.builds(
    quorumdisk.Word,
    *(st.integers(0, 255), st.integers(0, 255), NUMBERS, NUMBERS, NUMBERS),
    *(st.integers(0, 2**32 - 1), NUMBERS),
)


def refusal(read: Callable[[], object]) -> str:
    """Return why the bytes are refused; nothing when they are not."""
    try:
        read()
    except WireError as error:
        return error.reason
    return ""


@given(st.one_of(ASKS, TOLDS))
def test_what_was_written_is_read(message: Ask | Told) -> None:
    assert quorum.decode(quorum.encode(message)) == message
    assert quorum.unwrap(quorum.wrap("mail", b"sealed")) == ("mail", b"sealed")


@given(st.binary(max_size=400), st.booleans())
def test_any_datagram_is_read_or_refused(data: bytes, magic: bool) -> None:
    datagram = quorum.MAGIC + data if magic else data
    assert refusal(lambda: quorum.unwrap(datagram)) in ("", "quorum-framing")
    assert refusal(lambda: quorum.decode(data)) in ("", *values.REASONS, "out-of-range")


@given(ASKS, st.sampled_from(("view", "votes", "number", "lease", "node")))
def test_what_nobody_can_say_is_refused(ask: Ask, field: str) -> None:
    wrong = {
        "view": ("b", "a"),
        "votes": quorum.MAX_VOTES + 1,
        "number": -1,
        "lease": -1,
        "node": "",
    }
    parts = {name: getattr(ask, name) for name in Ask.__dataclass_fields__} | {field: wrong[field]}
    content = quorum.encode(Ask(**parts))
    assert refusal(lambda: quorum.decode(content)) == "out-of-range"


@given(st.lists(st.tuples(ASKS, st.integers(0, 10**9)), max_size=30))
def test_a_server_survives_any_questions_and_remembers_few(asks: list[tuple[Ask, int]]) -> None:
    server, now = VoteServer(0, seconds(15)), 0
    for ask, later in asks:
        now += later
        server.ask(now, ask)
    assert len(server.report(now)) <= MAX_NODES


def test_a_server_remembers_no_more_nodes_than_a_cluster_has() -> None:
    server = VoteServer(0, seconds(1))
    at = seconds(5)
    answers = []
    for number in range(MAX_NODES + 1):
        name = f"n{number:03}"
        answers.append(server.ask(at, Ask(name, 1, 1, (name,), 1, Wish.VOTE, seconds(1))))
    assert len(server.report(at)) == MAX_NODES
    last = answers[-1]
    assert last is not None
    assert (last.token, last.reason) == (Token.NO, "too many nodes")
    # When they have been silent for longer than their leases the next one takes their place.
    told = server.ask(seconds(10), Ask("new", 1, 1, ("new",), 1, Wish.VOTE, seconds(1)))
    assert told is not None
    assert told.token is Token.VOTE


@given(st.lists(TOLDS, max_size=20))
def test_a_node_believes_no_answer_that_it_has_not_asked_for(tolds: list[Told]) -> None:
    asking = Asking("a", 2**62, seconds(1), seconds(3))
    asking.present(0, Presence(frozenset("a"), 0, 1, enough=True, busy=False))
    for told in tolds:
        if told.session != 2**62:
            assert asking.told(1, told) == []


@given(WORDS, st.sampled_from((512, 4096)))
def test_a_word_is_read_from_its_own_sector_only(word: quorumdisk.Word, size: int) -> None:
    disk = random.Random(1).randbytes(16)
    sector = quorumdisk.write_word(disk, word, size)
    assert len(sector) == size
    assert quorumdisk.read_word(disk, word.slot, sector) == word
    for others_disk, slot in ((bytes(16), word.slot), (disk, (word.slot + 1) % 256)):
        with pytest.raises(WireError, match="disk-sector"):
            quorumdisk.read_word(others_disk, slot, sector)


@given(WORDS, st.data())
def test_a_torn_sector_says_nothing(word: quorumdisk.Word, data: st.DataObject) -> None:
    disk = bytes(range(16))
    sector = bytearray(quorumdisk.write_word(disk, word, 512))
    at = data.draw(st.integers(0, 511))
    sector[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(WireError, match="disk-sector"):
        quorumdisk.read_word(disk, word.slot, bytes(sector))


@given(st.binary(max_size=600))
def test_any_sector_is_read_or_refused(data: bytes) -> None:
    assert refusal(lambda: quorumdisk.read_header(data)) in ("", "disk-sector")
    assert refusal(lambda: quorumdisk.read_word(bytes(16), 0, data)) in ("", "disk-sector")


def test_the_formats_are_what_they_are() -> None:
    # Nodes of one cluster may run different versions: bytes are for ever.
    word = quorumdisk.Word(1, 2, 3, 4, 0b11, 2, 10**9)
    sector = quorumdisk.write_word(bytes(range(16)), word, 512)
    assert sector[:62].hex() == (
        "5346766f74653100"
        + "000102030405060708090a0b0c0d0e0f"
        + "01" + "02" + "0000000000000003" + "0000000000000004"
        + "0000000000000003" + "00000002" + "000000003b9aca00"
    )  # fmt: skip
    assert quorum.wrap("mail", b"x") == b"SFq1\x04mailx"
