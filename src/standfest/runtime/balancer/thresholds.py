"""Upper thresholds, for data planes that only look servers up in tables.

A server that has as many connections as it may gets no new one. ipvs and the proxy see to that
connection by connection; for the others its weight is 0 from one count until a later one, and the
table that is wanted has that weight instead of the operator's.
"""

from collections.abc import Mapping
from dataclasses import replace

from standfest.model.forwarding import Destination, Service, ServiceKey, Table
from standfest.runtime.balancer.places import Readings, Server


class Thresholds:
    """Which servers are full. counts: the data plane heeds thresholds itself."""

    def __init__(self, *, counts: bool = True) -> None:
        self._counts = counts
        self._full: set[Server] = set()

    def matter(self, table: Table) -> bool:
        """Return whether anything in a table has to be counted for."""
        return not self._counts and any(map(_is_limited, table.values()))

    def read(self, table: Table, readings: Readings) -> frozenset[ServiceKey]:
        """Take what was counted; table: what is wanted. Return the services that change by it."""
        if self._counts:
            return frozenset()
        before = self._full
        self._full = {
            (key, name)
            for key, service in table.items()
            for name, one in service.destinations.items()
            if self._is_full((key, name), one, readings)
        }
        return frozenset(key for key, _ in before ^ self._full)

    def weigh(self, part: Mapping[ServiceKey, Service]) -> dict[ServiceKey, Service]:
        """Return services with weight 0 for those of their servers that are full."""
        if not self._full:
            return dict(part)
        return {key: self._weighed(key, service) for key, service in part.items()}

    def _is_full(self, server: Server, one: Destination, readings: Readings) -> bool:
        """Return whether a server is closed: from its upper threshold down to its lower one.

        Without a lower one it is three quarters of the upper (ipvsadm(8), `--l-threshold`).
        """
        counters = readings.get(server)
        open_now = counters.active + counters.inactive if counters is not None else 0
        if not one.upper:
            return False
        if open_now >= one.upper:
            return True
        return server in self._full and open_now >= (one.lower or one.upper * 3 // 4)

    def _weighed(self, key: ServiceKey, service: Service) -> Service:
        found = {
            name: replace(one, weight=0) if one.upper and (key, name) in self._full else one
            for name, one in service.destinations.items()
        }
        return Service(service.options, found)


def _is_limited(service: Service) -> bool:
    return any(one.upper for one in service.destinations.values())
