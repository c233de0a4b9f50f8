"""What the director tells about its instances: to people, to metrics, and to a guard."""

from dataclasses import dataclass

from standfest.core.vrrp.effects import Told
from standfest.core.vrrp.instance import Instance
from standfest.core.vrrp.states import Counters, State
from standfest.model.advertisement import Advertisement
from standfest.model.time import Instant
from standfest.model.vrrp import Route, Rule, VirtualAddress

GUARD_AHEAD = 100_000
"""How far the guard's packets are ahead in the sequence of an authentication header."""


@dataclass(frozen=True, slots=True)
class InstanceStatus:
    """One instance; source: packed. faults: one line each. since: when it entered its state."""

    name: str
    state: State
    told: Told
    priority: int
    source: bytes
    faults: tuple[str, ...]
    since: Instant
    counters: Counters


@dataclass(frozen=True, slots=True)
class Guard:
    """What to do for an Active instance when its process has died.

    Remove rules, routes and addresses, then send the resignation: the peers take over after their
    skew time instead of after three intervals, and nobody else answers for the addresses.
    """

    instance: str
    interface: str
    source: bytes
    resignation: Advertisement
    addresses: tuple[VirtualAddress, ...]
    routes: tuple[Route, ...]
    rules: tuple[Rule, ...]


def guard_of(instance: Instance) -> Guard:
    """Return what a guard must do for an instance that is Active."""
    settings = instance.settings
    return Guard(
        settings.name,
        settings.interface,
        instance.source,
        instance.resignation(GUARD_AHEAD),
        (*settings.addresses, *settings.excluded),
        settings.routes,
        settings.rules,
    )
