"""ha.cf: how the nodes of a cluster hear of each other.

Every directive of heartbeat 3.0.6 is known here; one without effect yet is a warning, an unknown
one an error. Nothing is read from disk. Source: facts/HEARTBEAT-WIRE.md section 11, ha.cf(5).
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from standfest.config.lines import (
    BadValueError,
    Line,
    Report,
    boolean,
    directives,
    integer,
    ipv4_address,
    shown,
    text_of,
    time,
)
from standfest.config.pingnodes import NAMES as PING_DIRECTIVES
from standfest.config.pingnodes import PingLines
from standfest.model.errors import Finding
from standfest.model.settings import (
    MAX_NODE_NAME,
    MAX_NODES,
    Autojoin,
    Bcast,
    HeartbeatSettings,
    Mcast,
    Medium,
    Ucast,
    is_node_name,
)
from standfest.model.time import Duration, in_milliseconds, milliseconds, seconds

MAX_MEDIA: Final = 64
MAX_DEVICE: Final = 15
"""Characters of a Linux interface name (IFNAMSIZ - 1)."""

_SHORT_INITDEAD: Final = seconds(10)
_PACEMAKER_MODES: Final = frozenset({"respawn", "manual"})


def _pacemaker(value: str) -> bool:
    if value.lower() in _PACEMAKER_MODES:
        return True
    try:
        return boolean(value)
    except BadValueError:
        raise BadValueError("on, off, respawn or manual") from None


def _message_format(value: str) -> bool:
    if value not in ("classic", "netstring"):
        raise BadValueError("classic or netstring")
    return value == "classic"


def _autojoin(value: str) -> Autojoin:
    try:
        return Autojoin(value.lower())
    except ValueError:
        raise BadValueError("none, other or any") from None


def _retransmission_delay(value: str) -> Duration:
    return milliseconds(integer(1, 60_000)(value))  # the one time that is in ms without a suffix


@dataclass(frozen=True, slots=True)
class _Scalar:
    field: str
    read: Callable[[str], object]


_CRM: Final = _Scalar("crm", _pacemaker)
_SCALARS: Final = {
    "keepalive": _Scalar("keepalive", time),
    "deadtime": _Scalar("deadtime", time),
    "warntime": _Scalar("warntime", time),
    "initdead": _Scalar("initdead", time),
    "udpport": _Scalar("udpport", integer(1, 65_535)),
    "crm": _CRM,
    "pacemaker": _CRM,
    "use_logd": _Scalar("use_logd", boolean),
    "logfile": _Scalar("logfile", text_of),
    "debugfile": _Scalar("debugfile", text_of),
    "logfacility": _Scalar("logfacility", text_of),
    "debug": _Scalar("debug", integer(0, 255)),
    "realtime": _Scalar("realtime", boolean),
    "max_rexmit_delay": _Scalar("max_rexmit_delay", _retransmission_delay),
    "hopfudge": _Scalar("hopfudge", integer(0, 255)),
    "autojoin": _Scalar("autojoin", _autojoin),
    "msgfmt": _Scalar("classic_auth_field", _message_format),
}
_MEDIA: Final = ("bcast", "mcast", "ucast")
_UNSUPPORTED: Final = frozenset(
    """
    apiauth auto_failback baud cluster compression compression_threshold conn_logd_time
    coredumps coreroot crm_daemon_dir crmd_spawns_pengine enable_config_writes env failfast
    hbaping hbgenmethod log_badpack mcast6 memreserve nice_failback normalpoll quorum_server
    record_config_changes record_pengine_inputs rtprio serial stonith stonith_host syslogmsgfmt
    traditional_compression ucast6 use_apphbd uuidfrom watchdog
    """.split()  # noqa: SIM905 (a list of one word a line would hide the table)
)
_WITHOUT_EFFECT_ANYWAY: Final = frozenset(
    {("hbgenmethod", "file"), ("uuidfrom", "file"), ("use_apphbd", "no")}
)
"""Directives that ask for what is done here: no warning is due."""
_BUILT_IN: Final = frozenset({("ipfail",), ("ping",), ("pingd",)})
"""Programs of heartbeat that are part of this one."""

KNOWN: Final = tuple(sorted({*_SCALARS, *_MEDIA, *PING_DIRECTIVES, *_UNSUPPORTED, "node"}))
"""All directives."""


@dataclass(slots=True)
class _File:
    """What has been read so far; `lines` remembers where a scalar was set, by field."""

    scalars: dict[str, object] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    nodes: dict[str, int] = field(default_factory=dict)
    media: dict[Medium, int] = field(default_factory=dict)
    pings: PingLines = field(default_factory=PingLines)


def parse(text: str, path: str) -> tuple[HeartbeatSettings, tuple[Finding, ...]]:
    """Return the settings with all defaults computed, and the warnings in line order.

    heartbeat wants `udpport` before the media; here it counts for all of them wherever it stands.
    Raises ConfigError with all errors.
    """
    report = Report(path)
    file = _File()
    for line in directives(report, text, delimiters=",", inline=True):
        _read(report, file, line)
    if not file.nodes and not _failed(report, "node"):
        report.error(0, "no node", '"node NAME..." with the names that uname -n prints')
    if not file.media and not any(_failed(report, medium) for medium in _MEDIA):
        report.error(0, "no medium", '"ucast DEV IP", "bcast DEV" or "mcast ..."')
    settings = _settings(report, file)
    _check_times(report, file, settings)
    report.raise_errors()
    return settings, tuple(sorted(report.warnings, key=lambda finding: finding.line))


def _failed(report: Report, name: str) -> bool:
    return any(error.problem.startswith(f"{name} ") for error in report.errors)


def _read(report: Report, file: _File, line: Line) -> None:
    if line.name in _SCALARS:
        _read_scalar(report, file, line)
    elif line.name == "node":
        _read_nodes(report, file, line)
    elif line.name in _MEDIA:
        _read_media(report, file, line)
    elif line.name in PING_DIRECTIVES:
        file.pings.read(report, line)
    elif line.name in _UNSUPPORTED:
        if line.name == "apiauth" and line.values[:1] in _BUILT_IN:
            return  # a permission to ask what is asked here without one
        if (line.name, line.text.lower()) not in _WITHOUT_EFFECT_ANYWAY:
            report.unsupported(line)
    else:
        report.unknown(line, KNOWN)


def _read_scalar(report: Report, file: _File, line: Line) -> None:
    scalar = _SCALARS[line.name]
    value = report.value(line, scalar.read)
    before = file.lines.get(scalar.field)
    if before is not None:
        report.warn(line.number, f"{line.name} again; it replaces line {before}", "one line")
    file.lines[scalar.field] = line.number
    if value is not None:
        file.scalars[scalar.field] = value


def _read_nodes(report: Report, file: _File, line: Line) -> None:
    if not line.values:
        report.bad_value(line, "one or more node names")
    for value in line.values:
        name = value.lower()
        if not is_node_name(name):
            expected = f"letters, digits, -, _ and dots, at most {MAX_NODE_NAME}"
            report.error(line.number, f'node name is "{shown(value)}"', expected)
        elif name in file.nodes:
            report.error(line.number, f'node "{name}" again; line {file.nodes[name]} has it')
        elif len(file.nodes) == MAX_NODES:
            report.error(line.number, f'node "{name}" is one too many', f"at most {MAX_NODES}")
        else:
            file.nodes[name] = line.number


def _read_media(report: Report, file: _File, line: Line) -> None:
    try:
        media = _media(line)
    except BadValueError as problem:
        report.bad_value(line, problem.expected)
        return
    for medium in media:
        if medium in file.media:
            report.warn(line.number, f"{line.name} again; line {file.media[medium]} has it")
        elif len(file.media) == MAX_MEDIA:
            report.error(line.number, f"{line.name} is one medium too many", f"at most {MAX_MEDIA}")
        else:
            file.media[medium] = line.number


def _media(line: Line) -> list[Medium]:
    match line.name, line.values:
        case "ucast", (device, address):
            return [Ucast(_device(device), _unicast_address(address))]
        case "bcast", (_, *_):
            return [Bcast(_device(device)) for device in line.values]
        case "mcast", (device, group, port, ttl, loop):
            number = integer(1, 65_535)(port)
            hops = integer(0, 255)(ttl)
            return [Mcast(_device(device), _group(group), number, hops, bool(integer(0, 1)(loop)))]
        case "ucast", _:
            raise BadValueError("a device and an IPv4 address")
        case "bcast", _:
            raise BadValueError("one or more devices")
        case _:
            raise BadValueError("a device, a group, a port, a ttl and a loop flag")


def _device(value: str) -> str:
    # The kernel's own rule for names (dev_valid_name).
    if len(value) > MAX_DEVICE or value in (".", "..") or "/" in value or ":" in value:
        raise BadValueError(f"a device name of at most {MAX_DEVICE} characters")
    return value


def _unicast_address(value: str) -> str:
    address = ipv4_address(value)
    parsed = ipaddress.IPv4Address(address)
    if parsed.is_multicast or parsed.is_unspecified or int(parsed) == 0xFFFFFFFF:
        raise BadValueError("the IPv4 address of one node")
    return address


def _group(value: str) -> str:
    if not ipaddress.IPv4Address(ipv4_address(value)).is_multicast:
        raise BadValueError("a multicast group, 224.0.0.0 to 239.255.255.255")
    return ipv4_address(value)


def _settings(report: Report, file: _File) -> HeartbeatSettings:
    scalars: dict[str, object] = dict(file.scalars)
    settings = replace(
        HeartbeatSettings(nodes=tuple(file.nodes), media=tuple(file.media)),
        **scalars,  # type: ignore[arg-type]  # _SCALARS pairs fields with readers of their type
    )
    if "warntime" not in scalars:
        settings = replace(settings, warntime=settings.deadtime // 2)
    if "initdead" not in scalars:
        settings = replace(settings, initdead=_default_initdead(settings.deadtime))
    pinging = file.pings.settings(
        report, file.nodes, keepalive=settings.keepalive, deadtime=settings.deadtime
    )
    return replace(settings, pinging=pinging)


def _default_initdead(deadtime: Duration) -> Duration:
    if deadtime > seconds(10):
        return deadtime
    return 2 * deadtime if deadtime >= seconds(6) else seconds(12)


def _check_times(report: Report, file: _File, settings: HeartbeatSettings) -> None:
    """Note times that contradict each other; one that could not be read has its error already."""
    bad = {name for name in file.lines if name not in file.scalars}
    if not bad & {"deadtime", "keepalive"} and settings.deadtime <= 2 * settings.keepalive:
        line = file.lines.get("deadtime", file.lines.get("keepalive", 0))
        limit = f"more than 2 x keepalive ({_ms(2 * settings.keepalive)})"
        report.error(line, f"deadtime is {_ms(settings.deadtime)}", limit)
    if bad & {"deadtime", "initdead"}:
        return
    if settings.initdead < settings.deadtime:
        limit = f"at least deadtime ({_ms(settings.deadtime)})"
        report.error(file.lines.get("initdead", 0), f"initdead is {_ms(settings.initdead)}", limit)
    elif settings.initdead < _SHORT_INITDEAD:
        line = file.lines.get("initdead", 0)
        report.warn(
            line, f"initdead is {_ms(settings.initdead)}", "10 s for slow networks to start"
        )


def _ms(duration: Duration) -> str:
    return f"{in_milliseconds(duration)} ms"
