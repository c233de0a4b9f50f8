"""From the table that is to the table that should be, in steps that never leave a gap.

Whoever died is removed first, so that no new connection meets it for a moment longer than needed,
unless nobody would be left: then its replacement comes first.
"""

from collections.abc import Collection

from standfest.model.forwarding import (
    AddDestination,
    AddService,
    Change,
    DeleteDestination,
    DeleteService,
    Service,
    ServiceKey,
    SetDestination,
    SetService,
    Table,
)


def difference(
    actual: Table, desired: Table, *, ours: Collection[ServiceKey] | None = None
) -> tuple[Change, ...]:
    """Return the changes that turn `actual` into `desired`, in the order in which to make them.

    ours: the services that may be removed when they are not desired; None: all. What somebody else
    has put into the kernel stays otherwise.
    """
    gone = actual.keys() - desired.keys()
    changes: list[Change] = [DeleteService(k) for k in sorted(gone) if ours is None or k in ours]
    for key in sorted(desired):
        there = actual.get(key)
        if there is None:
            changes.append(AddService(key, desired[key].options))
            there = Service(desired[key].options, {})
        elif there.options != desired[key].options:
            changes.append(SetService(key, desired[key].options))
        changes += _destinations(key, there, desired[key])
    return tuple(changes)


def _destinations(key: ServiceKey, actual: Service, desired: Service) -> list[Change]:
    was, wanted = actual.destinations, desired.destinations
    changed = [d for d in sorted(was.keys() & wanted.keys()) if was[d] != wanted[d]]
    takes: list[Change] = [DeleteDestination(key, d) for d in sorted(was.keys() - wanted.keys())]
    takes += [SetDestination(key, d, wanted[d]) for d in changed if wanted[d].weight == 0]
    gives: list[Change] = [
        SetDestination(key, d, wanted[d]) for d in changed if wanted[d].weight > 0
    ]
    gives += [AddDestination(key, d, wanted[d]) for d in sorted(wanted.keys() - was.keys())]
    kept = was.keys() & wanted.keys()
    serving = any(was[d].weight > 0 and wanted[d].weight > 0 for d in kept)
    return [*takes, *gives] if serving else [*gives, *takes]


def apply(table: Table, changes: Collection[Change]) -> dict[ServiceKey, Service]:
    """Return the table after the changes; what a backend must come to, for tests and adapters."""
    services = {key: Service(s.options, dict(s.destinations)) for key, s in table.items()}
    for change in changes:
        match change:
            case AddService(key, options):
                assert key not in services, "a service is added once"
                services[key] = Service(options, {})
            case SetService(key, options):
                services[key] = Service(options, services[key].destinations)
            case DeleteService(key):
                del services[key]
            case AddDestination(key, destination, value) | SetDestination(key, destination, value):
                known = services[key].destinations
                assert (destination in known) is isinstance(change, SetDestination)
                services[key] = Service(services[key].options, {**known, destination: value})
            case DeleteDestination(key, destination):
                kept = {d: v for d, v in services[key].destinations.items() if d != destination}
                services[key] = Service(services[key].options, kept)
    return services
