"""`lvs_sync_daemon` and `lvs_timeouts`: keywords whose arguments are a small language each."""

from dataclasses import replace
from typing import Final

from standfest.config.keepalived.shapes import Shape, Words, address, integer, interface
from standfest.config.lines import BadValueError, shown
from standfest.model.balancing import SyncDaemon
from standfest.model.time import NANOSECONDS_PER_SECOND as SECOND

_OPTIONS: Final = ("inst", "id", "maxlen", "port", "ttl", "group")
_TIMEOUTS: Final = ("tcp", "tcpfin", "udp")
_LONGEST: Final = 2**31 // 1000
"""Seconds; the kernel counts in jiffies of up to a millisecond."""


def sync_daemon(words: Words) -> SyncDaemon:
    """Return an interface and its options; the instance may stand without `inst`."""
    settings = SyncDaemon(interface(words[0]))
    rest = list(words[1:])
    if rest and rest[0] not in _OPTIONS:
        settings = replace(settings, instance=rest.pop(0))
    while rest:
        option = rest.pop(0)
        if option not in _OPTIONS or not rest:
            expected = ", ".join(_OPTIONS)
            raise BadValueError(f'one of {expected} with a value in place of "{shown(option)}"')
        settings = _with(settings, option, rest.pop(0))
    return settings


def _with(settings: SyncDaemon, option: str, value: str) -> SyncDaemon:
    match option:
        case "inst":
            return replace(settings, instance=value)
        case "id":
            return replace(settings, id=integer(value, 0, 255))
        case "maxlen":
            return replace(settings, max_length=integer(value, 1, 65_507))
        case "port":
            return replace(settings, port=integer(value, 1, 65_535))
        case "ttl":
            return replace(settings, ttl=integer(value, 1, 255))
        case _:
            return replace(settings, group=address(value))


def key_file(words: Words) -> str:
    """Return a path; raises BadValueError."""
    if not words[0].startswith("/"):
        raise BadValueError("an absolute path")
    return words[0]


def timeouts(words: Words) -> dict[str, int]:
    """Return the timeouts given, as durations by protocol; raises BadValueError."""
    known = {}
    rest = list(words)
    while rest:
        protocol = rest.pop(0)
        if protocol not in _TIMEOUTS or not rest:
            raise BadValueError("[tcp SECONDS] [tcpfin SECONDS] [udp SECONDS]")
        known[protocol] = integer(rest.pop(0), 0, _LONGEST) * SECOND
    return known


SYNC_DAEMON: Final = Shape(sync_daemon, "an interface, an instance, and options", most=None)
KEY_FILE: Final = Shape(key_file, "an absolute path")
TIMEOUTS: Final = Shape(timeouts, "[tcp SECONDS] [tcpfin SECONDS] [udp SECONDS]", most=None)
