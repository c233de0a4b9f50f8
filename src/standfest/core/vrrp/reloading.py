"""What a reload changes: which virtual routers go, come, change, and which must begin anew."""

from dataclasses import dataclass

from standfest.model.director import DirectorSettings
from standfest.model.vrrp import InstanceSettings


@dataclass(frozen=True, slots=True)
class Difference:
    """Names, each list in the order of its settings; what is in none of them did not change.

    anew: the same name, but another virtual router as others see it.
    """

    removed: tuple[str, ...]
    anew: tuple[str, ...]
    changed: tuple[str, ...]
    added: tuple[str, ...]


def compare(old: DirectorSettings, new: DirectorSettings) -> Difference:
    """Return the difference of the instances of two settings."""
    before = {instance.name: instance for instance in old.instances}
    after = {instance.name: instance for instance in new.instances}
    both = [name for name in after if name in before]
    anew = [name for name in both if identity(before[name]) != identity(after[name])]
    return Difference(
        removed=tuple(name for name in before if name not in after),
        anew=tuple(anew),
        changed=tuple(name for name in both if name not in anew and before[name] != after[name]),
        added=tuple(name for name in after if name not in before),
    )


def identity(settings: InstanceSettings) -> tuple[object, ...]:
    """Return what makes a virtual router another one: where and how it is heard."""
    return (
        settings.interface,
        settings.vrid,
        settings.family,
        settings.version,
        settings.authentication,
        settings.source,
        settings.unicast,
        settings.multicast_group,
        settings.vmac,
        settings.vmac_addresses,
        settings.ipvlan,
        settings.vrf,
    )
