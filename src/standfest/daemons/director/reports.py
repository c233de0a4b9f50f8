"""What a director tells: keepalived's dumps, for whoever reads those, and our own status.

Source: facts/keepalived/samples (keepalived.data, keepalived.stats, keepalived.json); what is
printed is what exporters and scripts look for, in keepalived's words and order.
"""

import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from standfest.core.vrrp.effects import Alert, Dropped, Told, Warned
from standfest.core.vrrp.states import Active, Backup, Counters
from standfest.core.vrrp.status import InstanceStatus
from standfest.core.vrrp.timing import down_interval
from standfest.daemons.director.datadump import data_text
from standfest.daemons.director.metrics import metrics_text
from standfest.daemons.director.network import Facts
from standfest.model.director import DirectorSettings
from standfest.model.time import Instant, in_seconds
from standfest.model.vrrp import AuthenticationType, InstanceSettings, TrackKind, VirtualAddress

if TYPE_CHECKING:
    from standfest.core.bfd.sessions import SessionStatus

DATA, STATISTICS, CLEAR, JSON, STATUS = "data", "stats", "clear", "json", "status"
METRICS = "metrics"
FILES = {DATA: "keepalived.data", STATISTICS: "keepalived.stats", JSON: "keepalived.json"}
KINDS: dict[int, str] = {
    signal.SIGUSR1: DATA,
    signal.SIGUSR2: STATISTICS,
    signal.SIGRTMAX - 1: CLEAR,
    signal.SIGRTMIN + 2: JSON,
}
STATE_NUMBERS = {Told.BACKUP: 1, Told.MASTER: 2, Told.FAULT: 3}
ALERTS = {
    Warned.ADDRESS_LIST: "its address list is not ours; expected the same on all routers",
    Warned.INTERVAL: "its advert interval is not ours; expected the same on all routers",
    Warned.AUTHENTICATION: "its authentication is not ours",
    Warned.PAUSED: "this process was paused for too long: gave up the addresses",
    Warned.YIELDED: "yielded to a router that does not accept our adverts",
    Warned.DUPLICATE_ADDRESS: "duplicate address: somebody else answers for one that we hold",
    Warned.ADDRESS_REMOVED: "somebody removed an address that we hold: putting it back",
    Warned.OWNER_CONFLICT: "another router says that it owns the addresses, too",
}


@dataclass(frozen=True, slots=True)
class View:
    """Everything at one moment; baseline: what was counted when statistics were cleared."""

    settings: DirectorSettings
    status: tuple[InstanceStatus, ...]
    facts: Mapping[str, Facts]
    held: Mapping[str, tuple[VirtualAddress, ...]]
    refused: Mapping[str, int]
    baseline: Mapping[str, dict[str, int]]
    now: Instant
    wall: float
    sessions: "tuple[SessionStatus, ...]" = ()

    def counted(self, one: InstanceStatus) -> dict[str, int]:
        """Return an instance's figures since statistics were cleared."""
        before = self.baseline.get(one.name, {})
        return {key: value - before.get(key, 0) for key, value in figures(one.counters).items()}

    def since(self, one: InstanceStatus) -> float:
        """Return when an instance entered its state: seconds since 1970."""
        return self.wall - in_seconds(self.now - one.since) if one.since else 0.0


def figures(counters: Counters) -> dict[str, int]:
    """Return an instance's counters in the names of keepalived's JSON."""
    refused = counters.refused
    return {
        "advert_rcvd": counters.received,
        "advert_sent": counters.sent,
        "become_master": counters.became_active,
        "release_master": counters.released_active,
        "packet_len_err": 0,
        "advert_interval_err": refused.get("interval", 0),
        "ip_ttl_err": refused.get("peer-ttl", 0),
        "invalid_type_rcvd": 0,
        "addr_list_err": refused.get("addresses", 0),
        "invalid_authtype": 0,
        "authtype_mismatch": refused.get("authentication-type", 0),
        "auth_failure": refused.get("authentication", 0) + refused.get("sequence", 0),
        "pri_zero_rcvd": counters.priority_zero_received,
        "pri_zero_sent": counters.priority_zero_sent,
    }


def render(kind: str, view: View) -> str:
    """Return a report."""
    match kind:
        case "data":
            return data_text(view)
        case "stats":
            return "".join(_statistics(one.name, view.counted(one)) for one in view.status)
        case "json":
            return json.dumps([_json(one, view) for one in view.status], separators=(",", ":"))
        case "metrics":
            return metrics_text(view)
        case _:
            return json.dumps(_status(view))


def alert_line(alert: Alert) -> str:
    """Return a warning for the log."""
    where = f" {alert.address}" if alert.address else ""
    who = f" ({alert.source})" if alert.source else ""
    return f"({alert.instance}) {alert.kind.value}{where}{who}: {ALERTS[alert.kind]}"


def count_dropped(refused: dict[str, int], dropped: Dropped) -> None:
    """Count an advert that no instance took."""
    refused[dropped.reason.value] = refused.get(dropped.reason.value, 0) + 1


def settings_of(view: View, name: str) -> InstanceSettings:
    """Return an instance's settings."""
    return next(one for one in view.settings.instances if one.name == name)


def shown_address(address: VirtualAddress, device: str, *, held: bool) -> str:
    """Return an address in the words of keepalived's dumps."""
    words = [f"{address.ip}/{address.prefix}", "dev", address.interface or device]
    words += ["scope", address.scope]
    if address.label:
        words += ["label", address.label]
    return " ".join([*words, *(["set"] if held else [])])


def _statistics(name: str, counted: dict[str, int]) -> str:
    rows = (
        ("  Advertisements:", None),
        ("    Received", "advert_rcvd"),
        ("    Sent", "advert_sent"),
        ("  Became master", "become_master"),
        ("  Released master", "release_master"),
        ("  Packet Errors:", None),
        ("    Length", "packet_len_err"),
        ("    TTL", "ip_ttl_err"),
        ("    Invalid Type", "invalid_type_rcvd"),
        ("    Advertisement Interval", "advert_interval_err"),
        ("    Address List", "addr_list_err"),
        ("  Authentication Errors:", None),
        ("    Invalid Type", "invalid_authtype"),
        ("    Type Mismatch", "authtype_mismatch"),
        ("    Failure", "auth_failure"),
        ("  Priority Zero:", None),
        ("    Received", "pri_zero_rcvd"),
        ("    Sent", "pri_zero_sent"),
    )
    lines = [f"VRRP Instance: {name}"]
    lines += [f"{title}: {counted[key]}" if key else title for title, key in rows]
    return "\n".join(lines) + "\n"


def _json(one: InstanceStatus, view: View) -> dict[str, object]:
    settings = settings_of(view, one.name)
    garp, held = settings.garp, view.held.get(one.name, ())
    interval = in_seconds(settings.advert_interval)
    heard = one.state.active_interval if isinstance(one.state, Backup) else settings.advert_interval
    data: dict[str, object] = {
        "iname": one.name,
        "dont_track_primary": int(not settings.track_primary),
        "skip_check_adv_addr": int(settings.skip_check_address_list),
        "strict_mode": int(settings.strict),
        "vmac_ifname": settings.vmac.name if settings.vmac else "",
        "ifp_ifname": settings.interface,
        "master_priority": one.state.heard_priority if isinstance(one.state, Backup) else 0,
        "last_transition": round(view.since(one), 6),
        "garp_delay": _number(in_seconds(garp.delay)),
        "garp_refresh": _number(in_seconds(garp.refresh)),
        "garp_rep": garp.repeat,
        "garp_refresh_rep": garp.refresh_repeat,
        "garp_lower_prio_delay": _number(in_seconds(garp.lower_priority_delay)),
        "garp_lower_prio_rep": garp.lower_priority_repeat,
        "lower_prio_no_advert": int(settings.lower_priority_no_advert),
        "higher_prio_send_advert": int(settings.higher_priority_send_advert),
        "vrid": settings.vrid,
        "base_priority": settings.priority,
        "effective_priority": one.priority,
        "vipset": isinstance(one.state, Active),
        "promote_secondaries": settings.promote_secondaries,
        "adver_int": _number(interval),
        "master_adver_int": _number(in_seconds(heard)),
        "accept": int(settings.accept),
        "nopreempt": not settings.preempt,
        "preempt_delay": _number(in_seconds(settings.preempt_delay)),
        "state": STATE_NUMBERS.get(one.told, 0),
        "wantstate": STATE_NUMBERS.get(one.told, 0),
        "version": settings.version,
        "smtp_alert": settings.smtp_alert,
        "notify_deleted": settings.notify.deleted_state,
    }
    notify = settings.notify
    for key, command in (
        ("script_backup", notify.backup),
        ("script_master", notify.master),
        ("script_fault", notify.fault),
        ("script_stop", notify.stop),
        ("script_master_rx_lower_pri", notify.master_rx_lower_priority),
        ("script", notify.any),
    ):
        if command is not None:
            data[key] = " ".join(f"'{word}'" for word in command.words)
    data["vips"] = [
        shown_address(a, settings.interface, held=a in held) for a in settings.addresses
    ]
    if settings.excluded:
        data["evips"] = [
            shown_address(a, settings.interface, held=a in held) for a in settings.excluded
        ]
    if settings.routes:
        data["vroutes"] = [" ".join(route.words) for route in settings.routes]
    if settings.rules:
        data["vrules"] = [" ".join(rule.words) for rule in settings.rules]
    scripts = {script.name: script.command.words for script in view.settings.scripts}
    tracked = [track.name for track in settings.tracks if track.kind is TrackKind.SCRIPT]
    if tracked:
        data["track_script"] = [
            " ".join(f"'{word}'" for word in scripts[name]) for name in tracked if name in scripts
        ]
    data["auth_type"] = settings.authentication.type.value
    return {"data": data, "stats": view.counted(one)}


def _status(view: View) -> dict[str, object]:
    """Return our own report: what an operator wants to know first."""
    instances = []
    for one in view.status:
        settings = settings_of(view, one.name)
        held = view.held.get(one.name, ())
        instances.append(
            {
                "name": one.name,
                "state": one.told.value,
                "since": round(view.since(one), 3),
                "interface": settings.interface,
                "vrid": settings.vrid,
                "version": settings.version,
                "priority": one.priority,
                "base_priority": settings.priority,
                "source": str(ip_address(one.source)) if one.source else "",
                "advert_interval_s": in_seconds(settings.advert_interval),
                "down_interval_s": in_seconds(
                    down_interval(settings.version, one.priority, settings.advert_interval)
                ),
                "authentication": AuthenticationType(settings.authentication.type).name,
                "addresses": [str(address.ip) for address in settings.addresses],
                "held": [str(address.ip) for address in held],
                "faults": list(one.faults),
                "counters": view.counted(one),
                "refused": dict(one.counters.refused),
                "duplicate_address_claims": one.counters.claims,
            }
        )
    groups = [
        {"name": group.name, "members": list(group.members)} for group in view.settings.sync_groups
    ]
    sessions = [
        {
            "name": one.settings.name,
            "neighbor": str(one.settings.neighbor),
            "state": one.state.name,
            "diagnostic": one.diagnostic.name,
        }
        for one in view.sessions
    ]
    return {
        "router_id": view.settings.globals.router_id,
        "instances": instances,
        "groups": groups,
        "bfd": sessions,
        "refused": dict(view.refused),
    }


def _number(value: float) -> float:
    return int(value) if value == int(value) else value
