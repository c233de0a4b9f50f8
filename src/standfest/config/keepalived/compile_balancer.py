"""Entries of virtual services -> settings of model/balancing.py, defaults handed down."""

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from standfest.config.keepalived.check import Entry
from standfest.config.keepalived.compile_checkers import checker
from standfest.config.keepalived.compile_common import command, given, switched, value
from standfest.config.keepalived.compile_global import merged
from standfest.model.balancing import (
    AddressRange,
    AddressService,
    BalancerSettings,
    GroupService,
    MarkService,
    Method,
    Persistence,
    Protocol,
    RealServer,
    ServiceGroup,
    SorryServer,
    SyncDaemon,
    TlsSettings,
    VirtualService,
)
from standfest.model.forwarding import CLIENT_HEADER
from standfest.model.vrrp import Family

_FLAGS: Final = (
    "flag-1",
    "flag-2",
    "flag-3",
    "sh-port",
    "sh-fallback",
    "mh-port",
    "mh-fallback",
    CLIENT_HEADER,
)
_MAX_IPVS_WEIGHT: Final = 65_535


@dataclass(frozen=True, slots=True)
class _Mail:
    service: bool
    server: bool


def balancer(root: Entry) -> BalancerSettings:
    """Return all that the balancing part needs."""
    block = merged(root)
    timeouts = given(block, dict, "lvs_timeouts") or {}
    on_stop = block.last("lvs_flush_on_stop", "lvs_flush_onstop")
    general = given(block, bool, "smtp_alert_checker", "smtp_alert")
    # Real servers tell by mail unless they are told not to; services only if they are told to.
    mail = _Mail(service=bool(general), server=general is not False)
    return BalancerSettings(
        services=tuple(_service(one, mail) for one in root.all("virtual_server")),
        groups=tuple(_group(one) for one in root.all("virtual_server_group")),
        sync_daemon=_sync_daemon(root, block),
        tls=_tls(root),
        tcp_timeout=timeouts.get("tcp"),
        tcp_fin_timeout=timeouts.get("tcpfin"),
        udp_timeout=timeouts.get("udp"),
        flush_at_start=block.has("lvs_flush"),
        flush_at_stop="" if on_stop is None else "services" if on_stop.value == "VS" else "all",
        network_namespace=value(root, value(root, "", "net_namespace"), "net_namespace_ipvs"),
        tell_at_start=block.has("rs_init_notifies"),
        checker_emails=not block.has("no_checker_emails"),
        log_all_failures=switched(block, False, "checker_log_all_failures"),
        backend=value(block, "auto", "balancer_backend"),
        slow_start=value(block, 0, "slow_start"),
    )


def _sync_daemon(root: Entry, block: Entry) -> SyncDaemon | None:
    key_file = value(block, "", "lvs_sync_key_file")
    found = given(block, SyncDaemon, "lvs_sync_daemon")
    if found is not None:
        return replace(found, key_file=key_file)
    for instance in root.all("vrrp_instance"):
        interface = given(instance, str, "lvs_sync_daemon_interface")
        if interface is not None:
            return SyncDaemon(interface, instance.name, key_file=key_file)
    return None


def _tls(root: Entry) -> TlsSettings | None:
    block = root.last("SSL")
    if block is None:
        return None
    words = [value(block, "", word) for word in ("password", "ca", "certificate", "key")]
    return TlsSettings(*words)


def _group(block: Entry) -> ServiceGroup:
    lines = [line.value for line in block.entries]
    return ServiceGroup(
        block.name,
        tuple(line for line in lines if isinstance(line, AddressRange)),
        tuple(line for line in lines if isinstance(line, MarkService)),
    )


def _service(block: Entry, mail: _Mail) -> VirtualService:
    target = block.value
    assert isinstance(target, AddressService | MarkService | GroupService), "SERVICE reads these"
    method = value(block, Method(), "lvs_method", "lb_kind")
    protocol = Protocol(value(block, "", "protocol"))
    if isinstance(target, AddressService) and protocol is Protocol.NONE:
        protocol = Protocol.UDP  # as keepalived 2.2.7 has it, with a warning
    family = {"inet": Family.IPV4, "inet6": Family.IPV6}.get(value(block, "", "ip_family"))
    return VirtualService(
        service=target,
        protocol=Protocol.NONE if isinstance(target, MarkService) else protocol,
        scheduler=value(block, "wlc", "lvs_sched", "lb_algo"),
        flags=tuple(flag for flag in _FLAGS if block.has(flag)),
        one_packet=block.has("ops"),
        method=method,
        family=family,
        persistence=_persistence(block),
        servers=tuple(_server(one, block, method, mail) for one in block.all("real_server")),
        sorry_server=_sorry(block, method),
        quorum=value(block, 1, "quorum"),
        hysteresis=value(block, 0, "hysteresis"),
        quorum_up=command(block, "quorum_up"),
        quorum_down=command(block, "quorum_down"),
        omega=block.has("omega"),
        suspend=block.has("ha_suspend"),
        smtp_alert=switched(block, mail.service, "smtp_alert"),
        snmp_name=value(block, "", "snmp_name"),
    )


def _persistence(block: Entry) -> Persistence | None:
    timeout = given(block, int, "persistence_timeout")
    mask = given(block, object, "persistence_granularity")
    assert mask is None or isinstance(mask, IPv4Address | int), "a netmask or a length"
    if timeout is None and mask is None:
        return None
    default = 360 * 1_000_000_000
    engine = value(block, "", "persistence_engine")
    return Persistence(default if timeout is None else timeout, mask, engine)


def _place(entry: Entry) -> tuple[IPv4Address | IPv6Address, int]:
    assert isinstance(entry.value, tuple), "an address and a port"
    ip, port = entry.value
    return ip, port


def _sorry(block: Entry, method: Method) -> SorryServer | None:
    entry = block.last("sorry_server")
    if entry is None:
        return None
    ip, port = _place(entry)
    how = value(block, method, "sorry_server_lvs_method")
    return SorryServer(ip, port, how, switched(block, False, "sorry_server_inhibit"))


def _server(block: Entry, service: Entry, method: Method, mail: _Mail) -> RealServer:
    ip, port = _place(block)
    weight = value(block, value(service, 1, "weight"), "weight")
    return RealServer(
        ip=ip,
        port=port,
        weight=min(weight, _MAX_IPVS_WEIGHT),
        method=value(block, method, "lvs_method"),
        checkers=tuple(
            found
            for entry in block.entries
            if (found := checker(entry, block, service)) is not None
        ),
        inhibit_on_failure=switched(
            block, switched(service, False, "inhibit_on_failure"), "inhibit_on_failure"
        ),
        upper_threshold=value(block, 0, "uthreshold"),
        lower_threshold=value(block, 0, "lthreshold"),
        notify_up=command(block, "notify_up"),
        notify_down=command(block, "notify_down"),
        smtp_alert=switched(block, mail.server, "smtp_alert"),
        snmp_name=value(block, "", "snmp_name"),
    )
