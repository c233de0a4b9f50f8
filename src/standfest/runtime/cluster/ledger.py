"""What a coordinator knows and writes: who is there, and the CIB that it alone changes.

Shared by the parts of a coordinator; it decides nothing.
"""

from standfest.config.cib import compile_configuration
from standfest.core.cib import roster
from standfest.core.cib.changes import Change, ForgetHistory, SetNodeState, SetQuorum
from standfest.core.cib.replica import Committed, Persist, Replica, ReplicaEffect
from standfest.core.cib.roster import Roster
from standfest.model.configuration import Configuration, NoQuorumPolicy
from standfest.model.element import Element
from standfest.model.status import Join, NodeState, Version
from standfest.runtime.cluster import inputs
from standfest.runtime.cluster.effects import MemberEffect, Save, Send
from standfest.runtime.cluster.ipfail import Preference, preference
from standfest.runtime.cluster.partition import Partition
from standfest.runtime.cluster.requests import Keepers
from standfest.runtime.cluster.settings import ClusterSettings

Effects = list[MemberEffect]
_Effective = tuple[Element, NoQuorumPolicy | None, Preference | None, Element]


class Ledger:
    """One term's books. serving: the members have said what they run, so decisions may be taken.

    joined: members under this coordinator, itself included once it has joined; heard: whom `pulse`
    hears; partition: what it may do.
    """

    def __init__(
        self, settings: ClusterSettings, term: int, replica: Replica, partition: Partition
    ) -> None:
        self.settings = settings
        self.partition = partition
        self.term = term
        self.replica = replica
        self.serving = False
        self.joined: set[str] = set()
        self.heard: set[str] = set()
        self._asked: dict[Version, list[tuple[str, int, str]]] = {}
        self._compiled: tuple[Element, Configuration] | None = None
        self._effective: _Effective | None = None

    # --- what is known --------------------------------------------------------------------------

    def others(self) -> tuple[str, ...]:
        """Return the members under this coordinator but itself."""
        return tuple(sorted(self.joined - {self.settings.name}))

    def state(self, node: str) -> NodeState:
        """Return what the status says of a node."""
        return self.replica.cib.status.node(node) or NodeState(node)

    def quorum(self) -> SetQuorum:
        """Return what is to be stated of this partition."""
        return SetQuorum(self.partition.quorate, self.settings.name)

    def goodbyes(self) -> tuple[Change, ...]:
        """Return what is to be stated of nodes that left in order while nobody was told so here."""
        left = sorted(self.partition.left - self.heard)
        missed = [node for node in left if self.state(node).expected]
        gone = [SetNodeState(node, False, False, Join.DOWN, False) for node in missed]
        return (*gone, *(ForgetHistory(node, "") for node in missed))

    def keepers(self) -> Keepers:
        """Return who would keep a change of the configuration."""
        policy = self.configuration().options.no_quorum_policy
        return Keepers(self.partition, {self.settings.name, *self.joined}, policy)

    @property
    def backed(self) -> bool:
        """Return whether those under this coordinator are a quorum by themselves."""
        return self.partition.suffices(self.joined)

    def roster(self) -> Roster:
        """Return who is a node by the CIB as it is now."""
        return roster.read(self.replica.cib.configuration) or self.partition.roster

    def configuration(self) -> Configuration:
        """Return the configuration as values."""
        element = self.replica.cib.configuration
        if self._compiled is None or self._compiled[0] is not element:
            self._compiled = (element, compile_configuration(element)[0])
        return self._compiled[1]

    def to_schedule(self) -> Element:
        """Return the configuration with all that follows from this installation's state."""
        element, policy = self.replica.cib.configuration, self._policy()
        configuration, status = self.configuration(), self.replica.cib.status
        wanted = preference(self.settings.pinging, configuration, status, self.joined)
        known = self._effective
        if known is None or known[0] is not element or known[1:3] != (policy, wanted):
            nodes = self.roster().nodes
            made = inputs.effective(element, configuration, nodes, policy=policy, wanted=wanted)
            known = self._effective = (element, policy, wanted, made)
        return known[3]

    def _policy(self) -> NoQuorumPolicy | None:
        """Return the no-quorum-policy that counts now whatever the configuration says.

        A node without any carrier stops all: nobody can reach it, and whoever cannot hear it is
        taking over. While a tie is open, what runs is kept and nothing is started.
        """
        if self.partition.isolated:
            return NoQuorumPolicy.STOP
        ignored = self.configuration().options.no_quorum_policy is NoQuorumPolicy.IGNORE
        return NoQuorumPolicy.FREEZE if self.partition.open and not ignored else None

    # --- what is written ------------------------------------------------------------------------

    def apply(self, changes: tuple[Change, ...]) -> Effects:
        """Change the CIB, here and on all members."""
        return self.replicated(self.replica.propose(self.term, changes))

    def promise(self, node: str, number: int, text: str, version: Version) -> None:
        """Answer an Ask when all members have this version on disk."""
        self._asked.setdefault(version, []).append((node, number, text))

    def replicated(self, wanted: list[ReplicaEffect]) -> Effects:
        """Perform what the replica wants."""
        effects: Effects = []
        for effect in wanted:
            match effect:
                case Persist(cib):
                    effects.append(Save(cib, (self.term, self.settings.name)))
                case Committed(version):
                    for node, number, text in self._asked.pop(version, []):
                        effects.append(Send(node, self.keepers().told(number, text)))
                case _:
                    effects.append(Send(effect.destination or None, effect.message))
        return effects
