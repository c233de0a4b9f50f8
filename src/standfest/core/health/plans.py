"""When each kind of checker looks, from its settings.

`connect_timeout` is the time of one phase: to connect, to answer one command. A probe that begins
a new phase has it anew, so its limit is the sum, and a little more: whoever probes knows which
phase took too long, and shall be the first to say so. Source: keepalived.conf(5), "Checkers".
"""

from functools import lru_cache
from typing import Final

from standfest.core.health.machine import Plan
from standfest.model.balancing import (
    BfdCheck,
    Checker,
    DnsCheck,
    FileCheck,
    HttpCheck,
    MailboxCheck,
    MiscCheck,
    PingCheck,
    SmtpCheck,
    TcpCheck,
    Timing,
    UdpCheck,
)
from standfest.model.time import Duration, milliseconds

MARGIN: Final = milliseconds(500)
_SMTP_PHASES: Final = 4  # connect, banner, HELO, QUIT
_MAILBOX_PHASES: Final = 4  # connect, handshake, greeting, leave
_HTTP_PHASES: Final = 2  # connect, answer
_TLS_PHASES: Final = 3  # connect, handshake, answer


def plan_of(checker: Checker) -> Plan:
    """Return when a checker looks, and how often it must find the same before that counts."""
    match checker:
        case TcpCheck(timing=timing):
            return _plan(timing, timing.timeout)
        case PingCheck(timing=timing) | UdpCheck(timing=timing) | DnsCheck(timing=timing):
            return _plan(timing, timing.timeout + MARGIN)
        case MailboxCheck():
            return _in_phases(checker.timing, _MAILBOX_PHASES)
        case SmtpCheck():
            return _in_phases(checker.timing, _SMTP_PHASES * len(checker.hosts))
        case HttpCheck():
            each = _TLS_PHASES if checker.tls else _HTTP_PHASES
            return _in_phases(checker.timing, each * max(1, len(checker.urls)))
        case MiscCheck():
            return _plan(checker.timing, checker.timeout or checker.timing.interval)
        case FileCheck() | BfdCheck():
            raise AssertionError("others tell of files and BFD sessions")


def _in_phases(timing: Timing, count: int) -> Plan:
    return _plan(timing, count * timing.timeout + MARGIN)


@lru_cache(maxsize=1024)
def _plan(timing: Timing, limit: Duration) -> Plan:
    """Return a plan; thousands of checkers that look alike share one."""
    return Plan(
        interval=timing.interval,
        limit=limit,
        retry=timing.retry,
        retry_delay=timing.retry_delay,
        warmup=timing.warmup,
        alpha=timing.alpha,
        rise=timing.rise,
    )
