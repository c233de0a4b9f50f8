"""The quorum machine beside a member: who is present, and what this partition may do."""

from collections.abc import Collection
from dataclasses import replace

from standfest.config.cib import compile_configuration
from standfest.core.cib import roster
from standfest.core.cib.roster import Roster
from standfest.core.quorum.machine import Judged, Quorum, QuorumEffect, SeenAll
from standfest.model.configuration import Configuration
from standfest.model.element import Element
from standfest.model.operations import OperationResult, OperationStatus
from standfest.model.quorum import (
    Counted,
    Lease,
    Mandate,
    Presence,
    QuorumWord,
    Reached,
    Weight,
)
from standfest.model.status import NodeState
from standfest.model.time import Instant
from standfest.runtime.cluster import inputs, links
from standfest.runtime.cluster.effects import Enrolled, Level, MemberEffect, RememberAll, note
from standfest.runtime.cluster.settings import ClusterSettings

History = tuple[tuple[str, tuple[OperationResult, ...]], ...]
Effects = list[MemberEffect]


class Partition:
    """Whatever changes the verdict returns an event of it; nothing else does.

    isolated: no link of this node has a carrier: nobody can reach it, so it lets go of everything.
    outvoted: others that hear each other both ways are the view; this node has no say.
    silent: members that this node does not hear, of which it is not decided yet that they are lost:
    their votes do not count.
    roster: who is a node; configuration: as it counts now; devices: those of the network that carry
    cluster addresses; left: who said goodbye and was not heard since, as long as nobody can have
    gone on without us.
    """

    def __init__(self, settings: ClusterSettings, now: Instant, element: Element) -> None:
        self.quorum = Quorum(settings.quorum, settings.name, now, seen_all=settings.seen_all)
        self.isolated = self.outvoted = False
        self.silent: frozenset[str] = frozenset()
        self._members: frozenset[str] = frozenset()
        self.left: set[str] = set()
        self.roster = Roster(tuple(sorted(settings.nodes)))
        self._rules = settings.quorum
        self._counted: bool | None = None
        self._element: Element | None = None
        self.configuration: Configuration
        self.devices: tuple[str, ...]
        self.configured(now, element)

    @property
    def quorate(self) -> bool:
        """Return whether anything may be started."""
        counted = self._counted
        quorate = self.quorum.verdict.quorate if counted is None else counted
        return quorate and not (self.isolated or self.outvoted)

    @property
    def open(self) -> bool:
        """Return whether it is being decided: what runs is kept, nothing is started."""
        return self._counted is None and self.quorum.verdict.mandate is Mandate.OPEN

    def outweighs(self, nodes: Collection[str], electorate: Collection[str]) -> bool:
        """Return whether these nodes have more than half of the votes of an electorate."""
        return self._rules.electing(electorate).weigh(nodes) is Weight.MORE

    @property
    def counted_elsewhere(self) -> bool:
        """Return whether somebody else counts the votes (corosync)."""
        return self._counted is not None

    def suffices(self, nodes: Collection[str]) -> bool:
        """Return whether what these nodes keep outlives the loss of any minority.

        Half of the votes do with the tiebreaker's (docs/adr/0029 says what that is worth), or where
        somebody else has counted this half in: not while more than these are heard, of which it is
        not known what they would keep.
        """
        rules, counted = self.quorum.rules, self._counted
        weight = rules.weigh(nodes)
        if weight is not Weight.HALF:
            return weight is Weight.MORE and counted is not False
        decided = self.quorum.verdict.quorate if counted is None else counted
        return decided and rules.weigh(self.quorum.view) is Weight.HALF

    def appear(self, now: Instant, node: str) -> Effects:
        """A node is heard."""
        self.left.discard(node)
        self._members |= {node}
        return self._present(now)

    def vanish(self, now: Instant, node: str, *, left: bool) -> Effects:
        """A node is dead, or has left in order."""
        self._members -= {node}
        return self._present(now, left=left)

    def silence(self, now: Instant, nodes: frozenset[str]) -> Effects:
        """These members are silent from now on, no others."""
        if nodes == self.silent:
            return []
        self.silent = nodes
        return self._present(now)

    def _present(self, now: Instant, *, left: bool = False) -> Effects:
        return self._told(self.quorum.present(now, self._members - self.silent, left=left))

    def tell(self, now: Instant, word: QuorumWord) -> Effects:
        """Something else than who is present is so now."""
        match word:
            case Lease():
                return self._told(self.quorum.promise(now, word))
            case Reached(reachable):
                return self._told(self.quorum.reach(now, reachable=reachable))
            case Counted(quorate, reason):
                if self._counted is quorate:
                    return []
                self._counted = quorate
                level = Level.INFO if quorate else Level.WARNING
                return [note("votes", level, quorate=quorate, reason=reason)]

    def on_timer(self, now: Instant) -> Effects:
        """Something has run out, or has settled."""
        at = self.quorum.deadline()
        return self._told(self.quorum.on_timer(now)) if at is not None and at <= now else []

    def configured(self, now: Instant, element: Element) -> Effects:
        """The configuration may be another one: rules may count on fencing, or not."""
        if element is self._element:
            return []
        self._element = element
        self.configuration = compile_configuration(element)[0]
        self.devices = links.devices(self.configuration)
        fenced = any(one.agent.standard == "stonith" for one in self.configuration.primitives())
        usable = fenced and self.configuration.options.stonith_enabled
        return self._enrolled(now) + self._told(self.quorum.fence(now, usable=usable))

    def _enrolled(self, now: Instant) -> Effects:
        """The configuration may have another roster: its votes count at once, acknowledged or not.

        Of two rosters that differ by one vote each majority has a node of every other one's.
        """
        assert self._element is not None, "it has just been looked at"
        found = roster.read(self._element) or self.roster
        if (found.nodes, found.removed) == (self.roster.nodes, self.roster.removed):
            return []
        self.roster = found
        effects: Effects = [
            note("nodes", nodes=" ".join(found.nodes), removed=" ".join(found.removed)),
            Enrolled(found.nodes, found.removed),
        ]
        return effects + self._told(self.quorum.elect(now, self._rules.electing(found.nodes)))

    def presence(self, history: History) -> Presence:
        """Return what a tiebreaker is to know; history: of the operations on this node.

        A node that lets go of everything wants no vote: it would keep it from all others.
        """
        presence = self.quorum.presence(busy=self._busy(history))
        return replace(presence, enough=False) if self.isolated or self.outvoted else presence

    def _busy(self, history: History) -> bool:
        if any(e.status is OperationStatus.PENDING for _, entries in history for e in entries):
            return True
        state = NodeState(self.quorum.name, history=history)
        return bool(inputs.running(self.configuration, state))

    def _told(self, wanted: list[QuorumEffect]) -> Effects:
        effects: Effects = []
        for effect in wanted:
            match effect:
                case Judged(verdict):
                    if not verdict.quorate:
                        self.left.clear()
                    level = Level.INFO if verdict.quorate else Level.WARNING
                    event = {
                        Mandate.QUORATE: "quorum-have",
                        Mandate.OPEN: "quorum-open",
                        Mandate.LOST: "quorum-lost",
                    }[verdict.mandate]
                    why = verdict.ground.value
                    effects.append(note(event, level, votes=verdict.votes, why=why))
                case SeenAll():
                    effects.append(RememberAll())
        return effects
