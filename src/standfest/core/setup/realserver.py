"""What makes a machine a real server of a virtual service: the steps, and why each.

DR and TUN: the service's address stands on an interface that nobody hears of, and the settings that
keep the machine silent about it come first. Tunnels that the kernel makes no interface for end in
the drivers. NAT: answers must leave through the director.
Source: TUM-I0828 sections 5.3.2 to 5.3.4; Documentation/networking/ip-sysctl.rst.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface

from standfest.model.balancing import Forwarding
from standfest.model.errors import OperationError
from standfest.model.setup import (
    AddAddress,
    Interface,
    MakeLink,
    OpenTunnel,
    SetDefault,
    SetLink,
    SetMtu,
    SetSysctl,
    Situation,
    Step,
)
from standfest.model.vrrp import IPAddress

DUMMY = "sfvip0"
CONF = "net/ipv4/conf"
IPIP_BYTES = {4: 20, 6: 40}
"""What a tunnel puts before each packet: an IP header (an IPv6 one without options)."""

TUNNELS = {4: ("tunl0", "ipip"), 6: ("ip6tnl0", "ip6tnl")}
"""The device that takes tunnelled packets from anywhere, and its kind."""

_WORDS = frozenset(one.value.lower() for one in Forwarding)
IPV6_METRIC = 1
ARP_IGNORE = 1
ARP_ANNOUNCE = 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one real server shall be; gateway: the director, for NAT; interface "": found."""

    vips: tuple[IPAddress, ...]
    method: Forwarding
    gateway: IPAddress | None = None
    interface: str = ""


def kinds(wanted: Wanted) -> tuple[str, ...]:
    """Return the kinds of interfaces that a plan may want to make."""
    if wanted.method is Forwarding.DIRECT:
        return ("dummy",)
    if wanted.method is Forwarding.TUNNEL:
        return tuple(sorted({TUNNELS[vip.version][1] for vip in wanted.vips}))
    return ()


def plans(wanted: Wanted, situation: Situation) -> dict[str, tuple[Step, ...]]:
    """Return the steps by entry (one for each address, one for a gateway).

    Raises OperationError when the machine cannot be, or must not be, such a server.
    """
    if wanted.interface and situation.interface(wanted.interface) is None:
        names = ", ".join(one.name for one in situation.interfaces)
        raise OperationError(f"no network interface {wanted.interface}; there are {names}")
    _refuse_owned(wanted, situation)
    if wanted.method is Forwarding.NAT:
        gateway = wanted.gateway
        if gateway is None:
            raise OperationError("NAT needs --gateway, the director's address on this network")
        return {f"nat gateway {gateway}": _routed(gateway, wanted.interface, situation)}
    make = _direct if wanted.method is Forwarding.DIRECT else _tunnelled
    word = wanted.method.value.lower()
    return {f"{word} {vip}": tuple(make(vip, wanted, situation)) for vip in wanted.vips}


def entries_of(names: Iterable[str], vips: Sequence[IPAddress], method: str) -> tuple[str, ...]:
    """Return those of a ledger's entries that are a real server's: of these addresses, or all."""
    found = []
    for name in names:
        word, _, rest = name.partition(" ")
        ours = word in _WORDS and method in ("", word)
        if ours and (not vips or rest in {str(vip) for vip in vips} or word == "nat"):
            found.append(name)
    return tuple(found)


def _refuse_owned(wanted: Wanted, situation: Situation) -> None:
    """A machine that answers for the address is its director, or is about to fight with him."""
    for vip in wanted.vips:
        for address in situation.addresses:
            device = situation.interface(address.device)
            if ip_address(address.ip) != vip or device is None:
                continue
            if wanted.method is Forwarding.NAT:
                raise OperationError(
                    f"{vip} is on {device.name}: under NAT only the director has it"
                )
            if device.arp:
                raise OperationError(
                    f"{vip} is on {device.name}, which answers for it; expected it on no interface "
                    "of a network (the director has it there)"
                )


def _quiet(vip: IPAddress, situation: Situation) -> list[Step]:
    """Return what keeps the machine from telling the network about the address."""
    if vip.version == 6:
        return []  # a solicitation is answered by the interface that has the address, no other
    steps: list[Step] = []
    rules = (
        ("arp_ignore", ARP_IGNORE, "answer ARP only for addresses of the interface that is asked"),
        ("arp_announce", ARP_ANNOUNCE, "never name the virtual address as the sender of ARP"),
    )
    for word, value, why in rules:
        # Also what is so already: the entry needs it, whoever has set it.
        name = f"{CONF}/all/{word}"
        steps.append(SetSysctl(name, str(max(value, situation.sysctl(name))), why))
    everywhere = situation.sysctl(f"{CONF}/all/rp_filter")
    for one in situation.network():
        name = f"{CONF}/{one.name}/rp_filter"
        # Strict now, or loose by its own setting, which may be ours.
        if max(everywhere, situation.sysctl(name)) in (1, 2) and everywhere < 2:
            why = "clients' packets may come in where answers do not leave"
            steps.append(SetSysctl(name, "2", why))
    return steps


def _direct(vip: IPAddress, wanted: Wanted, situation: Situation) -> list[Step]:
    steps = _quiet(vip, situation)
    device = next((one for one in situation.interfaces if one.loopback), None)
    name = device.name if device is not None else "lo"
    if "dummy" in situation.kinds or situation.interface(DUMMY) is not None:
        name = DUMMY
        steps.append(MakeLink(DUMMY, "dummy", "the address stands where no network is"))
    steps.append(SetLink(name, up=True))
    return [*steps, _address(name, vip)]


def _tunnelled(vip: IPAddress, wanted: Wanted, situation: Situation) -> list[Step]:
    name, kind = TUNNELS[vip.version]
    if situation.interface(name) is None and kind not in situation.kinds:
        return _driven(vip, wanted, situation)
    steps = _quiet(vip, situation)
    steps.append(MakeLink(name, kind, "takes the director's packets out of their envelopes"))
    if vip.version == 4:
        strict = situation.sysctl(f"{CONF}/all/rp_filter") != 0
        why = "the client's packet comes out of the tunnel, the answer does not go in"
        # The greater of `all` and this one holds, and only 2 makes a strict `all` loose.
        steps.append(SetSysctl(f"{CONF}/{name}/rp_filter", "2" if strict else "0", why))
    mtu = outer_mtu(wanted.interface, situation) - IPIP_BYTES[vip.version]
    steps += [
        SetMtu(name, mtu, "an envelope must fit into the network's packets"),
        SetLink(name, up=True),
        _address(name, vip),
    ]
    return steps


def _driven(vip: IPAddress, wanted: Wanted, situation: Situation) -> list[Step]:
    """Take packets out of their envelopes before the stack sees them: then it is as with DR."""
    outer_mtu(wanted.interface, situation)
    devices = [one.name for one in situation.network() if one.arp]
    kind = TUNNELS[vip.version][1]
    tunnel = OpenTunnel(
        str(vip),
        wanted.interface or " ".join(devices),
        f"this kernel makes no {kind} interface",
    )
    *steps, address = _direct(vip, wanted, situation)
    return [*steps, tunnel, address]


def outer_mtu(interface: str, situation: Situation) -> int:
    """Return the MTU of the interface that tunnelled packets come in by; raises OperationError."""
    found = [one for one in situation.network() if interface in ("", one.name)]
    if not found:
        raise OperationError(
            "no interface of a network is up; expected one that the director reaches"
        )
    return min(one.mtu for one in found)


def _address(device: str, vip: IPAddress) -> AddAddress:
    return AddAddress(device, str(vip), vip.max_prefixlen, "packets to it are for this machine")


def _routed(gateway: IPAddress, interface: str, situation: Situation) -> tuple[Step, ...]:
    if any(ip_address(one.ip) == gateway for one in situation.addresses):
        raise OperationError(f"gateway {gateway} is this machine; expected the director's address")
    device = on_link(gateway, interface, situation)
    if device is None:
        where = f"of {interface}" if interface else "that this machine is in"
        raise OperationError(
            f"gateway {gateway} is in no network {where}; expected one on the link"
        )
    metric = 0 if gateway.version == 4 else IPV6_METRIC
    why = "answers must pass the director, which turns their addresses back"
    return (SetDefault(gateway.version, str(gateway), device.name, metric, why=why),)


def on_link(ip: IPAddress, interface: str, situation: Situation) -> Interface | None:
    """Return the interface whose network an address is in, or None."""
    for address in situation.addresses:
        device = situation.interface(address.device)
        if device is None or not device.up or interface not in ("", device.name):
            continue
        network = ip_interface(f"{address.ip}/{address.prefix}").network
        if network.version == ip.version and ip in network and network.num_addresses > 1:
            return device
    return None
