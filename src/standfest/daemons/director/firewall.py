"""`no_accept`: packets to a virtual address that we do not own are dropped, by nftables.

RFC 9568 section 6.1, Accept_Mode. The rules stand from the director's start to its orderly end,
whether the addresses are here or not: while they are elsewhere nothing matches, and so nothing has
to be done in the moment of a takeover, nor after a crash. Neighbour discovery is answered all the
same (RFC 9568 section 6.4.3). The table is this director's own; foreign rules are not touched.
"""

from collections.abc import Iterable
from ipaddress import IPv6Address

from standfest.core.vrrp.moves import accepts
from standfest.model.director import DirectorSettings
from standfest.model.vrrp import Command, InstanceSettings, VirtualAddress

NFT, KEY = "nft", "firewall"
DISCOVERY = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept"


def is_needed(settings: DirectorSettings) -> bool:
    """Return whether any address is not to be answered for."""
    return any(_refused(one) for one in settings.instances)


def setting(settings: DirectorSettings) -> Command:
    """Return the command that makes the table anew, in one transaction."""
    table = f"inet {settings.globals.firewall_table}"
    priority = settings.globals.firewall_priority
    hooks = (("in", "input", "daddr", "iifname"), ("out", "output", "saddr", "oifname"))
    lines = [f"add table {table}", f"delete table {table}", f"add table {table}"]
    for chain, hook, side, device in hooks:
        place = f"type filter hook {hook} priority {priority}; policy accept;"
        lines += [
            f"add chain {table} {chain} {{ {place} }}",
            f"add rule {table} {chain} {DISCOVERY}",
        ]
        lines += [
            f"add rule {table} {chain} {match} drop"
            for match in _matches(settings.instances, side, device)
        ]
    return Command((NFT, "; ".join(lines)), "0")


def removing(settings: DirectorSettings) -> Command:
    """Return the command that removes the table; a missing one is a success."""
    table = f"inet {settings.globals.firewall_table}"
    return Command((NFT, f"add table {table}; delete table {table}"), "0")


def _refused(instance: InstanceSettings) -> tuple[VirtualAddress, ...]:
    if accepts(instance):
        return ()
    return (*instance.addresses, *instance.excluded)


def _matches(instances: Iterable[InstanceSettings], side: str, device: str) -> list[str]:
    """Return what packets to (or from) these addresses look like; link-local ones have a place."""
    everywhere: dict[str, set[str]] = {"ip": set(), "ip6": set()}
    local = []
    for instance in instances:
        for address in _refused(instance):
            ip = address.ip
            if isinstance(ip, IPv6Address) and ip.is_link_local:
                where = f'{device} "{address.interface or instance.interface}"'
                local.append(f"{where} ip6 {side} {ip}")
            else:
                everywhere["ip" if ip.version == 4 else "ip6"].add(str(ip))
    found = [
        f"{kind} {side} {{ {', '.join(sorted(addresses))} }}"
        for kind, addresses in everywhere.items()
        if addresses
    ]
    return [*found, *sorted(set(local))]
