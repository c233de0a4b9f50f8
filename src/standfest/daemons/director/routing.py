"""Routes and rules as commands for ip(8), run by the helper in the order in which they are given.

Their words are ip-route(8)'s and ip-rule(8)'s already. Adding what is there, and removing what is
gone, are successes, so their exit status is not looked at. A route says that it is ours (protocol
18, which the kernel's list calls keepalived), so that its removal can be told from others.
"""

from collections.abc import Iterable
from dataclasses import replace

from standfest.adapters.linux.addressevents import PROTOCOL_KEEPALIVED
from standfest.model.vrrp import Command, Family, Route, Rule

IP = "ip"
FIRST_PREFERENCE = 16384
PREFERENCE = frozenset({"pref", "preference", "order", "priority"})
Routing = Route | Rule


def adding(items: Iterable[Routing]) -> list[Command]:
    """Return commands that set routes and rules, or leave them as they are."""
    return [
        _command(one, "replace" if isinstance(one, Route) else "add", _words(one)) for one in items
    ]


def removing(items: Iterable[Routing]) -> list[Command]:
    """Return commands that remove them, in the opposite order."""
    return [_command(one, "del", one.words) for one in reversed(tuple(items))]


def _command(what: Routing, verb: str, words: tuple[str, ...]) -> Command:
    family = "-6" if what.family is Family.IPV6 else "-4"
    kind = "route" if isinstance(what, Route) else "rule"
    return Command((IP, family, kind, verb, *words), "0")


class Preferences:
    """Numbers of rules that have none of their own, so that setting one twice is setting it once.

    As keepalived has them: from 16384 down, static rules first, in the order of the file.
    """

    def __init__(self) -> None:
        self._numbers: dict[Rule, int] = {}

    def number(self, rules: Iterable[Rule]) -> None:
        """Give each of these rules a number, unless it has one."""
        for rule in rules:
            if rule not in self._numbers and not PREFERENCE & set(rule.words):
                self._numbers[rule] = FIRST_PREFERENCE - len(self._numbers)

    def numbered(self, what: Routing) -> Routing:
        """Return a rule with its number, and a route as it is."""
        if isinstance(what, Rule) and what in self._numbers:
            return replace(what, words=(*what.words, "preference", str(self._numbers[what])))
        return what


def _words(what: Routing) -> tuple[str, ...]:
    """Return the words with our protocol; before the next hops, where a route has several."""
    words = what.words
    if {"proto", "protocol"} & set(words):
        return words
    ours = ("proto" if isinstance(what, Route) else "protocol", str(PROTOCOL_KEEPALIVED))
    at = words.index("nexthop") if "nexthop" in words else len(words)
    return (*words[:at], *ours, *words[at:])
