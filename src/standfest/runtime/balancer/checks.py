"""Which checkers there are, under which names, when each looks, and at what."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from standfest.core.health.machine import Plan
from standfest.core.health.plans import plan_of
from standfest.model.balancing import (
    BalancerSettings,
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
    UdpCheck,
)
from standfest.ports.probes import Target
from standfest.runtime.balancer import naming
from standfest.runtime.balancer.assignment import Assignment

WORDS: dict[type[Checker], str] = {
    TcpCheck: "TCP_CHECK",
    PingCheck: "PING_CHECK",
    UdpCheck: "UDP_CHECK",
    SmtpCheck: "SMTP_CHECK",
    MailboxCheck: "IMAP_CHECK",
    DnsCheck: "DNS_CHECK",
    HttpCheck: "HTTP_GET",
    MiscCheck: "MISC_CHECK",
    FileCheck: "FILE_CHECK",
    BfdCheck: "BFD_CHECK",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One checker of one server; pool and server are positions in the configuration.

    name: the same in another configuration that has the same checker.
    """

    name: str
    pool: int
    server: int
    word: str
    checker: Checker


class Checks:
    """All checkers of a configuration: by name, and by the server that they check."""

    def __init__(self, settings: BalancerSettings) -> None:
        self.by_name: dict[str, Check] = {}
        self._by_pool: dict[int, list[Check]] = {}
        for pool, service in enumerate(settings.services):
            where = naming.service_name(service)
            for server, real in enumerate(service.servers):
                for checker in real.checkers:
                    word = word_of(checker)
                    plain = f"{word} of {naming.server_name(service, real)} of VS {where}"
                    check = Check(_free(plain, self.by_name), pool, server, word, checker)
                    self.by_name[check.name] = check
                    self._by_pool.setdefault(pool, []).append(check)
        self.plans = plans_of(self.by_name)

    def of_pool(self, pool: int) -> list[Check]:
        """Return the checkers of one service's servers."""
        return self._by_pool.get(pool, [])

    def of_server(self, pool: int, server: int) -> list[Check]:
        """Return the checkers of one server."""
        return [check for check in self.of_pool(pool) if check.server == server]

    def probed(self, pool: int) -> list[str]:
        """Return the names of those that are probed, of one service's servers."""
        return [check.name for check in self.of_pool(pool) if check.name in self.plans]


def _free(name: str, taken: dict[str, Check]) -> str:
    """Return the name, or with the first number that is free: a server may have two alike."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}#{number}"
    return free


def word_of(checker: Checker) -> str:
    """Return the keyword of a checker."""
    if isinstance(checker, HttpCheck) and checker.tls:
        return "SSL_GET"
    if isinstance(checker, MailboxCheck):
        return f"{checker.protocol}_CHECK"
    return WORDS[type(checker)]


def plans_of(checks: dict[str, Check]) -> dict[str, Plan]:
    """Return the plans of all that are probed: files and BFD sessions tell by themselves.

    Who begins as failed is told when the checkers are configured: alpha does not hold for those
    whose servers the kernel's table shows at work.
    """
    return {
        name: _without_alpha(plan_of(check.checker))
        for name, check in checks.items()
        if not isinstance(check.checker, FileCheck | BfdCheck)
    }


@lru_cache(maxsize=1024)
def _without_alpha(plan: Plan) -> Plan:
    return replace(plan, alpha=False)


def target_of(check: Check, assignment: Assignment) -> Target:
    """Return what a checker probes; a program runs as the user of all scripts if it names none."""
    service = assignment.balancer.services[check.pool]
    real = service.servers[check.server]
    checker = check.checker
    if isinstance(checker, MiscCheck) and not checker.command.user:
        user, group = assignment.globals.script_user, assignment.globals.script_group
        checker = replace(checker, command=replace(checker.command, user=user, group=group))
    return Target(checker, real.ip, real.port or naming.port_of(service))


def begins_down(checks: dict[str, Check]) -> Iterator[str]:
    """Yield the checkers whose servers count as failed until they have succeeded (alpha)."""
    for name, check in checks.items():
        match check.checker:
            case BfdCheck(_, alpha) if alpha:
                yield name
            case FileCheck() | BfdCheck():
                pass
            case checker if checker.timing.alpha:
                yield name
            case _:
                pass
