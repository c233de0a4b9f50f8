"""What a director is told to do: virtual routers, what they track, and the daemon's own matters.

As in model/vrrp.py: defaults are filled in, names are resolved, durations are in ns.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from standfest.model.time import Duration, milliseconds, seconds
from standfest.model.vrrp import (
    MULTICAST_IPV4,
    MULTICAST_IPV6,
    Command,
    GarpSettings,
    InstanceSettings,
    IPAddress,
    Route,
    Rule,
    SyncGroup,
    VirtualAddress,
)


@dataclass(frozen=True, slots=True)
class TrackScript:
    """A check that is run every `interval`; exit status 0 is success.

    timeout: how long one run may take, 0: `interval`. rise, fall: runs in a row, 1 or more.
    """

    name: str
    command: Command
    interval: Duration = seconds(1)
    timeout: Duration = 0
    weight: int = 0
    reverse: bool = False
    rise: int = 1
    fall: int = 1
    init_fail: bool = False


@dataclass(frozen=True, slots=True)
class TrackFile:
    """A file that holds a number; initial: written at start when it is missing (or always)."""

    name: str
    path: str
    weight: int = 1
    reverse: bool = False
    initial: int | None = None
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class TrackProcess:
    """How many processes of a name must run.

    words: the name, and parameters when they count; full_command: compare the whole command line.
    parameter_match: "" exact, "initial" (the last may be longer), "partial" (the first ones).
    quorum..quorum_max processes are right; quorum_max None: any number more.
    """

    name: str
    words: tuple[str, ...]
    full_command: bool = False
    parameter_match: str = ""
    weight: int = 1
    reverse: bool = False
    quorum: int = 1
    quorum_max: int | None = None
    fork_delay: Duration = 0
    terminate_delay: Duration = 0


@dataclass(frozen=True, slots=True)
class BfdInstance:
    """One BFD session (RFC 5880 asynchronous mode).

    min_rx, min_tx, idle_tx: 1 us..1000 s. multiplier: 1..255 missed packets are a failure.
    ttl: 1..255 sent, and expected at the start of the way; None: 255 is sent (RFC 5881 section 5),
    255 expected for IPv4, 64 for IPv6 as keepalived sends it. max_hops: 0..255 that a packet may
    have passed, 255: not checked. vrrp, checker: who is told.
    """

    name: str
    neighbor: IPAddress
    source: IPAddress | None = None
    min_rx: Duration = milliseconds(10)
    min_tx: Duration = milliseconds(10)
    idle_tx: Duration = seconds(1)
    multiplier: int = 5
    passive: bool = False
    ttl: int | None = None
    max_hops: int = 0
    weight: int = 0
    reverse: bool = False
    vrrp: bool = True
    checker: bool = True


@dataclass(frozen=True, slots=True)
class InterfaceDelay:
    """How long an interface must have been down or up before that counts: 0..255 s."""

    interface: str
    down: Duration
    up: Duration


@dataclass(frozen=True, slots=True)
class GarpGroup:
    """Interfaces behind one switch, which share one pace of announcements."""

    interfaces: tuple[str, ...]
    interval: Duration = 0
    na_interval: Duration = 0


@dataclass(frozen=True, slots=True)
class TrackGroup:
    """Instances that fail when a static address, route or rule of this group cannot be restored."""

    name: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MailSettings:
    """Where mail about changes goes; plain SMTP."""

    recipients: tuple[str, ...] = ()
    sender: str = ""
    server: str = ""
    port: int = 25
    connect_timeout: Duration = seconds(30)
    helo_name: str = ""
    faults: bool = True


@dataclass(frozen=True, slots=True)
class NotifyFifo:
    """A named pipe that is written one line per event, and the program that reads it."""

    path: str
    user: str = ""
    group: str = ""
    script: Command | None = None


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """Scheduling of one of our processes.

    nice: -20..19. realtime_priority: 0 (none)..99. realtime_limit: CPU time between waits.
    """

    nice: int = 0
    realtime_priority: int = 0
    realtime_limit: Duration = milliseconds(10)
    no_swap: bool = False
    cpus: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class GlobalSettings:
    """What holds for all instances; defaults of instances are resolved, those here are for display.

    startup_delay: instances stay in Initialize this long after the start of the daemon.
    """

    router_id: str = ""
    mail: MailSettings = MailSettings()
    version: int = 2
    multicast_ipv4: IPv4Address = MULTICAST_IPV4
    multicast_ipv6: IPv6Address = MULTICAST_IPV6
    garp: GarpSettings = GarpSettings()
    strict: bool = False
    skip_check_address_list: bool = False
    check_unicast_source: bool = False
    lower_priority_no_advert: bool = False
    higher_priority_send_advert: bool = False
    down_timer_adverts: int = 3
    startup_delay: Duration = 0
    notify_fifo: NotifyFifo | None = None
    vrrp_notify_fifo: NotifyFifo | None = None
    lvs_notify_fifo: NotifyFifo | None = None
    notify_priority_changes: bool = False
    fifo_states_on_reload: bool = False
    script_user: str = ""
    script_group: str = ""
    script_security: bool = False
    startup_script: Command | None = None
    startup_script_timeout: Duration = seconds(10)
    shutdown_script: Command | None = None
    shutdown_script_timeout: Duration = seconds(10)
    default_interface: str = "eth0"
    dynamic_interfaces: bool = False
    log_unknown_vrids: bool = False
    vmac_prefix: str = "vrrp"
    vmac_address_prefix: str = "vrrp"
    firewall_table: str = "keepalived"
    firewall_priority: int = -1
    process: ProcessSettings = ProcessSettings()
    max_auto_priority: int = 0
    min_auto_priority_delay: Duration = seconds(1)
    network_namespace: str = ""
    instance_name: str = ""
    reload_check: bool = False
    linkbeat_polling: bool = False


@dataclass(frozen=True, slots=True)
class DirectorSettings:
    """All that the VRRP part of a director needs; names are unique within each kind."""

    globals: GlobalSettings = GlobalSettings()
    instances: tuple[InstanceSettings, ...] = ()
    sync_groups: tuple[SyncGroup, ...] = ()
    scripts: tuple[TrackScript, ...] = ()
    files: tuple[TrackFile, ...] = ()
    processes: tuple[TrackProcess, ...] = ()
    bfd: tuple[BfdInstance, ...] = ()
    interface_delays: tuple[InterfaceDelay, ...] = ()
    garp_groups: tuple[GarpGroup, ...] = ()
    linkbeat_interfaces: tuple[str, ...] = ()
    track_groups: tuple[TrackGroup, ...] = ()
    static_addresses: tuple[VirtualAddress, ...] = ()
    static_routes: tuple[Route, ...] = ()
    static_rules: tuple[Rule, ...] = ()
