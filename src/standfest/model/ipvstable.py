"""What ipvsadm asks of IPVS and is told: its commands as values, and a table with its figures."""

from dataclasses import dataclass
from enum import Enum

from standfest.model.balancing import SyncDaemon
from standfest.model.forwarding import (
    Change,
    Counters,
    Destination,
    DestinationKey,
    ServiceKey,
    ServiceOptions,
)


class Columns(Enum):
    """Which columns a listing has."""

    STATE = "state"
    STATISTICS = "stats"
    RATES = "rate"
    THRESHOLDS = "thresholds"
    PERSISTENT = "persistent-conn"
    TUNNELS = "tun-info"


@dataclass(frozen=True, slots=True)
class Rates:
    """Per second, as the kernel estimates them."""

    connections: int = 0
    packets_in: int = 0
    packets_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass(frozen=True, slots=True)
class ListedServer:
    """A server of a service; persistent: clients that are remembered."""

    key: DestinationKey
    destination: Destination
    counters: Counters
    rates: Rates
    persistent: int


@dataclass(frozen=True, slots=True)
class ListedService:
    """A service with its servers."""

    key: ServiceKey
    options: ServiceOptions
    counters: Counters
    rates: Rates
    servers: tuple[ListedServer, ...]


@dataclass(frozen=True, slots=True)
class ListedConnection:
    """One connection, as /proc/net/ip_vs_conn has it; expires: seconds."""

    protocol: str
    client: DestinationKey
    virtual: DestinationKey
    server: DestinationKey
    state: str
    expires: int
    engine: str = ""


@dataclass(frozen=True, slots=True)
class Do:
    """Change the table."""

    change: Change


@dataclass(frozen=True, slots=True)
class Clear:
    """Remove everything."""


@dataclass(frozen=True, slots=True)
class Show:
    """List the table, or one service."""

    columns: Columns = Columns.STATE
    service: ServiceKey | None = None
    numeric: bool = False
    exact: bool = False
    sort: bool = True


@dataclass(frozen=True, slots=True)
class ShowConnections:
    """List connections."""

    numeric: bool = False
    engines: bool = False


@dataclass(frozen=True, slots=True)
class ShowTimeouts:
    """Show how long idle connections are remembered."""


@dataclass(frozen=True, slots=True)
class ShowDaemons:
    """Show the sync daemons."""


@dataclass(frozen=True, slots=True)
class Save:
    """Write the table as commands."""

    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Restore:
    """Obey commands from standard input."""


@dataclass(frozen=True, slots=True)
class Zero:
    """Set the counters of one service, or of all, to zero."""

    service: ServiceKey | None = None


@dataclass(frozen=True, slots=True)
class SetTimeouts:
    """Set timeouts of idle connections, in seconds; 0: as it is."""

    tcp: int
    tcp_fin: int
    udp: int


@dataclass(frozen=True, slots=True)
class StartDaemon:
    """Start a sync daemon; master: it sends."""

    master: bool
    settings: SyncDaemon


@dataclass(frozen=True, slots=True)
class StopDaemon:
    """Stop a sync daemon."""

    master: bool


Order = (
    Do | Clear | Show | ShowConnections | ShowTimeouts | ShowDaemons
    | Save | Restore | Zero | SetTimeouts | StartDaemon | StopDaemon
)  # fmt: skip
