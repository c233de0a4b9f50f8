"""Whether this node's partition may act: a machine without I/O.

Inputs: who is present, what a tiebreaker has promised, whether hosts outside are reached, whether
fencing works. Effects: `Judged` when the verdict changes, `SeenAll` once when all nodes were there.

A verdict that rests on a lease ends with it, and whoever stood still finds that out first: every
input looks at the clock before anything else. What each rule is worth: docs/adr/0029-quorum.md.
"""

from dataclasses import dataclass

from standfest.model.quorum import (
    Breaker,
    Ground,
    Lease,
    Mandate,
    Presence,
    QuorumRules,
    Verdict,
    Weight,
)
from standfest.model.time import Instant


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict is another one now."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class SeenAll:
    """All nodes were present at once: remember that until the machine is booted again."""


QuorumEffect = Judged | SeenAll
Effects = list[QuorumEffect]


class Quorum:
    """One node's view of its partition; it begins alone and without quorum."""

    def __init__(self, rules: QuorumRules, name: str, now: Instant, *, seen_all: bool) -> None:
        """Begin; seen_all: what SeenAll said since the machine was booted.

        What runs is kept for as long as a tiebreaker may need for its first word: a daemon that
        is started again must not end what it finds.
        """
        self.rules = rules
        self.name = name
        self.view = frozenset({name})
        self.since = now
        self.lease = Lease(kept_until=now + rules.settle)
        self.seen_all = seen_all
        self.fencing = False
        self.reachable = False
        self.verdict = Verdict(Mandate.OPEN, Ground.LEASE_OPEN)
        self._settled_at = self._judged_at = now
        self._judge(now)

    # --- inputs ---------------------------------------------------------------------------------

    def present(self, now: Instant, nodes: frozenset[str], *, left: bool = False) -> Effects:
        """These nodes, and this one, are there; left: whoever is not has left in order."""
        effects = self._judge(now)
        view = nodes | {self.name}
        if self.view - view and not left:
            self._settled_at = now + self.rules.settle
        if view != self.view:
            self.since = max(now, self.since + 1)
        self.view = view
        if not self.seen_all and view.issuperset(self.rules.nodes):
            self.seen_all = True
            effects.append(SeenAll())
        return effects + self._judge(now)

    def promise(self, now: Instant, lease: Lease) -> Effects:
        """An exclusive tiebreaker promises something, instead of what it promised before."""
        effects = self._judge(now)
        self.lease = lease
        return effects + self._judge(now)

    def reach(self, now: Instant, *, reachable: bool) -> Effects:
        """Enough hosts outside answer, or do not."""
        self.reachable = reachable
        return self._judge(now)

    def fence(self, now: Instant, *, usable: bool) -> Effects:
        """Fencing is configured and enabled, or it is not."""
        self.fencing = usable
        return self._judge(now)

    def elect(self, now: Instant, rules: QuorumRules) -> Effects:
        """The electorate is another one: these rules count from now on."""
        effects = self._judge(now)
        self.rules = rules
        return effects + self._judge(now)

    def presence(self, *, busy: bool) -> Presence:
        """Return what an exclusive tiebreaker is to know."""
        enough = self.rules.weigh(self.view) is not Weight.LESS
        return Presence(self.view, self.since, self.rules.count(self.view), enough, busy)

    def on_timer(self, now: Instant) -> Effects:
        """Something has run out, or has settled."""
        return self._judge(now)

    def deadline(self) -> Instant | None:
        """Return when the verdict may change by time alone."""
        judged, lease = self._judged_at, self.lease
        moments = [self._settled_at] if self._settled_at > judged else []
        leased = [at for at in (lease.votes_until, lease.kept_until) if at > judged]
        if not moments and not leased:
            return None  # as nearly always: no votes need to be counted for it
        weight = self.rules.weigh(self.view)
        if weight is Weight.LESS:
            return None
        if weight is Weight.HALF and self.rules.breaker.exclusive:
            moments += leased
        return min(moments, default=None)

    # --- the verdict ----------------------------------------------------------------------------

    def _judge(self, now: Instant) -> Effects:
        self._judged_at = now
        mandate, ground = self._mandate(now)
        verdict = Verdict(mandate, ground, self.rules.count(self.view))
        if verdict == self.verdict:
            return []
        self.verdict = verdict
        return [Judged(verdict)]

    def _mandate(self, now: Instant) -> tuple[Mandate, Ground]:
        weight = self.rules.weigh(self.view)
        if weight is Weight.LESS:
            return Mandate.LOST, Ground.MINORITY
        if (self.rules.wait_for_all or self.rules.two_node) and not self.seen_all:
            return Mandate.LOST, Ground.WAITING
        if weight is Weight.MORE:
            return self._by_majority(now)
        if self.rules.two_node:
            return _either(self.fencing, Ground.TWO_NODE, Ground.TWO_NODE_UNFENCED)
        match self.rules.breaker:
            case Breaker.NONE:
                return Mandate.LOST, Ground.TIE
            case Breaker.NODE:
                there = self.rules.tie_node in self.view
                return _either(there, Ground.NODE, Ground.OTHER_NODE)
            case Breaker.PING:
                if not self.fencing:
                    return Mandate.LOST, Ground.PING_UNFENCED
                return _either(self.reachable, Ground.PING, Ground.NO_PING)
            case Breaker.DISK | Breaker.SERVER:
                return self._by_lease(now)

    def _by_majority(self, now: Instant) -> tuple[Mandate, Ground]:
        """More than half counts when those who were lost must have noticed, or can be fenced."""
        if now >= self._settled_at or self.fencing:
            return Mandate.QUORATE, Ground.MAJORITY
        return (Mandate.OPEN if self._held() else Mandate.LOST), Ground.SETTLING

    def _held(self) -> bool:
        """Return whether this node may keep what it runs while something is being decided."""
        return self.verdict.mandate is not Mandate.LOST

    def _by_lease(self, now: Instant) -> tuple[Mandate, Ground]:
        """Half of the votes count with the tiebreaker's, once all others must have noticed.

        While the tie is open this node keeps what it runs: nobody else can have been given the
        vote before `kept_until`. Who has lost already does not come back that way.
        """
        lease = self.lease
        mine = lease.since == self.since and now < lease.votes_until
        if mine and now >= self._settled_at:
            return Mandate.QUORATE, Ground.LEASE
        if self._held() and now < lease.kept_until:
            return Mandate.OPEN, Ground.LEASE_OPEN
        return Mandate.LOST, Ground.NO_LEASE


def _either(holds: bool, yes: Ground, no: Ground) -> tuple[Mandate, Ground]:
    return (Mandate.QUORATE, yes) if holds else (Mandate.LOST, no)
