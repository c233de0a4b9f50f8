"""The text of keepalived.data: topology, groups, scripts, files, interfaces.

Source: facts/keepalived/samples/keepalived.data.
"""

import time
from ipaddress import ip_address
from typing import TYPE_CHECKING

from standfest.core.vrrp.states import Backup
from standfest.core.vrrp.status import InstanceStatus
from standfest.core.vrrp.timing import down_interval
from standfest.model.time import NANOSECONDS_PER_MICROSECOND, Duration, in_seconds
from standfest.model.vrrp import (
    AuthenticationType,
    Family,
    InstanceSettings,
    Route,
    Rule,
    TrackKind,
)

if TYPE_CHECKING:
    from standfest.daemons.director.reports import View

TRACKED = {
    TrackKind.INTERFACE: "interfaces",
    TrackKind.SCRIPT: "scripts",
    TrackKind.FILE: "files",
    TrackKind.PROCESS: "processes",
    TrackKind.BFD: "BFD instances",
}

AUTHENTICATION = {
    AuthenticationType.NONE: "none",
    AuthenticationType.PASS: "SIMPLE_PASSWORD",
    AuthenticationType.AH: "IPSEC_AH",
}
"""What follows there in keepalived's dump, the password, is not told here."""


def data_text(view: "View") -> str:
    """Return the dump."""
    lines = [
        "------< Global definitions >------",
        f" Router ID = {view.settings.globals.router_id}",
    ]
    lines += ["------< VRRP Topology >------"]
    for one in view.status:
        settings = next(s for s in view.settings.instances if s.name == one.name)
        lines += _instance(one, settings, view)
    lines += _groups(view) + _scripts(view) + _files(view)
    lines += ["------< Interfaces >------"]
    for name, facts in view.facts.items():
        lines += [f" Name = {name}", f"   index = {facts.index}"]
        if len(facts.mac) == 6:
            lines += [f"   MAC = {facts.mac.hex(':')}"]
        lines += [f"   State = {'UP, RUNNING' if facts.running else 'DOWN'}"]
    return "\n".join(lines) + "\n"


def _instance(one: InstanceStatus, settings: InstanceSettings, view: "View") -> list[str]:
    lines = [*_state(one, settings, view), *_announcing(settings), *_protocol(one, settings)]
    lines += _addresses(settings, view) + _unicast(settings) + _routing(settings)
    return lines + _tracks(settings) + _notify(settings)


def _state(one: InstanceStatus, settings: InstanceSettings, view: "View") -> list[str]:
    state, moved = one.told.value, view.since(one)
    down = down_interval(
        settings.version, one.priority, settings.advert_interval, settings.down_timer_adverts
    )
    group = next((g.name for g in view.settings.sync_groups if one.name in g.members), "")
    lines = [f" VRRP Instance = {one.name}", f"   VRRP Version = {settings.version}"]
    lines += [f"   Sync group = {group}"] if group else []
    lines += [f"   State = {state}"]
    if isinstance(one.state, Backup) and one.state.heard_source:
        lines += [
            f"   Master router = {ip_address(one.state.heard_source)}",
            f"   Master priority = {one.state.heard_priority}",
            f"   Master advert int = {in_seconds(one.state.active_interval):.2f} sec",
        ]
    whole, micro = time.ctime(moved).rsplit(" ", 1), f"{moved % 1:.6f}".removeprefix("0")
    lines += [
        f"   Flags: {'' if settings.unicast else 'none'}".rstrip(),
        *(["     Using unicast"] if settings.unicast else []),
        f"   Wantstate = {state}",
        "   Number of config faults = 0",
        f"   Number of interface and track script faults = {len(one.faults)}",
        f"   Last transition = {moved:.6f} ({whole[0]}{micro} {whole[1]})",
        f"   Master down timer = {down // NANOSECONDS_PER_MICROSECOND} usecs",
        f"   Interface = {settings.interface}",
    ]
    if settings.vmac is not None:
        lines += [f"   VMAC = {settings.vmac.name or 'automatic'}"]
    given = " (from configuration)" if settings.source is not None else ""
    lines += [f"   Using src_ip = {_source(one)}{given}"]
    return lines + (
        [] if settings.unicast else [f"   Multicast address {settings.multicast_group}"]
    )


def _announcing(settings: InstanceSettings) -> list[str]:
    garp = settings.garp
    return [
        f"   Gratuitous ARP delay = {_seconds(garp.delay)}",
        f"   Gratuitous ARP repeat = {garp.repeat}",
        f"   Gratuitous ARP refresh = {_seconds(garp.refresh)}",
        f"   Gratuitous ARP refresh repeat = {garp.refresh_repeat}",
        f"   Gratuitous ARP lower priority delay = {_seconds(garp.lower_priority_delay)}",
        f"   Gratuitous ARP lower priority repeat = {garp.lower_priority_repeat}",
    ]


def _protocol(one: InstanceStatus, settings: InstanceSettings) -> list[str]:
    lower, higher = settings.lower_priority_no_advert, settings.higher_priority_send_advert
    lines = [
        f"   Down timer adverts = {settings.down_timer_adverts}",
        f"   Send advert after receive lower priority advert = {_truth(not lower)}",
        f"   Send advert after receive higher priority advert = {_truth(higher)}",
        f"   Virtual Router ID = {settings.vrid}",
        f"   Priority = {settings.priority}",
        f"   Effective priority = {one.priority}",
        f"   Total priority = {one.priority}",
        f"   Advert interval = {_interval(settings.advert_interval)}",
    ]
    if isinstance(one.state, Backup):
        lines += [f"   Master advert interval = {_interval(one.state.active_interval)}"]
    lines += [
        f"   Accept = {'enabled' if settings.accept else 'disabled'}",
        f"   Preempt = {'enabled' if settings.preempt else 'disabled'}",
    ]
    if settings.preempt_delay:
        lines += [f"   Preempt delay = {_seconds(settings.preempt_delay)} secs"]
    lines += [f"   Promote_secondaries = {'en' if settings.promote_secondaries else 'dis'}abled"]
    if settings.version == 2:
        lines += [f"   Authentication type = {AUTHENTICATION[settings.authentication.type]}"]
    return lines


def _unicast(settings: InstanceSettings) -> list[str]:
    if not settings.unicast:
        return []
    ttl = settings.unicast_ttl
    if ttl is None:
        ttl = 255 if settings.family is Family.IPV4 else 64
    lines = [f"   Unicast TTL = {ttl}", "   Check unicast src : yes", "   Unicast Peer :"]
    return lines + [
        f"     {peer.address} min_ttl {peer.min_ttl} max_ttl {peer.max_ttl}"
        for peer in settings.unicast_peers
    ]


def _routing(settings: InstanceSettings) -> list[str]:
    lines = []
    some: tuple[tuple[str, tuple[Route | Rule, ...]], ...] = (
        ("Routes", settings.routes),
        ("Rules", settings.rules),
    )
    for title, items in some:
        if items:
            lines += [f"   Virtual {title} :", *(f"     {' '.join(one.words)}" for one in items)]
    return lines


def _notify(settings: InstanceSettings) -> list[str]:
    notify = settings.notify
    lines = [
        f"   Using smtp notification = {'yes' if settings.smtp_alert else 'no'}",
        f"   Notify deleted = {'Deleted' if notify.deleted_state else 'Fault'}",
    ]
    for title, command in (
        ("Backup state", notify.backup),
        ("Master state", notify.master),
        ("Fault state", notify.fault),
        ("Stop state", notify.stop),
        ("Generic state", notify.any),
        ("Master rx lower pri state", notify.master_rx_lower_priority),
    ):
        if command is not None:
            words = " ".join(f"'{word}'" for word in command.words)
            lines += [f"   {title} transition script = {words}"]
    return [*lines, f"   Notify priority changes = {_truth(notify.priority_changes)}"]


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _addresses(settings: InstanceSettings, view: "View") -> list[str]:
    held = view.held.get(settings.name, ())
    lines = []
    for title, some in (
        ("Virtual IP", settings.addresses),
        ("Virtual IP Excluded", settings.excluded),
    ):
        if not some:
            continue
        count = f" ({len(some)}):" if some is settings.addresses else " :"
        lines += [f"   {title}{count}"]
        for address in some:
            label = f" label {address.label}" if address.label else ""
            device = address.interface or settings.interface
            set_ = " set" if address in held else ""
            where = f"dev {device} scope {address.scope}{label}{set_}"
            lines += [f"     {address.ip}/{address.prefix} {where}"]
    return lines


def _tracks(settings: InstanceSettings) -> list[str]:
    lines = []
    for kind, title in TRACKED.items():
        some = [track for track in settings.tracks if track.kind is kind]
        if some:
            lines += [f"   Tracked {title} :"]
            comma = "," if kind is TrackKind.FILE else ""
            lines += [f"     {track.name}{comma} weight {track.weight}" for track in some]
    return lines


def _groups(view: "View") -> list[str]:
    if not view.settings.sync_groups:
        return []
    told = {one.name: one.told.value for one in view.status}
    lines = ["------< VRRP Sync groups >------"]
    for group in view.settings.sync_groups:
        states = {told.get(member, "FAULT") for member in group.members}
        state = states.pop() if len(states) == 1 else "BACKUP"
        lines += [f" VRRP Sync Group = {group.name}, {state}", "   VRRP member instances :"]
        lines += [f"     {member}" for member in group.members]
    return lines


def _scripts(view: "View") -> list[str]:
    if not view.settings.scripts:
        return []
    lines = ["------< VRRP Scripts >------"]
    for script in view.settings.scripts:
        command = " ".join(f"'{word}'" for word in script.command.words)
        lines += [
            f" VRRP Script = {script.name}",
            f"   Command = {command}",
            f"   Interval = {_seconds(script.interval)} sec",
            f"   Timeout = {_seconds(script.timeout)} sec",
            f"   Weight = {script.weight}",
            f"   Rise = {script.rise}",
            f"   Fall = {script.fall}",
        ]
    return lines


def _files(view: "View") -> list[str]:
    if not view.settings.files:
        return []
    lines = ["------< VRRP Track files >------"]
    for file in view.settings.files:
        lines += [
            f" Track file = {file.name}",
            f"   File = {file.path}",
            f"   Weight = {file.weight}",
        ]
    return lines


def _source(one: InstanceStatus) -> str:
    return str(ip_address(one.source)) if one.source else "(none)"


def _interval(interval: Duration) -> str:
    seconds = in_seconds(interval)
    return f"{seconds:g} sec" if seconds >= 1 else f"{seconds * 1000:g} milli-sec"


def _seconds(duration: Duration) -> str:
    return f"{in_seconds(duration):g}"
