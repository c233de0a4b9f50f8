"""A data plane that only remembers: for tests and simulations of what is balanced."""

from collections.abc import Mapping, Sequence

from standfest.model.errors import OperationError
from standfest.model.forwarding import (
    AddDestination,
    AddService,
    Change,
    Counters,
    DeleteDestination,
    DeleteService,
    Destination,
    DestinationKey,
    Service,
    ServiceKey,
    SetDestination,
    SetService,
    Shares,
)
from standfest.ports.balancer import Capabilities

ALL_METHODS = frozenset({"NAT", "DR", "TUN"})


class MemoryBackend:
    """Takes changes as a kernel does: one that does not fit is refused, and those after it."""

    name = "memory"

    def __init__(self) -> None:
        self.table: dict[ServiceKey, Service] = {}
        self.log: list[Change] = []
        self.carried: dict[tuple[ServiceKey, DestinationKey], Counters] = {}
        self.shares: dict[ServiceKey, Shares] = {}
        self.refuses: str = ""

    def capabilities(self) -> Capabilities:
        """Return everything."""
        schedulers = frozenset({"rr", "wrr", "lc", "wlc", "sh", "mh"})
        return Capabilities(ALL_METHODS, schedulers, True, True, True, True)

    def read(self) -> dict[ServiceKey, Service]:
        """Return what is forwarded now."""
        return {key: Service(s.options, dict(s.destinations)) for key, s in self.table.items()}

    def apply(self, changes: Sequence[Change]) -> None:
        """Make the changes in order."""
        if self.refuses:
            raise OperationError(self.refuses)
        for change in changes:
            self._apply(change)
            self.log.append(change)

    def share(self, shares: Mapping[ServiceKey, Shares]) -> None:
        """Note the shares."""
        if self.refuses:
            raise OperationError(self.refuses)
        self.shares |= shares

    def counters(self) -> Mapping[tuple[ServiceKey, DestinationKey], Counters]:
        """Return what was set."""
        return self.carried

    def close(self, *, keep: bool) -> None:
        """Forget, or keep, everything."""
        if not keep:
            self.table.clear()

    def _apply(self, change: Change) -> None:
        match change:
            case AddService(key, options):
                self._expect(key not in self.table, f"add {key}")
                self.table[key] = Service(options, {})
            case SetService(key, options):
                self._expect(key in self.table, f"change {key}")
                self.table[key] = Service(options, self.table[key].destinations)
            case DeleteService(key):
                self._expect(key in self.table, f"remove {key}")
                del self.table[key]
            case AddDestination(service, key, value):
                known = self._destinations(service)
                self._expect(key not in known, f"add {key} to {service}")
                self._put(service, {**known, key: value})
            case SetDestination(service, key, value):
                known = self._destinations(service)
                self._expect(key in known, f"change {key} of {service}")
                self._put(service, {**known, key: value})
            case DeleteDestination(service, key):
                known = self._destinations(service)
                self._expect(key in known, f"remove {key} from {service}")
                self._put(service, {k: v for k, v in known.items() if k != key})

    def _destinations(self, service: ServiceKey) -> dict[DestinationKey, Destination]:
        self._expect(service in self.table, f"find {service}")
        return dict(self.table[service].destinations)

    def _put(self, service: ServiceKey, destinations: dict[DestinationKey, Destination]) -> None:
        self.table[service] = Service(self.table[service].options, destinations)

    @staticmethod
    def _expect(fits: bool, what: str) -> None:
        if not fits:
            raise OperationError(f"{what}: it does not fit")
