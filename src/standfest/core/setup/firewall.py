"""What a director's packet filter must let through, and what it must do to packets, with reasons.

From keepalived.conf and ha.cf, and from what the machine is like; `filtertext` makes rules of it.
Source: TUM-I0828 sections 5.3.1, 5.3.2 and B.8; RFC 9568 section 5.1 (VRRP), RFC 5881 section 4
and RFC 5883 section 5 (BFD).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import Final

from standfest.core.setup.realserver import on_link
from standfest.model.balancing import (
    AddressService,
    BalancerSettings,
    Forwarding,
    GroupService,
    MarkService,
    VirtualService,
)
from standfest.model.director import DirectorSettings
from standfest.model.settings import Bcast, HeartbeatSettings, Mcast, Ucast
from standfest.model.setup import SetSysctl, Situation, Step
from standfest.model.vrrp import AuthenticationType, Family, IPAddress

PROTOCOL_AH: Final = 51
PROTOCOL_VRRP: Final = 112
BFD_PORT, BFD_MULTIHOP_PORT = 3784, 4784
SYNC_GROUP: Final = IPv4Address("224.0.0.81")
"""Where IPVS's sync daemon sends to when nothing is said; its port is 8848."""

MAX_ENDS: Final = 65_536
"""Addresses with ports in one rule."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Packets that are accepted, or (masquerade) get this machine's address as their source.

    chain: input, forward or postrouting. protocol: tcp, udp, sctp, a number, or "" for any.
    ends: (address, port) of which one must be the destination (`of` "d") or source ("s");
    port 0: any. sources, destinations: addresses or networks. not_out: an interface packets
    must not leave by. established: only what belongs to a connection that is known.
    """

    chain: str
    why: str
    family: Family | None = None
    protocol: str = ""
    interface: str = ""
    not_out: str = ""
    sources: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()
    port: int = 0
    of: str = "d"
    ends: tuple[tuple[IPAddress, int], ...] = ()
    established: bool = False
    masquerade: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Rules, kernel settings, and what has to be done elsewhere."""

    rules: tuple[Rule, ...] = ()
    settings: tuple[Step, ...] = ()
    notes: tuple[str, ...] = field(default=())


def plan(
    director: DirectorSettings | None,
    balancer: BalancerSettings | None,
    heartbeat: HeartbeatSettings | None,
    situation: Situation,
) -> Plan:
    """Return all that the files need, in the order in which it is printed."""
    rules: list[Rule] = []
    settings: list[Step] = []
    notes: list[str] = []
    if director is not None:
        rules += _routers(director)
    if heartbeat is not None:
        rules += _heartbeats(heartbeat)
    if balancer is not None:
        rules += _sync(balancer)
        servers = _Servers.of(balancer)
        rules += servers.rules(situation)
        settings += servers.settings(situation, balancer)
        notes += servers.notes()
    return Plan(tuple(dict.fromkeys(rules)), tuple(settings), tuple(notes))


def _routers(director: DirectorSettings) -> Iterator[Rule]:
    for one in director.instances:
        protocol = PROTOCOL_VRRP
        why = f"VRRP of {one.name}"
        if one.authentication.type is AuthenticationType.AH:
            protocol, why = PROTOCOL_AH, f"VRRP of {one.name} behind an authentication header"
        rule = Rule("input", why, one.family, str(protocol), one.interface)
        if one.unicast:
            peers = tuple(str(peer.address) for peer in one.unicast_peers)
            if peers:
                yield replace(rule, sources=peers)
        else:
            yield replace(rule, destinations=(str(one.multicast_group),))
    for session in director.bfd:
        peer = session.neighbor
        why = f"BFD of {session.name}"
        family = Family(peer.version)
        # Ours are single-hop sessions; a peer that counts hops sends to the other port.
        ports = (BFD_PORT,) if session.max_hops == 0 else (BFD_PORT, BFD_MULTIHOP_PORT)
        for port in ports:
            yield Rule("input", why, family, "udp", sources=(str(peer),), port=port)


def _heartbeats(heartbeat: HeartbeatSettings) -> Iterator[Rule]:
    why = "heartbeats of ha.cf"
    for medium in heartbeat.media:
        match medium:
            case Ucast(device, _) | Bcast(device):
                rule = Rule("input", why, Family.IPV4, "udp", device)
                yield replace(rule, port=heartbeat.udpport)
            case Mcast(device, group, port):
                rule = Rule("input", why, Family.IPV4, "udp", device, destinations=(group,))
                yield replace(rule, port=port)


def _sync(balancer: BalancerSettings) -> Iterator[Rule]:
    daemon = balancer.sync_daemon
    if daemon is None:
        return
    group = daemon.group or SYNC_GROUP
    why = "connections that the other director tells"
    family = Family(group.version)
    rule = Rule("input", why, family, "udp", daemon.interface, destinations=(str(group),))
    yield replace(rule, port=daemon.port or 8848)


# --- virtual services ----------------------------------------------------------------------------

_End = tuple[IPAddress, int]


@dataclass(slots=True)
class _Servers:
    """Where clients connect to, and the real servers by method, by (family, protocol)."""

    services: dict[tuple[Family, str], list[_End]] = field(default_factory=dict)
    translated: dict[tuple[Family, str], list[_End]] = field(default_factory=dict)
    tunnelled: list[IPAddress] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, balancer: BalancerSettings) -> "_Servers":
        found = cls()
        for service in balancer.services:
            protocol = service.protocol.value.lower()
            for ip, port in _places(service, balancer):
                found.services.setdefault((Family(ip.version), protocol), []).append((ip, port))
            if isinstance(service.service, MarkService):
                found.marks.append(service.service.mark)
            others = (service.sorry_server,) if service.sorry_server is not None else ()
            for server in (*service.servers, *others):
                key = (Family(server.ip.version), protocol)
                if server.method.forwarding is Forwarding.NAT:
                    found.translated.setdefault(key, []).append((server.ip, server.port))
                elif server.method.forwarding is Forwarding.TUNNEL:
                    found.tunnelled.append(server.ip)
        return found

    def addresses(self, family: Family) -> tuple[IPAddress, ...]:
        """Return the servers that are reached by NAT, each once."""
        found = [
            ip for (known, _), ends in self.translated.items() if known is family for ip, _ in ends
        ]
        return tuple(dict.fromkeys(found))

    def rules(self, situation: Situation) -> Iterator[Rule]:
        for (family, protocol), ends in self.services.items():
            why = "clients of the virtual services"
            yield Rule("input", why, family, protocol, ends=_once(ends))
        for (family, protocol), ends in self.translated.items():
            to = "clients' packets on their way to real servers (NAT)"
            yield Rule("forward", to, family, protocol, ends=_once(ends))
            back = "real servers' answers on their way back (NAT)"
            yield Rule("forward", back, family, protocol, of="s", ends=_once(ends))
        for family in (Family.IPV4, Family.IPV6):
            yield from self._way_out(family, situation)

    def _way_out(self, family: Family, situation: Situation) -> Iterator[Rule]:
        """Servers in a private network reach others (DNS, updates) by the director's address."""
        inner: dict[str, list[str]] = {}
        for ip in self.addresses(family):
            device = on_link(ip, "", situation)
            if ip.is_private and device is not None:
                inner.setdefault(device.name, []).append(str(ip))
        for name, sources in inner.items():
            rule = Rule("forward", "real servers' own connections", family, sources=tuple(sources))
            yield replace(rule, interface=name)
            yield Rule(
                "forward", "answers to real servers' own connections", family,
                destinations=tuple(sources), established=True,
            )  # fmt: skip
            yield Rule(
                "postrouting", "the network outside has no way back to private addresses", family,
                sources=tuple(sources), not_out=name, masquerade=True,
            )  # fmt: skip

    def settings(self, situation: Situation, balancer: BalancerSettings) -> Iterator[Step]:
        if self.addresses(Family.IPV4):
            yield SetSysctl("net/ipv4/ip_forward", "1", "NAT forwards packets to and from servers")
        if self.addresses(Family.IPV6):
            name = "net/ipv6/conf/all/forwarding"
            yield SetSysctl(name, "1", "NAT forwards packets to and from servers")
        outer = {
            device.name
            for ends in self.services.values()
            for ip, _ in ends
            if (device := on_link(ip, "", situation)) is not None
        }
        inner = {
            device.name
            for ip in self.addresses(Family.IPV4)
            if (device := on_link(ip, "", situation)) is not None
        }
        # The greater of `all` and the interface's holds: both have to be 0.
        for name in ("all", *sorted(outer & inner)) if outer & inner else ():
            why = "servers and clients share a segment: a redirect would lead answers past here"
            yield SetSysctl(f"net/ipv4/conf/{name}/send_redirects", "0", why)

    def notes(self) -> Iterator[str]:
        if self.tunnelled:
            yield (
                "real servers must let IP in IP from the directors in: protocol 4 "
                f"(IPv6: 41), for {_list(self.tunnelled)}"
            )
        if self.translated:
            yield (
                "IPVS keeps its packets out of connection tracking (net/ipv4/vs/conntrack is 0): "
                "rules of yours by `ct state` must accept untracked"
            )
        for mark in sorted(set(self.marks)):
            yield f"which packets get the mark {mark} is for rules of your own to say"
        if self.services:
            yield (
                "every filter between clients, directors and real servers must let packets pass "
                "whose source is no address of the segment (section 5.3.1)"
            )


def _places(service: VirtualService, balancer: BalancerSettings) -> Iterator[_End]:
    match service.service:
        case AddressService(ip, port):
            yield ip, port
        case GroupService(name):
            count = 0
            for group in (one for one in balancer.groups if one.name == name):
                for ips in group.ranges:
                    for number in range(int(ips.first), int(ips.last) + 1):
                        count += 1
                        if count > MAX_ENDS:
                            return
                        yield type(ips.first)(number), ips.port
        case MarkService():
            return


def _once(ends: Sequence[_End]) -> tuple[_End, ...]:
    return tuple(dict.fromkeys(ends))[:MAX_ENDS]


def _list(ips: Sequence[IPAddress]) -> str:
    names = [str(ip) for ip in dict.fromkeys(ips)]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
