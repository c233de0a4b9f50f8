"""The command lines of ipvsadm(8): words to orders.

The one mistake of a line is a ValueError whose text says what is there and what was expected.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from standfest.config.nearest import nearest
from standfest.model.balancing import Forwarding, Method, SyncDaemon, TunnelType
from standfest.model.forwarding import (
    AddDestination,
    AddService,
    Change,
    DeleteDestination,
    DeleteService,
    Destination,
    DestinationKey,
    ServiceKey,
    ServiceOptions,
    SetDestination,
    SetService,
)
from standfest.model.ipvstable import (
    Clear,
    Columns,
    Do,
    Order,
    Restore,
    Save,
    SetTimeouts,
    Show,
    ShowConnections,
    ShowDaemons,
    ShowTimeouts,
    StartDaemon,
    StopDaemon,
    Zero,
)
from standfest.model.vrrp import Family

IPAddress = IPv4Address | IPv6Address
DEFAULT_PERSISTENCE_S: Final = 360
MAX_WEIGHT: Final = 2**31 - 1
MAX_THRESHOLD: Final = 2**31 - 1
MAX_TIMEOUT_S: Final = 86_400 * 31

SHORT: Final = {
    "A": "add-service", "E": "edit-service", "D": "delete-service", "C": "clear", "R": "restore",
    "S": "save", "a": "add-server", "e": "edit-server", "d": "delete-server", "L": "list",
    "l": "list", "Z": "zero", "t": "tcp-service", "u": "udp-service", "f": "fwmark-service",
    "s": "scheduler", "p": "persistent", "M": "netmask", "b": "sched-flags", "r": "real-server",
    "g": "gatewaying", "i": "ipip", "m": "masquerading", "w": "weight", "x": "u-threshold",
    "y": "l-threshold", "c": "connection", "n": "numeric", "6": "ipv6", "o": "ops",
}  # fmt: skip
"""One letter -> the long name."""
COMMANDS: Final = frozenset(
    [
        *("add-service", "edit-service", "delete-service", "add-server", "edit-server"),
        *("delete-server", "clear", "restore", "save", "list", "zero", "set"),
        *("start-daemon", "stop-daemon"),
    ]
)
VALUES: Final = {
    **dict.fromkeys(["tcp-service", "udp-service", "sctp-service", "fwmark-service"], 1),
    **dict.fromkeys(["scheduler", "netmask", "sched-flags", "pe", "real-server", "weight"], 1),
    **dict.fromkeys(["u-threshold", "l-threshold", "tun-type", "tun-port", "syncid"], 1),
    **dict.fromkeys(["sync-maxlen", "mcast-interface", "mcast-group", "mcast-port"], 1),
    **dict.fromkeys(["mcast-ttl", "start-daemon", "stop-daemon"], 1),
    "set": 3,
}
"""Options with values -> how many."""
FLAGS: Final = frozenset(
    [
        *("gatewaying", "ipip", "masquerading", "connection", "numeric", "ipv6", "ops", "stats"),
        *("rate", "thresholds", "persistent-conn", "tun-info", "sort", "nosort", "exact"),
        *("timeout", "daemon", "tun-nocsum", "tun-csum", "tun-remcsum", "persistent"),
    ]
)
SERVICES: Final = {"tcp-service": "TCP", "udp-service": "UDP", "sctp-service": "SCTP"}
_SERVICE: Final = frozenset([*SERVICES, "fwmark-service", "ipv6"])
_CHOOSES: Final = frozenset(["scheduler", "persistent", "netmask", "sched-flags", "pe", "ops"])
_REACHES: Final = frozenset(
    [
        *("gatewaying", "ipip", "masquerading", "weight", "u-threshold", "l-threshold"),
        *("tun-type", "tun-port", "tun-nocsum", "tun-csum", "tun-remcsum"),
    ]
)
_COLUMNS: Final = frozenset(column.value for column in Columns) - {"state"}
_DAEMON: Final = frozenset(
    ["syncid", "sync-maxlen", "mcast-interface", "mcast-group", "mcast-port", "mcast-ttl"]
)
_LOOKS: Final = frozenset(["numeric", "sort", "nosort", "exact", "connection", "timeout", "daemon"])
TAKES: Final = {
    "add-service": _SERVICE | _CHOOSES,
    "edit-service": _SERVICE | _CHOOSES,
    "delete-service": _SERVICE,
    "add-server": _SERVICE | _REACHES | {"real-server"},
    "edit-server": _SERVICE | _REACHES | {"real-server"},
    "delete-server": _SERVICE | {"real-server"},
    "list": _SERVICE | _COLUMNS | _LOOKS,
    "save": frozenset({"numeric"}),
    "zero": _SERVICE,
    "start-daemon": _DAEMON,
    "stop-daemon": frozenset({"syncid"}),
}
"""Command -> options that it takes; those that are missing take none."""
SCHEDULER_FLAGS: Final = frozenset(
    [*("sh-fallback", "sh-port", "mh-fallback", "mh-port"), *("flag-1", "flag-2", "flag-3")]
)


@dataclass(frozen=True, slots=True)
class Names:
    """How names become numbers; each raises OSError for one that is unknown.

    port: (name, protocol in small letters) -> number; host: name -> address.
    """

    port: Callable[[str, str], int]
    host: Callable[[str], IPAddress]


@dataclass(slots=True)
class _Line:
    command: str = ""
    arguments: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)

    def has(self, *names: str) -> bool:
        return any(name in self.options for name in names)


def parse(words: Sequence[str], names: Names) -> Order:
    """Return the order of one command line (without the program's name)."""
    line = _read(list(words))
    if not line.command:
        if line.options:
            raise ValueError(
                f"{_shown(next(iter(line.options)))} without a command; expected e.g. -L"
            )
        return Show()
    allowed = TAKES.get(line.command, frozenset())
    for name in line.options:
        if name not in allowed:
            raise ValueError(f"{_shown(name)} does not go with {_shown(line.command)}")
    return _order(line, names)


def _read(words: list[str]) -> _Line:
    line = _Line()
    while words:
        word = words.pop(0)
        if word.startswith("--") and len(word) > 2:
            name, _, value = word[2:].partition("=")
            if value:
                words.insert(0, value)
            _take(line, name, words)
        elif word.startswith("-") and len(word) > 1:
            _take_short(line, word[1:], words)
        else:
            raise ValueError(f"{word!r}; expected an option")
    return line


def _take_short(line: _Line, letters: str, words: list[str]) -> None:
    while letters:
        letter, letters = letters[0], letters[1:]
        name = SHORT.get(letter)
        if name is None:
            raise ValueError(f"unknown option -{letter}; ipvsadm(8) lists them")
        if letters and (name in VALUES or (name == "persistent" and letters.isdigit())):
            words.insert(0, letters)  # -w3
            letters = ""
        _take(line, name, words)


def _take(line: _Line, name: str, words: list[str]) -> None:
    known = COMMANDS | FLAGS | VALUES.keys()
    if name not in known:
        meant = nearest(name, known)
        hint = f"; did you mean --{meant}?" if meant else "; ipvsadm(8) lists them"
        raise ValueError(f"unknown option --{name}{hint}")
    count = VALUES.get(name, 0)
    values = words[:count]
    if len(values) < count or any(_is_option(value) for value in values):
        needs = "a value" if count == 1 else f"{count} values"
        raise ValueError(f"{_shown(name)} needs {needs}")
    del words[:count]
    if name in COMMANDS:
        if line.command:
            raise ValueError(f"{_shown(line.command)} and {_shown(name)}; expected one command")
        line.command, line.arguments = name, values
        return
    if name in line.options:
        raise ValueError(f"{_shown(name)} is given twice")
    if name in SERVICES or name == "fwmark-service":
        other = next((one for one in line.options if one in {*SERVICES, "fwmark-service"}), None)
        if other is not None:
            raise ValueError(f"{_shown(other)} and {_shown(name)}; expected one service")
    if name == "persistent":
        values = [words.pop(0)] if words and not words[0].startswith("-") else [""]
    line.options[name] = values[0] if values else ""


def _is_option(word: str) -> bool:
    return word.startswith("-") and not word[1:].isdigit() and len(word) > 1


def _order(line: _Line, names: Names) -> Order:
    match line.command:
        case "clear":
            return Clear()
        case "restore":
            return Restore()
        case "save":
            return Save(line.has("numeric"))
        case "zero":
            return Zero(_service(line, names) if line.has(*SERVICES, "fwmark-service") else None)
        case "set":
            first, second, third = (_number("--set", w, MAX_TIMEOUT_S) for w in line.arguments)
            return SetTimeouts(first, second, third)
        case "list":
            return _show(line, names)
        case "start-daemon" | "stop-daemon":
            return _daemon(line)
        case _:
            return Do(_change(line, names))


def _change(line: _Line, names: Names) -> Change:
    key = _service(line, names)
    if line.command == "add-service":
        return AddService(key, _options(line, key))
    if line.command == "edit-service":
        return SetService(key, _options(line, key))
    if line.command == "delete-service":
        return DeleteService(key)
    server = _server(line, key, names)
    if line.command == "delete-server":
        return DeleteDestination(key, server)
    destination = _destination(line)
    if destination.method.forwarding is not Forwarding.NAT and key.address is not None:
        server = DestinationKey(server.address, key.port)  # only NAT can change it
    if line.command == "add-server":
        return AddDestination(key, server, destination)
    return SetDestination(key, server, destination)


# --- services ------------------------------------------------------------------------------------


def _service(line: _Line, names: Names) -> ServiceKey:
    if line.has("fwmark-service"):
        mark = _number("-f", line.options["fwmark-service"], 2**32 - 1, least=1)
        family = Family.IPV6 if line.has("ipv6") else Family.IPV4
        return ServiceKey(family, "", None, 0, mark)
    if line.has("ipv6"):
        raise ValueError("-6 goes with -f only; an address says its family itself")
    for name, protocol in SERVICES.items():
        if line.has(name):
            text = line.options[name]
            address, port = _endpoint(_shown(name), text, protocol, names)
            return ServiceKey(Family(address.version), protocol, address, port or 0)
    raise ValueError(f"{_shown(line.command)} needs a service: -t, -u, --sctp-service or -f")


def _options(line: _Line, key: ServiceKey) -> ServiceOptions:
    flags = tuple(f for f in line.options.get("sched-flags", "").split(",") if f)
    for flag in flags:
        if flag not in SCHEDULER_FLAGS:
            raise ValueError(f"-b {flag}; expected {', '.join(sorted(SCHEDULER_FLAGS))}")
    timeout = 0
    if line.has("persistent"):
        given = line.options["persistent"]
        least, most = 1, MAX_TIMEOUT_S
        timeout = _number("-p", given, most, least=least) if given else DEFAULT_PERSISTENCE_S
    for name in ("netmask", "pe"):
        if line.has(name) and not timeout:
            raise ValueError(f"{_shown(name)} is of persistence; expected -p, too")
    if key.address is not None and not key.port and not timeout:
        raise ValueError(f"{key}: no port; expected one, or -p for all ports of the address")
    if line.has("ops") and key.protocol not in ("UDP", ""):
        raise ValueError("-o is for services of UDP or by mark")
    scheduler = line.options.get("scheduler", "wlc")
    engine = line.options.get("pe", "")
    return ServiceOptions(
        scheduler, flags, timeout, _mask(line, key.family), engine, line.has("ops")
    )


def _mask(line: _Line, family: Family) -> IPv4Address | int | None:
    text = line.options.get("netmask")
    if text is None:
        return None
    if family is Family.IPV6:
        length = _number("-M", text, 128, least=1)
        return None if length == 128 else length
    try:
        mask = IPv4Address(text)
    except ValueError:
        raise ValueError(f"-M {text}; expected a netmask such as 255.255.255.0") from None
    return None if int(mask) == 2**32 - 1 else mask


# --- servers -------------------------------------------------------------------------------------


def _server(line: _Line, key: ServiceKey, names: Names) -> DestinationKey:
    text = line.options.get("real-server")
    if text is None:
        raise ValueError(f"{_shown(line.command)} needs a server: -r ADDRESS[:PORT]")
    address, port = _endpoint("-r", text, key.protocol or "TCP", names)
    return DestinationKey(address, key.port if port is None else port)


def _destination(line: _Line) -> Destination:
    ways = [name for name in ("gatewaying", "ipip", "masquerading") if line.has(name)]
    if len(ways) > 1:
        raise ValueError(f"{_shown(ways[0])} and {_shown(ways[1])}; expected one way")
    way = ways[0] if ways else "gatewaying"
    forwarding = {
        "gatewaying": Forwarding.DIRECT,
        "ipip": Forwarding.TUNNEL,
        "masquerading": Forwarding.NAT,
    }[way]
    method = _tunnel(line) if forwarding is Forwarding.TUNNEL else Method(forwarding)
    if forwarding is not Forwarding.TUNNEL:
        for name in line.options:
            if name.startswith("tun-"):
                raise ValueError(f"--{name} is of tunnels; expected -i")
    weight = _number("-w", line.options.get("weight", "1"), MAX_WEIGHT)
    upper = _number("-x", line.options.get("u-threshold", "0"), MAX_THRESHOLD)
    lower = _number("-y", line.options.get("l-threshold", "0"), MAX_THRESHOLD)
    if upper and lower > upper:
        raise ValueError(f"-y {lower} is above -x {upper}")
    return Destination(method, weight, upper, lower)


def _tunnel(line: _Line) -> Method:
    text = line.options.get("tun-type", "ipip")
    try:
        kind = TunnelType(text)
    except ValueError:
        raise ValueError(f"--tun-type {text}; expected ipip, gue or gre") from None
    port = 0
    if line.has("tun-port"):
        if kind is not TunnelType.GUE:
            raise ValueError("--tun-port is of --tun-type gue")
        port = _number("--tun-port", line.options["tun-port"], 65_535, least=1)
    elif kind is TunnelType.GUE:
        raise ValueError("--tun-type gue needs --tun-port")
    sums = [word for word in ("nocsum", "csum", "remcsum") if line.has(f"tun-{word}")]
    if len(sums) > 1 or (sums and kind is TunnelType.IPIP):
        raise ValueError(f"--tun-{sums[-1]}: expected one of them, with gue or gre")
    checksum = sums[0] if sums else ("" if kind is TunnelType.IPIP else "nocsum")
    return Method(Forwarding.TUNNEL, kind, port, checksum)


def _endpoint(option: str, text: str, protocol: str, names: Names) -> tuple[IPAddress, int | None]:
    """Return address and port of HOST[:PORT] or [IPV6]:PORT; the port None if there is none."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest[1:] if rest.startswith(":") else ""
        if rest and not rest.startswith(":"):
            raise ValueError(f"{option} {text}; expected [ADDRESS]:PORT")
    elif text.count(":") > 1:
        host, port = text, ""
    else:
        host, _, port = text.partition(":")
    return _host(option, host, names), _port(option, port, protocol, names)


def _host(option: str, host: str, names: Names) -> IPAddress:
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return names.host(host)
    except OSError:
        raise ValueError(f"{option} {host!r} is neither an address nor a known host") from None


def _port(option: str, port: str, protocol: str, names: Names) -> int | None:
    if not port:
        return None
    if port.isdigit():
        return _number(f"{option} ...:", port, 65_535)
    try:
        return names.port(port, protocol.lower())
    except OSError:
        raise ValueError(
            f"{option}: {port!r} is no service of {protocol}; expected a port"
        ) from None


# --- the rest ------------------------------------------------------------------------------------


def _show(line: _Line, names: Names) -> Order:
    views = [name for name in (*_COLUMNS, "connection", "timeout", "daemon") if line.has(name)]
    if line.has("connection"):
        return ShowConnections(line.has("numeric"), line.has("persistent-conn"))
    if len(views) > 1:
        first, second = sorted(views)[:2]
        raise ValueError(f"--{first} and --{second}; expected one of them")
    if line.has("timeout"):
        return ShowTimeouts()
    if line.has("daemon"):
        return ShowDaemons()
    service = _service(line, names) if line.has(*SERVICES, "fwmark-service") else None
    columns = Columns(views[0]) if views else Columns.STATE
    return Show(columns, service, line.has("numeric"), line.has("exact"), not line.has("nosort"))


def _daemon(line: _Line) -> Order:
    state = line.arguments[0]
    if state not in ("master", "backup"):
        raise ValueError(f"{_shown(line.command)} {state}; expected master or backup")
    if line.command == "stop-daemon":
        return StopDaemon(state == "master")
    if not line.has("mcast-interface"):
        raise ValueError("--start-daemon needs --mcast-interface")

    def number(name: str, most: int, default: int, least: int = 0) -> int:
        text = line.options.get(name)
        return default if text is None else _number(f"--{name}", text, most, least=least)

    group = line.options.get("mcast-group")
    try:
        address = None if group is None else ip_address(group)
    except ValueError:
        raise ValueError(f"--mcast-group {group}; expected a multicast address") from None
    settings = SyncDaemon(
        line.options["mcast-interface"],
        id=number("syncid", 255, 0),
        max_length=number("sync-maxlen", 65_507, 0, 1),
        port=number("mcast-port", 65_535, 8848, 1),
        ttl=number("mcast-ttl", 255, 1, 1),
        group=address,
    )
    return StartDaemon(state == "master", settings)


def _number(option: str, text: str, most: int, *, least: int = 0) -> int:
    if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
        raise ValueError(f"{option} {text}; expected {least} to {most}")
    return int(text)


def _shown(name: str) -> str:
    """Return an option as people write it."""
    letter = next((one for one, long in SHORT.items() if long == name), "")
    return f"-{letter}" if letter else f"--{name}"
