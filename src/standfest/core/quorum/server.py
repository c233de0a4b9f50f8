"""Which partition of one cluster has the quorum server's vote: a pure decision by leases.

A node that asks gets the vote for its view when every other node that still has a promise wants it
for the same view. So two partitions cannot have it at once, whatever is lost, late or doubled: the
promises of one end, or are given back, before the other's begin. Who is to have it: the partition
with most votes, then the one that has it, then the one with the lowest name.

The server's wait is a 32nd longer than a node's lease: the two clocks may differ by 1 % each.
Source: docs/adr/0029-quorum.md.
"""

from dataclasses import dataclass

from standfest.model.quorum import Ask, Token, Told, Wish
from standfest.model.time import Duration, Instant, milliseconds

MAX_NODES = 64
"""Nodes of one cluster; silent ones are forgotten for new ones."""

MIN_LEASE: Duration = milliseconds(50)
CAUTION = 32
"""A 32nd of a lease: more than 1 % of it on each of two clocks."""


@dataclass(slots=True)
class _Node:
    """What a node asked last; live until `until` when it has a promise.

    voted: the view for which it has the vote.
    """

    ask: Ask
    seen: Instant
    until: Instant = 0
    voted: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One node as an administrator sees it."""

    node: str
    view: tuple[str, ...]
    votes: int
    wish: Wish
    has_vote: bool
    silent: Duration


class VoteServer:
    """The vote for one cluster. longest: the longest lease that is given."""

    def __init__(self, now: Instant, longest: Duration) -> None:
        """Begin; what was promised before a restart is forgotten, so it has to end first."""
        self.longest = longest
        self._quiet_until = now + with_caution(longest)
        self._nodes: dict[str, _Node] = {}

    def ask(self, now: Instant, ask: Ask) -> Told | None:
        """Return the answer; None for what a node has said before, or what nobody sane says."""
        if not (ask.node in ask.view and ask.lease >= MIN_LEASE and len(ask.view) <= MAX_NODES):
            return None
        if ask.lease > self.longest:
            return Told(ask.session, ask.number, Token.NO, "the lease is longer than allowed here")
        known = self._nodes.get(ask.node)
        if known is None:
            if not self._room(now):
                return Told(ask.session, ask.number, Token.NO, "too many nodes")
            known = self._nodes[ask.node] = _Node(ask, now)
        elif _is_old(known, ask, now):
            return None
        known.ask, known.seen = ask, now
        token, reason = self._decide(now, known)
        self._note(now, known, token)
        return Told(ask.session, ask.number, token, reason)

    def report(self, now: Instant) -> list[NodeReport]:
        """Return all nodes that are known, by name."""
        return [
            NodeReport(
                name,
                node.ask.view,
                node.ask.votes,
                node.ask.wish,
                node.voted is not None and now < node.until,
                now - node.seen,
            )
            for name, node in sorted(self._nodes.items())
        ]

    # --- the decision ---------------------------------------------------------------------------

    def _decide(self, now: Instant, asking: _Node) -> tuple[Token, str]:
        ask = asking.ask
        if ask.wish is Wish.NOTHING:
            return Token.NO, ""
        others = [node for node in self._nodes.values() if node is not asking]
        for other in others:
            if other.voted is not None and now < other.until and ask.node not in other.voted:
                return Token.NO, f"{other.ask.node}'s partition has it"
        if now < self._quiet_until:
            return Token.LATER, "the server has just started"
        if ask.wish is Wish.BUSY:
            return Token.WAIT, ""
        for other in others:
            if _is_rival(other, ask.node, now) and self._rank(other, now) > self._rank(asking, now):
                return Token.NO, f"{other.ask.node}'s partition comes first"
        for other in others:
            agrees = other.ask.view == ask.view and other.ask.wish is Wish.VOTE
            if now < other.until and not agrees:
                return Token.WAIT, f"{other.ask.node} has to let go first"
        return Token.VOTE, ""

    def _rank(self, node: _Node, now: Instant) -> tuple[int, bool, tuple[int, ...]]:
        """Return what orders partitions, the foremost highest."""
        view = node.ask.view
        has = any(one.voted == view and now < one.until for one in self._nodes.values())
        lowest = min(view)
        return node.ask.votes, has, tuple(-ord(char) for char in lowest)

    def _note(self, now: Instant, node: _Node, token: Token) -> None:
        """Remember what was promised."""
        ask = node.ask
        until = now + with_caution(ask.lease)
        match token:
            case Token.VOTE:
                node.until, node.voted = until, ask.view
            case Token.WAIT:
                node.until, node.voted = until, None
            case Token.LATER:
                node.voted = None
            case Token.NO if ask.wish is Wish.NOTHING:
                node.until, node.voted = now, None
            case Token.NO if ask.wish is Wish.BUSY and now < node.until:
                node.until = until

    def _room(self, now: Instant) -> bool:
        if len(self._nodes) < MAX_NODES:
            return True
        silent = [
            (node.seen, name)
            for name, node in self._nodes.items()
            if now >= max(node.until, node.seen + with_caution(node.ask.lease))
        ]
        if not silent:
            return False
        del self._nodes[min(silent)[1]]
        return True


def with_caution(lease: Duration) -> Duration:
    """Return how long to wait for the end of a lease on another clock."""
    return lease + lease // CAUTION + 1


def _is_old(known: _Node, ask: Ask, now: Instant) -> bool:
    """Return whether a datagram was overtaken, or is of a process that was replaced.

    A clock that was set back lets a new process wait until the former one's promise is over.
    """
    before = (known.ask.session, known.ask.number)
    if ask.session == known.ask.session:
        return ask.number <= known.ask.number
    return (ask.session, ask.number) < before and now < known.until


def _is_rival(other: _Node, name: str, now: Instant) -> bool:
    """Return whether a node wants the vote for a partition without the one that asks.

    One whose view still has the asking node in it has not noticed yet, or is dead: it is waited
    for, and nothing is lost to it.
    """
    fresh = now < other.seen + with_caution(other.ask.lease)
    return fresh and other.ask.wish is Wish.VOTE and name not in other.ask.view
