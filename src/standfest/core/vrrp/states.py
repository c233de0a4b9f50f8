"""The states of a virtual router; each carries the timer that only it has."""

from dataclasses import dataclass, field

from standfest.model.time import Duration, Instant


@dataclass(frozen=True, slots=True)
class Initialize:
    """Not started, or stopped."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Started, but something that we depend on is missing."""


@dataclass(frozen=True, slots=True)
class Backup:
    """Somebody else is Active, or nobody is yet.

    active_interval: Active_Adver_Interval. down_at: when its silence has lasted too long.
    ready: it has, and only our group keeps us from becoming Active.
    preempt_at: until then a lower-priority Active is left alone (`preempt_delay`).
    defer_to: a router that will not hear us because its settings differ: obeyed at any priority.
    listened: after a pause we have listened once more already.
    heard_source, heard_priority: of the Active that we obey, b"" and 0 while there is none.
    """

    active_interval: Duration
    down_at: Instant
    ready: bool = False
    preempt_at: Instant | None = None
    defer_to: bytes | None = None
    listened: bool = False
    heard_source: bytes = b""
    heard_priority: int = 0


@dataclass(frozen=True, slots=True)
class Active:
    """We own the addresses; sent_at and advertise_at: the last and the next advertisement."""

    sent_at: Instant
    advertise_at: Instant


State = Initialize | Fault | Backup | Active


@dataclass(slots=True)
class Counters:
    """What `keepalived.stats` counts for an instance, and refusals by reason.

    claims: answers of somebody else for an address that was ours.
    """

    received: int = 0
    sent: int = 0
    became_active: int = 0
    released_active: int = 0
    priority_zero_received: int = 0
    priority_zero_sent: int = 0
    claims: int = 0
    refused: dict[str, int] = field(default_factory=dict)
