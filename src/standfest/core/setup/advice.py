"""What keeps a machine from being a real server of a service, each with its reason.

Source: TUM-I0828 section 5.3.5 and what `realserver.plans` does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from standfest.core.setup.realserver import (
    ARP_ANNOUNCE,
    CONF,
    IPIP_BYTES,
    TUNNELS,
    Wanted,
    on_link,
    outer_mtu,
)
from standfest.model.balancing import Forwarding
from standfest.model.errors import OperationError
from standfest.model.setup import Situation
from standfest.model.vrrp import IPAddress


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing that is wrong (error) or dangerous, why, and what to do."""

    problem: str
    reason: str
    remedy: str = ""
    error: bool = True

    def __str__(self) -> str:
        """Return one line."""
        mark = "" if self.error else "warning: "
        tail = f"; {self.remedy}" if self.remedy else ""
        return f"{mark}{self.problem} ({self.reason}){tail}"

    def as_json(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return {
            "severity": "error" if self.error else "warning",
            "problem": self.problem,
            "reason": self.reason,
            "remedy": self.remedy,
        }


def summary(found: Sequence[Advice]) -> str:
    """Return the last line of a check."""
    errors = sum(one.error for one in found)
    warnings = len(found) - errors
    words = [
        f"{count} {what}{'' if count == 1 else 's'}"
        for count, what in ((errors, "error"), (warnings, "warning"))
    ]
    return f"{', '.join(words)}: {'not right' if errors else 'right'}"


def of_server(wanted: Wanted, situation: Situation) -> tuple[Advice, ...]:
    """Return what is wrong with this machine as a real server."""
    if wanted.method is Forwarding.NAT:
        return tuple(_translated(wanted, situation))
    found: list[Advice] = []
    for vip in wanted.vips:
        found += _local(vip, wanted, situation)
        if wanted.method is Forwarding.TUNNEL:
            found += _tunnel(vip, wanted, situation)
    if any(vip.version == 4 for vip in wanted.vips):
        found += _speaks(situation)
        found += _drops(situation)
    return tuple(found)


def _local(vip: IPAddress, wanted: Wanted, situation: Situation) -> Iterator[Advice]:
    up = f"standfest realserver up --vip {vip} --method {wanted.method.value.lower()}"
    places = [one.device for one in situation.addresses if ip_address(one.ip) == vip]
    if not places:
        why = "packets to it are not for this machine, which forwards or drops them"
        yield Advice(f"{vip} is not local", why, up)
    for name in places:
        device = situation.interface(name)
        if device is not None and device.arp:
            why = "it answers for the address, and clients pass the director by"
            yield Advice(f"{vip} is on {name}, a network's interface", why, f"remove it, then {up}")
        elif device is not None and not device.up:
            yield Advice(f"{name}, which has {vip}, is down", "its addresses do not count", up)


def _speaks(situation: Situation) -> Iterator[Advice]:
    everywhere = situation.sysctl(f"{CONF}/all/arp_ignore")
    announce = situation.sysctl(f"{CONF}/all/arp_announce")
    for one in situation.network():
        if not one.arp:
            continue
        if max(everywhere, situation.sysctl(f"{CONF}/{one.name}/arp_ignore")) == 0:
            why = "arp_ignore is 0: it answers for every address of the machine"
            remedy = "standfest realserver up"
            yield Advice(f"{one.name} answers ARP for the virtual address", why, remedy)
        if max(announce, situation.sysctl(f"{CONF}/{one.name}/arp_announce")) < ARP_ANNOUNCE:
            why = "arp_announce is below 2: its ARP requests may name it as the sender's"
            problem = f"{one.name} tells neighbours that the virtual address is here"
            yield Advice(problem, why, "standfest realserver up")


def _drops(situation: Situation) -> Iterator[Advice]:
    """A strict reverse path filter drops what comes in where the answer does not leave."""
    everywhere = situation.sysctl(f"{CONF}/all/rp_filter")
    ways = {one.device for one in situation.defaults if one.family == 4}
    for one in situation.network():
        strict = max(everywhere, situation.sysctl(f"{CONF}/{one.name}/rp_filter")) == 1
        if strict and one.name not in ways:
            why = "rp_filter is 1, and the way to clients is by another interface"
            problem = f"{one.name} drops clients' packets that the director sends there"
            yield Advice(problem, why, "rp_filter 2 or 0", error=False)


def _tunnel(vip: IPAddress, wanted: Wanted, situation: Situation) -> Iterator[Advice]:
    name, kind = TUNNELS[vip.version]
    devices = [one for one in situation.interfaces if one.kind == kind]
    if not devices and str(vip) in situation.tunnels:
        return  # in the drivers, where whole packets of the network come in
    if not devices:
        why = "nothing takes the director's packets out of their envelopes"
        yield Advice(f"there is no {kind} interface", why, "standfest realserver up --method tun")
        return
    everywhere = situation.sysctl(f"{CONF}/all/rp_filter")
    try:
        room = outer_mtu(wanted.interface, situation) - IPIP_BYTES[vip.version]
    except OperationError as error:
        yield Advice(str(error), "tunnelled packets come in by it")
        return
    for one in devices:
        if one.name == name and not one.up:
            yield Advice(f"{name} is down", "it takes nothing out", f"ip link set {name} up")
        strict = max(everywhere, situation.sysctl(f"{CONF}/{one.name}/rp_filter")) == 1
        if vip.version == 4 and one.up and strict:
            why = "rp_filter is 1, and no client is reached through the tunnel"
            yield Advice(f"{one.name} drops what it has taken out", why, "rp_filter 0 or 2")
        if one.mtu > room and one.up:
            why = f"the network's {room + IPIP_BYTES[vip.version]} less {IPIP_BYTES[vip.version]}"
            problem = f"the MTU of {one.name} is {one.mtu}, expected {room} at most"
            yield Advice(problem, why, f"ip link set {one.name} mtu {room}")


def _translated(wanted: Wanted, situation: Situation) -> Iterator[Advice]:
    for vip in wanted.vips:
        if any(ip_address(one.ip) == vip for one in situation.addresses):
            why = "under NAT packets come with this machine's own address"
            yield Advice(f"{vip} is on this machine", why, "only the director has it")
        near = on_link(vip, "", situation)
        if near is not None:
            why = "answers to clients there do not pass the director, which must turn them back"
            problem = f"{near.name} is in the network of {vip}"
            yield Advice(problem, why, "take that interface down (section 5.3.2)", error=False)
    yield from _way_back(wanted, situation)


def _way_back(wanted: Wanted, situation: Situation) -> Iterator[Advice]:
    families = {one.version for one in wanted.vips} or {4}
    if wanted.gateway is not None:
        families = {wanted.gateway.version}
    for family in sorted(families):
        ways = [one for one in situation.defaults if one.family == family]
        best = min(ways, key=lambda one: one.metric, default=None)
        expected = f" {wanted.gateway}" if wanted.gateway is not None else ""
        remedy = f"standfest realserver up --method nat --gateway{expected or ' DIRECTOR'}"
        if best is None:
            why = "answers must pass the director, which turns their addresses back"
            yield Advice(f"there is no IPv{family} default route", why, remedy)
        elif wanted.gateway is None:
            why = "whether that is the director is known with --gateway only"
            problem = f"the default route is by {best.gateway or best.device}"
            yield Advice(problem, why, error=False)
        elif best.gateway != str(wanted.gateway):
            why = "answers leave past the director, with this machine's address, and are refused"
            problem = f"the default route is by {best.gateway or best.device}, not{expected}"
            yield Advice(problem, why, remedy)
