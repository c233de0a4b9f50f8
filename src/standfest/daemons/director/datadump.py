"""The text of keepalived.data: topology, groups, scripts, files, interfaces.

Source: facts/keepalived/samples/keepalived.data.
"""

import time
from ipaddress import ip_address
from typing import TYPE_CHECKING

from standfest.core.vrrp.status import InstanceStatus
from standfest.core.vrrp.timing import down_interval
from standfest.model.time import NANOSECONDS_PER_MICROSECOND, Duration, in_seconds
from standfest.model.vrrp import AuthenticationType, InstanceSettings, TrackKind

if TYPE_CHECKING:
    from standfest.daemons.director.reports import View

TRACKED = {
    TrackKind.INTERFACE: "interfaces",
    TrackKind.SCRIPT: "scripts",
    TrackKind.FILE: "files",
    TrackKind.PROCESS: "processes",
    TrackKind.BFD: "BFD instances",
}


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
    garp, state = settings.garp, one.told.value
    moved = view.since(one)
    down = down_interval(
        settings.version, one.priority, settings.advert_interval, settings.down_timer_adverts
    )
    group = next((g.name for g in view.settings.sync_groups if one.name in g.members), "")
    lines = [f" VRRP Instance = {one.name}", f"   VRRP Version = {settings.version}"]
    lines += [f"   Sync group = {group}"] if group else []
    lines += [
        f"   State = {state}",
        f"   Wantstate = {state}",
        f"   Number of interface and track script faults = {len(one.faults)}",
        f"   Last transition = {moved:.6f} ({time.ctime(moved)})",
        f"   Master down timer = {down // NANOSECONDS_PER_MICROSECOND} usecs",
        f"   Interface = {settings.interface}",
    ]
    if settings.vmac is not None:
        lines += [f"   VMAC = {settings.vmac.name or 'automatic'}"]
    lines += [
        f"   Using src_ip = {_source(one)}",
        f"   Gratuitous ARP delay = {_seconds(garp.delay)}",
        f"   Gratuitous ARP repeat = {garp.repeat}",
        f"   Gratuitous ARP refresh = {_seconds(garp.refresh)}",
        f"   Gratuitous ARP refresh repeat = {garp.refresh_repeat}",
        f"   Gratuitous ARP lower priority delay = {_seconds(garp.lower_priority_delay)}",
        f"   Gratuitous ARP lower priority repeat = {garp.lower_priority_repeat}",
        f"   Down timer adverts = {settings.down_timer_adverts}",
        f"   Virtual Router ID = {settings.vrid}",
        f"   Priority = {settings.priority}",
        f"   Effective priority = {one.priority}",
        f"   Total priority = {one.priority}",
        f"   Advert interval = {_interval(settings.advert_interval)}",
        f"   Accept = {'enabled' if settings.accept else 'disabled'}",
        f"   Preempt = {'enabled' if settings.preempt else 'disabled'}",
    ]
    if settings.version == 2:
        kind = AuthenticationType(settings.authentication.type)
        lines += [f"   Authentication type = {kind.name if kind else 'none'}"]
    return lines + _addresses(settings, view) + _tracks(settings)


def _addresses(settings: InstanceSettings, view: "View") -> list[str]:
    held = view.held.get(settings.name, ())
    lines = []
    for title, some in (
        ("Virtual IP", settings.addresses),
        ("Virtual IP Excluded", settings.excluded),
    ):
        if not some:
            continue
        lines += [f"   {title} ({len(some)}):"]
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
            lines += [f"     {track.name} weight {track.weight}" for track in some]
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
