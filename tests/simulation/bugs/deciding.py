"""Seeded bugs of the coordinator, the scheduler, fencing and the executor."""

from tests.simulation.bugs.bug import Bug

COORDINATOR = "standfest.runtime.cluster.coordinator"
DECIDING = "standfest.runtime.cluster.deciding"
FENCING = "standfest.core.fencing.machine"
TRANSITION = "standfest.core.transition.machine"
EXECUTOR = "standfest.core.executor.machine"
HISTORY = "standfest.core.executor.history"
CAUTION = "standfest.core.scheduler.caution"
RELATIONS = "standfest.core.scheduler.relations"
TRANSLATE = "standfest.runtime.cluster.translate"
MEMBER = "standfest.runtime.cluster.participant"

MAIL = ("mail", "mail-and-unmanaged", "clone-and-mail")
UNMANAGED = ("mail-and-unmanaged", "web-after-database")

BUGS = (
    Bug(
        "fencing-skipped",
        "what has to wait for fencing goes on when fencing has begun",
        DECIDING,
        "                    self._executed += busy\n",
        "                    self._executed += busy\n"
        "                    effects += self._commanded(\n"
        "                        now, wall, self._transition.on_fenced(now, node, how)\n"
        "                    )\n",
        fencing=True,
    ),
    Bug(
        "fencing-failure-believed",
        "a fence agent that failed counts as one that succeeded",
        FENCING,
        "        if succeeded or not step.must:\n",
        "        if succeeded or step.must:\n",
        fencing=True,
    ),
    Bug(
        "fencing-before-nothing",
        "starts are not ordered after the fencing of the node that ran it",
        "standfest.core.scheduler.fence",
        "        _before_starts(leaves, action)\n",
        "        pass\n",
        fencing=True,
    ),
    Bug(
        "returning-node-believed",
        "what a returning node runs is taken from the last that was known of it",
        COORDINATOR,
        "NodeState(node, True, True, JoinState.MEMBER, True, message.history, kept)",
        "NodeState(node, True, True, JoinState.MEMBER, True, known.history, kept)",
    ),
    Bug(
        "looks-again-for-ever",
        "a transition in which nothing could be done is followed by another one",
        DECIDING,
        "finished.outcome is Outcome.COMPLETE and not self._again",
        "finished.outcome is Outcome.ABORTED and not self._again",
    ),
    Bug(
        "failover-forgotten",
        "nothing is decided when a node is lost",
        COORDINATOR,
        '        return effects + self._deciding.consider(now, wall, f"{node} is {why}")\n',
        "        return effects\n",
    ),
    Bug(
        "absent-node-empty",
        "a node without its daemon counts as one that runs nothing",
        CAUTION,
        "        if node.attributes.get(AWAY) in marks and not there:\n",
        "        if node.attributes.get(AWAY) in marks and there:\n",
        fencing=False,
    ),
    Bug(
        "unknown-node-empty",
        "a node of which nothing is known counts as one that runs nothing",
        CAUTION,
        "    if unknown:\n        for resource",
        "    if not unknown:\n        for resource",
        fencing=False,
    ),
    Bug(
        "leaves-at-once",
        "a node that shall stop in order does not hand over first",
        MEMBER,
        "        if self.leader:\n            return [Send(self.leader, protocol.Depart())]\n",
        "        if self.leader:\n            return self._leave()\n",
    ),
    Bug(
        "pause-without-consequences",
        "a pause is noticed, and everything goes on",
        MEMBER,
        "        if len(self.partition.roster.nodes) == 1:\n            return effects\n",
        "        if self.partition.roster.nodes:\n            return effects\n",
    ),
    Bug(
        "failure-taken-for-success",
        "a transition goes on after an operation that failed",
        TRANSITION,
        '                if result.succeeded or operation.task == "notify":',
        "                if result.operation:",
    ),
    Bug(
        "inputs-not-waited-for",
        "all actions of a transition begin at once",
        TRANSITION,
        "                if not self._done.issuperset(action.inputs) or self._full(action):\n",
        "                if self._full(action):\n",
    ),
    Bug(
        "transition-number-reused",
        "two transitions have the same number",
        DECIDING,
        "        number = next(self._numbers)\n",
        "        number = 1\n",
    ),
    Bug(
        "two-runs-at-once",
        "an operation does not wait for the one before",
        EXECUTOR,
        "        if resource.running is not None:\n            return []\n"
        "        if resource.queue:\n",
        "        if resource.queue:\n",
    ),
    Bug(
        "timeout-is-success",
        "an agent that does not come back counts as done",
        EXECUTOR,
        "now, wall, resource, running, OperationStatus.TIMEOUT, ExitCode.GENERIC, why",
        "now, wall, resource, running, OperationStatus.DONE, ExitCode.OK, why",
    ),
    Bug(
        "group-starts-at-once",
        "members of a group do not wait for the one before",
        RELATIONS,
        '    relate(cluster, previous, "start", member, "start", NEEDED)\n',
        "",
        resources=MAIL,
    ),
    Bug(
        "group-stops-backwards",
        "members of a group are stopped in the order in which they start",
        RELATIONS,
        'relate(cluster, member, "stop", previous, "stop", R.ORDERED | R.INTERMEDIATE_STOP)',
        'relate(cluster, previous, "stop", member, "stop", R.ORDERED | R.INTERMEDIATE_STOP)',
        resources=MAIL,
    ),
    Bug(
        "group-apart",
        "members of a group are placed one by one",
        RELATIONS,
        "    if resource.kind is Kind.GROUP and resource.collocated:\n",
        "    if resource.kind is Kind.GROUP and not resource.collocated:\n",
        resources=MAIL,
    ),
    Bug(
        "started-before-stopped",
        "a resource moves without waiting for its stop",
        RELATIONS,
        '    relate(cluster, resource, "stop", resource, "start", flags)\n',
        "",
    ),
    Bug(
        "unmanaged-unknown",
        "the value false of is-managed is not understood",
        "standfest.core.scheduler.resources",
        'managed = meta.get("is-managed", given.get("is-managed-default"))',
        'managed = meta.get("is_managed", given.get("is-managed-default"))',
        resources=UNMANAGED,
    ),
    Bug(
        "secret-in-a-note",
        "the parameters of an operation are logged",
        TRANSLATE,
        'note("operation-started", resource=resource, task=task)',
        'note("operation-started", resource=resource, task=task, with_=operation.parameters)',
        resources=("web-after-database",),
    ),
)
