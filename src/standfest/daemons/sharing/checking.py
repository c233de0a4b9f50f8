"""What keeps members from sharing an address well, found out where it happens: on a member.

Looking is done first, all of it; what was seen is judged without looking again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

from standfest.adapters.linux import listening
from standfest.adapters.linux.asking import who_has
from standfest.adapters.linux.echoes import Echo
from standfest.adapters.linux.listening import Place
from standfest.adapters.linux.rtnetlink import RouteNetlink
from standfest.core.setup.advice import Advice
from standfest.model.errors import OperationError
from standfest.model.sharefile import ShareFile
from standfest.model.sharing import Established

NETFILTER = Path("/proc/sys/net/netfilter")
ANSWER_S = 1.0
NEARLY_FULL = 0.9

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Router:
    """What a router does with an ARP answer. at: its MAC, None: it does not answer ARP.

    answers: whether it echoes at all. sent_to: where it sends what is for a shared address.
    """

    address: IPv4Address
    at: bytes | None = None
    answers: bool = False
    sent_to: bytes | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What a member has seen. status: of its daemon, None: none runs.

    deaf: members that do not hear the shared MAC; None: nobody was asked. claimed: shared address
    -> MACs of others who say that they have it. tracking: nf_conntrack's numbers by name.
    """

    interface: bool
    status: dict[str, Any] | None = None
    deaf: tuple[str, ...] | None = None
    routers: tuple[Router, ...] = ()
    claimed: dict[Address, frozenset[bytes]] = field(default_factory=dict)
    tracking: dict[str, int] = field(default_factory=dict)
    listening: frozenset[Place] = frozenset()
    troubles: tuple[str, ...] = ()


# --- looking ----------------------------------------------------------------------------------


def look(
    file: ShareFile,
    status: dict[str, Any] | None,
    deaf: tuple[str, ...] | None,
    routers: Sequence[IPv4Address],
) -> Seen:
    """Look at this machine and ask its network; routers: besides the default gateway."""
    netlink = RouteNetlink()
    try:
        link = netlink.link(file.shared.interface)
        gateway = netlink.default_route()
    finally:
        netlink.close()
    tracking = {
        name: number
        for name in ("nf_conntrack_tcp_loose", "nf_conntrack_max", "nf_conntrack_count")
        if (number := _number(NETFILTER / name)) is not None
    }
    if link is None:
        return Seen(False, status, deaf, tracking=tracking, listening=listening.places())
    asked = list(routers)
    if gateway is not None and gateway[1] == file.shared.interface and ":" not in gateway[0]:
        asked.append(IPv4Address(gateway[0]))
    troubles: list[str] = []
    claimed: dict[Address, frozenset[bytes]] = {}
    found: tuple[Router, ...] = ()
    try:
        addresses = [address.ip for address in file.shared.addresses]
        claimed = dict(who_has(file.shared.interface, addresses, ANSWER_S))
        if status is not None:  # without a member nobody tells a router the MAC
            found = tuple(_ask(file, dict.fromkeys(asked)))
    except OperationError as error:
        troubles.append(str(error))
    return Seen(True, status, deaf, found, claimed, tracking, listening.places(), tuple(troubles))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _ask(file: ShareFile, routers: dict[IPv4Address, None]) -> Iterator[Router]:
    shared = [one.ip for one in file.shared.addresses if isinstance(one.ip, IPv4Address)]
    if not shared or not routers:
        return
    own = _own_address(file)
    macs = who_has(file.shared.interface, list(routers), ANSWER_S)
    echo = Echo(file.shared.interface, file.shared.mac)
    try:
        for router in routers:
            at = min(macs[router], default=None)
            if at is None:
                yield Router(router)
                continue
            answers = own is None or echo.sent_to(router, at, own, ANSWER_S) is not None
            yield Router(router, at, answers, echo.sent_to(router, at, shared[0], ANSWER_S))
    finally:
        echo.close()


def _own_address(file: ShareFile) -> IPv4Address | None:
    """Return an address of this machine's own on the interface."""
    shared = {str(one.ip) for one in file.shared.addresses}
    netlink = RouteNetlink()
    try:
        for one in netlink.addresses():
            is_own = one.device == file.shared.interface and one.ip not in shared
            if is_own and ":" not in one.ip:
                return IPv4Address(one.ip)
    finally:
        netlink.close()
    return None


# --- judging ----------------------------------------------------------------------------------


def judge(file: ShareFile, seen: Seen, ports: Sequence[int] = ()) -> tuple[Advice, ...]:
    """Return what is wrong or dangerous; ports: which there must be a service at."""
    if not seen.interface:
        name = file.shared.interface
        return (Advice(f"no interface {name}", "the address cannot be there"),)
    found = [Advice(one, "not everything could be asked", error=False) for one in seen.troubles]
    found += _members(seen)
    found += _network(file, seen)
    found += _connection_tracking(file, seen)
    found += _services(file, seen, ports)
    return tuple(found)


def _members(seen: Seen) -> Iterator[Advice]:
    if seen.status is None:
        yield Advice(
            "no member runs here",
            "what members say of each other was not looked at, and no router was asked",
            "standfest share FILE",
            error=False,
        )
        return
    for member in seen.status["members"]:
        if not member["alive"]:
            yield Advice(f"{member['name']} is not heard", "it does not run, or beats are lost")
        elif not member["same_layout"]:
            yield Advice(
                f"{member['name']} shares by other settings",
                "its buckets would not be ours: it and we do not share",
                "the same file on all members: addresses, mode, buckets, seed, mac, deadtime",
            )
    if seen.status["unanswered"]:
        yield Advice(f"{seen.status['unanswered']} buckets are answered by nobody", "see status")


def _network(file: ShareFile, seen: Seen) -> Iterator[Advice]:
    mac = file.shared.mac
    for name in seen.deaf or ():
        yield Advice(
            f"{name} does not hear {mac.hex(':')}",
            "a switch between us does not flood it",
            "no IGMP snooping for it, or a static entry for all members' ports",
        )
    for address, macs in seen.claimed.items():
        for other in sorted(macs - {mac}):
            yield Advice(
                f"{address} is at {other.hex(':')}, too",
                "another machine has the address, or a member tells its own MAC",
                f"only {mac.hex(':')}",
            )
    for router in seen.routers:
        yield from _router(mac, router)


def _router(mac: bytes, router: Router) -> Iterator[Advice]:
    if router.sent_to == mac:
        return
    if router.at is None or (not router.answers and router.sent_to is None):
        yield Advice(
            f"router {router.address} answers nothing",
            f"it was not seen whether it takes {mac.hex(':')}",
            error=False,
        )
    elif router.sent_to is not None:
        yield Advice(
            f"router {router.address} sends to {router.sent_to.hex(':')}",
            f"it believes something else than {mac.hex(':')}: an old entry?",
        )
    else:
        yield Advice(
            f"router {router.address} refuses {mac.hex(':')}",
            "it takes no group's MAC from an ARP answer (RFC 1812 section 3.3.2)",
            "a static ARP entry there, or a unicast mac and a network that floods it",
        )


def _connection_tracking(file: ShareFile, seen: Seen) -> Iterator[Advice]:
    numbers = seen.tracking
    if file.shared.established is Established.STAY and "nf_conntrack_max" not in numbers:
        if seen.status is not None:
            yield Advice(
                "connections are not tracked",
                'established = "stay" cannot tell them from new ones',
                "the kernel's nf_conntrack",
            )
        return
    if seen.status is not None and numbers.get("nf_conntrack_tcp_loose"):
        yield Advice(
            "nf_conntrack_tcp_loose is on",
            "another node's connections would pass for our own when buckets move",
            "0, as the member had set it",
        )
    most, count = numbers.get("nf_conntrack_max", 0), numbers.get("nf_conntrack_count", 0)
    if most and count > NEARLY_FULL * most:
        yield Advice(
            f"{count} of {most} connections are tracked",
            "new ones are dropped when it is full",
            "a larger nf_conntrack_max",
            error=False,
        )


def _services(file: ShareFile, seen: Seen, ports: Sequence[int]) -> Iterator[Advice]:
    """Judge whether services hear the shared addresses; that they share state nobody can see."""
    shared = [one.ip for one in file.shared.addresses]
    for address in shared:
        for port in ports:
            if not any(_hears(place, address) and place[2] == port for place in seen.listening):
                yield Advice(f"nothing listens at {address} port {port}", "clients are refused")
        if not ports and not any(_hears(place, address) for place in seen.listening):
            yield Advice(f"nothing listens at {address}", "all clients are refused")
    for protocol, at, port in sorted(seen.listening, key=str):
        alone = not at.is_unspecified and not at.is_loopback and at not in shared
        others = [place for place in seen.listening if place[::2] == (protocol, port)]
        same = [address for address in shared if address.version == at.version]
        missing = [one for one in same if not any(_hears(place, one) for place in others)]
        if alone and missing and not at.is_link_local:
            yield Advice(
                f"{protocol} port {port} is listened at {at}, not at {missing[0]}",
                "if clients of the shared address want this service, they are refused",
                error=False,
            )


def _hears(place: Place, address: Address) -> bool:
    """Return whether a socket gets what is for an address; `::` takes IPv4 in, too, by default."""
    at = place[1]
    if at.is_unspecified:
        return at.version == 6 or address.version == 4
    return at == address
