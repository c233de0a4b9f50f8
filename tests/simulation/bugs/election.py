"""Seeded bugs of elections, terms and quorum."""

from tests.simulation.bugs.bug import Bug

ELECTION = "standfest.core.membership.election"
MEMBER = "standfest.runtime.cluster.participant"
PARTITION = "standfest.runtime.cluster.partition"
QUORUM = "standfest.core.quorum.machine"

BUGS = (
    Bug(
        "election-of-two",
        "of equals each elects itself",
        ELECTION,
        "        winner = min(name for name, hello in pool.items() if hello.merit == best)\n",
        "        equals = [name for name, hello in pool.items() if hello.merit == best]\n"
        "        winner = self.name if self.name in equals else min(equals)\n",
    ),
    Bug(
        "promise-not-kept",
        "a promised term is not written to disk",
        MEMBER,
        "                    effects.append(Save(self.cib, self.election.promised))",
        "                    pass",
    ),
    Bug(
        "promise-not-read",
        "a restarted daemon has forgotten what term it promised",
        "standfest.runtime.cluster.stored",
        '    promised = _number(element.get(TERM)), element.get(LEADER) or ""',
        '    promised = (0, "")',
    ),
    Bug(
        "quorum-one-less",
        "half of the votes are a majority",
        "standfest.model.quorum",
        "        if twice > self.expected:\n",
        "        if twice >= self.expected:\n",
        nodes=(4,),
    ),
    Bug(
        "quorum-not-asked",
        "every partition has quorum",
        PARTITION,
        "        return quorate and not (self.isolated or self.outvoted)",
        "        return not (self.isolated or self.outvoted)",
        nodes=(3, 5),
    ),
    Bug(
        "dead-votes-counted",
        "the votes of those who are gone still count",
        QUORUM,
        "        self.view = view\n",
        "        self.view = self.view | view\n",
        nodes=(3, 5),
    ),
    Bug(
        "contradictions-believed",
        "members are all that the coordinator hears, whomever those hear",
        "standfest.core.membership.meshes",
        "        best = best_view(said, self.name, votes)\n",
        "        best = frozenset({self.name, *self.heard})\n",
        nodes=(3, 5),
    ),
    Bug(
        "minority-accepts-changes",
        "a partition without quorum accepts changes of the configuration",
        "standfest.runtime.cluster.requests",
        "        return self.policy is NoQuorumPolicy.IGNORE or"
        " self.partition.suffices(self.joined)",
        "        return True",
        nodes=(3, 5),
    ),
    Bug(
        "hearsay-without-order",
        "of two daemons of a node that nobody hears, the one that was told last counts",
        "standfest.core.membership.meshes",
        "        return hears_it or statement.session > known.session\n",
        "        return True\n",
        nodes=(5, 7),
    ),
    Bug(
        "declines-in-a-circle",
        "who cannot follow says so to each Lead, and its coordinator answers each time",
        "standfest.runtime.cluster.participant",
        "            self._joined = (lead.term, lead.invitation)"
        "  # said once to each Lead, not in a circle\n"
        "            return [Send(self.leader, self.election.hello())]\n",
        "            return [Send(self.leader, self.election.hello(seeking=True))]\n",
        nodes=(5, 7),
    ),
)
