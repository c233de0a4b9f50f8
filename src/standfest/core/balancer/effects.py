"""What the balancer announces besides the table that it wants."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerChanged:
    """A real server joined or left its pool because of its checkers; for scripts, mail and log."""

    service: int
    server: int
    up: bool
    reason: str


@dataclass(frozen=True, slots=True)
class QuorumChanged:
    """A pool has enough servers again, or no longer."""

    service: int
    up: bool
    weight: int
    needed: int


@dataclass(frozen=True, slots=True)
class Drained:
    """The last connection of a server that was drained has ended, or its time was up."""

    service: int
    server: int
    remaining: int


PoolEffect = ServerChanged | QuorumChanged | Drained
