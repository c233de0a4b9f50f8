"""What the settings of a checker come to."""

from dataclasses import replace

import pytest

from standfest.core.health.machine import Plan
from standfest.core.health.plans import plan_of
from standfest.model.balancing import (
    Checker,
    Connection,
    DnsCheck,
    HttpCheck,
    MailboxCheck,
    MiscCheck,
    PingCheck,
    SmtpCheck,
    TcpCheck,
    Timing,
    UdpCheck,
    UrlCheck,
)
from standfest.model.time import Duration, milliseconds, seconds
from standfest.model.vrrp import Command

TIMING = Timing(
    interval=seconds(6),
    timeout=seconds(3),
    retry=2,
    retry_delay=seconds(1),
    warmup=seconds(5),
    alpha=True,
    rise=3,
)
PAGES = (UrlCheck("/a"), UrlCheck("/b"))
TWO_HOSTS = (Connection(), Connection(port=26))
PROGRAM = Command(("/bin/true",))


def test_a_plan_is_what_the_timing_says() -> None:
    assert plan_of(TcpCheck(timing=TIMING)) == Plan(
        interval=seconds(6),
        limit=seconds(3),
        retry=2,
        retry_delay=seconds(1),
        warmup=seconds(5),
        alpha=True,
        rise=3,
    )


@pytest.mark.parametrize(
    ("checker", "limit"),
    [
        (TcpCheck(timing=TIMING), seconds(3)),
        (PingCheck(timing=TIMING), milliseconds(3500)),
        (UdpCheck(timing=TIMING), milliseconds(3500)),
        (DnsCheck(timing=TIMING), milliseconds(3500)),
        # Connect, banner, HELO, QUIT of 3 s each, at each of two hosts, and half a second.
        (SmtpCheck(timing=TIMING), milliseconds(12_500)),
        (SmtpCheck(TWO_HOSTS, TIMING), milliseconds(24_500)),
        # Connect and answer for each page, with TLS a handshake, too.
        (HttpCheck(timing=TIMING, urls=PAGES), milliseconds(12_500)),
        (HttpCheck(timing=TIMING, urls=PAGES, tls=True), milliseconds(18_500)),
        (HttpCheck(timing=TIMING), milliseconds(6500)),
        (MailboxCheck(timing=TIMING), milliseconds(12_500)),
        # A program has its own time, or until the next check.
        (MiscCheck(PROGRAM, TIMING), seconds(6)),
        (MiscCheck(PROGRAM, TIMING, timeout=seconds(2)), seconds(2)),
    ],
)
def test_a_probe_may_take_as_long_as_all_its_phases(checker: Checker, limit: Duration) -> None:
    assert plan_of(checker).limit == limit


def test_checkers_that_look_alike_share_one_plan() -> None:
    assert plan_of(TcpCheck(timing=TIMING)) is plan_of(TcpCheck(timing=replace(TIMING)))
