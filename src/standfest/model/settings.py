"""What the files under /etc/ha.d say, as frozen values (ha.cf, ha_logd.cf)."""

from dataclasses import dataclass
from enum import Enum

from standfest.model.pinging import Pinging
from standfest.model.time import Duration, milliseconds, seconds


@dataclass(frozen=True, slots=True)
class Ucast:
    """`ucast DEV IP`: one peer's address on one device. A line naming an own address is ignored."""

    device: str
    address: str

    @property
    def name(self) -> str:
        """Return the link's name as cl_status shows it."""
        return self.device


@dataclass(frozen=True, slots=True)
class Bcast:
    """`bcast DEV`: the device's broadcast address."""

    device: str

    @property
    def name(self) -> str:
        """Return the link's name as cl_status shows it."""
        return self.device


@dataclass(frozen=True, slots=True)
class Mcast:
    """`mcast DEV GROUP PORT TTL LOOP`."""

    device: str
    group: str
    port: int
    ttl: int
    loop: bool

    @property
    def name(self) -> str:
        """Return the link's name as cl_status shows it."""
        return self.device


MAX_NODES = 64
MAX_NODE_NAME = 64


def is_node_name(name: str) -> bool:
    """Return whether a node may be called so: lower case, digits, -, _ and dots."""
    plain = name.isascii() and name.replace("-", "").replace("_", "").replace(".", "").isalnum()
    return plain and name == name.lower() and len(name) <= MAX_NODE_NAME


Medium = Ucast | Bcast | Mcast


class Autojoin(Enum):
    """Who may join without being named in ha.cf. Source: ha.cf(5)."""

    NONE = "none"
    OTHER = "other"
    ANY = "any"  # this node itself need not be named either


@dataclass(frozen=True, slots=True)
class HeartbeatSettings:
    """ha.cf after parsing, defaults filled in; all durations in ns.

    removed: nodes that may not join.
    Source: facts/HEARTBEAT-WIRE.md section 11, ha.cf(5).
    """

    nodes: tuple[str, ...]
    media: tuple[Medium, ...]
    keepalive: Duration = seconds(1)
    deadtime: Duration = seconds(30)
    warntime: Duration = seconds(15)
    initdead: Duration = seconds(30)
    udpport: int = 694
    crm: bool = False
    use_logd: bool = False
    logfile: str = ""
    debugfile: str = ""
    logfacility: str = ""
    debug: int = 0
    realtime: bool = True
    max_rexmit_delay: Duration = milliseconds(250)
    hopfudge: int = 1
    classic_auth_field: bool = True  # msgfmt classic adds the inner auth field
    autojoin: Autojoin = Autojoin.NONE
    removed: tuple[str, ...] = ()
    pinging: Pinging = Pinging()


@dataclass(frozen=True, slots=True)
class LogSettings:
    """ha_logd.cf after parsing. Source: ha_logd(8), facts/HEARTBEAT-WIRE.md section 11."""

    logfile: str = "/var/log/ha-log"
    debugfile: str = "/var/log/ha-debug"
    logfacility: str = "daemon"
    logmode: int = 0o644
    entity: str = "logd"
    syslogprefix: str = ""
