"""Several directors' configurations, compared: what makes two of them disagree on the wire.

A finding stands in the later file and names the place in the earlier one. Passwords are compared
and never shown.
Source: facts/KEEPALIVED.md section 4 (what a receiver discards) and section 6.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from standfest.config.keepalived import compile_global, compile_vrrp
from standfest.config.keepalived.check import Entry
from standfest.config.keepalived.parse import Parsed
from standfest.config.keepalived.source import Origin, Report
from standfest.config.lines import shown
from standfest.model.balancing import Method
from standfest.model.director import GlobalSettings
from standfest.model.time import in_seconds
from standfest.model.vrrp import PRIORITY_OWNER, InitialState, InstanceSettings

_LISTED: Final = 3
"""Addresses that a finding names at most."""


@dataclass(frozen=True, slots=True)
class _Router:
    """One virtual router on one director."""

    settings: InstanceSettings
    entry: Entry

    def at(self, *keywords: str) -> Origin:
        """Return where one of these keywords stands, or where the instance begins."""
        found = self.entry.last(*keywords)
        return found.origin if found is not None else self.entry.origin


def compare(directors: Sequence[Parsed], report: Report) -> None:
    """Note what differs between each two directors, and must or should not."""
    routers = [_routers(director) for director in directors]
    for (one, ours), (other, theirs) in combinations(zip(directors, routers, strict=True), 2):
        _compare_routers(ours, theirs, one.path, other.path, report)
        _compare_groups(one, other, report)
        _compare_services(one, other, report)
        _compare_names(one, other, report)


def _routers(director: Parsed) -> list[_Router]:
    """Return the virtual routers; what is wrong in them has been told and is left out."""
    everywhere = compile_global.global_settings(director.root)
    weights = compile_vrrp.own_weights(director.root)
    return [
        _Router(_settings(entry, everywhere, weights), entry)
        for entry in director.root.all("vrrp_instance")
    ]


def _settings(
    entry: Entry, everywhere: GlobalSettings, weights: compile_vrrp.Weights
) -> InstanceSettings:
    return compile_vrrp.instance(entry, everywhere, weights, mail=False)


def _pairs(ours: list[_Router], theirs: list[_Router]) -> Iterator[tuple[_Router, _Router]]:
    """Yield routers that are one: of the same name, or else of the same id and family."""
    named = {router.settings.name: router for router in theirs}
    marked = {(r.settings.family, r.settings.vrid): r for r in reversed(theirs)}
    names = {router.settings.name for router in ours}
    for router in ours:
        found = named.get(router.settings.name)
        if found is None:
            found = marked.get((router.settings.family, router.settings.vrid))
            if found is not None and found.settings.name in names:
                found = None
        if found is not None:
            yield router, found


def _compare_routers(
    ours: list[_Router], theirs: list[_Router], one: str, other: str, report: Report
) -> None:
    paired: set[int] = set()
    for first, second in _pairs(ours, theirs):
        paired |= {id(first), id(second)}
        for rule in _RULES:
            rule(first, second, report)
    for router in (*ours, *theirs):
        if id(router) not in paired:
            absent = other if router in ours else one
            problem = f'vrrp_instance "{shown(router.settings.name)}" is not in {absent}'
            report.warn(router.entry.origin, problem, "it on every director")


def _there(origin: Origin) -> str:
    return f"{origin.path}:{origin.line}"


def _identity(first: _Router, second: _Router, report: Report) -> None:
    ours, theirs = first.settings.vrid, second.settings.vrid
    if ours != theirs:
        there = _there(first.at("virtual_router_id"))
        problem = f"virtual_router_id is {theirs}, {there} says {ours}"
        report.error(second.at("virtual_router_id"), problem, "one id for a virtual router")


def _version(first: _Router, second: _Router, report: Report) -> None:
    ours, theirs = first.settings.version, second.settings.version
    if ours != theirs:
        there = _there(first.at("version"))
        problem = f"this director speaks VRRPv{theirs}, {there} VRRPv{ours}"
        report.error(second.at("version"), problem, "one version")


def _interval(first: _Router, second: _Router, report: Report) -> None:
    ours, theirs = first.settings.advert_interval, second.settings.advert_interval
    if ours == theirs or first.settings.version != second.settings.version:
        return
    there = _there(first.at("advert_int"))
    problem = f"advert_int is {in_seconds(theirs):g}, {there} says {in_seconds(ours):g}"
    # VRRPv2 discards such advertisements; a VRRPv3 backup takes the interval of the active one.
    tell = report.error if second.settings.version == 2 else report.warn
    tell(second.at("advert_int"), problem, "one interval")


def _authentication(first: _Router, second: _Router, report: Report) -> None:
    ours, theirs = first.settings.authentication, second.settings.authentication
    there = _there(first.at("authentication"))
    if ours.type != theirs.type:
        problem = f"authentication is {theirs.type.name}, {there} says {ours.type.name}"
        report.error(second.at("authentication"), problem, "one kind of authentication")
    elif ours.password != theirs.password:
        problem = f"auth_pass is not that of {there}"
        report.error(second.at("authentication"), problem, "one password")


def _addresses(first: _Router, second: _Router, report: Report) -> None:
    ours = {address.ip for address in first.settings.addresses}
    theirs = {address.ip for address in second.settings.addresses}
    if ours == theirs:
        return
    there = _there(first.at("virtual_ipaddress"))
    lists = []
    for verb, addresses in (("lacks", ours - theirs), ("adds", theirs - ours)):
        names = [str(ip) for ip in sorted(addresses, key=int)]
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        lists += [f"{verb} {', '.join(names[:_LISTED])}{more}"] if names else []
    problem = f"the list of addresses {' and '.join(lists)}, compared with {there}"
    report.error(second.at("virtual_ipaddress"), problem, "one list, or both become MASTER")


def _priorities(first: _Router, second: _Router, report: Report) -> None:
    ours, theirs = first.settings.priority, second.settings.priority
    if ours != theirs:
        return
    there = _there(first.at("priority"))
    if ours == PRIORITY_OWNER:
        problem = f"priority is 255 here and in {there}: both own the addresses"
        report.error(second.at("priority"), problem, "one owner at most")
    else:
        problem = f"priority is {theirs} here and in {there}: the higher address wins"
        report.warn(second.at("priority"), problem, "different priorities")


def _states(first: _Router, second: _Router, report: Report) -> None:
    if first.settings.initial_state is second.settings.initial_state is InitialState.MASTER:
        problem = f"state is MASTER here and in {_there(first.at('state'))}"
        report.warn(second.at("state"), problem, "one MASTER; state BACKUP on the others")


def _preemption(first: _Router, second: _Router, report: Report) -> None:
    low, high = sorted((first, second), key=lambda router: router.settings.priority)
    if not low.settings.preempt and high.settings.preempt:
        problem = f"nopreempt here, and not in {_there(high.entry.origin)}, which has the higher"
        report.warn(low.at("nopreempt"), f"{problem} priority", "nopreempt on that director")


def _media(first: _Router, second: _Router, report: Report) -> None:
    ours, theirs = first.settings, second.settings
    if ours.unicast != theirs.unicast:
        words = {True: "unicast", False: "multicast"}
        there = _there(first.entry.origin)
        problem = f"{words[theirs.unicast]} here, {words[ours.unicast]} in {there}"
        report.error(second.at("unicast_peer"), problem, "both alike")
    elif not ours.unicast and ours.multicast_group != theirs.multicast_group:
        there = _there(first.at("mcast_dst_ip"))
        problem = f"the group is {theirs.multicast_group}, in {there} {ours.multicast_group}"
        report.error(second.at("mcast_dst_ip"), problem, "one group")
    elif ours.unicast:
        _peers(first, second, report)


def _peers(first: _Router, second: _Router, report: Report) -> None:
    for sender, receiver in ((first, second), (second, first)):
        source = sender.settings.source
        known = {peer.address for peer in receiver.settings.unicast_peers}
        if source is not None and source not in known:
            there = _there(sender.at("unicast_src_ip"))
            problem = f"unicast_peer lacks {source}, the address of {there}"
            report.error(receiver.at("unicast_peer"), problem, "each director's address")
    ours, theirs = first.settings.source, second.settings.source
    if ours is not None and ours == theirs:
        problem = f"unicast_src_ip is {theirs} here and in {_there(first.at('unicast_src_ip'))}"
        report.error(second.at("unicast_src_ip"), problem, "each director's own address")


_RULES: Final = (
    _identity,
    _version,
    _interval,
    _authentication,
    _addresses,
    _priorities,
    _states,
    _preemption,
    _media,
)


def _compare_groups(one: Parsed, other: Parsed, report: Report) -> None:
    """Note groups that hold other instances together on the other director."""
    ours = {entry.name: entry for entry in one.root.all("vrrp_sync_group")}
    for entry in other.root.all("vrrp_sync_group"):
        before = ours.get(entry.name)
        if before is None:
            continue
        if _members(before) != _members(entry):
            problem = f"the members are not those of {_there(before.origin)}"
            report.warn(entry.origin, problem, "the same instances")


def _members(group: Entry) -> set[str]:
    return {
        name
        for line in group.elements("group")
        for name in (line.value if isinstance(line.value, tuple) else ())
    }


def _compare_services(one: Parsed, other: Parsed, report: Report) -> None:
    """Note services that one director lacks, or spreads differently."""
    ours = {_service(entry): entry for entry in one.root.all("virtual_server")}
    theirs = {_service(entry): entry for entry in other.root.all("virtual_server")}
    for mark, entry in ours.items():
        if mark not in theirs:
            name = shown(" ".join(entry.statement.words[:2]))
            report.warn(entry.origin, f'virtual_server "{name}" is not in {other.path}')
    for mark, entry in theirs.items():
        before = ours.get(mark)
        name = shown(" ".join(entry.statement.words[:2]))
        if before is None:
            report.warn(entry.origin, f'virtual_server "{name}" is not in {one.path}')
            continue
        there = _there(before.origin)
        if _targets(before) != _targets(entry):
            problem = f'the servers of "{name}" are not those of {there}'
            report.warn(entry.origin, problem, "the same servers")
        elif _how(before) != _how(entry):
            problem = f'scheduler, method or persistence of "{name}" are not those of {there}'
            report.warn(entry.origin, problem, "the same")


def _service(entry: Entry) -> tuple[object, object]:
    protocol = entry.last("protocol")
    return entry.value, protocol and protocol.value


def _targets(service: Entry) -> set[object]:
    """Return the servers as they are written: a mistake in one is told elsewhere."""
    return {
        statement.words
        for statement in service.statement.block or ()
        if statement.keyword == "real_server"
    }


def _how(service: Entry) -> tuple[object, ...]:
    found = []
    for keywords in (("lvs_sched", "lb_algo"), ("lvs_method", "lb_kind"), ("persistence_timeout",)):
        entry = service.last(*keywords)
        found.append(entry.value if entry is not None else None)
    return (found[0] or "wlc", found[1] or Method(), found[2])


def _compare_names(one: Parsed, other: Parsed, report: Report) -> None:
    """Note that two directors call themselves alike in mail and log."""
    entries = [compile_global.merged(parsed.root).last("router_id") for parsed in (one, other)]
    first, second = entries
    if first is not None and second is not None and first.value == second.value:
        problem = f'router_id is "{shown(str(second.value))}" here and in {_there(first.origin)}'
        report.warn(second.origin, problem, "a name of its own for each director")
