"""Rules about global_defs, static blocks and what names what."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from standfest.config.keepalived.check import Entry
from standfest.config.keepalived.source import Report
from standfest.config.lines import did_you_mean, shown
from standfest.model.vrrp import Route, VirtualAddress

SAMPLE_DOMAINS: Final = (
    "firewall.loc",
    "your.domain.name",
    "example.com",
    "example.org",
    "example.net",
)
"""Where the sample files of keepalived, of the report and of manuals send mail to."""

_COMPARED: Final = 100
"""Names that an unknown one is compared with."""

_PROTOCOLS: Final = ("proto", "protocol")
_KEEPALIVED_PROTOCOL: Final = ("keepalived", "18", "0x12")
_LOOSE: Final = frozenset(
    {"blackhole", "unreachable", "prohibit", "throw", "dev", "oif", "no_track"}
)


def globals_of(root: Entry) -> Iterator[Entry]:
    """Yield the entries of all global_defs blocks."""
    yield from root.elements("global_defs")


def sample_mail(root: Entry, report: Report) -> None:
    """Warn of mail addresses that came with a sample file."""
    words = [
        (word, line.origin)
        for block in globals_of(root)
        if block.keyword in {"notification_email", "notification_email_from"}
        for line in ([*block.entries] if block.entries else [block])
        for word in _text(line)
    ]
    for word, origin in words:
        if word.partition("@")[2].lower() in SAMPLE_DOMAINS:
            report.warn(origin, f'"{shown(word)}" is an address from a sample file', "your own")


def _text(entry: Entry) -> tuple[str, ...]:
    return (entry.statement.keyword, *entry.statement.words)


def empty_mail(root: Entry, report: Report) -> None:
    """Warn of a list of recipients without one."""
    for block in globals_of(root):
        if block.keyword == "notification_email" and not block.entries:
            report.warn(block.statement.end, "notification_email names nobody", "an address")


def firewalls(root: Entry, report: Report) -> None:
    """Warn of iptables, which keepalived may be built without, and of two firewalls."""
    before = ""
    for entry in globals_of(root):
        if entry.keyword in {"vrrp_iptables", "vrrp_ipsets"}:
            problem = f'"{entry.keyword}" is for iptables, nftables is used instead'
            report.warn(entry.origin, problem, '"nftables"')
        if entry.keyword in {"vrrp_iptables", "nftables"}:
            if before and before != entry.keyword:
                report.warn(entry.origin, f'"{entry.keyword}" after "{before}" is ignored')
            before = before or entry.keyword


def routes(root: Entry, report: Report) -> None:
    """Warn of routes that cannot be tracked, and of an old word in them."""
    blocks = [*root.all("static_routes")]
    for instance in root.all("vrrp_instance"):
        blocks += instance.all("virtual_routes")
    for line in (line for block in blocks for line in block.entries):
        route = line.value
        assert isinstance(route, Route), "the block lists routes"
        words = _text(line)
        if "gw" in words:
            report.tolerate(line.origin, '"gw" is an old word', '"via"')
        main = words[: words.index("nexthop")] if "nexthop" in words else words
        if route.track and not _LOOSE & set(main):
            problem = f"a route to {shown(_target(words))} without an interface is not watched"
            report.tolerate(line.origin, problem, "dev, or no_track")
        for word, value in pairwise(words):
            if word in _PROTOCOLS and value not in _KEEPALIVED_PROTOCOL and route.track:
                problem = f"a route of protocol {shown(value)} cannot be watched"
                report.warn(line.origin, problem, "no protocol, or no_track")


def _target(words: tuple[str, ...]) -> str:
    for word in words:
        if word[:1].isdigit() or ":" in word or word == "default":
            return word
    return words[0]


def rules(root: Entry, report: Report) -> None:
    """Warn of policy rules whose place among others is left to chance."""
    blocks = [*root.all("static_rules")]
    for instance in root.all("vrrp_instance"):
        blocks += instance.all("virtual_rules")
    preferences = {"preference", "priority", "pref", "order"}
    for line in (line for block in blocks for line in block.entries):
        if not preferences & set(_text(line)):
            report.tolerate(line.origin, "a rule without preference gets any", "preference N")


def garp_groups(root: Entry, report: Report) -> None:
    """Tell of groups that say nothing, and of interfaces in two groups."""
    owner: dict[str, Entry] = {}
    for group in root.all("garp_group"):
        if not group.has("garp_interval", "gna_interval"):
            report.warn(group.statement.end, "this garp_group sets no interval", "garp_interval")
        for name, where in _garp_interfaces(group):
            if name in owner:
                problem = (
                    f"{shown(name)} is in a garp_group already, line {owner[name].origin.line}"
                )
                report.error(where.statement.end, problem, "it in one")
            owner.setdefault(name, where)


def _garp_interfaces(group: Entry) -> Iterator[tuple[str, Entry]]:
    for entry in group.all("interface"):
        yield str(entry.value), entry
    for block in group.all("interfaces"):
        for line in block.entries:
            assert isinstance(line.value, tuple), "the block lists interfaces"
            for name in line.value:
                yield str(name), block


def track_groups(root: Entry, report: Report) -> None:
    """Tell of static things that name a track_group which is not there."""
    known = {group.name for group in root.all("track_group")}
    for line in root.elements("static_ipaddress", "static_routes"):
        value = line.value
        assert isinstance(value, VirtualAddress | Route), "the blocks list these"
        if value.track_group and value.track_group not in known:
            name = value.track_group
            report.error(line.origin, f'there is no track_group "{shown(name)}"{hint(name, known)}')


def includes_are_missing(report: Report) -> bool:
    """Return whether a part of the configuration was not there to be read."""
    return any(found.problem.startswith("include ") for found in report.found)


def hint(name: str, known: set[str]) -> str:
    """Return the nearest known name as a question; only some are compared when there are many."""
    return did_you_mean(name, sorted(known)[:_COMPARED])


RULES: Final = (sample_mail, empty_mail, firewalls, routes, rules, garp_groups, track_groups)
