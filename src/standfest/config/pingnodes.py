"""Ping nodes of ha.cf: `ping`, `ping6`, `ping_group`, `deadping`, and `respawn` of who used them.

heartbeat ran `ipfail` and `pingd` as programs beside itself; here both are built in, and such a
line switches them on. Hosts are literal addresses: what has to be asked for at a name server is not
known when it is needed. Source: facts/HEARTBEAT-WIRE.md section 11, ha.cf(5), pingd's options.
"""

import ipaddress
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from standfest.config.lines import BadValueError, Line, Report, integer, shown, time
from standfest.model.pinging import ATTRIBUTE, DAMPENING_ECHOES, MULTIPLIER, Pinging, PingNode
from standfest.model.settings import MAX_NODE_NAME, is_node_name
from standfest.model.time import Duration, in_milliseconds, milliseconds, seconds

NAMES: Final = ("ping", "ping6", "ping_group", "deadping", "respawn")
MAX_PING_NODES: Final = 16
MAX_GROUP: Final = 16
"""Hosts of one group."""
MAX_MULTIPLIER: Final = 10_000
"""So that 16 ping nodes stay below INFINITY, 1,000,000."""
PINGD_MULTIPLIER: Final = 1
"""What `pingd` counts for a ping node without `-m`."""

_IPFAIL, _PINGD = "ipfail", "pingd"
_ATTRIBUTE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", re.ASCII)
_RESERVED: Final = frozenset({"maintenance", "shutdown", "standby", "terminate"})
_DELAY: Final = re.compile(r"(\d{1,9})(ms|msec|s|sec|m|min|)", re.ASCII)
_UNITS: Final = {
    **dict.fromkeys(("ms", "msec"), milliseconds(1)),
    **dict.fromkeys(("s", "sec", ""), seconds(1)),
    **dict.fromkeys(("m", "min"), seconds(60)),
}
_MAX_DAMPEN: Final = seconds(3600)
_OPTIONS: Final = {
    **dict.fromkeys(("-m", "--attr-multiplier"), "multiplier"),
    **dict.fromkeys(("-a", "--attr-name"), "attribute"),
    **dict.fromkeys(("-d", "--attr-dampen"), "dampen"),
    **dict.fromkeys(("-h", "--ping-host"), "counted"),
    # How the program ran, and where it wrote: nothing here runs or writes so.
    **dict.fromkeys(("-i", "-N", "-p", "-s", "-S"), "ignored"),
    **dict.fromkeys(("--interval", "--node", "--pid-file", "--attr-set"), "ignored"),
    "--attr-section": "ignored",
}
_SWITCHES: Final = frozenset({"-D", "-U", "-V", "--daemonize", "--verbose"})
_PINGD_TAKES: Final = "-m NUMBER, -a NAME, -d TIME or -h PING-NODE"


@dataclass(slots=True)
class PingLines:
    """What has been read so far; numbers are lines, 0 where there is none."""

    nodes: dict[str, PingNode] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    deadping: Duration | None = None
    deadping_line: int = 0
    ipfail_line: int = 0
    pingd_line: int = 0
    multiplier: int = MULTIPLIER
    attribute: str = ATTRIBUTE
    dampen: Duration | None = None
    counted: list[str] = field(default_factory=list)

    def read(self, report: Report, line: Line) -> None:
        """Take one of the directives in NAMES; what is wrong with it goes into the report."""
        try:
            match line.name:
                case "ping":
                    self._add_each(report, line, _ipv4)
                case "ping6":
                    self._add_each(report, line, _ipv6)
                case "ping_group":
                    self._add_group(report, line)
                case "deadping":
                    self._read_deadping(report, line)
                case _:
                    self._read_program(report, line)
        except BadValueError as problem:
            report.bad_value(line, problem.expected)

    def _add_each(self, report: Report, line: Line, read: Callable[[str], str]) -> None:
        if not line.values:
            read("")
        for value in line.values:
            host = read(value)
            self._add(report, line, PingNode(host, (host,)))

    def _add_group(self, report: Report, line: Line) -> None:
        if len(line.values) < 2:
            raise BadValueError("a name and the addresses of its hosts")
        name, *hosts = line.values
        if not is_node_name(name.lower()):
            expected = f"letters, digits, -, _ and dots, at most {MAX_NODE_NAME}"
            report.error(line.number, f'ping_group name is "{shown(name)}"', expected)
            return
        if len(hosts) > MAX_GROUP:
            problem = f'ping_group "{name}" has {len(hosts)} hosts'
            report.error(line.number, problem, f"at most {MAX_GROUP}")
            return
        unique = tuple(dict.fromkeys(_either(host) for host in hosts))
        if len(unique) < len(hosts):
            report.warn(line.number, f'ping_group "{name}" names a host twice', "each once")
        self._add(report, line, PingNode(name, unique))

    def _add(self, report: Report, line: Line, node: PingNode) -> None:
        if node.name in self.nodes:
            there = self.lines[node.name]
            report.error(line.number, f'ping node "{node.name}" again; line {there} has it')
        elif len(self.nodes) == MAX_PING_NODES:
            problem = f'ping node "{node.name}" is one too many'
            report.error(line.number, problem, f"at most {MAX_PING_NODES}")
        else:
            self.nodes[node.name] = node
            self.lines[node.name] = line.number

    def _read_deadping(self, report: Report, line: Line) -> None:
        if self.deadping_line:
            problem = f"deadping again; it replaces line {self.deadping_line}"
            report.warn(line.number, problem, "one line")
        self.deadping_line = line.number
        self.deadping = time(line.one())

    def _read_program(self, report: Report, line: Line) -> None:
        if len(line.values) < 2:
            raise BadValueError("a user and a program, perhaps with arguments")
        _user, program, *arguments = line.values
        name = program.rpartition("/")[2]
        if name == _IPFAIL:
            self.ipfail_line = line.number
        elif name == _PINGD:
            if self.pingd_line:
                problem = f"respawn of pingd again; line {self.pingd_line} has it"
                report.error(line.number, problem, "one line")
            self.pingd_line = line.number
            self.multiplier = PINGD_MULTIPLIER
            self._read_options(arguments)
        else:
            report.unsupported(line)

    def _read_options(self, arguments: list[str]) -> None:
        words = iter(arguments)
        for word in words:
            option, joined, value = word.partition("=") if word.startswith("--") else (word, "", "")
            if not joined and word[:2] in _OPTIONS and word[:2] != "--" and len(word) > 2:
                option, joined, value = word[:2], "=", word[2:]
            if option in _SWITCHES:
                continue
            if option not in _OPTIONS:
                raise BadValueError(f'{_PINGD_TAKES} instead of "{shown(word)}"')
            value = value if joined else next(words, "")
            self._take(_OPTIONS[option], option, value)

    def _take(self, meaning: str, option: str, value: str) -> None:
        match meaning:
            case "multiplier":
                try:
                    self.multiplier = integer(1, MAX_MULTIPLIER)(value)
                except BadValueError as problem:
                    raise BadValueError(f"{problem.expected} after {option}") from None
            case "attribute":
                if not _ATTRIBUTE.fullmatch(value) or value in _RESERVED:
                    raise BadValueError(f"a node attribute's name after {option}")
                self.attribute = value
            case "dampen":
                self.dampen = _delay(option, value)
            case "counted":
                self.counted.append(value)
            case _:
                pass

    # --- the whole of it ------------------------------------------------------------------------

    def settings(
        self,
        report: Report,
        nodes: Collection[str],
        *,
        keepalive: Duration,
        deadtime: Duration,
    ) -> Pinging:
        """Return what was read with its defaults; notes what contradicts itself.

        nodes: the cluster's; deadping is deadtime where it is not given, as in heartbeat.
        """
        deadping = self.deadping or deadtime
        dampen = DAMPENING_ECHOES * keepalive if self.dampen is None else self.dampen
        for name in self.nodes:
            if name.lower() in nodes:
                report.error(self.lines[name], f'ping node "{name}" is a node of the cluster')
        for name in self.counted:
            if name not in self.nodes:
                known = ", ".join(self.nodes) or "a ping node; there is none"
                report.error(self.pingd_line, f'pingd counts "{shown(name)}"', known)
        if not self.nodes:
            for line, what in ((self.ipfail_line, _IPFAIL), (self.pingd_line, _PINGD)):
                if line:
                    report.warn(line, f"{what} without ping nodes has no effect", "ping HOST")
            return Pinging()
        if deadping <= 2 * keepalive:
            line = self.deadping_line or min(self.lines.values())
            limit = f"more than 2 x keepalive ({in_milliseconds(2 * keepalive)} ms)"
            report.warn(line, f"deadping is {in_milliseconds(deadping)} ms", limit)
        if dampen < 2 * keepalive:
            limit = f"at least 2 x keepalive ({in_milliseconds(2 * keepalive)} ms)"
            report.warn(self.pingd_line, f"-d is {in_milliseconds(dampen)} ms", limit)
        return Pinging(
            nodes=tuple(self.nodes.values()),
            interval=keepalive,
            deadping=deadping,
            attribute=self.attribute,
            multiplier=self.multiplier,
            counted=tuple(self.counted),
            dampen=dampen,
            ipfail=bool(self.ipfail_line),
        )


def _ipv4(value: str) -> str:
    host = _address(value)
    if not isinstance(host, ipaddress.IPv4Address):
        raise BadValueError("IPv4 addresses of hosts (ping6 for IPv6)")
    return str(host)


def _ipv6(value: str) -> str:
    host = _address(value)
    if not isinstance(host, ipaddress.IPv6Address):
        raise BadValueError("IPv6 addresses of hosts, link-local ones with %DEVICE")
    return str(host)


def _either(value: str) -> str:
    host = _address(value)
    if host is None:
        raise BadValueError("addresses of hosts, link-local ones with %DEVICE")
    return str(host)


def _address(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address of one host, or None."""
    try:
        host = ipaddress.ip_address(value)
    except ValueError:
        return None
    if host.is_multicast or host.is_unspecified or str(host) == "255.255.255.255":
        return None
    if isinstance(host, ipaddress.IPv6Address):
        # Without its device nobody knows where a link-local address is; with one none other has it.
        if host.is_link_local != (host.scope_id is not None):
            return None
        if host.ipv4_mapped is not None:
            return None
    return host


def _delay(option: str, value: str) -> Duration:
    found = _DELAY.fullmatch(value)
    delay = int(found[1]) * _UNITS[found[2]] if found else -1
    if not 0 <= delay <= _MAX_DAMPEN:
        raise BadValueError(f"a time up to 3600s after {option}")
    return delay
