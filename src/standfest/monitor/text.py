"""The status as text, for a terminal."""

from collections.abc import Iterator
from typing import Any

Report = dict[str, Any]
"""What `runtime.cluster.report` makes: plain JSON values."""


def render(report: Report) -> str:
    """Return the status as lines: cluster, nodes, resources, failures."""
    return "".join(line + "\n" for line in _lines(report))


def _lines(report: Report) -> Iterator[str]:
    coordinator = report["coordinator"] or "none yet"
    quorum = "with quorum" if report["quorum"] else "WITHOUT quorum"
    yield f"Coordinator: {coordinator}, partition {quorum}, CIB {report['version']}"
    if not report["synchronised"]:
        yield f"{report['node']} has not joined the coordinator yet: what follows may be old"
    if report["maintenance"]:
        yield "Maintenance mode: the cluster touches nothing"
    yield ""
    yield "Nodes:"
    for node in report["nodes"]:
        troubles = [
            f"{name.removeprefix('#link-')} has no carrier"
            for name, value in sorted(node["attributes"].items())
            if name.startswith("#link-") and value == "down"
        ]
        number = node["attributes"].get(report["ping_attribute"]) if report["pings"] else None
        said = troubles if number is None else [f"{report['ping_attribute']} {number}", *troubles]
        tail = f"  ({', '.join(said)})" if said else ""
        yield f"  {node['name']:<20} {node['status']}{tail}"
    for ping in report["pings"]:
        yield f"  {ping['name']:<20} {_ping(ping)}"
    for fencing in report["fencing"]:
        count = fencing["failed_attempts"]
        failed = f", {count} failed attempts: {fencing['reason']}" if count else ""
        yield f"  {fencing['target']} is being fenced ({fencing['action']}{failed})"
    yield ""
    yield "Resources:"
    if not report["resources"]:
        yield "  none configured"
    for resource in report["resources"]:
        yield from _resource(resource, "  ")
    if report["failures"]:
        yield ""
        yield "Failures:"
        for failure in report["failures"]:
            reason = f": {failure['reason']}" if failure["reason"] else ""
            yield (
                f"  {failure['resource']} {failure['task']} on {failure['node']}: "
                f"rc {failure['rc']} ({failure['status']}){reason}"
            )


def _resource(resource: Report, indent: str, *, promotable: bool = False) -> Iterator[str]:
    if "group" in resource:
        yield f"{indent}{resource['id']} (group)"
        for member in resource["group"]:
            yield from _resource(member, indent + "  ", promotable=promotable)
        return
    if "clone" in resource:
        kinds = [kind for kind in ("promotable", "globally_unique") if resource[kind]]
        words = ", ".join(["clone", *(kind.replace("_", " ") for kind in kinds)])
        yield f"{indent}{resource['id']} ({words})"
        for inner in resource["clone"]:
            yield from _resource(inner, indent + "  ", promotable=resource["promotable"])
        return
    where = _places(resource) if promotable else " and ".join(resource["nodes"])
    flags = _flags(resource)
    tail = f"  ({', '.join(flags)})" if flags else ""
    yield f"{indent}{resource['id']:<20} {where or 'stopped':<20} {resource['agent']}{tail}"


def _ping(node: Report) -> str:
    """Return what stands behind a ping node's name; heartbeat calls one that answers `ping`."""
    words = {"ping": "reached", "dead": "NOT REACHED"}
    return f"ping, {words.get(node['status'], 'not known yet')} from here"


def _places(resource: Report) -> str:
    promoted = resource["promoted"]
    others = [node for node in resource["nodes"] if node not in promoted]
    roles = (("Promoted", promoted), ("Unpromoted", others))
    return ", ".join(f"{role} on {' and '.join(nodes)}" for role, nodes in roles if nodes)


def _flags(resource: Report) -> list[str]:
    flags = []
    if resource["maintenance"]:
        flags.append("maintenance")
    elif not resource["managed"]:
        flags.append("unmanaged")
    if resource["target_role"] == "Stopped":
        flags.append("disabled")
    elif resource["target_role"] == "Unpromoted":
        flags.append("not to be promoted")
    flags += [f"blocked on {node}: clean up when it is in order" for node in resource["blocked"]]
    return flags


def render_links(report: Report) -> str:
    """Return what `pulse`, or `ring` in its place, says of its links as lines."""
    if report.get("stack") == "corosync":
        return "".join(line + "\n" for line in _ring_lines(report))
    lines = ["Nodes heard:"]
    sends_with = report["keys"]["heard"]
    for node, status in sorted(report["nodes"].items()):
        key = f", sends with key {sends_with[node]}" if node in sends_with else ""
        lines.append(f"  {node:<20} {status}{key}")
    for ping in report["pings"]:
        hosts = f", one of {' '.join(ping['hosts'])}" if ping["hosts"] != [ping["name"]] else ""
        lines.append(f"  {ping['name']:<20} {_ping(ping)}{hosts}")
    lines += ["", "Links:"]
    for link, carrier in sorted(report["carrier"].items()):
        outlets = [outlet for outlet in report["sent"] if outlet["link"] == link]
        sent = sum(outlet["sent"] for outlet in outlets)
        failed = sum(outlet["failed"] for outlet in outlets)
        kind = "service link" if any(o["service_link"] for o in outlets) else "heartbeat link"
        state = "carrier" if carrier else "NO CARRIER"
        received = report["received"].get(link, 0)
        lines.append(
            f"  {link:<12} {kind:<15} {state}, sent {sent}, not sent {failed}, received {received}"
        )
    keys = report["keys"]
    others = [str(number) for number in keys["accepted"] if number != keys["active"]]
    also = f", accepted too: {' '.join(others)}" if others else ""
    mixed = ", unencrypted messages as well" if keys["mixed"] else ""
    lines += ["", f"Keys: {keys['active']} ({keys['method']}) sends{also}{mixed}"]
    lines += ["", "Datagrams refused:"]
    refused = sorted(report["refused"].items())
    lines += [f"  {reason:<20} {count}" for reason, count in refused] or ["  none"]
    return "".join(line + "\n" for line in lines)


def _ring_lines(report: Report) -> Iterator[str]:
    cut = f", cut off: {report['cut_off']}" if report["cut_off"] else ""
    yield f"Stack: corosync, {'with' if report['quorum'] else 'WITHOUT'} quorum{cut}"
    yield ""
    yield "Nodes:"
    for node, status in sorted(report["nodes"].items()):
        yield f"  {node:<20} {status}"
    yield ""
    yield "Links:"
    for link, carrier in sorted(report["carrier"].items()):
        kind = "corosync" if link in report["ring_devices"] else "service link"
        yield f"  {link:<12} {kind:<15} {'carrier' if carrier else 'NO CARRIER'}"
    yield ""
    waiting = f", waiting {report['waiting']}" if report["waiting"] else ""
    yield f"Messages: sent {report['sent']}, received {report['received']}{waiting}"
    yield ""
    yield "Messages refused:"
    refused = sorted(report["refused"].items())
    yield from [f"  {reason:<20} {count}" for reason, count in refused] or ["  none"]
