"""Which part of a divided cluster may act: votes, rules, and what breaks a tie.

Source: docs/adr/0029-quorum.md.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from enum import Enum

from standfest.model.time import Duration, Instant


class Weight(Enum):
    """How many of all votes some nodes have."""

    LESS = "less"
    HALF = "half"
    MORE = "more"


class Breaker(Enum):
    """What decides when exactly half of the votes are present."""

    NONE = "none"
    NODE = "node"  # whoever has one chosen node
    PING = "ping"  # whoever reaches hosts outside; both halves may
    DISK = "disk"
    SERVER = "qdevice"

    @property
    def exclusive(self) -> bool:
        """Return whether it votes by leases that only one half has at a time."""
        return self in (Breaker.DISK, Breaker.SERVER)


@dataclass(frozen=True, slots=True)
class QuorumRules:
    """How votes are counted; the same on all nodes.

    votes: of every configured node, by name. two_node: each half of the votes goes on, and fencing
    decides between them. wait_for_all: after a start nobody has quorum until all nodes were there
    at once. tie_node: whose half goes on, for Breaker.NODE. settle: how long a partition that has
    lost nodes starts nothing: longer than the others may need to find out. Not where they can be
    fenced.
    """

    votes: tuple[tuple[str, int], ...]
    two_node: bool = False
    wait_for_all: bool = False
    breaker: Breaker = Breaker.NONE
    tie_node: str = ""
    settle: Duration = 0

    @property
    def expected(self) -> int:
        """Return all votes that there are."""
        return sum(count for _, count in self.votes)

    @property
    def needed(self) -> int:
        """Return the least that is more than half."""
        return self.expected // 2 + 1

    @property
    def nodes(self) -> tuple[str, ...]:
        """Return all configured nodes by name."""
        return tuple(name for name, _ in self.votes)

    def electing(self, nodes: Iterable[str]) -> "QuorumRules":
        """Return the rules for these nodes; one vote for who has none by these rules yet."""
        known = dict(self.votes)
        votes = tuple((name, known.get(name, 1)) for name in sorted(nodes))
        return replace(self, votes=votes, two_node=self.two_node and len(votes) == 2)

    def count(self, nodes: Collection[str]) -> int:
        """Return the votes of these nodes; whoever is not configured has none."""
        return sum(count for name, count in self.votes if name in nodes)

    def weigh(self, nodes: Collection[str]) -> Weight:
        """Return how their votes compare with half of all; nothing is never half of anything."""
        twice = 2 * self.count(nodes)
        if twice > self.expected:
            return Weight.MORE
        return Weight.HALF if twice == self.expected and twice else Weight.LESS


def one_vote_each(nodes: Iterable[str]) -> QuorumRules:
    """Return the rules without a file: a plain majority."""
    return QuorumRules(tuple((name, 1) for name in sorted(nodes)))


class Mandate(Enum):
    """What a partition may do."""

    QUORATE = "quorate"
    OPEN = "open"  # a tie that is being decided: keep what runs, start nothing
    LOST = "lost"


class Ground(Enum):
    """Why: a closed list."""

    MAJORITY = "more than half of the votes"
    SETTLING = "more than half of the votes, until those that are lost must have noticed"
    MINORITY = "less than half of the votes"
    TIE = "half of the votes, and nothing breaks the tie"
    WAITING = "not all nodes have been there since the start"
    TWO_NODE = "half of the votes, by the two-node rule: fencing decides"
    TWO_NODE_UNFENCED = "half of the votes; the two-node rule counts only with fencing"
    NODE = "half of the votes, with the node that breaks ties"
    OTHER_NODE = "half of the votes, without the node that breaks ties"
    PING = "half of the votes, and hosts outside are reached"
    NO_PING = "half of the votes, and no host outside is reached"
    PING_UNFENCED = "half of the votes; a ping tiebreaker counts only with fencing"
    LEASE = "half of the votes, and the tiebreaker's"
    LEASE_OPEN = "half of the votes, the tiebreaker is deciding"
    NO_LEASE = "half of the votes, the tiebreaker's is not ours"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a node's own partition may do, and why; votes: those that are present."""

    mandate: Mandate
    ground: Ground
    votes: int = 0

    @property
    def quorate(self) -> bool:
        """Return whether anything may be started."""
        return self.mandate is Mandate.QUORATE


@dataclass(frozen=True, slots=True)
class Lease:
    """What an exclusive tiebreaker has promised to one node; all on that node's clock.

    since: when the view began for which it has the vote until `votes_until`: one that comes back
    is another one, since the others may have had the vote meanwhile. Until `kept_until` nobody else
    can begin to have it, whoever that is.
    """

    since: Instant = -1
    votes_until: Instant = 0
    kept_until: Instant = 0


NO_LEASE = Lease()


@dataclass(frozen=True, slots=True)
class Reached:
    """Whether enough hosts outside answer."""

    reachable: bool


@dataclass(frozen=True, slots=True)
class Counted:
    """Somebody else counts the votes (corosync), and from now on only that counts.

    reason: for the log.
    """

    quorate: bool
    reason: str


QuorumWord = Lease | Reached | Counted
"""What a member is told that its quorum depends on, besides who is present."""


@dataclass(frozen=True, slots=True)
class Presence:
    """What a node's cluster daemon says of its partition to whoever asks for the tiebreaker's vote.

    view: who is present, this node included; since: when that began; votes: of all of them;
    enough: at least half of all; busy: something runs on this node, or is being changed.
    """

    view: frozenset[str]
    since: Instant
    votes: int
    enough: bool
    busy: bool


class Wish(Enum):
    """What a node asks of an exclusive tiebreaker."""

    VOTE = "vote"
    BUSY = "busy"  # it goes to another partition, but what runs here is still being stopped
    NOTHING = "nothing"  # nothing here rests on any promise


class Token(Enum):
    """What a quorum server answers."""

    VOTE = "vote"
    WAIT = "wait"  # not yet, but nobody else can begin to have it meanwhile
    LATER = "later"  # the server has just started: nothing is promised, nothing is taken back
    NO = "no"


@dataclass(frozen=True, slots=True)
class Ask:
    """A node to the quorum server; a later `number` of the same session replaces earlier ones.

    session: when the asking process started, in ns since 1970; view: whom it hears, itself
    included, sorted; votes: of all in it; lease: how long an answer is to count.
    """

    node: str
    session: int
    number: int
    view: tuple[str, ...]
    votes: int
    wish: Wish
    lease: Duration


@dataclass(frozen=True, slots=True)
class Told:
    """The server's answer to the Ask with this number."""

    session: int
    number: int
    token: Token
    reason: str = ""
