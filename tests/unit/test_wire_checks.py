"""What checkers read from servers survives any bytes, however they are cut."""

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfest.model.errors import WireError
from standfest.model.pattern import PatternError, compile_pattern
from standfest.wire import dns, icmp
from standfest.wire.greetings import Greetings, imap, pop3, smtp
from standfest.wire.http import Answer, request

PIECES = st.lists(st.binary(min_size=1, max_size=60), max_size=20)
HTTP = st.lists(
    st.sampled_from(
        [
            b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 100 C\r\n", b"\r\n", b"\n", b"\r\n\r\n",
            b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n",
            b"0\r\n", b"hello", b"f", b"\xff", b"Content-Length: x\r\n",
        ]
    ),
    max_size=20,
)  # fmt: skip
MAIL = st.lists(
    st.sampled_from(
        [
            b"220 x\r\n", b"220-x\r\n", b"250 x\r\n", b"221 x\r\n", b"* OK x\r\n", b"* BYE\r\n",
            b"A1 OK x\r\n", b"+OK x\r\n", b"-ERR\r\n", b"\n", b"x", b"\xff", b"999 x\r\n",
        ]
    ),
    max_size=12,
)  # fmt: skip


@given(pieces=st.one_of(PIECES, HTTP))
def test_an_http_answer_is_complete_or_refused_whatever_comes(pieces: list[bytes]) -> None:
    answer = Answer(keep=10)
    with contextlib.suppress(WireError):
        for piece in [*pieces, b""]:
            if answer.receive(piece):
                break
        assert answer.is_complete
        assert 100 <= answer.status <= 999
        assert len(answer.body) == min(10, answer.length)


@given(pieces=HTTP, cut=st.integers(1, 7))
def test_an_http_answer_is_the_same_however_it_is_cut(pieces: list[bytes], cut: int) -> None:
    data = b"".join(pieces)

    def read(parts: list[bytes]) -> tuple[object, ...]:
        answer = Answer(keep=1000, hashed=True)
        try:
            for part in [*parts, b""]:
                if answer.receive(part):
                    break
        except WireError as error:
            return ("refused", error.reason)
        return answer.status, bytes(answer.body), answer.digest

    small = [data[at : at + cut] for at in range(0, len(data), cut)]
    assert read([data] if data else []) == read(small)


@given(path=st.text(max_size=30), host=st.text(max_size=30))
def test_a_request_has_the_lines_that_it_should_and_no_others(path: str, host: str) -> None:
    with contextlib.suppress(UnicodeEncodeError):  # half of a surrogate pair is no text
        lines = request(path, host, "1.1").split(b"\r\n")
        assert len(lines) == 5 + bool(host)
        assert len(lines[0].split(b" ")) == 3


@pytest.mark.parametrize("dialogue", [lambda: smtp("me"), imap, pop3])
@given(pieces=st.one_of(PIECES, MAIL))
def test_a_greeting_is_over_or_refused_whatever_comes(
    dialogue: Callable[[], Greetings], pieces: list[bytes]
) -> None:
    made = dialogue()
    with contextlib.suppress(WireError):
        for piece in [*pieces, b""]:
            made.receive(piece)
            if made.is_over:
                break
        assert made.is_over
        assert made.problem.isprintable()


def test_imap_and_pop3_greet_and_take_leave() -> None:
    talk = imap()
    assert talk.receive(b"* OK [CAPABILITY IMAP4rev1] ready\r\n") == b"A1 LOGOUT\r\n"
    assert talk.receive(b"* BYE\r\nA1 OK done\r\n") == b""
    assert (talk.is_over, talk.problem) == (True, "")
    talk = pop3()
    assert talk.receive(b"+OK ready\r\n") == b"QUIT\r\n"
    assert talk.receive(b"-ERR no\r\n") == b""
    assert talk.problem == 'the answer to QUIT: "-ERR no"; expected "+OK"'


def test_our_name_cannot_end_its_line() -> None:
    talk = smtp("x\r\nMAIL FROM:<a@b>")
    assert talk.receive(b"220 hi\r\n") == b"EHLO xMAILFROM:<a@b>\r\n"
    assert smtp("\r\n").receive(b"220 hi\r\n") == b"EHLO localhost\r\n"


@given(data=st.binary(max_size=64))
def test_a_dns_answer_has_a_code_or_is_refused(data: bytes) -> None:
    asked = dns.query(7, "example.org", "A")
    for answer in (data, asked[:2] + data, asked[:2] + b"\x80\x00" + asked[4:] + data):
        with contextlib.suppress(WireError):
            assert 0 <= dns.code_of(asked, answer) <= 15


@given(name=st.text(max_size=300))
def test_a_dns_name_is_asked_for_or_refused(name: str) -> None:
    with contextlib.suppress(ValueError):
        assert len(dns.query(1, name, "TXT")) <= 12 + 255 + 4


@given(data=st.binary(max_size=64))
def test_a_ping_takes_no_other_message_for_its_reply(data: bytes) -> None:
    with contextlib.suppress(WireError):
        icmp.without_ipv4_header(data)
    assert not icmp.is_reply(4, data, 1, b"0123456789abcdef")


def test_a_ping_is_answered_by_the_same_bytes() -> None:
    sent = icmp.echo(4, 0x1234, 1, b"token")
    # type 8, code 0; 0x0800 + 0x1234 + 0x0001 + "to" 0x746f + "ke" 0x6b65 + "n" 0x6e00 = 0x16809,
    # 0x6809 + 1 = 0x680a, its complement 0x97f5
    assert sent == b"\x08\x00\x97\xf5\x12\x34\x00\x01token"
    assert icmp.is_reply(4, b"\0" + sent[1:], 1, b"token")
    assert not icmp.is_reply(4, sent, 1, b"token")
    assert not icmp.is_reply(4, b"\0" + sent[1:], 2, b"token")
    assert icmp.is_reply(6, b"\x81" + icmp.echo(6, 9, 1, b"token")[1:], 1, b"token")


# --- expressions ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "options", "data", "found"),
    [
        ("all.*well", (), b"all is\nwell", False),
        ("all.*well", ("dotall",), b"all is\nwell", True),
        ("WELL", ("caseless",), b"well", True),
        ("^well", ("multiline",), b"all is\nwell", True),
        ("w e l l # x", ("extended",), b"well", True),
        ("well$", (), b"well\n", True),
        ("well$", ("dollar_endonly",), b"well\n", False),
        (r"well\z", (), b"well\n", False),
        (r"well\Z", (), b"well\n", True),
        ("well", ("firstline",), b"all is\nwell", False),
        ("well", ("firstline",), b"all is well\n", True),
        ("^(a+)(a*)b$", (), b"aaab", True),
        ("[[:digit:]]{3}-[^[:space:]]", (), b"123-x", True),
        ("[]a]+$", (), b"]a]", True),
        (r"(?<year>\d{4})-\g", (), b"", None),
        (r"(?<year>\d{4})", (), b"2026", True),
        ("a++b", (), b"aaab", True),
        ("(?>a+)ab", (), b"aaab", False),
        ("(?R)", (), b"", None),
        (r"\Kx", (), b"", None),
        ("[a", (), b"", None),
        ("a", ("alt_bsux",), b"", None),
        ("^.$", (), "\u00e4".encode(), False),
        ("^.$", ("utf",), "\u00e4".encode(), True),
        (r"^\w$", ("utf",), "\u00e4".encode(), False),
        (r"^\w$", ("utf", "ucp"), "\u00e4".encode(), True),
    ],
)
def test_an_expression_means_what_it_means_to_pcre(
    pattern: str, options: tuple[str, ...], data: bytes, found: bool | None
) -> None:
    if found is None:
        with pytest.raises(PatternError):
            compile_pattern(pattern, options)
        return
    assert compile_pattern(pattern, options).is_found(data) is found


def test_a_match_begins_between_the_offsets() -> None:
    pattern = compile_pattern("well")
    assert pattern.is_found(b"0123well", 4)
    assert not pattern.is_found(b"0123well", 5)
    assert not pattern.is_found(b"0123well", 0, 3)
    assert pattern.is_found(b"0123well", 0, 4)
    assert not pattern.is_found(b"", 1)
    text = compile_pattern("well", ("utf",))
    assert text.is_found("\u00e4\u00e4well".encode(), 4, 4)
    assert not text.is_found("\u00e4\u00e4well".encode(), 5)


def test_ungreedy_exchanges_greedy_and_lazy() -> None:
    found = compile_pattern("<(.+)>", ("ungreedy",)).data
    assert found is not None
    assert found.pattern == b"<(.+?)>"
    lazy = compile_pattern("<(.+?)>x{2}y{1,}?", ("ungreedy",)).data
    assert lazy is not None
    assert lazy.pattern == b"<(.+)>x{2}?y{1,}"


@given(pattern=st.text(max_size=40), data=st.binary(max_size=20))
def test_any_pattern_is_compiled_or_refused(pattern: str, data: bytes) -> None:
    with contextlib.suppress(PatternError):
        compile_pattern(pattern)
    with contextlib.suppress(PatternError):
        compile_pattern(pattern, ("utf", "ungreedy", "firstline"))
    compile_pattern("x").is_found(data)
