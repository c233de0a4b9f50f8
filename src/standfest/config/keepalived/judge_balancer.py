"""Rules about virtual services: servers that cannot be reached, quorums that cannot be met."""

from typing import Final

from standfest.config.keepalived.check import Entry
from standfest.config.keepalived.judge_global import hint, includes_are_missing
from standfest.config.keepalived.judge_vrrp import number
from standfest.config.keepalived.source import Report
from standfest.config.lines import shown
from standfest.model.balancing import (
    AddressService,
    Forwarding,
    GroupService,
    MarkService,
    Method,
)
from standfest.model.pattern import PatternError, compile_pattern
from standfest.model.vrrp import IPAddress

_SCHEDULERS: Final = ("lvs_sched", "lb_algo")
_METHODS: Final = ("lvs_method", "lb_kind")


def services(root: Entry) -> list[Entry]:
    """Return the virtual services."""
    return root.all("virtual_server")


def servers(service: Entry) -> list[Entry]:
    """Return the real servers of a service."""
    return service.all("real_server")


def place(entry: Entry) -> tuple[IPAddress, int]:
    """Return address and port of a server."""
    assert isinstance(entry.value, tuple), "an address and a port"
    ip, port = entry.value
    return ip, port


def title(service: Entry) -> str:
    """Return what a service is called in messages."""
    return f'virtual_server "{shown(" ".join(service.statement.words[:2]))}"'


def method(service: Entry, server: Entry | None = None) -> Method:
    """Return how packets reach a server."""
    for entry in (server and server.last("lvs_method"), service.last(*_METHODS)):
        if entry is not None and isinstance(entry.value, Method):
            return entry.value
    return Method()


def defaults(root: Entry, report: Report) -> None:
    """Warn of services that leave scheduler, method or protocol to keepalived."""
    for service in services(root):
        written = {statement.keyword for statement in service.statement.block or ()}
        if not written & set(_SCHEDULERS):
            report.warn(service.origin, f"{title(service)} has no scheduler: wlc", '"lvs_sched"')
        if not written & set(_METHODS):
            report.warn(service.origin, f"{title(service)} has no method: NAT", '"lvs_method"')
        protocol = service.last("protocol")
        if isinstance(service.value, MarkService) and protocol is not None:
            problem = "a service by firewall mark has no protocol: it is ignored"
            report.warn(protocol.origin, problem)
        elif isinstance(service.value, AddressService) and "protocol" not in written:
            problem = f"{title(service)} has no protocol: keepalived 2.2.7 takes UDP"
            report.warn(service.origin, problem, '"protocol TCP"')


def members(root: Entry, report: Report) -> None:
    """Tell of services without servers, and of servers that are named twice."""
    for service in services(root):
        written = {statement.keyword for statement in service.statement.block or ()}
        if "real_server" not in written:
            report.warn(service.origin, f"{title(service)} has no real_server")
        seen: dict[tuple[IPAddress, int], Entry] = {}
        for server in servers(service):
            before = seen.setdefault(place(server), server)
            if before is not server:
                problem = f"this server is there already, line {before.origin.line}"
                report.warn(server.origin, problem, "it once")


def families(root: Entry, report: Report) -> None:
    """Tell of servers of the other family, which only tunnels reach."""
    for service in services(root):
        target = service.value
        if not isinstance(target, AddressService):
            continue
        for server in servers(service):
            ip, _port = place(server)
            tunnelled = method(service, server).forwarding is Forwarding.TUNNEL
            if ip.version != target.ip.version and not tunnelled:
                problem = f"{ip} is IPv{ip.version}, the service is IPv{target.ip.version}"
                report.error(server.origin, problem, "lvs_method TUN, or an address of its family")


def ports(root: Entry, report: Report) -> None:
    """Warn of ports that the forwarding method cannot change."""
    for service in services(root):
        target = service.value
        others = service.all("sorry_server")
        for server in (*servers(service), *others):
            how = method(service, None if server in others else server).forwarding
            _port(server, target, how, report)
        bound = target.port if isinstance(target, AddressService) else 1
        if not bound and not service.has("persistence_timeout"):
            problem = f"{title(service)} has no port"
            report.warn(service.origin, problem, "a port, or persistence_timeout")


def _port(server: Entry, target: object, how: Forwarding, report: Report) -> None:
    _ip, port = place(server)
    if isinstance(target, MarkService) and port:
        report.warn(server.origin, f"a service by firewall mark keeps ports: {port} is ignored")
    fixed = isinstance(target, AddressService) and how is not Forwarding.NAT
    if fixed and isinstance(target, AddressService) and port not in (0, target.port):
        problem = f"port {port} cannot be reached by {how.value}: it stays {target.port}"
        report.warn(server.origin, problem, f"{target.port}, or lvs_method NAT")


def quorums(root: Entry, report: Report) -> None:
    """Warn of a quorum that all servers together do not reach."""
    for service in services(root):
        entry = service.last("quorum")
        if entry is None or not servers(service):
            continue
        share = number(service, "weight", 1)
        total = sum(number(server, "weight", share) for server in servers(service))
        if number(service, "quorum", 1) > total:
            problem = f"quorum {entry.value} is more than all servers have ({total})"
            report.warn(entry.origin, problem, f"1 to {total}")


def sorry(root: Entry, report: Report) -> None:
    """Warn of a sorry server that is a real server and is treated differently."""
    for service in services(root):
        entry = service.last("sorry_server")
        for server in servers(service) if entry is not None else ():
            assert entry is not None, "the loop has no steps without"
            if place(server) != place(entry):
                continue
            if server.has("inhibit_on_failure") != service.has("sorry_server_inhibit"):
                problem = "the sorry server is a real server, and only one of them is inhibited"
                report.warn(entry.origin, problem, "sorry_server_inhibit as inhibit_on_failure")


def groups(root: Entry, report: Report) -> None:
    """Tell of groups, files and sessions that are not there."""
    known = {group.name for group in root.all("virtual_server_group")}
    files = {entry.name for entry in root.all("track_file", "vrrp_track_file")}
    sessions = {entry.name for entry in root.all("bfd_instance")}
    for service in services(root):
        if isinstance(service.value, GroupService):
            _refer(service, service.value.name, known, "virtual_server_group", report)
        for server in servers(service):
            for check in server.all("FILE_CHECK"):
                if entry := check.last("track_file"):
                    _refer(entry, entry.name, files, "track_file", report)
            for check in server.all("BFD_CHECK"):
                if entry := check.last("name"):
                    _refer(entry, entry.name, sessions, "bfd_instance", report)


def _refer(entry: Entry, name: str, known: set[str], kind: str, report: Report) -> None:
    if name in known:
        return
    tell = report.warn if includes_are_missing(report) else report.error
    tell(entry.origin, f'there is no {kind} "{shown(name)}"{hint(name, known)}')


def checks(root: Entry, report: Report) -> None:
    """Warn of checkers that check nothing."""
    for service in services(root):
        for server in servers(service):
            for check in server.all("HTTP_GET", "SSL_GET"):
                if not any(s.keyword == "url" for s in check.statement.block or ()):
                    report.warn(check.origin, f"{check.keyword} asks for no page", '"url { ... }"')
                for url in check.all("url"):
                    _expression(url, report)


def _expression(url: Entry, report: Report) -> None:
    """Tell of an expression that means nothing to us: its check would never succeed."""
    entry = url.last("regex")
    if entry is None or not isinstance(entry.value, str):
        return
    options = url.last("regex_options")
    chosen = options.value if options is not None and isinstance(options.value, tuple) else ()
    try:
        compile_pattern(entry.value, chosen)
    except PatternError as error:
        why = "".join(char if char.isprintable() else "?" for char in str(error))
        problem = f'regex "{shown(entry.value)}" cannot be compared: {why}'
        report.error(entry.origin, problem)


RULES: Final = (defaults, members, families, ports, quorums, sorry, groups, checks)
