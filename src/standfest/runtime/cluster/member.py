"""A cluster daemon's member of the cluster: of whom `pulse` hears, who is in the view takes part.

Everything else is the participant's: it sees a node that is outvoted as one that is not there.
"""

from collections.abc import Collection
from typing import Any

from standfest.core.cib.document import Cib
from standfest.core.membership.meshes import Meshes
from standfest.core.membership.views import Statement
from standfest.model.quorum import Breaker
from standfest.model.time import Duration, Instant, earliest
from standfest.runtime.cluster import protocol
from standfest.runtime.cluster.effects import Acquaint, Level, MemberEffect, Send, note
from standfest.runtime.cluster.herald import Herald
from standfest.runtime.cluster.participant import Participant
from standfest.runtime.cluster.settings import ClusterSettings

Effects = list[MemberEffect]


class ClusterMember(Participant):
    """The participant among those that all hear each other (docs/adr/0036)."""

    def __init__(
        self,
        settings: ClusterSettings,
        session: int,
        cib: Cib,
        promised: tuple[int, str] = (0, ""),
        now: Instant = 0,
    ) -> None:
        super().__init__(settings, session, cib, promised, now)
        self.meshes = Meshes(self.name, session, settings.deadtime)
        self._strangers: tuple[str, ...] = ()
        self._herald = Herald()

    def _votes(self, nodes: Collection[str]) -> int:
        """Return the votes of a view; half a vote more with the node that breaks ties.

        Whom those hear that know a later roster was added while we were away: it has a vote.
        """
        rules, newer = self.partition.quorum.rules, self.meshes.heard_of()
        breaks = rules.breaker is Breaker.NODE and rules.tie_node in nodes
        strangers = newer.intersection(nodes).difference(self.partition.roster.nodes)
        return 2 * (rules.count(nodes) + len(strangers)) + breaks

    def view(self) -> dict[str, Any]:
        """Return who is in the view, and who is out of it and why, for people."""
        meshes = self.meshes
        return {
            "members": sorted([self.name, *meshes.view]),
            "outvoted": [
                {"node": node, "why": meshes.why_out(node)} for node in sorted(meshes.out)
            ],
            "self_outvoted": meshes.outvoted,
        }

    # --- inputs ---------------------------------------------------------------------------------

    def settle(self, now: Instant, wall: int) -> Effects:
        """All nodes have been heard, or given up."""
        self.meshes.settle()
        self._strangers = ()  # `pulse` may be a new one, that has not heard of them
        return super().settle(now, wall) + self._weigh(now, wall)

    def appear(self, now: Instant, wall: int, node: str) -> Effects:
        """`pulse` hears a node; again when it was restarted and hears it anew."""
        known = node in self.meshes.view
        self.meshes.hear(node)
        effects = super().appear(now, wall, node) if known else []
        return effects + self._weigh(now, wall)

    def vanish(self, now: Instant, wall: int, node: str, *, left: bool) -> Effects:
        """A node is dead, or has left in order."""
        self.meshes.miss(node, left=left)
        effects = super().vanish(now, wall, node, left=True) if left else []
        return effects + self._weigh(now, wall)

    def reset(self, now: Instant, wall: int, node: str) -> Effects:
        """Messages between us and a node may have been lost."""
        self.meshes.again(node)
        effects = [] if node in self.meshes.out else super().reset(now, wall, node)
        return effects + self._weigh(now, wall)

    def receive(
        self, now: Instant, wall: int, sender: str, message: protocol.ClusterMessage
    ) -> Effects:
        """A message of another cluster daemon: one that is out of the view only states."""
        if isinstance(message, Statement):
            self.meshes.learn(sender, message)
            return self._weigh(now, wall)
        if isinstance(message, protocol.Gone):
            self.meshes.forget(sender)
        effects = [] if sender in self.meshes.out else super().receive(now, wall, sender, message)
        return effects + self._weigh(now, wall)

    def paused(self, now: Instant, wall: int, duration: Duration) -> Effects:
        """This node stood still for so long: nobody is heard until `pulse` says so again."""
        if len(self.partition.roster.nodes) > 1:
            self.meshes.clear()
        return super().paused(now, wall, duration) + self._weigh(now, wall)

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        return earliest(super().deadline(), self.meshes.deadline())

    def on_timer(self, now: Instant, wall: int) -> Effects:
        """Do what is due."""
        return super().on_timer(now, wall) + self._weigh(now, wall)

    def _run(self, now: Instant, wall: int, effects: Effects) -> Effects:
        """Do all that follows, and tell last what has become of the cluster: nothing waits for it.

        What comes of an input beyond this (a view that changes) is an input of its own.
        """
        done = super()._run(now, wall, effects)
        term = self.coordinator.ledger.term if self.coordinator is not None else None
        records, synchronised = self.fenced or (), self.synchronised
        return done + self._herald.look(self.cib, records, synchronised=synchronised, term=term)

    # --- the view -------------------------------------------------------------------------------

    def _weigh(self, now: Instant, wall: int) -> Effects:
        """Act on a view that has changed; who is out of it is gone."""
        roster = self.partition.roster.step
        verdict = self.meshes.weigh(now, self.leader, self._votes, roster)
        effects: Effects = [Send(tell.destination, tell.statement) for tell in verdict.tells]
        if verdict.outvoted is not self.partition.outvoted:
            self.partition.outvoted = verdict.outvoted
            level = Level.WARNING if verdict.outvoted else Level.INFO
            effects.append(note("outvoted", level, now=verdict.outvoted))
            if self.coordinator is not None:
                effects += self.coordinator.judge(now, wall, "view")
        quorate = self.partition.quorate
        for node in verdict.gone:  # no vote of one counts any more when the first is acted on
            effects += self.partition.vanish(now, node, left=False)
        effects += self.partition.silence(now, self.meshes.view - self.meshes.heard)
        if self.coordinator is not None and self.partition.quorate is not quorate:
            effects += self.coordinator.judge(now, wall, "votes")
        for node in verdict.gone:
            if node in self.meshes.heard:
                why = self.meshes.why_out(node)
                effects.append(note("not-in-view", Level.WARNING, node=node, why=why))
            effects += super().vanish(now, wall, node, left=False)
        for node in verdict.came:
            effects += super().appear(now, wall, node)
            if node in verdict.again:
                effects += super().reset(now, wall, node)
        effects += self._meet()
        return self._run(now, wall, effects) if effects else []

    def _meet(self) -> Effects:
        """Have `pulse` hear whom members hear: they are nodes by a newer roster than ours.

        Otherwise neither would hear the other: we were out of the view, and never learned of it.
        """
        known = self.partition.roster
        strangers = tuple(sorted(self.meshes.heard_of().difference(known.nodes)))
        if strangers == self._strangers:
            return []
        self._strangers = strangers
        if not strangers:
            return []
        nodes = tuple(sorted((*known.nodes, *strangers)))
        said = note("nodes-heard-of", nodes=" ".join(strangers))
        removed = tuple(node for node in known.removed if node not in strangers)
        return [said, Acquaint(nodes, removed)]
