"""Weights that follow connections, for data planes that only look servers up in tables.

lc, wlc, sed and nq share new connections by how many are open; an upper threshold closes a server
to new ones. ipvs and the proxy see to that connection by connection; for the others the weights are
set anew from period to period, and the table that is wanted has these instead of the operator's.
"""

from collections.abc import Mapping

from standfest.core.balancer.counted import shares
from standfest.core.balancer.slots import COUNTED
from standfest.model.forwarding import Destination, DestinationKey, Service, ServiceKey, Table
from standfest.runtime.balancer.places import Readings

WORTHWHILE = 4
"""A share that differs by less (of SHARES) is left: each change costs a transaction."""

Server = tuple[ServiceKey, DestinationKey]


class Following:
    """What was counted last, and the weights that follow from it.

    counts: the data plane does all of it; shares: it leaves the schedulers to us, too.
    """

    def __init__(self, *, counts: bool = True, shares: bool = True) -> None:
        self._counts, self._sharing = counts, shares
        self._shares: dict[ServiceKey, dict[DestinationKey, int]] = {}
        self._begun: dict[Server, int] = {}
        self._full: set[Server] = set()

    def matters(self, table: Table) -> bool:
        """Return whether anything in a table follows connections."""
        return not self._counts and any(map(self._follows, table.values()))

    def read(self, table: Table, readings: Readings) -> frozenset[ServiceKey]:
        """Take what was counted; table: what is wanted. Return the services that change by it."""
        changed = set()
        for key, service in table.items():
            if self._counts or not self._follows(service):
                continue
            if self._close_or_open(key, service, readings):
                changed.add(key)
            if self._is_shared(service) and self._share(key, service, readings):
                changed.add(key)
        for key in [key for key in self._shares if key not in table]:
            del self._shares[key]
        return frozenset(changed)

    def weigh(self, part: Mapping[ServiceKey, Service]) -> dict[ServiceKey, Service]:
        """Return services with the weights that follow from their connections."""
        if self._counts:
            return dict(part)
        return {key: self._weighed(key, service) for key, service in part.items()}

    def _weighed(self, key: ServiceKey, service: Service) -> Service:
        if not self._follows(service):
            return service
        shared = self._shares.get(key, {})
        found: dict[DestinationKey, Destination] = {}
        for name, one in service.destinations.items():
            weight = one.weight
            if weight and (key, name) in self._full:
                weight = 0
            elif weight and name in shared:
                # Never 0: that is for who is being drained, and is taken so by a successor.
                weight = max(1, shared[name])
            found[name] = Destination(one.method, weight, one.upper, one.lower)
        return Service(service.options, found)

    def _close_or_open(self, key: ServiceKey, service: Service, readings: Readings) -> bool:
        """Close servers that have reached their upper threshold, open those below the lower one.

        Without a lower one it is three quarters of the upper (ipvsadm(8), `--l-threshold`).
        """
        before = len(self._full)
        moved = False
        for name, one in service.destinations.items():
            counters = readings.get((key, name))
            open_now = counters.active + counters.inactive if counters is not None else 0
            if one.upper and open_now >= one.upper:
                self._full.add((key, name))
            elif open_now < (one.lower or one.upper * 3 // 4) or not one.upper:
                moved = moved or (key, name) in self._full
                self._full.discard((key, name))
        return moved or len(self._full) != before

    def _share(self, key: ServiceKey, service: Service, readings: Readings) -> bool:
        weights = {str(name): one.weight for name, one in service.destinations.items()}
        names = {str(name): name for name in service.destinations}
        open_now: dict[str, int] = {}
        arrivals = 0
        for text, name in names.items():
            counters = readings.get((key, name))
            if counters is None:
                continue
            open_now[text] = counters.active
            begun = counters.connections
            arrivals += max(0, begun - self._begun.get((key, name), begun))
            self._begun[key, name] = begun
        scheduler = service.options.scheduler
        found = {names[t]: n for t, n in shares(scheduler, weights, open_now, arrivals).items()}
        known = self._shares.get(key, {})
        if found.keys() == known.keys() and all(
            abs(found[name] - known[name]) < WORTHWHILE for name in found
        ):
            return False
        self._shares[key] = found
        return True

    def _is_shared(self, service: Service) -> bool:
        counted = service.options.scheduler in COUNTED and len(service.destinations) > 1
        return counted and self._sharing

    def _follows(self, service: Service) -> bool:
        limited = any(one.upper for one in service.destinations.values())
        return limited or self._is_shared(service)
