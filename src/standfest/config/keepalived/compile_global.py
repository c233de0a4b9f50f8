"""Entries of global_defs and of static blocks -> settings of model/director.py."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

from standfest.config.keepalived.check import Entry
from standfest.config.keepalived.compile_common import command, given, lines, switched, value
from standfest.model.director import (
    GarpGroup,
    GlobalSettings,
    InterfaceDelay,
    MailSettings,
    NotifyFifo,
    ProcessSettings,
    TrackGroup,
)
from standfest.model.time import NANOSECONDS_PER_MICROSECOND as MICROSECOND
from standfest.model.time import NANOSECONDS_PER_SECOND as SECOND
from standfest.model.vrrp import GarpSettings, Route, Rule, VirtualAddress


def merged(root: Entry) -> Entry:
    """Return all global_defs blocks as one."""
    blocks = root.all("global_defs")
    statement = blocks[-1].statement if blocks else root.statement
    entries = [entry for block in blocks for entry in block.entries]
    return Entry("global_defs", None, statement, "global_defs", entries)


def mail(block: Entry) -> MailSettings:
    """Return where mail goes."""
    host, port = given(block, tuple, "smtp_server") or ("", 25)
    names = [name for line in block.elements("notification_email") for name in _names(line)]
    return MailSettings(
        recipients=tuple(names),
        sender=value(block, "", "notification_email_from"),
        server=host,
        port=port,
        connect_timeout=value(block, 30 * SECOND, "smtp_connect_timeout"),
        helo_name=value(block, "", "smtp_helo_name"),
        faults=not block.has("no_email_faults"),
    )


def _names(line: Entry) -> tuple[str, ...]:
    assert isinstance(line.value, tuple), "the block lists names"
    return line.value


def garp(block: Entry, prefix: str, base: GarpSettings) -> GarpSettings:
    """Return how announcements are made; prefix: `vrrp_` in global_defs, "" in an instance."""
    delay = value(block, base.delay, f"{prefix}garp_master_delay")
    repeat = value(block, base.repeat, f"{prefix}garp_master_repeat")
    # What follows a lower priority is as what follows the change, unless something else is said.
    inherit_delay = base.lower_priority_delay if base.lower_priority_delay != base.delay else delay
    inherit_repeat = (
        base.lower_priority_repeat if base.lower_priority_repeat != base.repeat else repeat
    )
    everywhere, extra = given(
        block, tuple, f"{prefix}garp_extra_if", f"{prefix}vmac_garp_intvl"
    ) or (base.extra_all, base.extra_interface)
    return replace(
        base,
        delay=delay,
        repeat=repeat,
        refresh=value(block, base.refresh, f"{prefix}garp_master_refresh"),
        refresh_repeat=value(block, base.refresh_repeat, f"{prefix}garp_master_refresh_repeat"),
        lower_priority_delay=value(block, inherit_delay, f"{prefix}garp_lower_prio_delay"),
        lower_priority_repeat=value(block, inherit_repeat, f"{prefix}garp_lower_prio_repeat"),
        extra_all=everywhere,
        extra_interface=extra,
    )


def _global_garp(block: Entry) -> GarpSettings:
    start = GarpSettings()
    if switched(block, False, "vrrp_min_garp"):
        start = replace(start, delay=0, repeat=1, lower_priority_delay=0, lower_priority_repeat=1)
    start = replace(
        start,
        interval=value(block, 0, "vrrp_garp_interval"),
        na_interval=value(block, 0, "vrrp_gna_interval"),
    )
    return garp(block, "vrrp_", start)


def fifo(block: Entry, prefix: str) -> NotifyFifo | None:
    """Return a pipe for events; prefix: "", `vrrp_` or `lvs_`."""
    path = given(block, tuple, f"{prefix}notify_fifo")
    if path is None:
        return None
    name, user, group = path
    return NotifyFifo(name, user, group, command(block, f"{prefix}notify_fifo_script"))


def process(block: Entry, name: str) -> ProcessSettings:
    """Return the scheduling of one process: vrrp, checker or bfd."""
    limit = value(block, 10_000, f"{name}_rlimit_rttime", f"{name}_rlimit_rtime")
    return ProcessSettings(
        nice=value(block, 0, f"{name}_priority"),
        realtime_priority=value(block, 0, f"{name}_rt_priority"),
        realtime_limit=limit * MICROSECOND,
        no_swap=block.has(f"{name}_no_swap"),
        cpus=given(block, tuple, f"{name}_cpu_affinity") or (),
    )


def global_settings(root: Entry) -> GlobalSettings:
    """Return what holds for all."""
    block = merged(root)
    user, group = (*(given(block, tuple, "script_user") or ()), "", "")[:2]
    base = GlobalSettings()
    return GlobalSettings(
        router_id=value(block, "", "router_id"),
        mail=mail(block),
        version=value(block, base.version, "vrrp_version"),
        multicast_ipv4=given(block, IPv4Address, "vrrp_mcast_group4") or base.multicast_ipv4,
        multicast_ipv6=given(block, IPv6Address, "vrrp_mcast_group6") or base.multicast_ipv6,
        garp=_global_garp(block),
        strict=block.has("vrrp_strict"),
        skip_check_address_list=block.has("vrrp_skip_check_adv_addr"),
        check_unicast_source=block.has("vrrp_check_unicast_src"),
        lower_priority_no_advert=switched(block, False, "vrrp_lower_prio_no_advert"),
        higher_priority_send_advert=switched(block, False, "vrrp_higher_prio_send_advert"),
        down_timer_adverts=value(block, base.down_timer_adverts, "vrrp_down_timer_adverts"),
        startup_delay=value(block, 0, "vrrp_startup_delay"),
        notify_fifo=fifo(block, ""),
        vrrp_notify_fifo=fifo(block, "vrrp_"),
        lvs_notify_fifo=fifo(block, "lvs_"),
        notify_priority_changes=switched(block, False, "vrrp_notify_priority_changes"),
        fifo_states_on_reload=block.has("fifo_write_vrrp_states_on_reload"),
        script_user=user,
        script_group=group,
        script_security=block.has("enable_script_security"),
        startup_script=command(block, "startup_script"),
        startup_script_timeout=value(block, base.startup_script_timeout, "startup_script_timeout"),
        shutdown_script=command(block, "shutdown_script"),
        shutdown_script_timeout=value(
            block, base.shutdown_script_timeout, "shutdown_script_timeout"
        ),
        default_interface=value(block, base.default_interface, "default_interface"),
        dynamic_interfaces=block.has("dynamic_interfaces"),
        log_unknown_vrids=block.has("log_unknown_vrids"),
        vmac_prefix=value(block, base.vmac_prefix, "vmac_prefix"),
        vmac_address_prefix=value(
            block, value(block, base.vmac_address_prefix, "vmac_prefix"), "vmac_addr_prefix"
        ),
        firewall_table=value(block, base.firewall_table, "nftables"),
        firewall_priority=value(block, base.firewall_priority, "nftables_priority"),
        process=process(block, "vrrp"),
        max_auto_priority=max(0, value(block, 0, "max_auto_priority")),
        min_auto_priority_delay=value(block, 1_000_000, "min_auto_priority_delay") * MICROSECOND,
        network_namespace=value(root, "", "net_namespace"),
        instance_name=value(root, "", "instance"),
        reload_check=block.has("reload_check_config"),
        linkbeat_polling=root.has("linkbeat_use_polling"),
    )


def interface_delays(root: Entry) -> tuple[InterfaceDelay, ...]:
    """Return how long interfaces must be down or up before it counts."""
    return lines(root, InterfaceDelay, "interface_up_down_delays")


def linkbeat_interfaces(root: Entry) -> tuple[str, ...]:
    """Return the interfaces that are asked instead of listened to."""
    return tuple(name for line in root.elements("linkbeat_interfaces") for name in _names(line))


def garp_groups(root: Entry) -> tuple[GarpGroup, ...]:
    """Return the groups of interfaces with one pace."""
    groups = []
    for block in root.all("garp_group"):
        names = [name for line in block.elements("interfaces") for name in _names(line)]
        single = given(block, str, "interface")
        names += [single] if single is not None else []
        pace, na_pace = value(block, 0, "garp_interval"), value(block, 0, "gna_interval")
        if pace or na_pace:
            groups.append(GarpGroup(tuple(dict.fromkeys(names)), pace, na_pace))
    return tuple(groups)


def track_groups(root: Entry) -> tuple[TrackGroup, ...]:
    """Return the instances that depend on static things."""
    return tuple(
        TrackGroup(
            block.name, tuple(name for line in block.elements("group") for name in _names(line))
        )
        for block in root.all("track_group")
    )


def static_addresses(root: Entry) -> tuple[VirtualAddress, ...]:
    """Return the addresses that stay."""
    return lines(root, VirtualAddress, "static_ipaddress")


def static_routes(root: Entry) -> tuple[Route, ...]:
    """Return the routes that stay."""
    return lines(root, Route, "static_routes")


def static_rules(root: Entry) -> tuple[Rule, ...]:
    """Return the policy rules that stay."""
    return lines(root, Rule, "static_rules")
