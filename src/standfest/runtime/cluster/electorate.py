"""Nodes that come and go while the cluster runs: the roster changes by one at a time.

Each change is two writes. The first leaves the roster as it is and is waited for: a majority then
has on disk, in this term, what the change begins with. Without it the rosters of two terms could
differ by two nodes, and their majorities would need nobody in common (docs/adr/0035).
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from standfest.core.cib.changes import Change, ForgetNode, SetNodeState, SetRoster
from standfest.core.cib.roster import Roster
from standfest.model.configuration import NoQuorumPolicy
from standfest.model.errors import Ground, OperationError, RefusedError
from standfest.model.settings import MAX_NODE_NAME, MAX_NODES, is_node_name
from standfest.model.status import Join as JoinState
from standfest.model.status import Version
from standfest.runtime.cluster.effects import MemberEffect, Send, note
from standfest.runtime.cluster.ledger import Ledger
from standfest.runtime.cluster.protocol import AddNode, RosterRequest, Told

Effects = list[MemberEffect]


@dataclass(frozen=True, slots=True)
class _Change:
    """A change that is under way; version: of the write that is waited for; id: 0 for nobody's."""

    request: RosterRequest
    origin: str
    id: int
    version: Version


class Electorate:
    """One term's changes of the roster."""

    def __init__(self, ledger: Ledger, *, autojoin: bool) -> None:
        self._ledger = ledger
        self._autojoin = autojoin
        self._now: _Change | None = None
        self._steps = 0

    # --- inputs ---------------------------------------------------------------------------------

    def ask(self, origin: str, number: int, request: RosterRequest) -> Effects:
        """An administrator wants a node added or removed; answered when it is so on all disks."""
        try:
            self._check(request)
        except OperationError as error:
            return [Send(origin, Told(number, False, str(error), error.ground))]
        return self._begin(request, origin, number)

    def welcome(self) -> Effects:
        """Add who takes part and is no node yet, where nodes may join by themselves."""
        ledger, roster = self._ledger, self._roster()
        if not (self._autojoin and ledger.serving) or self._now is not None:
            return []
        for node in sorted(ledger.joined - {*roster.nodes, *roster.removed}):
            request = AddNode(node)
            try:
                self._check(request)
            except OperationError:
                continue  # without quorum; it is tried again with the next news
            return [note("node-joins", node=node), *self._begin(request, "", 0)]
        return []

    def restate(self) -> Effects:
        """Nobody counts any more who has which version on disk: begin the step once more."""
        return [] if self._now is None else self._write(self._roster(), ())

    def advance(self) -> tuple[Effects, str]:
        """Go on when a write is on the disks of all members; and say who came or went."""
        change = self._now
        if change is None or self._ledger.replica.waits_for(change.version):
            return [], ""
        node, roster = change.request.node, self._roster()
        adds = isinstance(change.request, AddNode)
        if (node in roster.nodes) is adds:
            self._now = None
            enough = self._enough(roster.nodes)
            text = f"{node} is a node now" if adds else f"{node} is no node any more"
            if not enough:
                text = f"open whether it stays, quorum was lost meanwhile: {text}"
            ground = Ground.NONE if enough else Ground.NO_QUORUM
            told = [Send(change.origin, Told(change.id, enough, text, ground))] if change.id else []
            return [*told, *self.welcome()], node
        try:
            self._check(change.request, begun=True)
        except OperationError as error:
            self._now = None
            refused = Told(change.id, False, str(error), error.ground)
            return [Send(change.origin, refused)] if change.id else [], ""
        after = roster.adding(node) if adds else roster.removing(node)
        effects = self._write(after, self._unseen(node) if adds else (ForgetNode(node),))
        more, _ = self.advance()  # at once where there is no other member
        return effects + more, node

    def _unseen(self, node: str) -> tuple[Change, ...]:
        """State that a node which was not here yet runs nothing: it is not fenced for being new."""
        if self._ledger.replica.cib.status.node(node) is not None:
            return ()
        return (SetNodeState(node, False, False, JoinState.DOWN, False),)

    # --- what may be done -----------------------------------------------------------------------

    def _check(self, request: RosterRequest, *, begun: bool = False) -> None:
        """Raise OperationError for what cannot be done, or by whom nobody could keep."""
        ledger, roster = self._ledger, self._roster()
        node = request.node
        if self._now is not None and not begun:
            raise OperationError("another change of the nodes is under way; try again")
        if ledger.partition.counted_elsewhere:
            raise OperationError("corosync counts the votes: its nodelist says who is a node")
        rules = ledger.partition.quorum.rules
        if rules.breaker.exclusive:
            raise OperationError(
                f"the tiebreaker ({rules.breaker.value}) knows the nodes of ha.cf only; expected a "
                "stop of the cluster, and the same node lines on all nodes"
            )
        if isinstance(request, AddNode):
            self._may_come(node, roster)
            after = roster.adding(node)
        else:
            self._may_go(node, roster)
            after = roster.removing(node)
        if not (self._enough(roster.nodes) and self._enough(after.nodes)):
            names = ", ".join(sorted(self._keepers()))
            numbers = f"{len(roster.nodes)} nodes, and of {len(after.nodes)} then,"
            text = f"no quorum: of {numbers} only {names} would keep it"
            raise RefusedError(Ground.NO_QUORUM, text)

    @staticmethod
    def _may_come(node: str, roster: Roster) -> None:
        if not is_node_name(node):
            shown = node[:MAX_NODE_NAME]
            raise OperationError(f'"{shown}" is no name; expected what `uname -n` prints')
        if node in roster.nodes:
            raise OperationError(f"{node} is a node already")
        if len(roster.nodes) >= MAX_NODES:
            raise OperationError(f"{node} is one too many; expected at most {MAX_NODES} nodes")

    def _may_go(self, node: str, roster: Roster) -> None:
        ledger, rules = self._ledger, self._ledger.partition.quorum.rules
        if node not in roster.nodes:
            text = f"no node {node}; expected one of: {', '.join(roster.nodes)}"
            raise RefusedError(Ground.NO_SUCH, text)
        if node in ledger.heard or node in ledger.joined or node == ledger.settings.name:
            raise OperationError(f"{node} is active; stop it first")
        if node == rules.tie_node:
            raise OperationError(f"{node} breaks ties (quorum.toml); expected another one")
        votes = dict(rules.votes).get(node, 1)
        if votes > 1:
            raise OperationError(f"{node} has {votes} votes; expected one, or none (quorum.toml)")
        state = ledger.state(node)
        if ledger.configuration().options.stonith_enabled and state.expected:
            raise OperationError(f"{node} is lost and not fenced yet; fence it first")

    def _keepers(self) -> set[str]:
        return {self._ledger.settings.name, *self._ledger.joined}

    def _enough(self, electorate: Collection[str]) -> bool:
        """Return whether the members have more than half of these votes; no tiebreaker counts."""
        policy = self._ledger.configuration().options.no_quorum_policy
        ignored = policy is NoQuorumPolicy.IGNORE
        return ignored or self._ledger.partition.outweighs(self._keepers(), electorate)

    # --- writing --------------------------------------------------------------------------------

    def _roster(self) -> Roster:
        """Return the roster of the ledger's own copy of the CIB."""
        return self._ledger.roster()

    def _begin(self, request: RosterRequest, origin: str, number: int) -> Effects:
        self._now = _Change(request, origin, number, Version())
        return self._write(self._roster(), ())

    def _write(self, roster: Roster, more: tuple[Change, ...]) -> Effects:
        assert self._now is not None, "only a change that is under way is written"
        self._steps += 1
        roster = replace(roster, mark=f"{self._ledger.term}.{self._steps}")
        effects = self._ledger.apply((SetRoster(roster), *more))
        self._now = replace(self._now, version=self._ledger.replica.cib.version)
        return effects
