"""What moves with a virtual router: addresses, rules and routes, in an order that works."""

from typing import TypeVar

from standfest.core.vrrp.effects import (
    AddAddresses,
    AddRoutes,
    AddRules,
    Announce,
    Effects,
    RemoveAddresses,
    RemoveRoutes,
    RemoveRules,
)
from standfest.model.vrrp import (
    PRIORITY_OWNER,
    InstanceSettings,
    IPAddress,
    Route,
    Rule,
    VirtualAddress,
)

Moved = TypeVar("Moved", VirtualAddress, Route, Rule)


def take(settings: InstanceSettings) -> Effects:
    """Return what makes everything ours: routes need addresses, rules should find their routes."""
    return _add(
        settings, (*settings.addresses, *settings.excluded), settings.routes, settings.rules
    )


def release(settings: InstanceSettings) -> Effects:
    """Return what lets go of everything, in the opposite order."""
    return _remove(
        settings.name,
        (*settings.addresses, *settings.excluded),
        settings.routes,
        settings.rules,
    )


def difference(old: InstanceSettings, new: InstanceSettings) -> Effects:
    """Return what an Active has to do when its settings change: old things go, new ones come."""
    before, after = (*old.addresses, *old.excluded), (*new.addresses, *new.excluded)
    added = _without(after, before)
    effects = _remove(
        new.name,
        _without(before, after),
        _without(old.routes, new.routes),
        _without(old.rules, new.rules),
    )
    effects += _add(new, added, _without(new.routes, old.routes), _without(new.rules, old.rules))
    if added and new.garp.repeat:
        effects.append(Announce(new.name, added, new.garp.repeat))
    return effects


def restore(settings: InstanceSettings, missing: tuple[IPAddress, ...]) -> Effects:
    """Return what puts addresses back; the kernel took routes through them along."""
    everything = (*settings.addresses, *settings.excluded)
    back = tuple(address for address in everything if address.ip in missing)
    if not back:
        return []
    effects = _add(settings, back, settings.routes, ())
    return [*effects, Announce(settings.name, back, max(1, settings.garp.repeat))]


def on_other_interfaces(settings: InstanceSettings) -> tuple[VirtualAddress, ...]:
    """Return the addresses that `garp_extra_if` refreshes."""
    everything = (*settings.addresses, *settings.excluded)
    if settings.garp.extra_all:
        return everything
    own = {"", settings.interface}
    vmac = settings.vmac_addresses
    return tuple(a for a in everything if a.interface not in own and (vmac or a.use_vmac))


def accepts(settings: InstanceSettings) -> bool:
    """Return whether packets to the addresses are answered (RFC 9568 section 6.1, Accept_Mode)."""
    return settings.accept or settings.priority == PRIORITY_OWNER


def _add(
    settings: InstanceSettings,
    addresses: tuple[VirtualAddress, ...],
    routes: tuple[Route, ...],
    rules: tuple[Rule, ...],
) -> Effects:
    effects: Effects = []
    if addresses:
        effects.append(AddAddresses(settings.name, addresses, accepts(settings)))
    if routes:
        effects.append(AddRoutes(settings.name, routes))
    if rules:
        effects.append(AddRules(settings.name, rules))
    return effects


def _remove(
    name: str,
    addresses: tuple[VirtualAddress, ...],
    routes: tuple[Route, ...],
    rules: tuple[Rule, ...],
) -> Effects:
    effects: Effects = []
    if rules:
        effects.append(RemoveRules(name, rules))
    if routes:
        effects.append(RemoveRoutes(name, routes))
    if addresses:
        effects.append(RemoveAddresses(name, addresses))
    return effects


def _without(some: tuple[Moved, ...], others: tuple[Moved, ...]) -> tuple[Moved, ...]:
    return tuple(item for item in some if item not in others)
