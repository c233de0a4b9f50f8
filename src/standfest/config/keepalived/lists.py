"""The elements of blocks that list things: addresses, peers, tracked things, group members.

Source: keepalived.conf(5) and experiments with keepalived 2.2.7.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Final

from standfest.config.keepalived.shapes import (
    Shape,
    Words,
    address,
    decimal,
    expected_address,
    integer,
    interface,
    names,
    network,
)
from standfest.config.lines import BadValueError, shown
from standfest.model.director import InterfaceDelay
from standfest.model.time import NANOSECONDS_PER_SECOND as SECOND
from standfest.model.vrrp import UnicastPeer, VirtualAddress

SCOPES: Final = ("global", "site", "link", "host", "nowhere")
FLAGS: Final = ("home", "-nodad", "mngtmpaddr", "noprefixroute", "autojoin")
MAX_WEIGHT: Final = 253
FOREVER: Final = -1
_NO_DELAY, _MOST_DELAY = Decimal(0), Decimal(255)


@dataclass(frozen=True, slots=True)
class Tracked:
    """An element of a track_* block; weight and reverse None: as the thing itself says."""

    name: str
    weight: int | None = None
    reverse: bool | None = None


class _Words:
    """Takes the words of an element one after the other."""

    def __init__(self, words: Words) -> None:
        self._words = list(words)

    def __bool__(self) -> bool:
        return bool(self._words)

    def take(self, expected: str) -> str:
        """Return the next word; raises BadValueError when there is none."""
        if not self._words:
            raise BadValueError(expected)
        return self._words.pop(0)

    def take_if(self, word: str) -> bool:
        """Take the next word if it is this one."""
        found = self._words[:1] == [word]
        if found:
            self._words.pop(0)
        return found


def virtual_address(words: Words) -> VirtualAddress:
    """Return one line of virtual_ipaddress or static_ipaddress; raises BadValueError."""
    rest = _Words(words)
    ip, prefix = network(rest.take("an address"))
    taken: dict[str, object] = {}
    flags: list[str] = []
    while rest:
        _address_option(rest, taken, flags)
    if "label" in taken and not isinstance(ip, IPv4Address):
        raise BadValueError("no label, which only IPv4 addresses have")
    return VirtualAddress(ip, prefix, flags=tuple(flags), **taken)  # type: ignore[arg-type]


def _address_option(rest: _Words, taken: dict[str, object], flags: list[str]) -> None:
    match word := rest.take("an option"):
        case "dev":
            taken["interface"] = interface(rest.take("an interface after dev"))
        case "label":
            taken["label"] = interface(rest.take("a label like eth0:1"))
        case "scope":
            taken["scope"] = _scope(rest.take("a scope"))
        case "brd" | "broadcast":
            taken["broadcast"] = _broadcast(rest.take("an address, + or -"))
        case "peer":
            taken["peer"], taken["peer_prefix"] = network(rest.take("the peer's address"))
        case "preferred_lft":
            taken["preferred_lifetime"] = _lifetime(rest.take("seconds, or forever"))
        case "track_group":
            taken["track_group"] = rest.take("a track_group")
        case "no_track":
            taken["track"] = False
        case "use_vmac":
            taken["use_vmac"] = True
        case _ if word in FLAGS:
            flags.append(word)
        case _:
            raise BadValueError(_not_an_option(word))


def _not_an_option(word: str) -> str:
    if expected_address(word) != "an IP address" or _is_network(word):
        return f'an option in place of "{shown(word)}"; each address has a line of its own'
    known = "dev, label, brd, scope, peer, preferred_lft, no_track, track_group, use_vmac"
    return f'one of {known}, {", ".join(FLAGS)} in place of "{shown(word)}"'


def _is_network(word: str) -> bool:
    try:
        network(word)
    except BadValueError:
        return False
    return True


def _scope(word: str) -> str:
    if word.isascii() and word.isdigit():
        return str(integer(word, 0, 255))
    if word not in SCOPES:
        raise BadValueError(f"scope {', '.join(SCOPES)}")
    return word


def _broadcast(word: str) -> str:
    return word if word in {"+", "-"} else str(address(word))


def _lifetime(word: str) -> int:
    return FOREVER if word in {"forever", "infinite"} else integer(word, 0, 2**32 - 2)


def unicast_peer(words: Words) -> UnicastPeer:
    """Return one line of unicast_peer; raises BadValueError."""
    rest = _Words(words)
    ip = address(rest.take("an address"))
    low, high = 0, 255
    while rest:
        word = rest.take("an option")
        if word not in {"min_ttl", "max_ttl"}:
            raise BadValueError(f'min_ttl or max_ttl in place of "{shown(word)}"')
        value = integer(rest.take(f"a number after {word}"), 0, 255)
        low, high = (value, high) if word == "min_ttl" else (low, value)
    return UnicastPeer(ip, low, high)


def tracked(most: int, kind: Callable[[str], str] = str) -> Shape:
    """Return the shape of an element of a track_* block."""

    def read(words: Words) -> Tracked:
        rest = _Words(words)
        thing = kind(rest.take("a name"))
        weight: int | None = None
        reverse: bool | None = None
        if rest.take_if("weight"):
            weight = integer(rest.take("a weight"), -most, most)
            reverse = False
        if rest:
            word = rest.take("reverse")
            if word not in {"reverse", "noreverse", "no_reverse"}:
                raise BadValueError(f'weight, reverse or noreverse in place of "{shown(word)}"')
            reverse = word == "reverse"
        if rest:
            raise BadValueError("one name on each line")
        return Tracked(thing, weight, reverse)

    return Shape(read, f"a name, then perhaps: weight -{most}..{most} [reverse]", most=None)


def interface_delay(words: Words) -> InterfaceDelay:
    """Return one line of interface_up_down_delays; raises BadValueError."""
    delays = [int(decimal(word, _NO_DELAY, _MOST_DELAY) * SECOND) for word in words[1:3]]
    down, up = (*delays, *delays, 0, 0)[:2]
    return InterfaceDelay(interface(words[0]), down, up)


LINKBEAT_KINDS: Final = ("MII", "ETHTOOL", "IOCTL")


def linkbeat(words: Words) -> tuple[str, ...]:
    """Return one line of linkbeat_interfaces: interfaces, each perhaps with a kind of polling."""
    return tuple(interface(word) for word in words if word.upper() not in LINKBEAT_KINDS)


ADDRESS_LINE: Final = Shape(virtual_address, "an address on each line, then its options", most=None)
PEER_LINE: Final = Shape(unicast_peer, "an address on each line", most=None)
NAMES: Final = names("names")
INTERFACES: Final = Shape(
    lambda words: tuple(interface(word) for word in words), "interfaces", most=None
)
LINKBEAT: Final = Shape(linkbeat, "interfaces", most=None)
DELAY_LINE: Final = Shape(interface_delay, "an interface and its delays", most=None)
TRACKED_INTERFACE: Final = tracked(MAX_WEIGHT, interface)
TRACKED: Final = tracked(MAX_WEIGHT)
TRACKED_FILE: Final = tracked(2**31 - 1)
