"""One simulated node: its daemons, its disk, its clocks, and whether it stands still."""

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import NAMESPACE_DNS, uuid5

from standfest.adapters.memory.world import MemoryAgentRunner
from standfest.config import quorum
from standfest.core.membership.machine import Membership
from standfest.model.settings import Autojoin, HeartbeatSettings
from standfest.model.time import Instant, earliest
from standfest.runtime.cluster import effects
from standfest.runtime.cluster.member import ClusterMember
from standfest.runtime.cluster.settings import ClusterSettings
from standfest.runtime.cluster.stored import Stored
from standfest.sim.clock import SimClock
from standfest.sim.disk import SimDisk
from standfest.sim.network import Arrival

MAX_WAITING = 2_000
"""Datagrams that wait in the sockets of a node that stands still; the others are lost."""

NEVER: Instant = 2**62


@dataclass(frozen=True, slots=True)
class Pause:
    """When a node, or its cluster daemon alone, stood still; whole: all its processes did."""

    begin: Instant
    end: Instant
    whole: bool


@dataclass(slots=True)
class SimNode:
    """`member` is None while its cluster daemon is down, `pulse` while it has no power.

    paused_until: all its processes stand still; member_paused_until: the cluster daemon alone;
    stands_since: since when all of them do, until they have noticed; pauses: the latest; inbox,
    waiting: what came meanwhile for `pulse`, and for the cluster daemon.
    settings: its ha.cf, with the nodes that came or went since; starts: of its cluster daemon;
    begun: whether one was started since power came, and has not left in order;
    heard: what `pulse` tells it.
    """

    name: str
    disk: SimDisk
    settings: HeartbeatSettings
    clock: SimClock = field(default_factory=SimClock)
    generation: int = 0
    starts: int = 0
    begun: bool = False
    pulse: Membership | None = None
    member: ClusterMember | None = None
    runner: MemoryAgentRunner | None = None
    heard: set[str] = field(default_factory=set)
    settled: bool = False
    answers: list[effects.Answer] = field(default_factory=list)
    notes: list[tuple[Instant, effects.Note]] = field(default_factory=list)
    left: bool = False
    paused_until: Instant = 0
    member_paused_until: Instant = 0
    stands_since: Instant | None = None
    pauses: list[Pause] = field(default_factory=list)
    inbox: list[Arrival] = field(default_factory=list)
    waiting: list[Callable[[], None]] = field(default_factory=list)
    pulse_due: Instant | None = None
    member_due: Instant | None = None

    @property
    def up(self) -> bool:
        """Return whether the node has power."""
        return self.pulse is not None

    def start_member(self, session: int, known: Stored) -> None:
        """Start its cluster daemon with what is on disk; there is no quorum.toml."""
        self.starts += 1
        settings = ClusterSettings(
            self.name,
            tuple(sorted(self.settings.nodes)),
            str(uuid5(NAMESPACE_DNS, f"{self.starts}.{self.name}")),  # as drawn: never twice
            self.settings.initdead,
            settle=2 * self.settings.keepalive,
            rules=quorum.resolve(None, self.settings, quorum.FILE).rules,
            autojoin=self.settings.autojoin is not Autojoin.NONE,
            pinging=self.settings.pinging,
            succeeds=self.begun,
            deadtime=self.settings.deadtime,
        )
        self.begun = True
        self.member = ClusterMember(settings, session, known.cib, known.promised)

    def due(self) -> Instant:
        """Return when, in simulated time, something of this node wants to be called."""
        if self.pulse_due is None:
            at = self.pulse.deadline() if self.pulse is not None else None
            at = NEVER if at is None else self.clock.simulated(at)
            self.pulse_due = max(at, self.paused_until)
        if self.member_due is None:
            self.member_due = self._member_due()
        return self.pulse_due if self.pulse_due < self.member_due else self.member_due

    def _member_due(self) -> Instant:
        if self.member is None:
            return NEVER
        local = self.member.deadline()
        at = earliest(
            self.clock.simulated(local) if local is not None else None,
            self.runner.deadline() if self.runner is not None else None,
            self.member_paused_until if self.waiting else None,
        )
        return NEVER if at is None else max(at, self.paused_until, self.member_paused_until)
