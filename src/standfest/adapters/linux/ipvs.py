"""The ipvs backend: the kernel's own balancer, by generic netlink. Implements BalancerBackend."""

from collections.abc import Mapping, Sequence

from standfest.adapters.linux.genetlink import GenericNetlink
from standfest.model.balancing import SyncDaemon
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
from standfest.model.ipvstable import ListedServer, ListedService
from standfest.ports.balancer import Capabilities
from standfest.wire import ipvs

SCHEDULERS = frozenset(
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh"]
)


class IpvsBackend:
    """All services of this network namespace's IPVS."""

    name = "ipvs"

    def __init__(self) -> None:
        self._netlink = GenericNetlink(ipvs.FAMILY_NAME, ipvs.VERSION)

    def capabilities(self) -> Capabilities:
        """Return what IPVS can: a scheduler whose module is missing is refused when it is used."""
        return Capabilities(
            methods=frozenset({"NAT", "DR", "TUN"}),
            schedulers=SCHEDULERS,
            ipv6=True,
            persistence=True,
            sync=True,
            counted=True,
        )

    def read(self) -> dict[ServiceKey, Service]:
        """Return all services with their destinations."""
        found: dict[ServiceKey, Service] = {}
        for body in self._netlink.dump(ipvs.GET_SERVICE, b"", "read services"):
            key, options = ipvs.read_service(body)
            known = {d: value for d, value, _ in self._destinations(key)}
            found[key] = Service(options, known)
        return found

    def apply(self, changes: Sequence[Change]) -> None:
        """Make the changes in order, many to a system call."""
        self._netlink.bulk([_request(change) for change in changes])

    def share(self, shares: Mapping[ServiceKey, Shares]) -> None:
        """Refuse: IPVS chooses by connections itself."""
        raise OperationError(f"share {len(shares)} services: IPVS counts connections itself")

    def counters(self) -> Mapping[tuple[ServiceKey, DestinationKey], Counters]:
        """Return what every server has carried."""
        found = {}
        for body in self._netlink.dump(ipvs.GET_SERVICE, b"", "read services"):
            key, _ = ipvs.read_service(body)
            for destination, _, counters in self._destinations(key):
                found[key, destination] = counters
        return found

    def close(self, *, keep: bool) -> None:
        """Let go of the kernel; keep=False removes every service."""
        if not keep:
            self.clear()
        self._netlink.close()

    def set_timeouts(self, tcp_s: int, tcp_fin_s: int, udp_s: int) -> None:
        """Set how long idle connections are remembered, in seconds; 0: as it is."""
        self._netlink.call(
            ipvs.SET_CONFIG, ipvs.timeouts(tcp_s, tcp_fin_s, udp_s), "set the timeouts"
        )

    # --- what ipvsadm shows --------------------------------------------------------------------

    def listing(self) -> list[ListedService]:
        """Return everything with its figures."""
        found = []
        for body in self._netlink.dump(ipvs.GET_SERVICE, b"", "read services"):
            key, options = ipvs.read_service(body)
            servers = []
            for one in self._netlink.dump(ipvs.GET_DEST, ipvs.service(key), f"read {key}"):
                rates, persistent = ipvs.read_destination_rates(one)
                servers.append(ListedServer(*ipvs.read_destination(one), rates, persistent))
            counters, own = ipvs.read_service_counters(body)
            found.append(ListedService(key, options, counters, own, tuple(servers)))
        return found

    def info(self) -> tuple[int, int]:
        """Return version and size of the table of connections."""
        (body,) = self._netlink.call(ipvs.GET_INFO, b"", "ask for the version")
        return ipvs.read_info(body)

    def timeouts(self) -> tuple[int, int, int]:
        """Return the timeouts of TCP, TCP after FIN, and UDP, in seconds."""
        (body,) = self._netlink.call(ipvs.GET_CONFIG, b"", "read the timeouts")
        return ipvs.read_timeouts(body)

    def zero(self, key: ServiceKey | None) -> None:
        """Set the counters of a service, or of all, to zero."""
        body = b"" if key is None else ipvs.service(key)
        self._netlink.call(ipvs.ZERO, body, f"zero {key}" if key else "zero the counters")

    def clear(self) -> None:
        """Remove every service."""
        self._netlink.call(ipvs.FLUSH, b"", "remove all services")

    # --- connection sync ------------------------------------------------------------------------

    def daemons(self) -> list[ipvs.Daemon]:
        """Return the sync daemons that run."""
        answers = self._netlink.dump(ipvs.GET_DAEMON, b"", "read sync daemons")
        return [ipvs.read_daemon(body) for body in answers]

    def start_sync(self, state: int, settings: SyncDaemon, id: int) -> None:
        """Send (MASTER) or receive (BACKUP) connections; id 0..255 must be the partner's."""
        body = ipvs.daemon(
            state,
            interface=settings.interface,
            id=id,
            max_length=settings.max_length,
            port=settings.port,
            ttl=settings.ttl,
            group=settings.group,
        )
        self._netlink.call(ipvs.NEW_DAEMON, body, f"start connection sync on {settings.interface}")

    def stop_sync(self, state: int) -> None:
        """Stop one of the two directions."""
        self._netlink.call(ipvs.DEL_DAEMON, ipvs.daemon(state), "stop connection sync")

    def _destinations(self, key: ServiceKey) -> list[tuple[DestinationKey, Destination, Counters]]:
        bodies = self._netlink.dump(ipvs.GET_DEST, ipvs.service(key), f"read servers of {key}")
        return [ipvs.read_destination(body) for body in bodies]


def _request(change: Change) -> tuple[int, bytes, str]:
    match change:
        case AddService(key, options):
            return ipvs.NEW_SERVICE, ipvs.service(key, options), f"add {key}"
        case SetService(key, options):
            return ipvs.SET_SERVICE, ipvs.service(key, options), f"change {key}"
        case DeleteService(key):
            return ipvs.DEL_SERVICE, ipvs.service(key), f"remove {key}"
        case AddDestination(service, key, value):
            body = ipvs.service(service) + ipvs.destination(key, value)
            return ipvs.NEW_DEST, body, f"add {key} to {service}"
        case SetDestination(service, key, value):
            body = ipvs.service(service) + ipvs.destination(key, value)
            return ipvs.SET_DEST, body, f"change {key} of {service}"
        case DeleteDestination(service, key):
            body = ipvs.service(service) + ipvs.destination(key)
            return ipvs.DEL_DEST, body, f"remove {key} from {service}"
