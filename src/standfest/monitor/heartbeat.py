"""What heartbeat's `cl_status` says of nodes and links, made from the report of `pulse`.

Words, order and exit codes are those of heartbeat 3.0.6. Source: facts/formats/TOOLS.md section 8,
and what its cl_status printed beside ours (tests/unit/test_cl_status.py has it as literals).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from standfest.model.settings import HeartbeatSettings
from standfest.model.time import in_milliseconds

Report = Mapping[str, Any]
"""What `pulse` answers to Query("links"), see daemons/pulse.py."""

OK, NO, WRONG, FAILED = 0, 1, 11, 13
"""Exit codes: said, "no", a wrong parameter, heartbeat could not say."""

CLIENTS = frozenset(
    (
        *("attrd", "ccm", "cib", "crmd", "lrmd", "mgmtd", "pengine", "pingd"),
        *("stonithd", "stonith-ng", "tengine"),
    )
)
"""Programs of heartbeat and Pacemaker whose work our cluster daemon does."""

DEFAULTS = {
    "auto_failback": "legacy",
    "autojoin": "none",
    "baud": "19200",
    "compression": "zlib",
    "conn_logd_time": "60",
    "coredumps": "true",
    "crm": "false",
    "debug": "0",
    "hopfudge": "1",
    "max_rexmit_delay": "250",
    "msgfmt": "classic",
    "pacemaker": "false",
    "realtime": "true",
    "traditional_compression": "no",
    "udpport": "694",
    "uuidfrom": "file",
}
"""What heartbeat 3.0.6 says of directives that ha.cf does not have; times: `default_time`."""
LISTS = frozenset(
    (
        *("apiauth", "bcast", "mcast", "mcast6", "node", "ping", "ping_group", "respawn"),
        *("ucast", "ucast6"),
    )
)
"""Directives that may stand there more than once: heartbeat says nothing of them."""


def default_time(settings: HeartbeatSettings, name: str) -> str | None:
    """Return a time that ha.cf does not have, in ms as heartbeat writes it; None for others."""
    times = {
        "deadping": settings.pinging.deadping,
        "deadtime": settings.deadtime,
        "initdead": settings.initdead,
        "keepalive": settings.keepalive,
        "warntime": settings.warntime,
    }
    return f"{in_milliseconds(times[name])}ms" if name in times else None


def status_of(report: Report, node: str) -> str | None:
    """Return a node's or a ping node's status; None if there is no such node."""
    known: Mapping[str, str] = report["nodes"]
    if node in known:
        return known[node]
    for peer in report.get("steadiness", ()):
        if peer["node"] == node:
            return "dead"
    for ping in report.get("pings", ()):
        if ping["name"] == node:
            return str(ping["status"] or "dead")
    return None


def type_of(report: Report, node: str) -> str:
    """Return `normal` or `ping`."""
    return "ping" if any(ping["name"] == node for ping in report.get("pings", ())) else "normal"


def nodes(report: Report, kind: str = "") -> list[str]:
    """Return the nodes of a kind (normal, ping; all by default), nodes before ping nodes."""
    normal = {*report["nodes"], *(peer["node"] for peer in report.get("steadiness", ()))}
    pings = [ping["name"] for ping in report.get("pings", ())]
    return [*(sorted(normal) if kind != "ping" else ()), *(pings if kind != "normal" else ())]


def links(report: Report, node: str) -> dict[str, str]:
    """Return link -> `up` or `dead`, of a node as it is heard here; a ping node is its own link.

    Our own links are up while their cables are; service links are no heartbeat links of ha.cf.
    """
    if type_of(report, node) == "ping":
        return {node: "up" if status_of(report, node) == "ping" else "dead"}
    service = {outlet["link"] for outlet in report.get("sent", ()) if outlet["service_link"]}
    ours = [link for link in sorted(report["carrier"]) if link not in service]
    if node == report["node"]:
        return {link: "up" if report["carrier"][link] else "dead" for link in ours}
    heard = {
        link["link"]: bool(link["up"])
        for peer in report.get("steadiness", ())
        if peer["node"] == node
        for link in peer["links"]
    }
    return {link: "up" if heard.get(link) else "dead" for link in ours}


def link_lines(report: Report, node: str, *, verbose: bool) -> Iterator[str]:
    """Yield a line a link, with its status if verbose."""
    for link, status in links(report, node).items():
        yield f"\t{link}\t{status}" if verbose else f"\t{link}"


def verbose_lines(report: Report, names: list[str]) -> Iterator[str]:
    """Yield a paragraph a node: status, type, links."""
    for name in names:
        yield ""
        yield f"{name}\t{status_of(report, name)}\t(nodetype: {type_of(report, name)})"
        yield from link_lines(report, name, verbose=True)


def client(report: Report, cluster: Report | None, node: str, name: str) -> str:
    """Return `online`, `join` or `offline`: whether a program does its work on a node.

    cluster: the cluster daemon's status; None when it does not answer, and then nobody's work but
    that of `ipfail` is done. A part of ours stands for the program of that name.
    """
    if name == "ipfail":
        there = bool(report.get("pings")) and status_of(report, node) in ("active", "up")
        return "online" if there else "offline"
    if name not in CLIENTS or cluster is None:
        return "offline"
    state = next((n["status"] for n in cluster["nodes"] if n["name"] == node), "offline")
    return {"offline": "offline", "pending": "join"}.get(state, "online")


def holding(cluster: Report | None) -> str:
    """Return which of the active resources this node has: all, local (some), foreign or none.

    `transition` while nobody can say; foreign: others have all of them.
    """
    if cluster is None or not cluster["synchronised"] or not cluster["coordinator"]:
        return "transition"
    places = list(_places(cluster["resources"]))
    mine = sum(cluster["node"] in hosts for hosts in places)
    if not places:
        return "none"
    if mine == len(places):
        return "all"
    return "local" if mine else "foreign"


def _places(resources: list[dict[str, Any]]) -> Iterator[list[str]]:
    for resource in resources:
        inside = resource.get("group") or resource.get("clone")
        if inside is not None:
            yield from _places(inside)
        elif resource["nodes"]:
            yield resource["nodes"]
