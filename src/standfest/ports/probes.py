"""What checking a real server needs of the world: begin a probe, be told how it ended."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from standfest.model.balancing import Checker


@dataclass(frozen=True, slots=True)
class Target:
    """What one checker probes: address and port are the server's where the checker names none."""

    checker: Checker
    address: IPv4Address | IPv6Address
    port: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a probe ended; reason: one line of what was found, weight: what a dynamic one says."""

    succeeded: bool
    reason: str
    weight: int | None = None


Report = Callable[[str, int, Outcome], None]
"""Called from the loop, never from `begin`: (checker, number of the probe, outcome)."""


class Prober(Protocol):
    """Runs probes at the same time; none blocks. No answer in time is the caller's to notice."""

    def begin(self, name: str, number: int, target: Target) -> None:
        """Begin a probe; its end is reported with `name` and `number`."""

    def abandon(self, name: str, number: int) -> None:
        """End a probe without a report; one that has ended is ignored."""

    def close(self) -> None:
        """End all probes."""
