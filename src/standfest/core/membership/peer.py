"""What one node knows of another: its generation, its last heartbeat, its links."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from standfest.core.membership.effects import NodeStatus
from standfest.core.membership.receiver import Receiver
from standfest.core.membership.rhythm import Rhythm
from standfest.model.time import Duration, Instant

ALIVE = (NodeStatus.ACTIVE, NodeStatus.UP, NodeStatus.INIT)
"""A tuple: it is asked so often that an enumeration's hash would count."""

WINDOW = 64
"""A message that comes so many numbers late over one link counts as skipped there for good."""


@dataclass(slots=True)
class Link:
    """How a node is heard over one link.

    heard: when anything last came; skipped: numbers that did not come over it, whether or not they
    came over another one; longest: ns of silence.
    """

    heard: Instant
    up: bool = True
    received: int = 0
    skipped: int = 0
    longest: Duration = 0
    highest: int = 0
    seen: int = 0  # the last WINDOW numbers, a bit each, the highest is bit 0

    def count(self, number: int) -> None:
        """Count a message by its number."""
        self.received += 1
        ahead = number - self.highest
        if ahead > 0:
            if self.highest:
                self.skipped += ahead - 1
            self.seen = (self.seen << min(ahead, WINDOW) | 1) & ((1 << WINDOW) - 1)
            self.highest = number
        elif ahead > -WINDOW and not self.seen >> -ahead & 1:
            self.seen |= 1 << -ahead
            self.skipped = max(0, self.skipped - 1)

    def restart(self) -> None:
        """The node has started anew: so do its numbers."""
        self.highest = self.seen = 0


@dataclass(slots=True)
class Peer:
    """A configured node other than ourselves.

    status: None until it is heard or given up; generation: the highest heard (0: none); links: all
    over which it was ever heard; acknowledge: which last digit of `seq` we acknowledge; returned: a
    new generation spoke while it was not alive, its first heartbeat is yet to come; refuses: it
    says that we are no node of its cluster.
    """

    name: str
    deadtime: Duration
    receiver: Receiver
    rhythm: Rhythm
    acknowledge: int
    status: NodeStatus | None = None
    generation: int = 0
    last_heartbeat: Instant = 0
    give_up_at: Instant = 0
    returned: bool = False
    refuses: bool = False
    links: dict[str, Link] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """Return whether the node is heard."""
        return self.status in ALIVE

    def up(self) -> Iterator[tuple[str, Link]]:
        """Yield the links over which the node is heard."""
        return ((name, link) for name, link in self.links.items() if link.up)

    def deadline(self) -> Instant | None:
        """Return when its silence, or a link's, means something."""
        if self.status is None:
            return self.give_up_at
        if not self.alive:
            # That it takes us in again may be what is missing.
            return self.receiver.deadline() if self.refuses else None
        heard = self.last_heartbeat
        for link in self.links.values():  # plain: this is asked for after each datagram
            if link.up and link.heard < heard:
                heard = link.heard
        silent = heard + self.deadtime
        missing = self.receiver.deadline()
        return silent if missing is None or silent < missing else missing
