"""What checking a real server needs of the world: begin a probe, be told how it ended."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from standfest.model.balancing import Checker
from standfest.model.time import Instant


@dataclass(frozen=True, slots=True)
class Target:
    """What one checker probes: the server's address and port; what it names itself comes first."""

    checker: Checker
    address: IPv4Address | IPv6Address
    port: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a probe ended; reason: one line of what was found.

    weight: what a dynamic MISC_CHECK says that the server's shall be.
    """

    succeeded: bool
    reason: str
    weight: int | None = None


Report = Callable[[str, int, Outcome], None]
"""Called from the loop, never from `begin`: (checker, number of the probe, outcome)."""


class Waiter(Protocol):
    """What a prober needs of the loop: its clock, and calls when descriptors are ready."""

    @property
    def now(self) -> Callable[[], Instant]:
        """The loop's clock."""

    def watch(self, fileno: int, on_ready: Callable[[int], None], events: int = 1) -> None:
        """Call `on_ready(events)` whenever the descriptor is ready."""

    def forget(self, fileno: int) -> None:
        """Watch the descriptor no longer."""


class Prober(Protocol):
    """Runs probes at the same time; none blocks.

    A prober ends the phases of a dialogue that take too long, with a reason that says which; that
    a probe as a whole took too long is the caller's to notice.
    """

    def begin(self, name: str, number: int, target: Target) -> None:
        """Begin a probe; its end is reported with `name` and `number`."""

    def abandon(self, name: str, number: int) -> None:
        """End a probe without a report; one that has ended is ignored."""

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due; ask again after each `begin`."""

    def on_timer(self, now: Instant) -> None:
        """Report what has ended meanwhile, end what took too long."""

    def close(self) -> None:
        """End all probes."""
