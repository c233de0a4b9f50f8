"""What a director finds when it asks the network about its services and servers, judged.

Who answers for an address was asked before, by ARP or neighbour solicitation: here it is only
compared. Source: TUM-I0828 section 5.3.5.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from standfest.core.setup.advice import Advice
from standfest.core.setup.realserver import IPIP_BYTES, on_link
from standfest.model.balancing import (
    AddressService,
    BalancerSettings,
    Forwarding,
    Protocol,
    RealServer,
)
from standfest.model.setup import Interface, Situation
from standfest.model.vrrp import IPAddress

MAX_ASKED = 256
"""Addresses that are asked for at most: each may cost a second."""

TCP_BYTES = 20
"""TCP's header, which the segments of a connection share their packets with."""

Place = tuple[str, IPAddress]
"""An interface and the address that is asked for there."""

Way = tuple[IPAddress, IPAddress, int]
"""From a virtual address to a server's port."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at: addresses of services, and servers by how they are reached."""

    vips: tuple[IPAddress, ...] = ()
    direct: tuple[IPAddress, ...] = ()
    tunnelled: tuple[IPAddress, ...] = ()
    ways: tuple[Way, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """Who answered: MACs by place; and of each way whether the server's answer came back.

    back: (from an address of the servers' network, from the virtual address); None: not tried.
    """

    owners: Mapping[Place, frozenset[bytes]] = field(default_factory=dict)
    back: Mapping[Way, tuple[bool, bool]] = field(default_factory=dict)


def subject(balancer: BalancerSettings) -> Subject:
    """Return what a configuration has that can be asked for, each once."""
    vips: list[IPAddress] = []
    servers: dict[Forwarding, list[IPAddress]] = {method: [] for method in Forwarding}
    ways: list[Way] = []
    for service in balancer.services:
        target = service.service
        if isinstance(target, AddressService):
            vips.append(target.ip)
        for server in service.servers:
            servers[server.method.forwarding].append(server.ip)
            if isinstance(target, AddressService) and _is_tried(server, service.protocol):
                ways.append((target.ip, server.ip, server.port or target.port))
    return Subject(
        _some(vips),
        _some(servers[Forwarding.DIRECT]),
        _some(servers[Forwarding.TUNNEL]),
        tuple(dict.fromkeys(ways))[:MAX_ASKED],
    )


def _some(ips: Sequence[IPAddress]) -> tuple[IPAddress, ...]:
    return tuple(dict.fromkeys(ips))[:MAX_ASKED]


def _is_tried(server: RealServer, protocol: Protocol) -> bool:
    return server.method.forwarding is Forwarding.NAT and protocol is Protocol.TCP


def questions(asked: Subject, situation: Situation) -> tuple[Place, ...]:
    """Return who has to be asked for, and where: servers first."""
    ours = {ip_address(one.ip) for one in situation.addresses}
    places: list[Place] = []
    for ip in asked.direct:
        device = on_link(ip, "", situation)
        if device is not None and ip not in ours:
            places.append((device.name, ip))
    segments = [name for name, _ in places]
    for vip in asked.vips:
        at = _home(vip, situation)
        names = ([at.name] if at is not None else []) + segments
        places += [(name, vip) for name in dict.fromkeys(names)]
    return tuple(dict.fromkeys(places))[:MAX_ASKED]


def _home(vip: IPAddress, situation: Situation) -> Interface | None:
    """Return the interface whose network an address is in, or else the one that has it."""
    near = on_link(vip, "", situation)
    if near is not None:
        return near
    names = [one.device for one in situation.addresses if ip_address(one.ip) == vip]
    devices = [situation.interface(name) for name in names]
    return next((one for one in devices if one is not None and one.arp), None)


def of_director(asked: Subject, heard: Heard, situation: Situation) -> tuple[Advice, ...]:
    """Return what is wrong between this director and its servers."""
    return (
        *_segments(asked, heard, situation),
        *_owners(asked, heard, situation),
        *_ways_back(heard),
        *_room(asked, situation),
    )


def _segments(asked: Subject, heard: Heard, situation: Situation) -> Iterator[Advice]:
    ours = {ip_address(one.ip) for one in situation.addresses}
    for ip in asked.direct:
        if ip in ours:
            continue
        device = on_link(ip, "", situation)
        if device is None:
            why = "direct routing changes the MAC only: it reaches this director's segments"
            problem = f"the DR server {ip} is in no network of this machine"
            yield Advice(problem, why, "lvs_method TUN or NAT, or an address in its segment")
        elif not heard.owners.get((device.name, ip)):
            why = "it is down, or in another segment with the same network"
            yield Advice(f"nobody on {device.name} has the DR server's {ip}", why)


def _owners(asked: Subject, heard: Heard, situation: Situation) -> Iterator[Advice]:
    names: dict[bytes, list[IPAddress]] = {}
    for (_, ip), macs in heard.owners.items():
        for mac in macs if ip in asked.direct else ():
            names.setdefault(mac, []).append(ip)
    ours = {ip_address(one.ip) for one in situation.addresses}
    for (device, vip), macs in heard.owners.items():
        if vip not in asked.vips:
            continue
        servers = sorted(
            str(min(names[mac], key=lambda ip: (ip.version != vip.version, int(ip))))
            for mac in macs
            if mac in names
        )
        strangers = sorted(mac.hex(":") for mac in macs if mac not in names)
        for server in servers:
            why = "clients that hear it pass the director by, and so does the network's switch"
            remedy = f"there: standfest realserver up --vip {vip} --method dr"
            yield Advice(f"the real server {server} answers for {vip} on {device}", why, remedy)
        if strangers and vip in ours:
            why = "this machine has it: a real server, or a second active director"
            problem = f"{', '.join(strangers)} answers for {vip} on {device}, too"
            yield Advice(problem, why)
        elif len(strangers) > 1:
            why = "one of them is the active director, the others are not"
            yield Advice(f"{', '.join(strangers)} answer for {vip} on {device}", why)
    held = {vip for (_, vip), macs in heard.owners.items() if macs}
    for vip in asked.vips:
        if vip not in ours and vip not in held:
            why = "clients reach nobody: neither this director is active nor another"
            yield Advice(f"nobody has {vip}", why, "start the virtual router that has it")


def _ways_back(heard: Heard) -> Iterator[Advice]:
    for (vip, server, port), (near, far) in heard.back.items():
        if near and not far:
            why = (
                f"it answers this network's own addresses on port {port}, and not {vip}: "
                "its default route does not lead back to this director"
            )
            remedy = "there: standfest realserver up --method nat --gateway DIRECTOR"
            yield Advice(f"answers of the NAT server {server} do not come back", why, remedy)


def _room(asked: Subject, situation: Situation) -> Iterator[Advice]:
    """Clients' packets that fit their network do not fit into an envelope of the same size."""
    outer = [home for vip in asked.vips if (home := _home(vip, situation)) is not None]
    longest = max((one.mtu for one in outer), default=0)
    for ip in asked.tunnelled:
        device = on_link(ip, "", situation) or _default(ip, situation)
        if device is None:
            continue
        room = device.mtu - IPIP_BYTES[ip.version]
        if room < longest:
            why = (
                f"{device.mtu} of {device.name} less {IPIP_BYTES[ip.version]}: longer ones are "
                "refused by ICMP, which nobody may filter"
            )
            problem = f"packets of clients (up to {longest}) do not fit into the tunnel to {ip}"
            headers = TCP_BYTES + IPIP_BYTES[ip.version]
            remedy = f"advmss {room - headers} on the server's default route keeps TCP below it"
            yield Advice(f"{problem}: {room}", why, remedy, error=False)


def _default(ip: IPAddress, situation: Situation) -> Interface | None:
    ways = [one for one in situation.defaults if one.family == ip.version]
    best = min(ways, key=lambda one: one.metric, default=None)
    return situation.interface(best.device) if best is not None else None


def near_address(server: IPAddress, situation: Situation) -> IPAddress | None:
    """Return this machine's first address in a server's network, or None."""
    device = on_link(server, "", situation)
    for one in situation.addresses:
        ip = ip_address(one.ip)
        local = device is not None and one.device == device.name and ip.version == server.version
        if local and one.prefix < ip.max_prefixlen and not ip.is_link_local:
            return ip
    return None


def ways_to_try(asked: Subject, situation: Situation) -> Sequence[Way]:
    """Return the ways of which both ends can be judged: the address is here, the server near.

    A server in the network of the virtual address answers it directly whatever its routes are.
    """
    ours = {ip_address(one.ip) for one in situation.addresses}
    found = []
    for vip, server, port in asked.ways:
        device = on_link(server, "", situation)
        home = on_link(vip, "", situation)
        if vip in ours and server not in ours and device is not None and device != home:
            found.append((vip, server, port))
    return found
