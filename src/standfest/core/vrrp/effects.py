"""What the VRRP machines want done, in the order in which it must be done."""

from dataclasses import dataclass
from enum import StrEnum

from standfest.model.advertisement import Advertisement
from standfest.model.vrrp import IPAddress, Route, Rule, VirtualAddress


class Told(StrEnum):
    """What operators' scripts, pipes and mails are told; keepalived's words."""

    MASTER = "MASTER"
    BACKUP = "BACKUP"
    FAULT = "FAULT"
    STOP = "STOP"
    DELETED = "DELETED"
    MASTER_RX_LOWER_PRI = "MASTER_RX_LOWER_PRI"
    MASTER_PRIORITY = "MASTER_PRIORITY"
    BACKUP_PRIORITY = "BACKUP_PRIORITY"


class Subject(StrEnum):
    """Whose state it is."""

    INSTANCE = "INSTANCE"
    GROUP = "GROUP"


class Refusal(StrEnum):
    """Why an intact advertisement was not for us, or not believed."""

    UNKNOWN_VRID = "unknown-vrid"
    STOPPED = "stopped"
    OWN = "own"
    MODE = "mode"
    STRANGER = "stranger"
    PEER_TTL = "peer-ttl"
    VERSION = "version"
    AUTHENTICATION_TYPE = "authentication-type"
    AUTHENTICATION = "authentication"
    SEQUENCE = "sequence"
    INTERVAL = "interval"
    ADDRESSES = "addresses"
    OWNER = "owner"


class Warned(StrEnum):
    """What an operator should look at; the instance goes on."""

    ADDRESS_LIST = "address-list"
    INTERVAL = "interval"
    AUTHENTICATION = "authentication"
    PAUSED = "paused"
    YIELDED = "yielded"
    DUPLICATE_ADDRESS = "duplicate-address"
    ADDRESS_REMOVED = "address-removed"
    OWNER_CONFLICT = "owner-conflict"


@dataclass(frozen=True, slots=True)
class Listen:
    """Open what the instance needs to hear and to speak: sockets, its multicast group, its VMAC."""

    instance: str


@dataclass(frozen=True, slots=True)
class StopListening:
    """Close it all again."""

    instance: str


@dataclass(frozen=True, slots=True)
class SendAdvertisement:
    """Send this to the instance's multicast group, or to each of its peers.

    The same object comes again as long as nothing in it changed, so its bytes can be kept.
    """

    instance: str
    advertisement: Advertisement


@dataclass(frozen=True, slots=True)
class AddAddresses:
    """Make these addresses ours; adding one that is there is a success.

    accept: answer packets to them; else they are dropped (except neighbour discovery) from before
    the address is there until after it is gone.
    """

    instance: str
    addresses: tuple[VirtualAddress, ...]
    accept: bool


@dataclass(frozen=True, slots=True)
class RemoveAddresses:
    """Let go of these addresses; removing one that is gone is a success."""

    instance: str
    addresses: tuple[VirtualAddress, ...]


@dataclass(frozen=True, slots=True)
class AddRoutes:
    """Add routes, after the addresses that they need."""

    instance: str
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class RemoveRoutes:
    """Remove routes, before the addresses that they need."""

    instance: str
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class AddRules:
    """Add policy rules."""

    instance: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class RemoveRules:
    """Remove policy rules."""

    instance: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell the neighbours where each address is, `count` times, paced as the settings say."""

    instance: str
    addresses: tuple[VirtualAddress, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Notify:
    """Run scripts, write pipes, send mail; priority is 0 for a group."""

    subject: Subject
    name: str
    state: Told
    priority: int


@dataclass(frozen=True, slots=True)
class RunScript:
    """Run a tracked script once and feed its result back."""

    name: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """An advertisement was refused; instance "" when none has its VRID."""

    instance: str
    reason: Refusal
    vrid: int


@dataclass(frozen=True, slots=True)
class Alert:
    """Something is wrong that the protocol cannot mend; said once until it changes."""

    instance: str
    kind: Warned
    source: str = ""
    address: IPAddress | None = None


VrrpEffect = (
    Listen
    | StopListening
    | SendAdvertisement
    | AddAddresses
    | RemoveAddresses
    | AddRoutes
    | RemoveRoutes
    | AddRules
    | RemoveRules
    | Announce
    | Notify
    | RunScript
    | Dropped
    | Alert
)

Effects = list[VrrpEffect]
