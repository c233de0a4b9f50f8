"""Rules about virtual routers: what is dropped, changed, or known to go wrong."""

from collections.abc import Callable, Iterator
from typing import Final

from standfest.config.keepalived.check import Entry
from standfest.config.keepalived.judge_global import globals_of, hint, includes_are_missing
from standfest.config.keepalived.lists import Tracked
from standfest.config.keepalived.source import Report
from standfest.config.lines import as_bytes, shown
from standfest.model.time import NANOSECONDS_PER_SECOND as SECOND
from standfest.model.time import in_seconds
from standfest.model.vrrp import PRIORITY_OWNER, Family, UnicastPeer, VirtualAddress

PASSWORD_CHARACTERS: Final = 8
LONGEST_V3: Final = 40_950_000_000
"""40.95 s: the field has 12 bits of 10 ms (RFC 9568 section 5.2.7)."""

MAX_ADDRESSES: Final = 255
_NAMED: Final = ("vrrp_instance", "vrrp_sync_group", "bfd_instance")
_KEPT: Final = ("vrrp_script", "track_file", "vrrp_track_process", "track_group")
_TRACKS: Final = {
    "track_script": ("vrrp_script",),
    "track_file": ("track_file", "vrrp_track_file"),
    "track_process": ("vrrp_track_process",),
    "track_bfd": ("bfd_instance",),
}
_UNICAST: Final = ("unicast_src_ip", "unicast_ttl", "check_unicast_src", "old_unicast_checksum")


def instances(root: Entry) -> list[Entry]:
    """Return the virtual routers."""
    return root.all("vrrp_instance")


def addresses(instance: Entry) -> Iterator[tuple[VirtualAddress, Entry]]:
    """Yield the addresses that an instance advertises."""
    for line in instance.elements("virtual_ipaddress"):
        assert isinstance(line.value, VirtualAddress), "the block lists addresses"
        yield line.value, line


def family(instance: Entry) -> Family:
    """Return the family of an instance: that of its first address."""
    for address, _line in addresses(instance):
        return Family(address.ip.version)
    return Family.IPV6 if instance.has("native_ipv6") else Family.IPV4


def number(entry: Entry, keyword: str, default: int) -> int:
    """Return a number in a block."""
    found = entry.last(keyword)
    if found is None:
        return default
    assert isinstance(found.value, int), f"{keyword} is a number"
    return found.value


def version(root: Entry, instance: Entry) -> int:
    """Return the version that an instance speaks."""
    if family(instance) is Family.IPV6:
        return 3
    default = 2
    for entry in globals_of(root):
        if entry.keyword == "vrrp_version" and isinstance(entry.value, int):
            default = entry.value
    return number(instance, "version", default)


def names_once(root: Entry, report: Report) -> None:
    """Tell of two things of one name; keepalived drops the second, or keeps the last script."""
    for keyword in (*_NAMED, *_KEPT):
        seen: dict[str, Entry] = {}
        for entry in root.all(keyword):
            before = seen.setdefault(entry.name, entry)
            if before is entry:
                continue
            problem = f'{keyword} "{shown(entry.name)}" again, after line {before.origin.line}'
            tell = report.error if keyword in _NAMED else report.warn
            tell(entry.origin, problem, "another name")


def references(root: Entry, report: Report) -> None:
    """Tell of names that nothing has."""
    holders = (*instances(root), *root.all("vrrp_sync_group"))
    for keyword, kinds in _TRACKS.items():
        known = {entry.name for entry in root.all(*kinds)}
        for line in (line for holder in holders for line in holder.elements(keyword)):
            assert isinstance(line.value, Tracked), "the block lists tracked things"
            _refer(line, line.value.name, known, kinds[0], report)
    known = {entry.name for entry in instances(root)}
    for holder in (*root.all("vrrp_sync_group"), *root.all("track_group")):
        for line in holder.elements("group"):
            for name in _names(line):
                _refer(line, name, known, "vrrp_instance", report)


def _refer(line: Entry, name: str, known: set[str], kind: str, report: Report) -> None:
    if name in known:
        return
    problem = f'there is no {kind} "{shown(name)}"{hint(name, known)}'
    tell = report.warn if includes_are_missing(report) else report.error
    tell(line.origin, problem)


def groups(root: Entry, report: Report) -> None:
    """Tell of groups that hold nothing together."""
    for group in root.all("vrrp_sync_group"):
        members = [name for line in group.elements("group") for name in _names(line)]
        if not members:
            report.error(group.origin, f'vrrp_sync_group "{shown(group.name)}" has no members')
        elif len(members) == 1:
            problem = f'vrrp_sync_group "{shown(group.name)}" has one member'
            report.warn(group.origin, problem, "two or more, or no group")


def _names(line: Entry) -> tuple[str, ...]:
    assert isinstance(line.value, tuple), "the block lists names"
    return line.value


def identities(root: Entry, report: Report) -> None:
    """Tell of two virtual routers that nobody could tell apart on the wire."""
    seen: dict[tuple[object, ...], Entry] = {}
    for instance in instances(root):
        interface = instance.last("interface")
        peers = sorted(str(line.value) for line in instance.elements("unicast_peer"))
        group = instance.last("mcast_dst_ip")
        vrid = number(instance, "virtual_router_id", 0)
        mark = (interface and interface.name, family(instance), vrid, *peers, group and group.name)
        before = seen.setdefault(mark, instance)
        if before is instance or before.name == instance.name:
            continue
        entry = instance.last("virtual_router_id") or instance
        problem = f'virtual_router_id {vrid} is that of "{shown(before.name)}", line '
        report.error(entry.origin, f"{problem}{before.origin.line}", "one of its own")


def interfaces(root: Entry, report: Report) -> None:
    """Tell of instances that do not say where they are."""
    for instance in instances(root):
        unicast = any(True for _ in instance.elements("unicast_peer"))
        written = {statement.keyword for statement in instance.statement.block or ()}
        if "interface" in written or unicast:
            continue
        around = f'vrrp_instance "{shown(instance.name)}"'
        report.error(instance.statement.end, f"{around} has no interface", '"interface"')


def own_interfaces(root: Entry, report: Report) -> None:
    """Tell of instances that track their own interface, which means nothing."""
    for instance in instances(root):
        own = instance.last("interface")
        for line in instance.elements("track_interface"):
            if isinstance(line.value, Tracked) and own is not None and line.value.name == own.name:
                problem = f"{shown(own.name)} is the interface of the instance: not tracked, too"
                report.warn(line.origin, problem, "another one")


def families(root: Entry, report: Report) -> None:
    """Tell of addresses and peers of the other family, which are dropped."""
    for instance in instances(root):
        ours = family(instance)
        for address, line in addresses(instance):
            if address.ip.version != ours:
                problem = f"{address.ip} is not IPv{ours.value}, as the first address is"
                report.error(line.origin, problem, "it in virtual_ipaddress_excluded")
        for line in instance.elements("unicast_peer"):
            peer = line.value
            assert isinstance(peer, UnicastPeer), "the block lists peers"
            if peer.address.version != ours:
                problem = f"peer {peer.address} is not IPv{ours.value}, as the addresses are"
                report.error(line.origin, problem)


def first_address(root: Entry, report: Report) -> None:
    """Warn of what a receiver would object to in the list of addresses."""
    for instance in instances(root):
        listed = list(addresses(instance))
        around = f'vrrp_instance "{shown(instance.name)}"'
        if not listed and not instance.has("no_virtual_ipaddress"):
            if not any(
                s.keyword == "virtual_ipaddress" and s.block for s in instance.statement.block or ()
            ):
                report.warn(instance.origin, f"{around} has no virtual address")
        elif listed and family(instance) is Family.IPV6 and not listed[0][0].ip.is_link_local:
            problem = f"the first address of {around} is {listed[0][0].ip}"
            report.warn(listed[0][1].origin, problem, "a link-local one (fe80::...)")
        if len(listed) > MAX_ADDRESSES:
            problem = (
                f"{around} has {len(listed)} addresses, an advertisement holds {MAX_ADDRESSES}"
            )
            report.warn(instance.origin, problem, "more of them in virtual_ipaddress_excluded")


def passwords(root: Entry, report: Report) -> None:
    """Say which passwords are too long, are not used, or are missing."""
    for instance in instances(root):
        block = instance.last("authentication")
        if block is None:
            continue
        password = block.last("auth_pass")
        if password is not None:
            size = len(as_bytes(password.name))
            if size > PASSWORD_CHARACTERS:
                problem = f"auth_pass has {size} characters, of which keepalived uses the first"
                expected = f"{PASSWORD_CHARACTERS} at most, e.g. just these"
                # The protocol has no room for more, and both sides cut it alike: it runs.
                report.tolerate(password.origin, f"{problem} {PASSWORD_CHARACTERS}", expected)
        if version(root, instance) == 3 and block.has("auth_type", "auth_pass"):
            problem = "VRRPv3 has no passwords: authentication is ignored"
            report.warn(block.origin, problem)
        elif block.has("auth_type") != block.has("auth_pass") and not _bad(block):
            missing = "auth_pass" if block.has("auth_type") else "auth_type"
            report.warn(block.origin, f"authentication without {missing}", missing)
        kind = block.last("auth_type")
        if kind is not None and kind.value == "AH" and _state(instance) == "MASTER":
            report.warn(kind.origin, "with AH, state MASTER is taken for BACKUP")


def _bad(block: Entry) -> bool:
    return len(block.statement.block or ()) != len(block.entries)


def _state(instance: Entry) -> str:
    state = instance.last("state")
    return str(state.value) if state is not None else "BACKUP"


def preemption(root: Entry, report: Report) -> None:
    """Warn of nopreempt where it means nothing."""
    for instance in instances(root):
        entry = instance.last("nopreempt")
        if entry is None:
            continue
        if _state(instance) == "MASTER":
            problem = "nopreempt does not work with state MASTER, and is cleared"
            report.warn(entry.origin, problem, "state BACKUP on all directors")
        if number(instance, "priority", 100) == PRIORITY_OWNER:
            report.warn(entry.origin, "nopreempt does not work with priority 255")
        delay = instance.last("preempt_delay")
        if delay is not None and delay.value:
            report.warn(delay.origin, "preempt_delay means nothing with nopreempt")


def weights(root: Entry, report: Report) -> None:
    """Warn of weights that cannot change a priority."""
    grouped = {
        name
        for group in root.all("vrrp_sync_group")
        if not group.has("sync_group_tracking_weight", "global_tracking")
        for line in group.elements("group")
        for name in _names(line)
    }
    own = {keyword: _own_weights(root, kinds) for keyword, kinds in _TRACKS.items()}
    for instance in instances(root):
        owner = number(instance, "priority", 100) == PRIORITY_OWNER
        if not owner and instance.name not in grouped:
            continue
        for keyword in ("track_interface", *_TRACKS):
            for line in instance.elements(keyword):
                if _weight(line, own.get(keyword, {})):
                    _weightless(line, report, owner=owner)


def _weightless(line: Entry, report: Report, *, owner: bool) -> None:
    name = shown(line.statement.keyword)
    if owner:
        problem = f"the weight of {name} means nothing: priority 255 never changes"
        report.warn(line.origin, problem, "a priority below 255")
    else:
        problem = f"the weight of {name} means nothing in a sync group"
        report.warn(line.origin, problem, "weight 0, or it in the group")


def _own_weights(root: Entry, kinds: tuple[str, ...]) -> dict[str, int]:
    found = {}
    for thing in root.all(*kinds):
        weight = thing.last("weight")
        if weight is not None:
            assert isinstance(weight.value, tuple), "a weight and whether it is reversed"
            found[thing.name] = int(weight.value[0])
    return found


def _weight(line: Entry, own: dict[str, int]) -> int:
    tracked = line.value
    assert isinstance(tracked, Tracked), "the block lists tracked things"
    return own.get(tracked.name, 0) if tracked.weight is None else tracked.weight


def intervals(root: Entry, report: Report) -> None:
    """Warn of intervals that the version cannot express."""
    for instance in instances(root):
        entry = instance.last("advert_int")
        if entry is None or not isinstance(entry.value, int):
            continue
        if version(root, instance) == 2 and entry.value % SECOND:
            problem = (
                f"VRRPv2 counts whole seconds, advert_int {in_seconds(entry.value):g} does not"
            )
            report.warn(entry.origin, problem, "version 3, or whole seconds")
        elif version(root, instance) == 3 and entry.value > LONGEST_V3:
            problem = f"advert_int is {in_seconds(entry.value):g}; VRRPv3 has 40.95 s at most"
            report.warn(entry.origin, problem, "0.01 to 40.95")


def unicast(root: Entry, report: Report) -> None:
    """Warn of half of a unicast set-up, and of VMACs with it."""
    for instance in instances(root):
        peers = [*instance.elements("unicast_peer")]
        for keyword in _UNICAST:
            entry = instance.last(keyword)
            if entry is not None and not peers and not instance.has("unicast_fault_no_peer"):
                problem = f'"{keyword}" without peers: advertisements go to the group'
                report.warn(entry.origin, problem, "unicast_peer { ... }")
        hidden = instance.has("use_vmac") and not instance.has("vmac_xmit_base")
        if hidden and (peers or instance.has(*_UNICAST)):
            problem = "use_vmac with unicast sends from the interface below"
            report.tolerate(instance.statement.end, problem, '"vmac_xmit_base"')
        if instance.has("use_vmac") and (entry := instance.last("promote_secondaries")):
            report.warn(entry.origin, "promote_secondaries is always set on a VMAC")


def strictness(root: Entry, report: Report) -> None:
    """Warn of what strict mode forbids, and of what it surprises with."""
    everywhere = next((e for e in globals_of(root) if e.keyword == "vrrp_strict"), None)
    for instance in instances(root):
        own = instance.last("strict_mode")
        if not (own.value if own is not None else everywhere is not None):
            continue
        cause = own or everywhere
        assert cause is not None, "one of them is on"
        owner = number(instance, "priority", 100) == PRIORITY_OWNER
        around = f'vrrp_instance "{shown(instance.name)}"'
        if instance.has("authentication"):
            block = instance.last("authentication")
            assert block is not None, "it has one"
            report.warn(block.origin, f"strict mode: {around} may not have authentication")
        if any(True for _ in instance.elements("unicast_peer")):
            report.warn(cause.origin, f"strict mode: {around} may not have unicast peers")
        if (_state(instance) == "MASTER") != owner and instance.has("state"):
            report.warn(cause.origin, f"strict mode: {around} is MASTER if and only if it has 255")
        if not owner and not instance.has("accept"):
            problem = f"strict mode: the addresses of {around} will not answer, not even to ping"
            report.warn(cause.origin, problem, '"accept" with VRRPv3')


def old_spellings(root: Entry, report: Report) -> None:
    """Warn of a second lvs_sync_daemon_interface: there is one daemon."""
    before: Entry | None = None
    for instance in instances(root):
        for entry in instance.all("lvs_sync_daemon_interface"):
            if before is not None:
                problem = f"the sync daemon has an interface already, line {before.origin.line}"
                report.warn(entry.origin, problem)
            before = before or entry


def neighbors(root: Entry, report: Report) -> None:
    """Tell of BFD sessions with nobody."""
    for session in root.all("bfd_instance"):
        written = {statement.keyword for statement in session.statement.block or ()}
        if not written & {"neighbor_ip", "neighbour_ip"}:
            problem = f'bfd_instance "{shown(session.name)}" has no neighbor'
            report.error(session.statement.end, problem, '"neighbor_ip"')


Rule = Callable[[Entry, Report], None]
RULES: Final[tuple[Rule, ...]] = (
    names_once,
    references,
    groups,
    identities,
    interfaces,
    own_interfaces,
    families,
    first_address,
    passwords,
    preemption,
    weights,
    intervals,
    unicast,
    strictness,
    old_spellings,
    neighbors,
)
