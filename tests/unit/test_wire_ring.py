"""Messages of the process group: bytes as written down, and what is no message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfest.model.errors import WireError
from standfest.model.ring import Beat, Farewell, Fragment, GroupMessage
from standfest.wire import ring

MESSAGES = st.one_of(
    st.builds(Beat, st.integers(0, 2**64 - 1)),
    st.just(Farewell()),
    st.builds(
        lambda ring, to, number, index, more, content: Fragment(
            ring, to, number, index, index + more, content
        ),
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**32 - 1),
        st.integers(0, 200),
        st.integers(1, 57),
        st.binary(max_size=300),
    ),
)


def test_a_fragment_is_written_as_the_module_says() -> None:
    message = Fragment(ring=0x1122, destination=3, message=7, index=1, count=2, content=b"end")
    head = b"SFr1" + b"\x01\0\0\0" + b"\0\0\0\0\0\0\x11\x22" + b"\0\0\0\x03" + b"\0\0\0\x07"
    assert ring.encode(message) == head + b"\0\x01" + b"\0\x02" + b"end"


@given(MESSAGES)
def test_every_message_comes_back_equal(message: GroupMessage) -> None:
    assert ring.decode(ring.encode(message)) == message


def outcome(data: bytes) -> str:
    """Return why the bytes are refused, or the empty string when they are a message."""
    try:
        ring.decode(data)
    except WireError as error:
        return error.reason
    return ""


@given(st.binary(max_size=100))
def test_any_bytes_are_a_message_or_an_error_with_a_known_reason(data: bytes) -> None:
    for content in (data, ring.MARK + data, ring.MARK + b"\x01\0\0\0" + data):
        assert outcome(content) in ("", *ring.REASONS)


HEAD = ring.encode(Beat(1))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (HEAD[:-1], "ring-short"),
        (b"SFr2" + HEAD[4:], "ring-mark"),
        (HEAD[:4] + b"\x09" + HEAD[5:], "ring-kind"),
        (HEAD + b"x", "ring-length"),
        # Part 0 of 0, part 2 of 2, part 0 of 258: a payload has 257 parts at most.
        (ring.HEADER.pack(ring.MARK, 1, 0, 0, 0, 0, 0), "ring-fragment"),
        (ring.HEADER.pack(ring.MARK, 1, 0, 0, 0, 2, 2), "ring-fragment"),
        (ring.HEADER.pack(ring.MARK, 1, 0, 0, 0, 0, 258), "ring-fragment"),
        (ring.HEADER.pack(ring.MARK, 1, 0, 0, 0, 0, 1) + bytes(65537), "ring-length"),
    ],
)
def test_what_is_no_message_is_refused_for_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(WireError) as caught:
        ring.decode(data)
    assert caught.value.reason == reason
