"""Schedulers by connections (lc, wlc, sed, nq), for data planes that only look up tables.

ipvs and the proxy choose connection by connection. For the others each server has a share of the
turns, from one count until the next: it follows what is open and how many came meanwhile.
"""

from collections.abc import Iterable

from standfest.core.balancer.counted import shares
from standfest.core.balancer.slots import COUNTED
from standfest.model.forwarding import Counters, Service, ServiceKey, Shares, Table
from standfest.runtime.balancer.places import Readings, Server, open_connections


class Following:
    """Which shares the data plane has. counts: it chooses by connections itself."""

    def __init__(self, *, counts: bool = True) -> None:
        self._counts = counts
        self._begun: dict[Server, int] = {}
        self._told: dict[ServiceKey, Shares] = {}

    def matter(self, table: Table) -> bool:
        """Return whether anything in a table has to be counted for."""
        return not self._counts and any(map(_is_counted, table.values()))

    def read(self, table: Table, readings: Readings) -> dict[ServiceKey, Shares]:
        """Take what was counted; table: what is forwarded. Return what is to be told.

        Shares are told again while connections come, so that a data plane need not keep them.
        """
        if self._counts:
            return {}
        before, self._begun = self._begun, {n: c.connections for n, c in readings.items()}
        found: dict[ServiceKey, Shares] = {}
        for key, service in table.items():
            if not _is_counted(service):
                continue
            names = [(key, name) for name in service.destinations]
            # Of a server that is seen for the first time, it is not known when they came.
            arrivals = sum(
                max(0, self._begun[name] - before[name])
                for name in names
                if name in self._begun and name in before
            )
            wanted = _shares(key, service, readings, arrivals)
            if arrivals or wanted != self._told.get(key):
                found[key] = wanted
        self._told |= found
        return found

    def forget(self, changed: Iterable[ServiceKey]) -> None:
        """The data plane has these services by their weights, as it does after each change."""
        for key in changed:
            self._told.pop(key, None)


def _is_counted(service: Service) -> bool:
    return service.options.scheduler in COUNTED


def _shares(key: ServiceKey, service: Service, readings: Readings, arrivals: int) -> Shares:
    names = {str(name): name for name in service.destinations}
    weights = {text: service.destinations[name].weight for text, name in names.items()}
    opened = {
        text: open_connections(key.protocol, readings.get((key, name), Counters()))
        for text, name in names.items()
    }
    found = shares(service.options.scheduler, weights, opened, arrivals)
    return {names[text]: share for text, share in found.items()}
