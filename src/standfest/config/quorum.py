"""quorum.toml: votes, rules and the tiebreaker of a cluster; the same file on every node.

Without the file a plain majority of ha.cf's nodes counts. Nothing is read from disk here.
Source: docs/guide/quorum.md, docs/adr/0029-quorum.md.
"""

from ipaddress import ip_address
from typing import Final

from standfest.config.lines import BadValueError, Report
from standfest.config.lines import time as written_time
from standfest.config.tomllines import Table, named, tables, truth, whole, word
from standfest.model.configuration import Configuration, NoQuorumPolicy
from standfest.model.errors import Finding, Severity
from standfest.model.quorum import Breaker, QuorumRules
from standfest.model.quorumfile import (
    DEFAULT_PORT,
    HIGHEST,
    LOWEST,
    Device,
    DiskSettings,
    PingSettings,
    QuorumFile,
    QuorumSettings,
    ServerSettings,
)
from standfest.model.settings import HeartbeatSettings
from standfest.model.time import Duration, milliseconds, seconds

FILE: Final = "quorum.toml"
MAX_VOTES: Final = 1_000
MAX_HOSTS: Final = 16
MAX_NAME: Final = 64
MAX_LEASE: Final = seconds(60)
MIN_INTERVAL: Final = milliseconds(20)
INTERVALS: Final = 3
"""A lease is to outlive so many questions, so that one may be lost."""

KEYS: Final = frozenset(
    {
        *("votes", "two_node", "wait_for_all", "tiebreaker", "settle", "interval", "lease"),
        *("qdevice", "disk", "ping"),
    }
)
_DEVICES: Final = {"qdevice": Breaker.SERVER, "disk": Breaker.DISK, "ping": Breaker.PING}
_KINDS: Final = '"none", "lowest", "highest", a node\'s name, "ping", "disk" or "qdevice"'
_TIME: Final = 'a time as "500ms" or "2"'


def parse(text: str, path: str) -> QuorumFile:
    """Return what the file says; raises ConfigError with all errors."""
    report = Report(path)
    root, _ = tables(report, text, "")
    report.raise_errors()
    root.unknown(KEYS)
    two_node = root.read("two_node", truth, False)
    chosen = root.read("tiebreaker", _node_name, "none")
    devices = {name: named(report, text, root, name) for name in _DEVICES}
    device = _device(root, chosen, devices)
    breaker = _DEVICES.get(chosen, Breaker.NONE if chosen == "none" else Breaker.NODE)
    if two_node and breaker is not Breaker.NONE:
        root.error("two_node", "two_node beside a tiebreaker", "one of them")
    interval = root.read("interval", _time, None)
    lease = root.read("lease", _time, None)
    if interval is not None and lease is not None and lease < INTERVALS * interval:
        root.error("lease", "lease is too short", f"at least {INTERVALS} intervals")
    file = QuorumFile(
        _votes(report, text, root),
        two_node,
        root.read("wait_for_all", truth, two_node),
        breaker,
        chosen if breaker is Breaker.NODE else "",
        device,
        root.read("settle", _time, None),
        interval,
        lease,
    )
    report.raise_errors()
    return file


def resolve(file: QuorumFile | None, heartbeat: HeartbeatSettings, path: str) -> QuorumSettings:
    """Return what counts for these nodes and heartbeats.

    file: None where there is none. Raises ConfigError for names that ha.cf does not have.
    """
    report = Report(path)
    written = file or QuorumFile()
    nodes = sorted(heartbeat.nodes)
    for name, _ in written.votes:
        if name not in nodes:
            report.error(0, f'votes of "{name}"', f"a node of ha.cf: {', '.join(nodes)}")
    tie_node = {LOWEST: nodes[0], HIGHEST: nodes[-1]}.get(written.tie_node, written.tie_node)
    if tie_node and tie_node not in nodes:
        report.error(0, f'tiebreaker is "{tie_node}"', f"{_KINDS}; nodes are {', '.join(nodes)}")
    if written.two_node and len(nodes) != 2:
        report.error(0, f"two_node with {len(nodes)} nodes", "exactly two")
    votes = tuple((name, dict(written.votes).get(name, 1)) for name in nodes)
    interval = written.interval or max(MIN_INTERVAL, min(heartbeat.deadtime // 5, seconds(1)))
    lease = written.lease or min(MAX_LEASE, max(heartbeat.deadtime, 5 * interval))
    if lease < INTERVALS * interval:
        report.error(0, "lease is too short", f"at least {INTERVALS} intervals")
    settle = _settle(written, heartbeat)
    rules = QuorumRules(
        votes, written.two_node, written.wait_for_all, written.breaker, tie_node, settle
    )
    if not rules.expected:
        report.error(0, "no node has a vote", "one vote at least")
    report.raise_errors()
    return QuorumSettings(rules, written.device, interval, lease)


def warnings(
    settings: QuorumSettings, configuration: Configuration | None, path: str
) -> list[Finding]:
    """Return what the operator should know before a cable is cut; configuration: None: unknown."""
    rules = settings.rules
    found: list[Finding] = []
    fenced = configuration is not None and _fenced(configuration)
    ignores = (
        configuration is not None
        and configuration.options.no_quorum_policy is NoQuorumPolicy.IGNORE
    )
    alone = rules.breaker is Breaker.NONE and not rules.two_node
    if len(rules.votes) == 2 and alone and ignores and not fenced:
        found.append(
            _warning(
                path,
                "two nodes without a tiebreaker and without fencing, and no-quorum-policy=ignore: "
                "when all links between them are cut, both run everything",
                "fencing, or a tiebreaker (disk, qdevice)",
            )
        )
    elif rules.expected % 2 == 0 and alone and not ignores:
        found.append(
            _warning(
                path,
                f"{rules.expected} votes and no tiebreaker: halves that are cut off from each "
                "other both stop",
                "an odd number of votes, or a tiebreaker",
            )
        )
    if configuration is not None and not fenced:
        if rules.breaker is Breaker.PING:
            found.append(
                _warning(
                    path,
                    "a ping tiebreaker without fencing gives no vote: both halves may reach the "
                    "hosts",
                    "fencing, or a disk or qdevice tiebreaker",
                )
            )
        if rules.two_node:
            found.append(
                _warning(
                    path,
                    "two_node without fencing has no effect: nothing decides between the halves",
                    "fencing, or a disk or qdevice tiebreaker",
                )
            )
    return found


def _fenced(configuration: Configuration) -> bool:
    agents = (one.agent.standard for one in configuration.primitives())
    return configuration.options.stonith_enabled and "stonith" in agents


def _warning(path: str, problem: str, expected: str) -> Finding:
    return Finding(path, 0, problem, expected, Severity.WARNING)


def _settle(file: QuorumFile, heartbeat: HeartbeatSettings) -> Duration:
    """Return how long others may need after us to find that nodes were lost.

    Two beats, and a sixteenth for clocks and delays; with leases, which also end without any loss
    of nodes, half of the deadtime: however many beats may be lost before.
    """
    if file.settle is not None:
        return file.settle
    half = heartbeat.deadtime // 2
    if file.breaker.exclusive:
        return half
    return min(half, 2 * heartbeat.keepalive + heartbeat.deadtime // 16)


# --- tables and values ------------------------------------------------------------------------


def _votes(report: Report, text: str, root: Table) -> tuple[tuple[str, int], ...]:
    table = named(report, text, root, "votes")
    if table is None:
        return ()
    votes = {name.lower(): table.read(name, whole(0, MAX_VOTES), 1) for name in table.values}
    return tuple(sorted(votes.items()))


def _device(root: Table, chosen: str, tables_: dict[str, Table | None]) -> Device | None:
    for name, table in tables_.items():
        if table is not None and name != chosen:
            table.error("", f'[{name}], but tiebreaker is "{chosen}"', f'tiebreaker = "{name}"')
    table = tables_.get(chosen)
    if chosen in _DEVICES and table is None:
        root.error("tiebreaker", f'tiebreaker is "{chosen}"', f"a table [{chosen}]")
    if table is None:
        return None
    match chosen:
        case "qdevice":
            table.unknown({"address", "port", "cluster", "key_file"})
            return ServerSettings(
                table.need("address", _address, "", '"192.0.2.1"'),
                table.read("port", whole(1, 65_535), DEFAULT_PORT),
                table.need("cluster", cluster_name, "", "the cluster's name at the server"),
                table.need("key_file", absolute, "", '"/etc/ha.d/qdevice.keys"'),
            )
        case "disk":
            table.unknown({"path"})
            return DiskSettings(table.need("path", absolute, "", '"/dev/disk/by-id/..."'))
        case _:
            table.unknown({"hosts"})
            return PingSettings(table.need("hosts", _hosts, (), '["192.0.2.254"]'))


def _time(value: object) -> Duration | None:
    try:
        duration = written_time(word(value))
    except BadValueError:
        raise BadValueError(_TIME) from None
    if not MIN_INTERVAL <= duration <= MAX_LEASE:
        raise BadValueError(f"{_TIME}, from 20ms to 60")
    return duration


def _node_name(value: object) -> str:
    try:
        name = word(value).lower()
    except BadValueError:
        raise BadValueError(_KINDS) from None
    if not name or len(name) > MAX_NAME:
        raise BadValueError(_KINDS)
    return name


def cluster_name(value: object) -> str:
    """Return the name of a cluster at a quorum server; raises BadValueError."""
    name = word(value)
    plain = name.isascii() and name.replace("-", "").replace("_", "").replace(".", "").isalnum()
    if not plain or len(name) > MAX_NAME:
        raise BadValueError(f"letters, digits, -, _ and dots, at most {MAX_NAME}")
    return name


def absolute(value: object) -> str:
    """Return a path from the root; raises BadValueError."""
    path = word(value)
    if not path.startswith("/") or "\0" in path:
        raise BadValueError("a path from the root")
    return path


def _address(value: object) -> str:
    try:
        return str(ip_address(word(value)))
    except ValueError:
        raise BadValueError("an IP address: names may not resolve when it matters") from None


def _hosts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_HOSTS:
        raise BadValueError(f"a list of 1 to {MAX_HOSTS} IP addresses")
    return tuple(_address(one) for one in value)
