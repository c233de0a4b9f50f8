"""UDP_CHECK, DNS_CHECK and PING_CHECK."""

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest
from tests.unit.probing import site

from standfest.model.balancing import (
    DnsCheck,
    PingCheck,
    Timing,
    UdpCheck,
)
from standfest.model.time import milliseconds

BRIEF = Timing(timeout=milliseconds(200))
Answer = Callable[[bytes], list[bytes]]


@contextlib.contextmanager
def server(answer: Answer) -> Iterator[int]:
    """Yield the port of a server that answers each datagram with some."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(0.05)
        stopping = threading.Event()

        def serve() -> None:
            while not stopping.is_set():
                with contextlib.suppress(TimeoutError, ConnectionRefusedError):
                    data, sender = made.recvfrom(65536)
                    for one in answer(data):
                        made.sendto(one, sender)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield made.getsockname()[1]
        stopping.set()
        thread.join(5)


def silent(_data: bytes) -> list[bytes]:
    return []


def closed() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


def udp(answer: Answer, **settings: object) -> tuple[bool, str]:
    with server(answer) as port, site() as bench:
        made = UdpCheck(timing=BRIEF, **settings)  # type: ignore[arg-type]
        outcome = bench.probe(made, port)
        return outcome.succeeded, outcome.reason.replace(f"127.0.0.1:{port}", "there")


# --- UDP ------------------------------------------------------------------------------------------


def test_no_icmp_error_is_good_unless_a_reply_is_required() -> None:
    assert udp(silent) == (True, "there: no ICMP error within 0.2 s")
    assert udp(silent, require_reply=True) == (False, "there: no reply within 0.2 s")


def test_a_port_that_nobody_has_is_refused() -> None:
    port = closed()
    with site() as bench:
        outcome = bench.probe(UdpCheck(timing=BRIEF), port)
        assert outcome.reason == f"127.0.0.1:{port}: connection refused"
        assert not outcome.succeeded


def test_the_payload_is_sent_and_its_reply_compared_under_the_mask() -> None:
    settings = {
        "payload": b"ping",
        "require_reply": True,
        "reply": b"\xa0ong",
        "reply_mask": b"\xf0\xff\xff\xff",
    }
    assert udp(lambda data: [b"\xafong"] if data == b"ping" else [], **settings) == (
        True,
        "there: answers with 4 bytes",
    )
    # Compared up to the shorter of both.
    assert udp(lambda _data: [b"\xa1ong and more"], **settings)[0]
    assert udp(lambda _data: [b"\xa1o"], **settings)[0]
    assert udp(lambda _data: [b"\xafOng"], **settings) == (
        False,
        "there: byte 1 of the reply is 0x4f; expected 0x6f",
    )


def test_the_length_of_a_reply_is_bounded() -> None:
    settings = {"require_reply": True, "min_reply_length": 3, "max_reply_length": 4}
    assert udp(lambda _data: [b"1234"], **settings)[0]
    assert udp(lambda _data: [b"12345"], **settings) == (
        False,
        "there: a reply of 5 bytes; expected 3 to 4",
    )
    assert not udp(lambda _data: [b"12"], **settings)[0]


# --- DNS ------------------------------------------------------------------------------------------


def dns(answer: Answer, name: str = "example.org", kind: str = "SOA") -> tuple[bool, str]:
    with server(answer) as port, site() as bench:
        outcome = bench.probe(DnsCheck(timing=BRIEF, name=name, type=kind), port)
        return outcome.succeeded, outcome.reason.replace(f"127.0.0.1:{port}", "there")


def with_code(code: int) -> Answer:
    return lambda data: [data[:2] + struct.pack("!H", 0x8180 | code) + data[4:]]


def test_an_answer_without_an_error_is_good() -> None:
    asked: list[bytes] = []

    def answer(data: bytes) -> list[bytes]:
        asked.append(data)
        return with_code(0)(data)

    assert dns(answer) == (True, "there: answers SOA example.org")
    # recursion desired, one question: 7 example 3 org 0, type 6, class 1
    assert asked[0][2:] == (
        b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x06\x00\x01"
    )


def test_the_root_is_asked_for_when_nothing_is_said() -> None:
    with server(with_code(0)) as port, site() as bench:
        assert bench.probe(DnsCheck(timing=BRIEF), port).reason.endswith(": answers SOA .")


def test_an_error_code_is_named() -> None:
    assert dns(with_code(2)) == (False, "there: SOA example.org: SERVFAIL")
    assert dns(with_code(9)) == (False, "there: SOA example.org: response code 9")


def test_silence_garbage_and_other_answers_are_bad() -> None:
    assert dns(silent) == (False, "there: SOA example.org: no answer within 0.2 s")
    assert dns(lambda _data: [b"short"]) == (False, "there: 5 bytes; a header has 12")
    assert dns(lambda data: [data]) == (False, "there: a query in place of an answer")
    other = with_code(0)
    assert dns(lambda data: other(data[:13] + b"X" + data[14:])) == (
        False,
        "there: an answer to another question",
    )


def test_the_answer_to_another_query_is_passed_over() -> None:
    def answer(data: bytes) -> list[bytes]:
        good = with_code(0)(data)[0]
        return [bytes((data[0] ^ 1,)) + good[1:], good]

    assert dns(answer)[0]
    assert dns(lambda data: answer(data)[:1])[0] is False


def test_a_name_that_dns_cannot_ask_for_is_one_clear_line() -> None:
    assert dns(with_code(0), name="a..b") == (
        False,
        "a..b: no name of a domain; expected labels of 1 to 63 bytes",
    )


# --- ping -----------------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="an echo request needs CAP_NET_RAW")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_address_that_is_there_answers_a_ping(host: str) -> None:
    with site() as bench:
        outcome = bench.probe(PingCheck(timing=BRIEF), 80, host)
        assert (outcome.succeeded, outcome.reason) == (True, f"{host}: answers the ping")
