"""Virtual routers as an operator describes them, as frozen values (the rest: model/director.py).

Defaults are filled in and names are resolved by whoever compiles a configuration
(`config/keepalived`, `standfest.toml`): nothing here is inherited from a global value later.
All durations are in ns. Words are those of keepalived.conf(5) where an operator writes them, else
those of RFC 9568.
"""

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from ipaddress import IPv4Address, IPv6Address

from standfest.model.time import Duration, seconds

IPAddress = IPv4Address | IPv6Address

PRIORITY_RESIGN = 0
PRIORITY_OWNER = 255
MIN_PRIORITY, MAX_PRIORITY = 1, 254
"""What tracking can make of a priority; 255 is the owner's (RFC 9568 section 5.2.4)."""

MULTICAST_IPV4 = IPv4Address("224.0.0.18")
MULTICAST_IPV6 = IPv6Address("ff02::12")


class Family(IntEnum):
    """Which protocol an instance's addresses belong to."""

    IPV4 = 4
    IPV6 = 6


class InitialState(Enum):
    """The keyword `state`: what an instance says of itself before it has heard anybody."""

    MASTER = "MASTER"
    BACKUP = "BACKUP"


class AuthenticationType(IntEnum):
    """VRRPv2 Auth Type (RFC 2338 section 5.3.6; RFC 3768 removed it, the field did not)."""

    NONE = 0
    PASS = 1
    AH = 2


@dataclass(frozen=True, slots=True)
class Authentication:
    """How VRRPv2 packets prove that they belong here; VRRPv3 has none.

    password: at most 8 bytes; shorter ones are padded with zero bytes on the wire. Never shown.
    """

    type: AuthenticationType = AuthenticationType.NONE
    password: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Command:
    """A program and its arguments, run without a shell; user "": the global script user."""

    words: tuple[str, ...]
    user: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class VirtualAddress:
    """One address that moves with an instance; empty strings and None leave the kernel's default.

    interface: the device that carries it; "" is the instance's own (its VMAC when it has one).
    prefix: 0..32 or 0..128 bits. broadcast: an address, "+" (host bits set) or "-" (cleared).
    preferred_lifetime: seconds, -1 for ever, None: 0 for an IPv6 /128, else for ever.
    track: being removed by somebody else is repaired (keepalived's `no_track` clears it).
    flags: other words of ip-address(8): home, -nodad, mngtmpaddr, noprefixroute, autojoin.
    """

    ip: IPAddress
    prefix: int
    interface: str = ""
    label: str = ""
    scope: str = "global"
    broadcast: str = ""
    peer: IPAddress | None = None
    peer_prefix: int | None = None
    preferred_lifetime: int | None = None
    flags: tuple[str, ...] = ()
    use_vmac: bool = False
    track: bool = True
    track_group: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """One route as ip-route(8) words, without `track` words; moves with its instance."""

    words: tuple[str, ...]
    family: Family = Family.IPV4
    track: bool = True
    track_group: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One policy rule as ip-rule(8) words, without `track` words; moves with its instance."""

    words: tuple[str, ...]
    family: Family = Family.IPV4
    track: bool = True
    track_group: str = ""


@dataclass(frozen=True, slots=True)
class UnicastPeer:
    """A router that is sent packets of its own; its own must have min..max TTL (0..255)."""

    address: IPAddress
    min_ttl: int = 0
    max_ttl: int = 255


@dataclass(frozen=True, slots=True)
class VirtualMac:
    """`use_vmac`: a macvlan with the virtual router's MAC.

    name: of the interface to make; "": chosen by the adapter. mac: None is
    00:00:5e:00:01:VRID for IPv4, 00:00:5e:00:02:VRID for IPv6.
    transmit_base: packets leave from the interface below it (`vmac_xmit_base`).
    """

    name: str = ""
    mac: bytes | None = None
    transmit_base: bool = False


@dataclass(frozen=True, slots=True)
class Ipvlan:
    """`use_ipvlan`: an L2 ipvlan; mode is bridge, private or vepa."""

    name: str = ""
    address: IPAddress | None = None
    prefix: int | None = None
    mode: str = "bridge"


@dataclass(frozen=True, slots=True)
class GarpSettings:
    """How often neighbours are told where an address is (gratuitous ARP or unsolicited NA).

    delay: from becoming Active to the second set, 0: none. repeat: announcements in a set.
    refresh: between sets while Active, 0: never; refresh_repeat: announcements in such a set.
    lower_priority_*: the same after a lower-priority router was heard.
    interval: between ARP announcements on one interface; na_interval: between NAs.
    extra_interface: between sets on interfaces other than the instance's, 0: never;
    extra_all: on each of them, not only on VMACs.
    """

    delay: Duration = seconds(5)
    repeat: int = 5
    refresh: Duration = 0
    refresh_repeat: int = 1
    lower_priority_delay: Duration = seconds(5)
    lower_priority_repeat: int = 5
    interval: Duration = 0
    na_interval: Duration = 0
    extra_interface: Duration = 0
    extra_all: bool = False


class TrackKind(Enum):
    """What kind of thing an instance or a group depends on."""

    INTERFACE = "interface"
    SCRIPT = "script"
    FILE = "file"
    PROCESS = "process"
    BFD = "bfd"


@dataclass(frozen=True, slots=True)
class Track:
    """One dependency, its weight already resolved (-254..254; files: any 32-bit number).

    weight 0: Fault while it is down (a file: while it is not zero); reverse: while it is up.
    Positive: added to the priority while up; negative: subtracted while down; reverse changes the
    sign. A file's weight is multiplied by its value.
    """

    kind: TrackKind
    name: str
    weight: int = 0
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class NotifyCommands:
    """What to run at a change of state; `any` runs after the specific one, with four words more.

    deleted_state: an instance that a reload removes says DELETED instead of FAULT.
    """

    master: Command | None = None
    backup: Command | None = None
    fault: Command | None = None
    stop: Command | None = None
    deleted: Command | None = None
    any: Command | None = None
    master_rx_lower_priority: Command | None = None
    deleted_state: bool = False
    priority_changes: bool = False


@dataclass(frozen=True, slots=True)
class InstanceSettings:
    """One virtual router on this node.

    vrid: 1..255. priority: 1..255, 255 owns the addresses.
    advert_interval: VRRPv2 whole seconds 1..255, VRRPv3 10 ms..40.95 s in steps of 10 ms.
    preempt_delay: 0..1000 s. down_timer_adverts: 1..100 intervals of silence (RFC: 3).
    source: of our packets; None is the interface's first address (IPv6: link-local).
    unicast: no multicast; packets go to, and are taken from, the peers only.
    unicast_ttl: 0..255, None: 255 for IPv4, 64 for IPv6 (what keepalived 2.2.7 sends).
    accept: packets to a virtual address are accepted although we do not own it.
    lower_priority_no_advert: do not answer a lower-priority router at once (RFC).
    higher_priority_send_advert: say goodbye to a higher-priority router before yielding.
    owner_ignore_adverts: an owner never yields. checksum_as_v2: VRRPv3/IPv4 checksum without
    pseudo-header, as RFC 9568 section 5.2.8 has it; off: as RFC 5798 and keepalived have it.
    vrf: the VRF to be in when unicast has no interface.
    """

    name: str
    interface: str
    vrid: int
    addresses: tuple[VirtualAddress, ...] = ()
    excluded: tuple[VirtualAddress, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    family: Family = Family.IPV4
    version: int = 2
    priority: int = 100
    advert_interval: Duration = seconds(1)
    initial_state: InitialState = InitialState.BACKUP
    preempt: bool = True
    preempt_delay: Duration = 0
    accept: bool = True
    strict: bool = False
    authentication: Authentication = Authentication()
    source: IPAddress | None = None
    track_source: bool = False
    multicast_group: IPAddress = MULTICAST_IPV4
    unicast: bool = False
    unicast_peers: tuple[UnicastPeer, ...] = ()
    unicast_fault_no_peer: bool = False
    unicast_ttl: int | None = None
    check_unicast_source: bool = False
    old_unicast_checksum: bool = False
    checksum_as_v2: bool = False
    vmac: VirtualMac | None = None
    vmac_addresses: bool = False
    ipvlan: Ipvlan | None = None
    vrf: str = ""
    promote_secondaries: bool = False
    garp: GarpSettings = GarpSettings()
    lower_priority_no_advert: bool = False
    higher_priority_send_advert: bool = False
    owner_ignore_adverts: bool = False
    skip_check_address_list: bool = False
    down_timer_adverts: int = 3
    track_primary: bool = True
    linkbeat_polling: bool = False
    tracks: tuple[Track, ...] = ()
    notify: NotifyCommands = NotifyCommands()
    smtp_alert: bool = False
    receive_buffer_bytes: int = 0
    debug: int = 0


@dataclass(frozen=True, slots=True)
class SyncGroup:
    """Instances that are Active together or not at all.

    tracking_weight: weighted tracks count, too (`sync_group_tracking_weight`); else a member's
    weights are taken as 0, so that members cannot differ.
    """

    name: str
    members: tuple[str, ...]
    tracks: tuple[Track, ...] = ()
    tracking_weight: bool = False
    notify: NotifyCommands = NotifyCommands()
    smtp_alert: bool = False
