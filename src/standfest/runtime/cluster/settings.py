"""What a cluster daemon must know besides the CIB."""

from dataclasses import dataclass

from standfest.model.pinging import Pinging
from standfest.model.quorum import QuorumRules, one_vote_each
from standfest.model.time import Duration, milliseconds, seconds

JOIN_TIMEOUT: Duration = seconds(3)
"""How long a new coordinator waits for the members' histories before it acts without them."""

FOLLOW_TIMEOUT: Duration = seconds(2)
"""How long a follower waits for its coordinator's Lead or Sync before it says Hello again."""

MAX_LOCAL_STEPS = 10_000
"""Messages to ourselves while one input is handled; more is a loop of our own making."""

ABSENCE_PATIENCE: Duration = seconds(10)
"""How long a member's cluster daemon may be away before the node is fenced; it is restarted."""

ARRIVAL_PATIENCE: Duration = seconds(60)
"""The same for a node that has just been heard, and has not joined yet; longer with initdead."""


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """One node's view of the installation.

    nodes: all configured node names, sorted; instance: 36 characters that end the transition keys,
    drawn at the daemon's start; initdead: how long a node that had no carrier at all waits for the
    others when its cables are back; settle: within which time nodes that were cut off together are
    missed, before one of them is fenced. rules: how votes are counted, a plain majority by default;
    seen_all: all nodes were there at once since this machine was booted. autojoin: who is heard and
    takes part becomes a node. nodes counts until the configuration has a roster (core.cib.roster).
    pinging: the ping nodes of ha.cf.
    succeeds: a cluster daemon ended here without leaving since the machine was booted, so that
    something may run of which this one does not know. deadtime: how long statements of who hears
    whom contradict each other before they count.
    """

    name: str
    nodes: tuple[str, ...]
    instance: str
    initdead: Duration = seconds(10)
    settle: Duration = milliseconds(500)
    rules: QuorumRules | None = None
    seen_all: bool = False
    autojoin: bool = False
    pinging: Pinging = Pinging()
    succeeds: bool = False
    deadtime: Duration = seconds(2)

    @property
    def quorum(self) -> QuorumRules:
        """Return how votes are counted."""
        return self.rules or one_vote_each(self.nodes)


def session_of(started: int, drawn: int) -> int:
    """Return a daemon's session: a number that no other start has, and later ones a greater one.

    started: wall clock, ns since 1970; drawn: any number. At most 62 bits until the year 2112.
    """
    return started // 1000 << 10 | drawn & 1023
