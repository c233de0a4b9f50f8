"""Lines of static_routes, virtual_routes, static_rules and virtual_rules.

The words are those of ip-route(8) and ip-rule(8); keepalived adds `track_group`, `no_track`,
`or` and a leading family. Each word is checked; the line is kept as words for who tells the kernel.
Source: keepalived.conf(5), "Static routes/addresses/rules".
"""

from collections.abc import Callable
from typing import Final

from standfest.config.keepalived.shapes import (
    Shape,
    Words,
    address,
    integer,
    interface,
    meant,
    network,
)
from standfest.config.lines import BadValueError, shown
from standfest.model.vrrp import Family, Route, Rule

Reader = Callable[[str], object]

ROUTE_TYPES: Final = frozenset(
    {"unicast", "local", "broadcast", "multicast", "throw", "unreachable", "prohibit"}
    | {"blackhole", "nat"}
)
_ANY: Final = frozenset({"default", "all", "any"})
_MAX: Final = 2**32 - 1


def _number(low: int = 0, high: int = _MAX) -> Reader:
    def read(text: str) -> int:
        if text[:2].lower() == "0x":
            try:
                value = int(text[2:10], 16)
            except ValueError:
                raise BadValueError("a number") from None
            return integer(str(value), low, high)
        return integer(text, low, high)

    return read


def _word(text: str) -> str:
    return text


def _time(text: str) -> object:
    return _number()(text.removesuffix("ms").removesuffix("s"))


def _masked(text: str) -> object:
    value, _slash, mask = text.partition("/")
    return _number()(value), mask and _number()(mask)


def _span(text: str) -> object:
    low, dash, high = text.partition("-")
    return _number()(low), dash and _number()(high)


def destination(text: str) -> Family | None:
    """Return the family of a prefix, None for `default`; raises BadValueError."""
    if text in _ANY:
        return None
    return Family(network(text)[0].version)


ROUTE_OPTIONS: Final[dict[str, Reader]] = {
    "to": destination,
    "via": address,
    "gw": address,
    "or": address,
    "src": address,
    "from": destination,
    "dev": interface,
    "oif": interface,
    "table": _word,
    "metric": _number(),
    "priority": _number(),
    "preference": _number(),
    "scope": _word,
    "tos": _word,
    "dsfield": _word,
    "proto": _word,
    "protocol": _word,
    "mtu": _number(),
    "advmss": _number(),
    "rtt": _time,
    "rttvar": _time,
    "rto_min": _time,
    "reordering": _number(),
    "window": _number(),
    "cwnd": _number(),
    "ssthresh": _number(),
    "realms": _word,
    "hoplimit": _number(0, 255),
    "initcwnd": _number(),
    "initrwnd": _number(),
    "quickack": _number(0, 1),
    "features": _word,
    "congctl": _word,
    "pref": _word,
    "fastopen_no_cookie": _number(0, 1),
    "ttl-propagate": _word,
    "expires": _number(),
    "vrf": interface,
    "weight": _number(1, 256),
    "nhid": _number(),
    "track_group": _word,
}
_LOCKABLE: Final = frozenset(
    {"mtu", "advmss", "rtt", "rttvar", "reordering", "window", "cwnd", "ssthresh", "rto_min"}
    | {"hoplimit", "initcwnd", "initrwnd", "quickack", "congctl"}
)
_ROUTE_FLAGS: Final = frozenset(
    {"onlink", "append", "prepend", "nexthop", "no_track", "inet", "inet6", "ecn"}
)
_ENCAPSULATION: Final = frozenset({"encap", "as"})

RULE_OPTIONS: Final[dict[str, Reader]] = {
    "from": destination,
    "to": destination,
    "tos": _word,
    "dsfield": _word,
    "fwmark": _masked,
    "iif": interface,
    "dev": interface,
    "oif": interface,
    "preference": _number(),
    "order": _number(),
    "priority": _number(),
    "pref": _number(),
    "uidrange": _span,
    "ipproto": _word,
    "ip_proto": _word,
    "sport": _span,
    "dport": _span,
    "tun_id": _number(0, 2**64 - 1),
    "tunnel-id": _number(0, 2**64 - 1),
    "protocol": _word,
    "proto": _word,
    "table": _word,
    "lookup": _word,
    "goto": _number(),
    "suppress_prefixlength": _number(0, 128),
    "suppress_ifgroup": _word,
    "realms": _word,
    "type": _word,
    "track_group": _word,
}
_RULE_FLAGS: Final = frozenset(
    {"not", "l3mdev", "nop", "inet", "inet6", "no_track", "unicast", "blackhole", "unreachable"}
    | {"prohibit", "nat"}
)
_OURS: Final = frozenset({"no_track", "inet", "inet6"})
"""Words that say something to us, not to the kernel."""


def route(words: Words) -> Route:
    """Return one line of static_routes or virtual_routes; raises BadValueError."""
    family: Family | None = None
    aimed = False
    place = 0
    while place < len(words):
        word = words[place]
        place += 1
        if word in _ENCAPSULATION:
            # Lightweight tunnels have languages of their own, which reach to the end of the line.
            return _route(words, family)
        if word in ROUTE_TYPES or word in _ROUTE_FLAGS:
            family = Family.IPV6 if word == "inet6" else family
            continue
        if word not in ROUTE_OPTIONS:
            if aimed:
                raise BadValueError(_instead(word, (*ROUTE_OPTIONS, *_ROUTE_FLAGS)))
            family, aimed = destination(word) or family, True
            continue
        place, found = _value(words, place, word, ROUTE_OPTIONS[word])
        if isinstance(found, Family):
            family = found
        aimed = aimed or word == "to"
    return _route(words, family)


def _value(words: Words, place: int, word: str, read: Reader) -> tuple[int, object]:
    """Return the place after a word's value, and the value; raises BadValueError."""
    if word in {"via", "gw"} and words[place : place + 1] in (("inet",), ("inet6",)):
        place += 1
    if word in _LOCKABLE and words[place : place + 1] == ("lock",):
        place += 1
    if place >= len(words):
        raise BadValueError(f"a value after {word}")
    try:
        return place + 1, read(words[place])
    except BadValueError as problem:
        there = f'{problem.expected} after {word} in place of "{shown(words[place])}"'
        raise BadValueError(there) from None


def _instead(word: str, known: tuple[str, ...]) -> str:
    return f'{meant(word, tuple(sorted(known)))} in place of "{shown(word)}"'


def _ours(words: Words) -> tuple[Words, bool, str]:
    """Return a line without the words that are not the kernel's, and what those say."""
    group = ""
    rest: list[str] = []
    remaining = iter(words)
    for word in remaining:
        if word == "track_group":
            group = next(remaining, "")
        elif word not in _OURS:
            rest.append(word)
    return tuple(rest), "no_track" not in words, group


def _route(words: Words, family: Family | None) -> Route:
    rest, track, group = _ours(words)
    via = [words[at + 1] for at, word in enumerate(words[:-1]) if word in {"via", "gw"}]
    if family is None and via and ":" in via[0]:
        family = Family.IPV6
    return Route(rest, family or Family.IPV4, track, group)


def rule(words: Words) -> Rule:
    """Return one line of static_rules or virtual_rules; raises BadValueError."""
    family: Family | None = None
    place = 0
    while place < len(words):
        word = words[place]
        place += 1
        if word in _RULE_FLAGS:
            family = Family.IPV6 if word == "inet6" else family
            continue
        if word not in RULE_OPTIONS:
            raise BadValueError(_instead(word, (*RULE_OPTIONS, *_RULE_FLAGS)))
        place, found = _value(words, place, word, RULE_OPTIONS[word])
        family = found if isinstance(found, Family) else family
    rest, track, group = _ours(words)
    return Rule(rest, family or Family.IPV4, track, group)


ROUTE_LINE: Final = Shape(route, "a route as ip-route(8) has it", most=None)
RULE_LINE: Final = Shape(rule, "a rule as ip-rule(8) has it", most=None)
