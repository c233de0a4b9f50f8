"""SMTP_CHECK, IMAP_CHECK and POP3_CHECK against mail servers, good and bad."""

from pathlib import Path

import pytest
from tests.unit.probing import (
    Behaviour,
    closed_port,
    context,
    hangs,
    replies,
    resets,
    server,
    site,
    trickles,
)

from standfest.model.balancing import Connection, MailboxCheck, SmtpCheck, Timing
from standfest.model.time import milliseconds

BRIEF, PATIENT = Timing(timeout=milliseconds(300)), Timing()
BANNER = b"220-mail.example.org ESMTP\r\n220 ready\r\n"
EHLO = b"250-mail.example.org\r\n250 SIZE\r\n"
BYE = b"221 bye\r\n"


def check(behaviour: Behaviour, timing: Timing = PATIENT) -> tuple[bool, str]:
    with server(behaviour) as port, site() as bench:
        outcome = bench.probe(SmtpCheck((Connection(port=port),), timing), 25)
        return outcome.succeeded, outcome.reason.replace(f":{port}", "")


def test_a_mail_server_that_greets_and_takes_leave_is_good() -> None:
    assert check(replies(BANNER, EHLO, BYE)) == (True, "greets by SMTP")


def test_what_is_said_is_ehlo_with_our_name_and_quit() -> None:
    seen: list[bytes] = []

    def serve(connection):  # type: ignore[no-untyped-def]
        for turn in (BANNER, EHLO, BYE):
            connection.sendall(turn)
            seen.append(connection.recv(1000))

    assert check(serve)[0]
    assert seen == [b"EHLO director\r\n", b"QUIT\r\n", b""]


def test_a_server_that_knows_no_ehlo_is_asked_with_helo() -> None:
    assert check(replies(BANNER, b"502 what?\r\n", EHLO, BYE))[0]


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (replies(b"554 go away\r\n"), 'the banner: "554 go away"; expected 220'),
        (replies(b"HTTP/1.0 400\r\n"), 'the banner: "HTTP/1.0 400" is no SMTP answer'),
        (
            replies(BANNER, b"502 no\r\n", b"421 busy\r\n"),
            'the answer to HELO: "421 busy"; expected 250',
        ),
        (replies(BANNER, EHLO, b"\xff\x00\r\n"), 'the answer to QUIT: "??" is no SMTP answer'),
        (lambda _c: None, "the connection ended before the banner"),
        (hangs, "127.0.0.1: the banner: not there within 0.3 s"),
        (
            trickles(BANNER, 0.03),
            "127.0.0.1: the banner: not there within 0.3 s, a part of it came",
        ),
        (replies(b"220" + b"x" * 10_000), "127.0.0.1: the banner: a line longer than 4096 bytes"),
        (replies(b"220-x\r\n" * 200), "127.0.0.1: the banner: too much comes"),
    ],
)
def test_a_bad_server_is_bad_for_one_clear_reason(behaviour: Behaviour, reason: str) -> None:
    timing = BRIEF if "within" in reason else Timing()
    assert check(behaviour, timing) == (False, reason)


def test_a_server_that_resets_is_bad() -> None:
    def serve(connection):  # type: ignore[no-untyped-def]
        connection.sendall(BANNER)
        resets(connection)

    assert check(serve) == (False, "127.0.0.1: the answer to EHLO: connection reset by peer")


def test_every_host_is_greeted() -> None:
    closed = closed_port()
    with server(replies(BANNER, EHLO, BYE)) as port, site() as bench:
        hosts = (Connection(port=port), Connection(port=closed))
        outcome = bench.probe(SmtpCheck(hosts), 25)
        assert outcome.reason == f"connecting to 127.0.0.1:{closed}: connection refused"
        hosts = (Connection(port=port), Connection(port=port))
        assert bench.probe(SmtpCheck(hosts), 25).succeeded


# --- servers of mailboxes -------------------------------------------------------------------------

IMAP = (b"* OK ready\r\n", b"* BYE\r\nA1 OK done\r\n")
POP3 = (b"+OK ready\r\n", b"+OK bye\r\n")


def mailbox(behaviour: Behaviour, protocol: str, timing: Timing = PATIENT) -> tuple[bool, str]:
    with server(behaviour) as port, site() as bench:
        outcome = bench.probe(MailboxCheck(timing=timing, protocol=protocol), port)
        return outcome.succeeded, outcome.reason.replace(f":{port}", "")


@pytest.mark.parametrize(("protocol", "turns"), [("IMAP", IMAP), ("POP3", POP3)])
def test_a_server_of_mailboxes_greets_and_takes_leave(
    protocol: str, turns: tuple[bytes, ...]
) -> None:
    assert mailbox(replies(*turns), protocol) == (True, f"greets by {protocol}")
    assert mailbox(hangs, protocol, BRIEF) == (
        False,
        "127.0.0.1: the greeting: not there within 0.3 s",
    )
    assert mailbox(replies(turns[0]), protocol)[0] is False


@pytest.mark.parametrize(
    ("protocol", "greeting", "reason"),
    [
        ("IMAP", b"* BYE full\r\n", 'the greeting: "* BYE full"; expected "* OK"'),
        ("IMAP", b"+OK pop\r\n", 'the greeting: "+OK pop"; expected "* OK"'),
        ("POP3", b"-ERR full\r\n", 'the greeting: "-ERR full"; expected "+OK"'),
        ("POP3", b"* OK imap\r\n", 'the greeting: "* OK imap"; expected "+OK"'),
    ],
)
def test_another_greeting_is_bad(protocol: str, greeting: bytes, reason: str) -> None:
    assert mailbox(replies(greeting), protocol) == (False, reason)


def test_mailboxes_are_greeted_through_tls(tmp_path: Path) -> None:
    tls = context(tmp_path)
    with server(replies(*IMAP), tls) as port, site() as bench:
        outcome = bench.probe(MailboxCheck(tls=True), port)
        assert (outcome.succeeded, outcome.reason) == (True, "greets by IMAP")
        outcome = bench.probe(MailboxCheck(timing=BRIEF), port)  # without, nobody greets
        assert not outcome.succeeded
