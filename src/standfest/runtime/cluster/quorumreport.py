"""What a member tells administrators of its quorum."""

from collections.abc import Mapping
from typing import Any

from standfest.model.quorum import Breaker
from standfest.runtime.cluster.partition import Partition


def quorum_report(partition: Partition, arbiter: Mapping[str, object]) -> dict[str, Any]:
    """Return votes, verdict and tiebreaker; arbiter: what it says of itself, empty without one."""
    quorum = partition.quorum
    rules, verdict = quorum.rules, quorum.verdict
    waits = rules.wait_for_all and not quorum.seen_all
    return {
        "node": quorum.name,
        "mandate": verdict.mandate.value,
        "quorate": verdict.quorate,
        "why": verdict.ground.value,
        "votes": verdict.votes,
        "expected": rules.expected,
        "needed": rules.needed,
        "nodes": [
            {"name": name, "votes": votes, "present": name in quorum.view}
            for name, votes in rules.votes
        ],
        "tiebreaker": rules.tie_node if rules.breaker is Breaker.NODE else rules.breaker.value,
        "two_node": rules.two_node,
        "wait_for_all": rules.wait_for_all,
        "waiting_for_all": waits,
        "fencing": quorum.fencing,
        "arbiter": dict(arbiter),
    }
