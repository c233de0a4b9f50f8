"""The file of `standfest share`: one shared address, its members, and how they agree.

TOML, the same file on every member. Nothing is read from disk here but the text that is given.
Source: docs/guide/load-sharing.md, docs/adr/0024-load-sharing.md.
"""

import re
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface, ip_interface
from typing import Final

from standfest.config.lines import BadValueError, Report, shown
from standfest.config.lines import time as written_time
from standfest.config.tomllines import Table, one_of, tables, truth, whole, word
from standfest.model.errors import Finding
from standfest.model.sharefile import DEFAULT_PORT, ShareFile
from standfest.model.sharing import (
    BUCKETS_PER_MEMBER,
    MAX_BUCKETS,
    MAX_MEMBERS,
    Established,
    HashMode,
    Layout,
    Member,
    NoQuorum,
    SharedAddress,
    SharingSettings,
    Target,
)
from standfest.model.time import Duration, milliseconds, seconds

MAX_ADDRESSES: Final = 16
MAX_WEIGHT: Final = 1000
MAX_NAME: Final = 64
MAX_TABLE_NAME: Final = 32
MIN_KEEPALIVES: Final = 3
"""Beats that may be lost in a row before a member is dead: two."""
DEFAULT_KEEPALIVE: Final = milliseconds(200)
DEFAULT_DEADTIME: Final = seconds(2)
DEFAULT_AUTHKEYS: Final = "/etc/ha.d/authkeys"
GROUP_MAC: Final = bytes.fromhex("01005e")

KEYS: Final = frozenset(
    {
        "address", "authkeys", "buckets", "deadtime", "established", "interface", "keepalive",
        "mac", "members", "mode", "name", "no_quorum", "port", "realtime", "seed", "target",
    }
)  # fmt: skip
MEMBER_KEYS: Final = frozenset({"name", "weight", "address"})
_INTERFACE: Final = re.compile(r"[^\s/:]{1,15}")
_MAC: Final = re.compile(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}")
_TABLE_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_TIME: Final = 'seconds as a number, or "200ms"'
_ADDRESS: Final = 'an address with its prefix length as "192.0.2.1/24", or a list of them'
_OLD_BUCKETS: Final = {Target.XT_CLUSTER: 32, Target.CLUSTERIP: 16}
"""So many do the old ones know; adapters/linux/sharing has the whole of what they cannot."""
_TWO: Final = (
    'no_quorum = "ignore", or a third member (weight 0 will do): of two neither is a majority '
    "when the other is lost, so both would stop"
)
_LONG: Final = 1_000_000
"""Seconds that nobody means; a Decimal's exponent would become as many zeros."""
Interface = IPv4Interface | IPv6Interface
NOWHERE: Final[tuple[Interface, ...]] = (IPv4Interface("192.0.2.1/32"),)
"""Stands for addresses that have been reported."""


def parse(text: str, path: str) -> tuple[ShareFile, tuple[Finding, ...]]:
    """Return what the file says with all defaults filled in, and its warnings by line.

    path: for messages; the last part names the shared address where the file does not.
    Raises ConfigError with all errors.
    """
    report = Report(path)
    root, entries = tables(report, text, "members")
    report.raise_errors()
    root.unknown(KEYS)
    members, heartbeats = _members(root, entries)
    target = Target(root.read("target", one_of(t.value for t in Target), Target.AUTO.value))
    settings = _settings(root, members, len(entries or ()), target)
    shared = _shared(root, path, settings.layout)
    file = ShareFile(
        shared,
        settings,
        target,
        root.read("port", whole(1, 65_535), DEFAULT_PORT),
        root.read("authkeys", _path, DEFAULT_AUTHKEYS),
        heartbeats,
        root.read("realtime", truth, True),
    )
    report.raise_errors()
    _warn(root, file)
    return file, tuple(sorted(report.warnings, key=lambda finding: finding.line))


def _shared(root: Table, path: str, layout: Layout) -> SharedAddress:
    addresses = root.need("address", _addresses, NOWHERE, '"192.0.2.1/24"')
    stem = path.rsplit("/", 1)[-1].removesuffix(".toml").lower()
    return SharedAddress(
        root.read("name", _table_name, _from_stem(stem)),
        addresses,
        root.need("interface", _interface, "", '"eth0"'),
        root.read("mac", _mac, GROUP_MAC + _low_bits(addresses[0])),
        layout,
        Established(
            root.read("established", one_of(e.value for e in Established), Established.STAY.value)
        ),
    )


def _settings(
    root: Table, members: tuple[Member, ...], count: int, target: Target
) -> SharingSettings:
    """Return how the members agree; count: of all that are written, also of those with mistakes."""
    most = _OLD_BUCKETS.get(target, MAX_BUCKETS)
    modes = [HashMode.SOURCE_IP] if target is Target.XT_CLUSTER else list(HashMode)
    usual = HashMode.SOURCE_IP_PORT if HashMode.SOURCE_IP_PORT in modes else modes[0]
    mode = root.read("mode", one_of(m.value for m in modes), usual.value)
    default = min(most, BUCKETS_PER_MEMBER * max(1, count))
    buckets = root.read("buckets", whole(1, most), default)
    if buckets < count:
        root.error("buckets", f"buckets is {buckets}", f"at least one a member: {count}")
    keepalive = root.read("keepalive", _time, DEFAULT_KEEPALIVE)
    deadtime = root.read("deadtime", _time, max(DEFAULT_DEADTIME, MIN_KEEPALIVES * keepalive))
    if deadtime < MIN_KEEPALIVES * keepalive:
        problem = f"deadtime is {deadtime / 1e9:g} s, keepalive {keepalive / 1e9:g} s"
        root.error("deadtime", problem, f"at least {MIN_KEEPALIVES} keepalives")
    word_of = root.read("no_quorum", one_of(n.value for n in NoQuorum), NoQuorum.STOP.value)
    no_quorum = NoQuorum(word_of)
    if count == 2 and no_quorum is NoQuorum.STOP:
        key = "no_quorum" if "no_quorum" in root.values else "members"
        root.error(key, f'two members with no_quorum = "{no_quorum.value}"', _TWO)
    layout = Layout(HashMode(mode), buckets, root.read("seed", _seed, 0))
    return SharingSettings(members, layout, keepalive, deadtime, no_quorum)


# --- members ----------------------------------------------------------------------------------


def _members(
    root: Table, entries: tuple[Table, ...] | None
) -> tuple[tuple[Member, ...], tuple[str, ...]]:
    if not entries:
        problem = "members is no list of tables" if entries is None else "no members"
        root.error("members", problem, '[[members]] with name = "web1" for each')
        return (), ()
    if len(entries) > MAX_MEMBERS:
        root.error("members", f"{len(entries)} members", f"at most {MAX_MEMBERS}")
        return (), ()
    members: dict[str, Member] = {}
    heartbeats: dict[str, str] = {}
    for entry in entries:
        entry.unknown(MEMBER_KEYS)
        name = entry.need("name", _member_name, "", '"web1", what uname -n prints there')
        weight = entry.read("weight", whole(0, MAX_WEIGHT), 1)
        if name and name in members:
            entry.error("name", f'name is "{name}" again', "each member once")
        if name:
            members[name] = Member(name, weight)
        if "address" in entry.values:
            address = entry.read("address", _heartbeat_address, "")
            if address and address in heartbeats.values():
                entry.error("address", f'address is "{address}" again', "one of its own")
            heartbeats[name] = address
    if heartbeats and len(heartbeats) < len(entries):
        missing = next(entry for entry in entries if "address" not in entry.values)
        missing.error("name", "no address, but others have one", "all members, or none")
    if members and not any(member.weight for member in members.values()):
        root.error("members", "all weights are 0", "a weight for whoever is to answer")
    return tuple(members.values()), tuple(heartbeats.values())


def _member_name(value: object) -> str:
    name = word(value).lower()
    plain = name.isascii() and name.replace("-", "").replace("_", "").replace(".", "").isalnum()
    if not plain or len(name) > MAX_NAME:
        raise BadValueError(f"letters, digits, -, _ and dots, at most {MAX_NAME}")
    return name


def _heartbeat_address(value: object) -> str:
    try:
        address = IPv4Address(word(value))
    except ValueError:
        raise BadValueError("the member's own IPv4 address on the interface") from None
    if address.is_multicast or address.is_unspecified or address.is_loopback:
        raise BadValueError("the member's own IPv4 address on the interface")
    return str(address)


# --- values -----------------------------------------------------------------------------------


def _addresses(value: object) -> tuple[Interface, ...]:
    words = value if isinstance(value, list) else [value]
    if not 1 <= len(words) <= MAX_ADDRESSES:
        raise BadValueError(f"1 to {MAX_ADDRESSES} addresses")
    found = tuple(_address(one) for one in words)
    if len({one.ip for one in found}) < len(found):
        raise BadValueError("each address once")
    return found


def _address(value: object) -> Interface:
    text = word(value)
    if "/" not in text or "%" in text:
        raise BadValueError(_ADDRESS)
    try:
        found = ip_interface(text)
    except ValueError:
        raise BadValueError(_ADDRESS) from None
    ip = found.ip
    if ip.is_multicast or ip.is_unspecified or ip.is_loopback or ip.is_link_local:
        raise BadValueError("an address that clients can reach")
    if isinstance(ip, IPv4Address) and int(ip) == 0xFFFFFFFF:
        raise BadValueError("an address that clients can reach")
    return found


def _low_bits(address: Interface) -> bytes:
    return (int(address.ip) & 0x7FFFFF).to_bytes(3)


def _mac(value: object) -> bytes:
    text = word(value)
    if not _MAC.fullmatch(text):
        raise BadValueError("six bytes as 01:00:5e:00:00:64")
    mac = bytes.fromhex(text.replace(":", "").replace("-", ""))
    if mac in (b"\0" * 6, b"\xff" * 6):
        raise BadValueError("an address of a group or of a host")
    return mac


def _interface(value: object) -> str:
    text = word(value)
    if not _INTERFACE.fullmatch(text) or not text.isprintable() or text in (".", ".."):
        raise BadValueError("the name of an interface, at most 15 characters")
    return text


def _table_name(value: object) -> str:
    text = word(value)
    if not _TABLE_NAME.fullmatch(text) or len(text) > MAX_TABLE_NAME:
        raise BadValueError(
            f"small letters, digits and _, a letter first, at most {MAX_TABLE_NAME}"
        )
    return text


def _from_stem(stem: str) -> str:
    name = re.sub(r"[^a-z0-9_]", "_", stem)
    name = name if name[:1].isalpha() else f"share_{name}"
    return name[:MAX_TABLE_NAME]


def _path(value: object) -> str:
    text = word(value)
    if not text or "\0" in text or len(text) > 4096:
        raise BadValueError("a path")
    return text


def _seed(value: object) -> int:
    return whole(0, 0xFFFFFFFF)(value)


def _time(value: object) -> Duration:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        small = isinstance(value, Decimal) and value.is_finite() and abs(value) < _LONG
        try:
            return written_time(f"{value:f}" if small else str(value))
        except BadValueError:
            raise BadValueError(_TIME) from None
    if not isinstance(value, str):
        raise BadValueError(_TIME)
    return written_time(value)


def _warn(root: Table, file: ShareFile) -> None:
    """Say what works, and may surprise."""
    if file.target in _OLD_BUCKETS:
        root.report.warn(
            root.line_of("target"),
            f"target {file.target.value}: the kernel goes on answering for a daemon that hangs or "
            "is killed",
            "nftables, whose leases end",
        )
    if file.settings.no_quorum is NoQuorum.IGNORE:
        root.report.warn(
            root.line_of("no_quorum"),
            'no_quorum = "ignore": where beats are lost but clients still reach both sides, '
            "both answer",
        )
    if not file.shared.is_multicast:
        mac = shown(file.shared.mac.hex(":"))
        root.report.warn(
            root.line_of("mac"),
            f"mac {mac} is no group's",
            "a network that floods it to all members",
        )
