"""What one node knows of another: its generation, its last heartbeat, its links."""

from dataclasses import dataclass, field

from standfest.core.membership.effects import NodeStatus
from standfest.core.membership.receiver import Receiver
from standfest.model.time import Duration, Instant, earliest

ALIVE = (NodeStatus.ACTIVE, NodeStatus.UP, NodeStatus.INIT)
"""A tuple: it is asked so often that an enumeration's hash would count."""


@dataclass(slots=True)
class Peer:
    """A configured node other than ourselves.

    status: None until it is heard or given up; generation: the highest heard (0: none); links:
    link -> when anything came over it; acknowledge: which last digit of `seq` we acknowledge;
    returned: a new generation spoke while it was not alive, its first heartbeat is yet to come.
    """

    name: str
    deadtime: Duration
    receiver: Receiver
    acknowledge: int
    status: NodeStatus | None = None
    generation: int = 0
    last_heartbeat: Instant = 0
    give_up_at: Instant = 0
    returned: bool = False
    links: dict[str, Instant] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """Return whether the node is heard."""
        return self.status in ALIVE

    def deadline(self) -> Instant | None:
        """Return when its silence, or a link's, means something."""
        if self.status is None:
            return self.give_up_at
        if not self.alive:
            return None
        links = [heard + self.deadtime for heard in self.links.values()]
        return earliest(self.last_heartbeat + self.deadtime, *links, self.receiver.deadline())
