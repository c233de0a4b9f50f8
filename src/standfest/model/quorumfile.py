"""What quorum.toml says, with what heartbeats there are filled in. Source: docs/guide/quorum.md."""

from dataclasses import dataclass

from standfest.model.quorum import Breaker, QuorumRules
from standfest.model.time import Duration

DEFAULT_PORT = 5414
LOWEST, HIGHEST = "lowest", "highest"


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where the quorum server is; cluster: this one's name there; key_file: as authkeys."""

    address: str
    port: int
    cluster: str
    key_file: str


@dataclass(frozen=True, slots=True)
class DiskSettings:
    """The shared disk, or a file on one."""

    path: str


@dataclass(frozen=True, slots=True)
class PingSettings:
    """Hosts outside of which one has to answer."""

    hosts: tuple[str, ...]


Device = ServerSettings | DiskSettings | PingSettings


@dataclass(frozen=True, slots=True)
class QuorumFile:
    """As written; None where the heartbeats' times give the value.

    breaker_line: where the tiebreaker stands, for what is said of it later.
    """

    votes: tuple[tuple[str, int], ...] = ()
    two_node: bool = False
    wait_for_all: bool = False
    breaker: Breaker = Breaker.NONE
    tie_node: str = ""
    device: Device | None = None
    settle: Duration | None = None
    interval: Duration | None = None
    lease: Duration | None = None


@dataclass(frozen=True, slots=True)
class QuorumSettings:
    """What a node's daemons need: rules, and how the tiebreaker is asked.

    interval: between two questions; lease: how long an answer counts.
    """

    rules: QuorumRules
    device: Device | None
    interval: Duration
    lease: Duration
