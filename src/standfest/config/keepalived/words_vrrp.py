"""The keywords of everything that belongs to VRRP: instances, groups, what they track, BFD."""

from decimal import Decimal
from typing import Final

from standfest.config.keepalived.grammar import Keyword, Kind, listing
from standfest.config.keepalived.lists import (
    ADDRESS_LINE,
    NAMES,
    PEER_LINE,
    TRACKED,
    TRACKED_FILE,
    TRACKED_INTERFACE,
)
from standfest.config.keepalived.routes import ROUTE_LINE, RULE_LINE
from standfest.config.keepalived.shapes import (
    ADDRESS,
    COMMAND,
    FLAG,
    INTERFACE,
    TEXT,
    choice,
    names,
    number,
    optional,
    switch,
    timer,
    whole_seconds,
)
from standfest.config.keepalived.vmac import IPVLAN, SOURCE, VMAC
from standfest.config.keepalived.weights import EXTRA, FILE_WEIGHT, INIT_FILE, WEIGHT
from standfest.model.time import NANOSECONDS_PER_MILLISECOND as MILLISECOND

_BIG: Final = 2**31 - 1
_NOTIFY: Final = {
    "notify_master": Keyword(COMMAND, "run when it becomes active"),
    "notify_backup": Keyword(COMMAND, "run when it becomes a backup"),
    "notify_fault": Keyword(COMMAND, "run when it fails"),
    "notify_stop": Keyword(COMMAND, "run when the daemon stops"),
    "notify_deleted": Keyword(optional(COMMAND, None), "run when a reload removes it"),
    "notify": Keyword(COMMAND, "run at every change"),
    "notify_priority_changes": Keyword(switch(), "write changes of priority to the pipes"),
    "smtp_alert": Keyword(switch(), "mail at every change"),
}
_TRACK: Final = {
    "track_interface": Keyword(FLAG, "interfaces it needs", block="track_if", repeated=True),
    "track_script": Keyword(FLAG, "checks it needs", block="track", repeated=True),
    "track_file": Keyword(FLAG, "files it needs", block="track_files", repeated=True),
    "track_process": Keyword(FLAG, "processes it needs", block="track", repeated=True),
    "track_bfd": Keyword(FLAG, "BFD sessions it needs", block="track", repeated=True),
}
_GARP: Final = {
    "garp_master_delay": Keyword(whole_seconds(0, _BIG), "second set of announcements"),
    "garp_master_repeat": Keyword(number(1, _BIG), "announcements in a set"),
    "garp_master_refresh": Keyword(whole_seconds(0, _BIG), "time between further sets"),
    "garp_master_refresh_repeat": Keyword(number(1, _BIG), "announcements in those"),
    "garp_lower_prio_delay": Keyword(whole_seconds(0, _BIG), "after a lower one spoke"),
    "garp_lower_prio_repeat": Keyword(number(0, _BIG), "announcements then"),
    "garp_extra_if": Keyword(EXTRA, "announce on other interfaces"),
    "vmac_garp_intvl": Keyword(EXTRA, "the same", instead="garp_extra_if"),
}
_ADDRESSES: Final = {
    "virtual_ipaddress": Keyword(FLAG, "addresses", block="addresses_of", repeated=True),
    "virtual_ipaddress_excluded": Keyword(
        FLAG, "addresses that are not advertised", block="addresses_of", repeated=True
    ),
    "virtual_routes": Keyword(FLAG, "routes", block="routes", repeated=True),
    "virtual_rules": Keyword(FLAG, "policy rules", block="rules", repeated=True),
    "no_virtual_ipaddress": Keyword(FLAG, "it has no address, on purpose", since="2.2.8"),
    "promote_secondaries": Keyword(FLAG, "other addresses survive the first one"),
    "accept": Keyword(FLAG, "packets to its addresses are for us"),
    "no_accept": Keyword(FLAG, "... only if we own them"),
}
_NETWORK: Final = {
    "interface": Keyword(INTERFACE, "where it advertises"),
    "vrf": Keyword(INTERFACE, "the VRF when there is no interface"),
    "use_vmac": Keyword(VMAC, "an interface with the virtual router's MAC"),
    "use_vmac_addr": Keyword(FLAG, "... for addresses elsewhere"),
    "vmac_xmit_base": Keyword(FLAG, "advertise from the interface below"),
    "use_ipvlan": Keyword(IPVLAN, "an ipvlan interface"),
    "mcast_src_ip": Keyword(SOURCE, "source of advertisements"),
    "unicast_src_ip": Keyword(SOURCE, "source of unicast advertisements"),
    "mcast_dst_ip": Keyword(ADDRESS, "group instead of the usual one"),
    "track_src_ip": Keyword(FLAG, "fail when the source address is gone"),
    "unicast_peer": Keyword(FLAG, "whom to tell instead of a group", block="peers", repeated=True),
    "unicast_fault_no_peer": Keyword(FLAG, "fail without peers"),
    "unicast_ttl": Keyword(number(0, 255), "TTL of unicast advertisements"),
    "check_unicast_src": Keyword(FLAG, "listen to peers only"),
    "old_unicast_checksum": Keyword(optional(choice("never"), ""), "as before 1.3.6"),
    "v3_checksum_as_v2": Keyword(switch(), "without pseudo-header", since="2.2.8"),
    "kernel_rx_buf_size": Keyword(number(0, _BIG), "receive buffer in bytes"),
    "linkbeat_use_polling": Keyword(FLAG, "ask the interface"),
    "dont_track_primary": Keyword(FLAG, "its own interface may be down"),
    "lvs_sync_daemon_interface": Keyword(
        INTERFACE, "copy connections", instead="lvs_sync_daemon in global_defs"
    ),
}
_PROTOCOL: Final = {
    "state": Keyword(choice("MASTER", "BACKUP"), "what it says at first"),
    "virtual_router_id": Keyword(number(1, 255), "which virtual router, on this network"),
    "priority": Keyword(number(1, 255), "the highest becomes active; 255 owns the addresses"),
    "advert_int": Keyword(timer("0.01", Decimal(255)), "seconds between advertisements"),
    "version": Keyword(number(2, 3), "of VRRP"),
    "authentication": Keyword(FLAG, "VRRPv2's password", block="authentication"),
    "nopreempt": Keyword(FLAG, "a lower one that is active stays so"),
    "preempt": Keyword(FLAG, "... does not, the default"),
    "preempt_delay": Keyword(timer("0", Decimal(1000)), "how long it stays so"),
    "down_timer_adverts": Keyword(number(1, 100), "missed advertisements"),
    "lower_prio_no_advert": Keyword(switch(), "do not answer a lower priority at once"),
    "higher_prio_send_advert": Keyword(switch(), "speak once more before yielding"),
    "owner_ignore_adverts": Keyword(switch(), "an owner never yields", since="2.3.0"),
    "timer_expired_backup": Keyword(switch(), "yield after a stall", since="2.3.0"),
    "skip_check_adv_addr": Keyword(switch(), "compare addresses once per master"),
    "strict_mode": Keyword(switch(), "only what the RFC allows"),
    "native_ipv6": Keyword(FLAG, "IPv6, which the addresses say anyway"),
    "debug": Keyword(optional(number(0, 4), 0), "not used"),
    "notify_master_rx_lower_pri": Keyword(COMMAND, "run when a lower one advertises"),
}

VRRP_INSTANCE: Final = Kind(
    _PROTOCOL | _NETWORK | _ADDRESSES | _GARP | _TRACK | _NOTIFY,
    needs=("virtual_router_id",),
)
_HMAC: Final = Keyword(FLAG, "keyed hashes with VRRPv3", block="auth_hmac", since="2.4.0")
AUTHENTICATION: Final = Kind(
    {
        "auth_type": Keyword(choice("PASS", "AH"), "PASS or AH"),
        "auth_pass": Keyword(TEXT, "the password, 8 characters"),
        "auth_hmac": _HMAC,
    },
)
AUTH_HMAC: Final = Kind(
    {
        "active_key": Keyword(TEXT, "which key we send with", since="2.4.0"),
        "anti_replay": Keyword(names("how"), "refuse old packets", since="2.4.0"),
        "time_window": Keyword(timer("0"), "how old is too old", since="2.4.0"),
        "mode": Keyword(TEXT, "how packets are protected", since="2.4.0"),
        "key": Keyword(names("a number and a key"), "a key", since="2.4.0", repeated=True),
    },
)
VRRP_SYNC_GROUP: Final = Kind(
    {
        "group": Keyword(FLAG, "instances that change together", block="names", repeated=True),
        "global_tracking": Keyword(FLAG, "what members track, all track"),
        "sync_group_tracking_weight": Keyword(FLAG, "weights count"),
    }
    | _TRACK
    | {word: what for word, what in _NOTIFY.items() if word != "notify_deleted"},
)
VRRP_SCRIPT: Final = Kind(
    {
        "script": Keyword(COMMAND, "the check; exit status 0 is good"),
        "interval": Keyword(whole_seconds(1, 2**32 // 10**6 - 1), "how often"),
        "timeout": Keyword(whole_seconds(1, 2**32 // 10**6 - 1), "how long one run may take"),
        "weight": Keyword(WEIGHT, "what it does to the priority"),
        "rise": Keyword(number(1, _BIG), "good runs until it is good"),
        "fall": Keyword(number(1, _BIG), "bad runs until it is bad"),
        "user": Keyword(names("a user, perhaps a group"), "whom it runs as"),
        "init_fail": Keyword(FLAG, "bad until it was good"),
    },
    needs=("script",),
)
TRACK_FILE: Final = Kind(
    {
        "file": Keyword(TEXT, "a file with a number"),
        "weight": Keyword(FILE_WEIGHT, "times which it is added to the priority"),
        "init_file": Keyword(INIT_FILE, "what is written when it is missing"),
    },
    needs=("file",),
)
VRRP_TRACK_PROCESS: Final = Kind(
    {
        "process": Keyword(names("a name, perhaps parameters"), "what must run"),
        "param_match": Keyword(
            optional(choice("initial", "partial"), ""), "how parameters are compared"
        ),
        "weight": Keyword(WEIGHT, "what it does to the priority"),
        "quorum": Keyword(number(1, 65_535), "how many must run"),
        "quorum_max": Keyword(number(0, 65_535), "how many may run"),
        "fork_delay": Keyword(timer("0.000001", Decimal(3600)), "wait after a start"),
        "terminate_delay": Keyword(timer("0.000001", Decimal(3600)), "wait after an end"),
        "delay": Keyword(timer("0.000001", Decimal(3600)), "both"),
        "full_command": Keyword(FLAG, "compare the whole command line"),
    },
    needs=("process",),
)
_MS: Final = timer("1", Decimal(4_294_967), MILLISECOND)
_IDLE: Final = timer("1000", Decimal(4_294_967), MILLISECOND)
BFD_INSTANCE: Final = Kind(
    {
        "neighbor_ip": Keyword(ADDRESS, "the other end"),
        "neighbour_ip": Keyword(ADDRESS, "the other end"),
        "source_ip": Keyword(ADDRESS, "our end"),
        "min_rx": Keyword(_MS, "milliseconds between packets we can take"),
        "min_tx": Keyword(_MS, "milliseconds between packets we send"),
        "idle_tx": Keyword(_IDLE, "... while the session is down"),
        "multiplier": Keyword(number(1, 255), "packets missed until it is down"),
        "passive": Keyword(FLAG, "wait for the other end"),
        "ttl": Keyword(number(1, 255), "TTL of IPv4 packets"),
        "hoplimit": Keyword(number(1, 255), "hop limit of IPv6 packets"),
        "max_hops": Keyword(number(0, 255), "routers between"),
        "multihop": Keyword(switch(), "over several hops", since="2.3.0"),
        "weight": Keyword(WEIGHT, "what it does to the priority"),
        "vrrp": Keyword(FLAG, "tell VRRP only"),
        "checker": Keyword(FLAG, "tell checkers only"),
    },
)
_PACE: Final = timer("0", "2147.483647")
GARP_GROUP: Final = Kind(
    {
        "garp_interval": Keyword(_PACE, "time between announcements"),
        "gna_interval": Keyword(_PACE, "the same for IPv6"),
        "interface": Keyword(INTERFACE, "for one interface"),
        "interfaces": Keyword(FLAG, "for several behind a switch", block="interfaces"),
    },
)
_NAMED: Final = TEXT
_STATIC: Final = {
    "static_ipaddress": Keyword(FLAG, "addresses that stay", block="addresses_of", repeated=True),
    "static_routes": Keyword(FLAG, "routes that stay", block="routes", repeated=True),
    "static_rules": Keyword(FLAG, "policy rules that stay", block="rules", repeated=True),
}
OUTSIDE: Final = _STATIC | {
    "vrrp_instance": Keyword(_NAMED, "a virtual router", block="vrrp_instance", repeated=True),
    "vrrp_sync_group": Keyword(
        _NAMED, "instances that change together", block="vrrp_sync_group", repeated=True
    ),
    "vrrp_script": Keyword(_NAMED, "a check", block="vrrp_script", repeated=True),
    "track_file": Keyword(_NAMED, "a file with a number", block="track_file", repeated=True),
    "vrrp_track_file": Keyword(
        _NAMED, "a file with a number", block="track_file", instead="track_file", repeated=True
    ),
    "vrrp_track_process": Keyword(_NAMED, "a process", block="vrrp_track_process", repeated=True),
    "bfd_instance": Keyword(_NAMED, "a BFD session", block="bfd_instance", repeated=True),
    "garp_group": Keyword(FLAG, "a pace of announcements", block="garp_group", repeated=True),
    "track_group": Keyword(
        _NAMED, "instances that need static things", block="track_group", repeated=True
    ),
}
KINDS: Final = {
    "vrrp_instance": VRRP_INSTANCE,
    "authentication": AUTHENTICATION,
    "auth_hmac": AUTH_HMAC,
    "vrrp_sync_group": VRRP_SYNC_GROUP,
    "vrrp_script": VRRP_SCRIPT,
    "track_file": TRACK_FILE,
    "vrrp_track_process": VRRP_TRACK_PROCESS,
    "bfd_instance": BFD_INSTANCE,
    "garp_group": GARP_GROUP,
    "track_group": Kind(
        {"group": Keyword(FLAG, "its instances", block="names", repeated=True)}, needs=("group",)
    ),
    "names": listing(NAMES),
    "peers": listing(PEER_LINE),
    "addresses_of": listing(ADDRESS_LINE),
    "routes": listing(ROUTE_LINE),
    "rules": listing(RULE_LINE),
    "track": listing(TRACKED),
    "track_if": listing(TRACKED_INTERFACE),
    "track_files": listing(TRACKED_FILE),
}
