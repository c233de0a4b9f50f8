"""The keywords of global_defs, and those outside of all blocks that concern the whole daemon."""

from typing import Final

from standfest.config.keepalived.grammar import OURS, Keyword, Kind, listing
from standfest.config.keepalived.lists import DELAY_LINE, INTERFACES, LINKBEAT, NAMES
from standfest.config.keepalived.shapes import (
    COMMAND,
    FLAG,
    INTERFACE,
    TEXT,
    Shape,
    Words,
    choice,
    integer,
    ipv4,
    ipv6,
    names,
    number,
    optional,
    switch,
    timer,
    triple,
    whole_seconds,
    word_shape,
)
from standfest.config.keepalived.sync_daemon import KEY_FILE, SYNC_DAEMON, TIMEOUTS
from standfest.config.keepalived.weights import EXTRA_FROM_1
from standfest.config.lines import BadValueError
from standfest.model.balancing import AUTO, BACKENDS

MAX_BUFFER: Final = 2**31 - 1
_CHECKS: Final = frozenset({"readable", "match", "wildcard_match", "brace_match"})
_MASK_BITS: Final = {
    f"I{letter}{who}": bit << shift
    for letter, bit in (("R", 4), ("W", 2), ("X", 1))
    for who, shift in (("USR", 6), ("GRP", 3), ("OTH", 0))
}


def server(words: Words) -> tuple[str, int]:
    """Return the host and port of a mail server; raises BadValueError."""
    return words[0], integer(words[1], 1, 65_535) if len(words) > 1 else 25


def umask(words: Words) -> int:
    """Return a mask given as a number or as names joined by `|`; raises BadValueError."""
    text = "".join(words)
    if text[:1].isdigit():
        try:
            value = int(text[:12], 16 if text[:2].lower() == "0x" else 8 if text[0] == "0" else 10)
        except ValueError:
            raise BadValueError("a number, or names like IWGRP|IWOTH") from None
        return integer(str(value), 0, 0o777)
    names = text.split("|")
    if not all(name in _MASK_BITS for name in names):
        raise BadValueError("a number, or names like IWGRP|IWOTH")
    return sum(_MASK_BITS[name] for name in dict.fromkeys(names))


def include_check(words: Words) -> Words:
    """Return what is asked of included files; raises BadValueError."""
    if not all(word.lstrip("+-") in _CHECKS for word in words):
        raise BadValueError(", ".join(sorted(_CHECKS)))
    return words


def cpus(words: Words) -> tuple[int, ...]:
    """Return processor numbers; raises BadValueError."""
    return tuple(integer(word, 0, 8191) for word in words)


def buffer_policy(text: str) -> str:
    """Return MTU, ADVERT or a number of bytes; raises BadValueError."""
    return text.upper() if text.upper() in {"MTU", "ADVERT"} else str(integer(text, 0, MAX_BUFFER))


_BUFFER: Final = number(0, MAX_BUFFER)
_TINY: Final = timer("0.000001")


def _per_process(name: str) -> dict[str, Keyword]:
    """Return the scheduling keywords of one of the daemon's processes."""
    what = f"of the {name} process"
    limit = number(2, 2**32 - 1)
    return {
        f"{name}_priority": Keyword(number(-20, 19), f"niceness {what}"),
        f"{name}_no_swap": Keyword(FLAG, f"lock the memory {what}"),
        f"{name}_cpu_affinity": Keyword(
            Shape(cpus, "processor numbers", most=None), f"CPUs {what}"
        ),
        f"{name}_rt_priority": Keyword(number(1, 99), f"real-time priority {what}"),
        f"{name}_rlimit_rttime": Keyword(limit, f"microseconds of CPU between waits {what}"),
        f"{name}_rlimit_rtime": Keyword(limit, f"the same {what}", instead=f"{name}_rlimit_rttime"),
    }


def _buffers(name: str, about: str) -> dict[str, Keyword]:
    return {
        f"{name}_rcv_bufs": Keyword(_BUFFER, f"receive buffer in bytes, {about}"),
        f"{name}_rcv_bufs_force": Keyword(switch(), "... even beyond the system's maximum"),
    }


_SCRIPTS: Final = {
    "script_user": Keyword(names("a user, perhaps a group"), "whom scripts run as"),
    "enable_script_security": Keyword(FLAG, "refuse root's scripts that others may write"),
    "startup_script": Keyword(COMMAND, "run once before all else"),
    "startup_script_timeout": Keyword(whole_seconds(1, 1000), "its time"),
    "shutdown_script": Keyword(COMMAND, "run once after all else"),
    "shutdown_script_timeout": Keyword(whole_seconds(1, 1000), "its time"),
    "notify_fifo": Keyword(triple("a path"), "pipe that all events are written to"),
    "notify_fifo_script": Keyword(COMMAND, "who reads it"),
    "vrrp_notify_fifo": Keyword(triple("a path"), "pipe for events of VRRP"),
    "vrrp_notify_fifo_script": Keyword(COMMAND, "who reads it"),
    "lvs_notify_fifo": Keyword(triple("a path"), "pipe for events of the balancer"),
    "lvs_notify_fifo_script": Keyword(COMMAND, "who reads it"),
    "fifo_write_vrrp_states_on_reload": Keyword(FLAG, "write all states after a reload"),
    "vrrp_notify_priority_changes": Keyword(switch(), "write changes of priority"),
    "set_supplementary_groups": Keyword(switch(), "scripts get all groups", since="2.3.0"),
}
_MAIL: Final = {
    "notification_email": Keyword(FLAG, "who gets mail", block="addresses", repeated=True),
    "notification_email_from": Keyword(TEXT, "its sender"),
    "smtp_server": Keyword(Shape(server, "a host, perhaps a port", most=2), "where mail goes"),
    "smtp_helo_name": Keyword(TEXT, "our name there"),
    "smtp_connect_timeout": Keyword(whole_seconds(1, 4294), "how long to wait for it"),
    "smtp_alert": Keyword(switch(), "mail by default"),
    "smtp_alert_vrrp": Keyword(switch(), "mail of VRRP by default"),
    "smtp_alert_checker": Keyword(switch(), "mail of checkers by default"),
    "no_email_faults": Keyword(FLAG, "no mail of faults"),
    "no_checker_emails": Keyword(FLAG, "mail when servers come and go only"),
    "router_id": Keyword(TEXT, "this machine's name in mail and log"),
}
_VRRP: Final = {
    "vrrp_version": Keyword(number(2, 3), "default of version"),
    "vrrp_mcast_group4": Keyword(word_shape(ipv4, "an IPv4 address"), "IPv4 group"),
    "vrrp_mcast_group6": Keyword(word_shape(ipv6, "an IPv6 address"), "IPv6 group"),
    "vrrp_garp_master_delay": Keyword(whole_seconds(0, 2**31 - 1), "second set of announcements"),
    "vrrp_garp_master_repeat": Keyword(number(1, 2**31 - 1), "announcements in a set"),
    "vrrp_garp_master_refresh": Keyword(whole_seconds(0, 2**31 - 1), "time between further sets"),
    "vrrp_garp_master_refresh_repeat": Keyword(number(1, 2**31 - 1), "announcements in those"),
    "vrrp_garp_lower_prio_delay": Keyword(whole_seconds(0, 2**31 - 1), "after a lower one spoke"),
    "vrrp_garp_lower_prio_repeat": Keyword(number(0, 2**31 - 1), "announcements then"),
    "vrrp_garp_interval": Keyword(_TINY, "time between announcements on an interface"),
    "vrrp_gna_interval": Keyword(_TINY, "the same for IPv6"),
    "vrrp_min_garp": Keyword(switch(), "one announcement instead of two sets of five"),
    "vrrp_garp_extra_if": Keyword(EXTRA_FROM_1, "announce on other interfaces"),
    "vrrp_vmac_garp_intvl": Keyword(EXTRA_FROM_1, "the same", instead="vrrp_garp_extra_if"),
    "vrrp_lower_prio_no_advert": Keyword(switch(), "do not answer a lower priority at once"),
    "vrrp_higher_prio_send_advert": Keyword(switch(), "speak once more before yielding"),
    "vrrp_down_timer_adverts": Keyword(number(1, 100), "default of down_timer_adverts"),
    "vrrp_check_unicast_src": Keyword(FLAG, "default of check_unicast_src"),
    "vrrp_skip_check_adv_addr": Keyword(FLAG, "default of skip_check_adv_addr"),
    "vrrp_strict": Keyword(FLAG, "default of strict_mode"),
    "vrrp_startup_delay": Keyword(timer("0.001"), "seconds before instances begin"),
    "vrrp_delay_after_boot": Keyword(timer("0"), "the same, after a boot only", since="2.3.3"),
    "vrrp_owner_ignore_adverts": Keyword(
        switch(), "default of owner_ignore_adverts", since="2.3.0"
    ),
    "vrrp_rx_bufs_policy": Keyword(
        word_shape(buffer_policy, "MTU, ADVERT or bytes"), "size of receive buffers"
    ),
    "vrrp_rx_bufs_multiplier": Keyword(number(1, MAX_BUFFER), "times that size"),
    "log_unknown_vrids": Keyword(FLAG, "log advertisements of other virtual routers"),
    "vmac_prefix": Keyword(TEXT, "begin of the names of VMAC interfaces"),
    "vmac_addr_prefix": Keyword(TEXT, "the same for addresses on other interfaces"),
    "dynamic_interfaces": Keyword(
        optional(choice("allow_if_changes"), True), "interfaces may come later"
    ),
    "default_interface": Keyword(INTERFACE, "where static addresses go"),
    "disable_local_igmp": Keyword(FLAG, "no IGMP for local groups"),
    "thread_timer_expired": Keyword(names("limits"), "when to warn of late timers", since="2.3.0"),
}
_FIREWALL: Final = {
    "nftables": Keyword(optional(TEXT, "keepalived"), "table for no_accept and VMACs"),
    "nftables_priority": Keyword(number(-(2**31), 2**31 - 1), "priority of its chains"),
    "nftables_counters": Keyword(FLAG, "count in its rules"),
    "nftables_ifindex": Keyword(FLAG, "interfaces by number"),
    "nftables_ipvs": Keyword(optional(TEXT, "keepalived_ipvs"), "table that sets firewall marks"),
    "nftables_ipvs_priority": Keyword(number(-(2**31), 2**31 - 1), "priority of its chains"),
    "nftables_ipvs_start_fwmark": Keyword(number(1, 2**32 - 1), "first mark to use"),
    "vrrp_iptables": Keyword(optional(names("chains"), ()), "chains for iptables"),
    "vrrp_ipsets": Keyword(optional(names("sets"), ()), "sets for iptables"),
}
_LVS: Final = {
    "lvs_sync_daemon": Keyword(SYNC_DAEMON, "copy connections to the other director"),
    "lvs_sync_key_file": Keyword(KEY_FILE, "file with the key that signs copies", since=OURS),
    "lvs_timeouts": Keyword(TIMEOUTS, "how long idle connections are remembered"),
    "lvs_flush": Keyword(FLAG, "begin with empty tables"),
    "lvs_flush_on_stop": Keyword(optional(choice("VS"), ""), "leave empty tables"),
    "lvs_flush_onstop": Keyword(
        optional(choice("VS"), ""), "the same", instead="lvs_flush_on_stop"
    ),
    "checker_log_all_failures": Keyword(switch(), "log every failed check"),
    "rs_init_notifies": Keyword(FLAG, "tell of servers at start"),
    "balancer_backend": Keyword(choice(AUTO, *BACKENDS), "what forwards packets", since=OURS),
    "slow_start": Keyword(
        timer("0", "3600"), "a server that is back rises to its weight so long", since=OURS
    ),
}
_DAEMON: Final = {
    "process_names": Keyword(optional(TEXT, ""), "name the processes after their work"),
    "process_name": Keyword(TEXT, "name of the first process"),
    "vrrp_process_name": Keyword(TEXT, "... of VRRP's"),
    "lvs_process_name": Keyword(TEXT, "... of the checkers'"),
    "checker_process_name": Keyword(TEXT, "... of the checkers'"),
    "bfd_process_name": Keyword(TEXT, "... of BFD's"),
    "max_auto_priority": Keyword(optional(number(-1, 99), 99), "how far priorities may rise"),
    "min_auto_priority_delay": Keyword(number(1, 10_000_000), "microseconds late before they do"),
    "tmp_config_directory": Keyword(TEXT, "where the configuration is copied to"),
    "config_save_dir": Keyword(TEXT, "where it is kept at reload"),
    "umask": Keyword(Shape(umask, "a number, or names like IWGRP|IWOTH", most=None), "file modes"),
    "random_seed": Keyword(number(0, 2**32 - 1), "makes ${_RANDOM} repeatable"),
    "reload_check_config": Keyword(optional(TEXT, ""), "refuse a reload with mistakes"),
    "reload_time_file": Keyword(TEXT, "file that says when to reload"),
    "reload_repeat": Keyword(FLAG, "... every day"),
    "reload_file": Keyword(optional(TEXT, ""), "file that exists while the files are read"),
    "include_check": Keyword(
        Shape(include_check, "checks", 0, None), "what included files must be", repeated=True
    ),
    "data_use_instance": Keyword(switch(), "the instance's name in dump files"),
    "state_dump_file": Keyword(TEXT, "where the state is dumped to", since="2.3.2"),
    "stats_dump_file": Keyword(TEXT, "... statistics", since="2.3.2"),
    "json_dump_file": Keyword(TEXT, "... all as JSON", since="2.3.2"),
    "json_version": Keyword(number(1, 2), "layout of that", since="2.2.8"),
    "iproute_usr_dir": Keyword(TEXT, "iproute's own tables", since="2.3.0"),
    "iproute_etc_dir": Keyword(TEXT, "the operator's tables", since="2.3.0"),
    "use_symlink_paths": Keyword(switch(), "scripts by the path given", since="2.3.2"),
}
_SNMP: Final = {
    "snmp_socket": Keyword(TEXT, "where the SNMP agent listens"),
    "enable_snmp_keepalived": Keyword(FLAG, "all of it", instead="enable_snmp_vrrp"),
    "enable_snmp_vrrp": Keyword(FLAG, "serve KEEPALIVED-MIB, VRRP"),
    "enable_snmp_checker": Keyword(FLAG, "... checkers"),
    "enable_snmp_rfc": Keyword(FLAG, "serve both of these"),
    "enable_snmp_rfcv2": Keyword(FLAG, "serve VRRP-MIB"),
    "enable_snmp_rfcv3": Keyword(FLAG, "serve VRRPV3-MIB"),
    "enable_traps": Keyword(FLAG, "send traps"),
    "snmp_vs_stats_update_interval": Keyword(timer("0.001"), "age of figures", since="2.2.8"),
    "snmp_rs_stats_update_interval": Keyword(timer("0.001"), "age of figures", since="2.2.8"),
    "enable_dbus": Keyword(FLAG, "be reachable by D-Bus"),
    "dbus_service_name": Keyword(TEXT, "our name there"),
    "dbus_no_interface_name": Keyword(TEXT, "name without an interface", since="2.2.8"),
}

GLOBAL_DEFS: Final = Kind(
    _SCRIPTS
    | _MAIL
    | _VRRP
    | _FIREWALL
    | _LVS
    | _DAEMON
    | _SNMP
    | _per_process("vrrp")
    | _per_process("checker")
    | _per_process("bfd")
    | _buffers("vrrp_netlink_cmd", "VRRP's commands")
    | _buffers("vrrp_netlink_monitor", "VRRP's view of interfaces")
    | _buffers("lvs_netlink_cmd", "the balancer's commands")
    | _buffers("lvs_netlink_monitor", "the balancer's view")
    | _buffers("process_monitor", "events of processes")
)

OUTSIDE: Final = {
    "global_defs": Keyword(FLAG, "what holds for all", block="global_defs", repeated=True),
    "net_namespace": Keyword(TEXT, "network namespace to run in"),
    "net_namespace_ipvs": Keyword(optional(TEXT, ""), "... for IPVS"),
    "namespace_with_ipsets": Keyword(FLAG, "ipsets on old kernels"),
    "instance": Keyword(TEXT, "name of this daemon among several"),
    "use_pid_dir": Keyword(FLAG, "PID files in /run/keepalived"),
    "linkbeat_use_polling": Keyword(FLAG, "ask interfaces instead of listening"),
    "child_wait_time": Keyword(whole_seconds(0, 2**31 - 1), "how long processes have to end"),
    "linkbeat_interfaces": Keyword(FLAG, "interfaces to ask", block="linkbeat", repeated=True),
    "interface_up_down_delays": Keyword(FLAG, "ignore short faults", block="delays", repeated=True),
}

KINDS: Final = {
    "global_defs": GLOBAL_DEFS,
    "addresses": listing(NAMES),
    "linkbeat": listing(LINKBEAT),
    "delays": listing(DELAY_LINE),
    "interfaces": listing(INTERFACES),
}
