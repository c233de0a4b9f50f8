"""What the balancing of a director wants done, in the order in which it must be done."""

from collections.abc import Mapping
from dataclasses import dataclass

from standfest.core.health.effects import AbandonProbe, BeginProbe
from standfest.model.forwarding import Change, ServiceKey, Shares
from standfest.model.vrrp import Command


@dataclass(frozen=True, slots=True)
class Apply:
    """Change what is forwarded; a refusal is answered with `Balancing.refused`."""

    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """Let servers take turns by these shares; a refusal is answered with `refused`, too."""

    shares: Mapping[ServiceKey, Shares]


@dataclass(frozen=True, slots=True)
class Count:
    """Read the counters: somebody waits for connections to end; answered with `counted`."""


@dataclass(frozen=True, slots=True)
class Synchronise:
    """Copy connections to the partner, from it, or both; id None: nowhere."""

    sends: bool
    receives: bool
    id: int | None


@dataclass(frozen=True, slots=True)
class Say:
    """Write a line to the log; warning: somebody should look at it."""

    text: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """Run a command of the operator's after all others of its key."""

    key: str
    command: Command


@dataclass(frozen=True, slots=True)
class Fifo:
    """Write a line to the pipes for events."""

    line: str


@dataclass(frozen=True, slots=True)
class Mail:
    """Send a mail."""

    subject: str
    body: str


Effect = BeginProbe | AbandonProbe | Apply | Share | Count | Synchronise | Say | Run | Fifo | Mail
Effects = list[Effect]
