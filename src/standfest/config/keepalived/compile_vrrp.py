"""Entries of VRRP -> settings of model/vrrp.py and director.py, names and defaults resolved."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from standfest.config.keepalived.check import Entry
from standfest.config.keepalived.compile_common import (
    command,
    given,
    lines,
    run_as,
    switched,
    value,
)
from standfest.config.keepalived.compile_global import garp, merged
from standfest.config.keepalived.judge_vrrp import LONGEST_V3, PASSWORD_CHARACTERS, family
from standfest.config.keepalived.lists import Tracked
from standfest.config.lines import as_bytes
from standfest.model.director import (
    BfdInstance,
    GlobalSettings,
    TrackFile,
    TrackProcess,
    TrackScript,
)
from standfest.model.time import NANOSECONDS_PER_MILLISECOND as MILLISECOND
from standfest.model.time import NANOSECONDS_PER_SECOND as SECOND
from standfest.model.time import Duration
from standfest.model.vrrp import (
    PRIORITY_OWNER,
    Authentication,
    AuthenticationType,
    Family,
    InitialState,
    InstanceSettings,
    Ipvlan,
    NotifyCommands,
    Route,
    Rule,
    SyncGroup,
    Track,
    TrackKind,
    UnicastPeer,
    VirtualAddress,
    VirtualMac,
)

_STEP_V3: Final = 10 * MILLISECOND
_ADDRESS: Final = (IPv4Address, IPv6Address)
_TRACKS: Final = (
    ("track_interface", TrackKind.INTERFACE, ()),
    ("track_script", TrackKind.SCRIPT, ("vrrp_script",)),
    ("track_file", TrackKind.FILE, ("track_file", "vrrp_track_file")),
    ("track_process", TrackKind.PROCESS, ("vrrp_track_process",)),
    ("track_bfd", TrackKind.BFD, ("bfd_instance",)),
)
Weights = dict[tuple[TrackKind, str], tuple[int, bool]]


def own_weights(root: Entry) -> Weights:
    """Return what tracked things say about their weight themselves."""
    found: Weights = {}
    for _keyword, kind, blocks in _TRACKS:
        default = 1 if kind in {TrackKind.FILE, TrackKind.PROCESS} else 0
        for block in root.all(*blocks) if blocks else ():
            weight, reverse = given(block, tuple, "weight") or (default, False)
            found[kind, block.name] = (weight, reverse)
    return found


def tracks(holder: Entry, weights: Weights) -> tuple[Track, ...]:
    """Return what an instance or a group depends on.

    Not an instance's own interface, whose weight keepalived ignores: its fault is another matter.
    """
    found = []
    own = value(holder, "", "interface")
    for keyword, kind, _blocks in _TRACKS:
        for line in holder.elements(keyword):
            assert isinstance(line.value, Tracked), "the block lists tracked things"
            if kind is TrackKind.INTERFACE and line.value.name == own:
                continue
            weight, reverse = weights.get((kind, line.value.name), (0, False))
            if line.value.weight is not None:
                weight = line.value.weight
            if line.value.reverse is not None:
                reverse = line.value.reverse
            found.append(Track(kind, line.value.name, weight, reverse))
    return tuple(found)


def notify(block: Entry, *, priority_changes: bool) -> NotifyCommands:
    """Return what is run at changes; priority_changes: what holds for all instances."""
    return NotifyCommands(
        master=command(block, "notify_master"),
        backup=command(block, "notify_backup"),
        fault=command(block, "notify_fault"),
        stop=command(block, "notify_stop"),
        deleted=command(block, "notify_deleted") if _names_command(block) else None,
        any=command(block, "notify"),
        master_rx_lower_priority=command(block, "notify_master_rx_lower_pri"),
        deleted_state=block.has("notify_deleted"),
        priority_changes=switched(block, priority_changes, "notify_priority_changes"),
    )


def _names_command(block: Entry) -> bool:
    entry = block.last("notify_deleted")
    return entry is not None and entry.value is not None


def _version(instance: Entry, settings: GlobalSettings) -> int:
    if family(instance) is Family.IPV6:
        return 3
    return value(instance, settings.version, "version")


def _interval(instance: Entry, version: int) -> Duration:
    """Return the interval as the version can express it: rounded as keepalived rounds it."""
    asked = value(instance, SECOND, "advert_int")
    if version == 2:
        return max(SECOND, (asked + SECOND // 2) // SECOND * SECOND)
    return min(max(_STEP_V3, (asked + _STEP_V3 // 2) // _STEP_V3 * _STEP_V3), LONGEST_V3)


def _authentication(instance: Entry, version: int) -> Authentication:
    block = instance.last("authentication")
    if block is None or version == 3:
        return Authentication()
    password = as_bytes(value(block, "", "auth_pass"))[:PASSWORD_CHARACTERS]
    kind = value(block, "PASS" if password else "NONE", "auth_type")
    return Authentication(AuthenticationType[kind], password)


def _vmac(instance: Entry) -> VirtualMac | None:
    found = given(instance, VirtualMac, "use_vmac")
    if found is None:
        return None
    mac = found.mac
    if mac is not None and len(mac) == 5:
        mac += bytes([value(instance, 0, "virtual_router_id")])
    # Unicast cannot leave from a macvlan: keepalived sets this itself.
    below = instance.has("vmac_xmit_base", "unicast_peer", "unicast_src_ip")
    return replace(found, mac=mac, transmit_base=below)


def _accept(instance: Entry, priority: int, *, strict: bool) -> bool:
    if instance.has("accept"):
        return True
    if instance.has("no_accept"):
        return False
    return not strict or priority == PRIORITY_OWNER


def instance(
    block: Entry, settings: GlobalSettings, weights: Weights, mail: bool
) -> InstanceSettings:
    """Return one virtual router; mail: whether it tells by mail unless it says otherwise."""
    version = _version(block, settings)
    priority = value(block, 100, "priority")
    strict = switched(block, settings.strict, "strict_mode")
    master = value(block, "BACKUP", "state") == "MASTER"
    peers = tuple(line.value for line in block.elements("unicast_peer"))
    limited = any(isinstance(p, UnicastPeer) and (p.min_ttl, p.max_ttl) != (0, 255) for p in peers)
    source = given(block, object, "unicast_src_ip", "mcast_src_ip")
    group = given(block, object, "mcast_dst_ip")
    preempt = not block.has("nopreempt") or master or priority == PRIORITY_OWNER
    ours = family(block)
    default_group = settings.multicast_ipv4 if ours is Family.IPV4 else settings.multicast_ipv6
    assert source is None or isinstance(source, _ADDRESS), "an address"
    assert group is None or isinstance(group, _ADDRESS), "an address"
    return InstanceSettings(
        name=block.name,
        interface=value(block, "", "interface"),
        vrid=value(block, 0, "virtual_router_id"),
        addresses=lines(block, VirtualAddress, "virtual_ipaddress"),
        excluded=lines(block, VirtualAddress, "virtual_ipaddress_excluded"),
        routes=lines(block, Route, "virtual_routes"),
        rules=lines(block, Rule, "virtual_rules"),
        family=ours,
        version=version,
        priority=priority,
        advert_interval=_interval(block, version),
        initial_state=InitialState.MASTER if master else InitialState.BACKUP,
        preempt=preempt,
        preempt_delay=value(block, 0, "preempt_delay") if preempt else 0,
        accept=_accept(block, priority, strict=strict),
        strict=strict,
        authentication=_authentication(block, version),
        source=source,
        track_source=block.has("track_src_ip"),
        multicast_group=group or default_group,
        unicast=bool(peers) or block.has("unicast_fault_no_peer"),
        unicast_peers=lines(block, UnicastPeer, "unicast_peer"),
        unicast_fault_no_peer=block.has("unicast_fault_no_peer"),
        unicast_ttl=given(block, int, "unicast_ttl"),
        check_unicast_source=block.has("check_unicast_src")
        or settings.check_unicast_source
        or limited,
        old_unicast_checksum=value(block, "never", "old_unicast_checksum") == "",
        checksum_as_v2=switched(block, False, "v3_checksum_as_v2"),
        vmac=_vmac(block),
        vmac_addresses=block.has("use_vmac_addr"),
        ipvlan=given(block, Ipvlan, "use_ipvlan"),
        vrf=value(block, "", "vrf"),
        promote_secondaries=block.has("promote_secondaries"),
        garp=garp(block, "", settings.garp),
        lower_priority_no_advert=switched(
            block, settings.lower_priority_no_advert or strict, "lower_prio_no_advert"
        ),
        higher_priority_send_advert=switched(
            block, settings.higher_priority_send_advert, "higher_prio_send_advert"
        ),
        owner_ignore_adverts=switched(block, False, "owner_ignore_adverts"),
        skip_check_address_list=switched(
            block, settings.skip_check_address_list, "skip_check_adv_addr"
        ),
        down_timer_adverts=value(block, settings.down_timer_adverts, "down_timer_adverts"),
        track_primary=not block.has("dont_track_primary"),
        linkbeat_polling=block.has("linkbeat_use_polling") or settings.linkbeat_polling,
        tracks=tracks(block, weights),
        notify=notify(block, priority_changes=settings.notify_priority_changes),
        smtp_alert=switched(block, mail, "smtp_alert"),
        receive_buffer_bytes=value(block, 0, "kernel_rx_buf_size"),
        debug=value(block, 0, "debug"),
    )


def vrrp_mail(root: Entry) -> bool:
    """Return whether instances tell by mail by default."""
    block = merged(root)
    return switched(block, switched(block, False, "smtp_alert"), "smtp_alert_vrrp")


def instances(root: Entry, settings: GlobalSettings) -> tuple[InstanceSettings, ...]:
    """Return the virtual routers, with what groups with global_tracking make them depend on."""
    weights, mail = own_weights(root), vrrp_mail(root)
    return tuple(instance(block, settings, weights, mail) for block in root.all("vrrp_instance"))


def sync_groups(root: Entry) -> tuple[SyncGroup, ...]:
    """Return the groups; with global_tracking a group depends on all that its members do."""
    weights, mail = own_weights(root), vrrp_mail(root)
    blocks = {block.name: block for block in root.all("vrrp_instance")}
    groups = []
    for block in root.all("vrrp_sync_group"):
        members = tuple(
            name
            for line in block.elements("group")
            for name in (line.value if isinstance(line.value, tuple) else ())
        )
        depends = tracks(block, weights)
        if block.has("global_tracking"):
            theirs = [
                t for name in members if name in blocks for t in tracks(blocks[name], weights)
            ]
            depends = tuple(dict.fromkeys((*depends, *theirs)))
        groups.append(
            SyncGroup(
                name=block.name,
                members=members,
                tracks=depends,
                tracking_weight=block.has("sync_group_tracking_weight"),
                notify=notify(block, priority_changes=False),
                smtp_alert=switched(block, mail, "smtp_alert"),
            )
        )
    return tuple(groups)


def scripts(root: Entry) -> tuple[TrackScript, ...]:
    """Return the checks; of two with one name the last counts."""
    found = {}
    for block in root.all("vrrp_script"):
        program = command(block, "script")
        assert program is not None, "a vrrp_script without script has been left out"
        weight, reverse = given(block, tuple, "weight") or (0, False)
        found[block.name] = TrackScript(
            name=block.name,
            command=run_as(program, block),
            interval=value(block, SECOND, "interval"),
            timeout=value(block, 0, "timeout"),
            weight=weight,
            reverse=reverse,
            rise=value(block, 1, "rise"),
            fall=value(block, 1, "fall"),
            init_fail=block.has("init_fail"),
        )
    return tuple(found.values())


def files(root: Entry) -> tuple[TrackFile, ...]:
    """Return the tracked files; of two with one name the last counts."""
    found = {}
    for block in root.all("track_file", "vrrp_track_file"):
        weight, reverse = given(block, tuple, "weight") or (1, False)
        initial, overwrite = given(block, tuple, "init_file") or (None, False)
        path = value(block, "", "file")
        found[block.name] = TrackFile(block.name, path, weight, reverse, initial, overwrite)
    return tuple(found.values())


def processes(root: Entry) -> tuple[TrackProcess, ...]:
    """Return the tracked processes; of two with one name the last counts."""
    found = {}
    for block in root.all("vrrp_track_process"):
        weight, reverse = given(block, tuple, "weight") or (1, False)
        both = value(block, 0, "delay")
        found[block.name] = TrackProcess(
            name=block.name,
            words=given(block, tuple, "process") or (),
            full_command=block.has("full_command"),
            parameter_match=value(block, "", "param_match"),
            weight=weight,
            reverse=reverse,
            quorum=value(block, 1, "quorum"),
            quorum_max=given(block, int, "quorum_max"),
            fork_delay=value(block, both, "fork_delay"),
            terminate_delay=value(block, both, "terminate_delay"),
        )
    return tuple(found.values())


def sessions(root: Entry) -> tuple[BfdInstance, ...]:
    """Return the BFD sessions."""
    found = []
    base = BfdInstance("", IPv4Address(0))
    for block in root.all("bfd_instance"):
        neighbor = given(block, object, "neighbor_ip", "neighbour_ip")
        source = given(block, object, "source_ip")
        assert isinstance(neighbor, _ADDRESS), "a session without neighbor is an error"
        assert source is None or isinstance(source, _ADDRESS), "an address"
        weight, reverse = given(block, tuple, "weight") or (0, False)
        # `vrrp` and `checker` each tell one process only; neither, or both, tells both.
        only = block.has("vrrp") != block.has("checker")
        found.append(
            BfdInstance(
                name=block.name,
                neighbor=neighbor,
                source=source,
                min_rx=value(block, base.min_rx, "min_rx"),
                min_tx=value(block, base.min_tx, "min_tx"),
                idle_tx=value(block, base.idle_tx, "idle_tx"),
                multiplier=value(block, base.multiplier, "multiplier"),
                passive=block.has("passive"),
                ttl=given(block, int, "ttl", "hoplimit"),
                max_hops=value(block, base.max_hops, "max_hops"),
                weight=weight,
                reverse=reverse,
                vrrp=block.has("vrrp") or not only,
                checker=block.has("checker") or not only,
            )
        )
    return tuple(found)
