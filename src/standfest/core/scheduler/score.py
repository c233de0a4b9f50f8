"""Second stage: every primitive's score on every node, before resources consider each other.

Source: facts/formats/SCHEDULER-SPEC.md section 2.
"""

from standfest.core.scheduler.old_rules import matches
from standfest.core.scheduler.unpack import Situation, members_of
from standfest.model.configuration import Group, Location
from standfest.model.scores import INFINITY, add_scores

Scores = list[int]
"""One score for each node, by index."""


def base_scores(situation: Situation) -> dict[str, Scores]:
    """Return the scores of every primitive: locations, stickiness, bans after failures."""
    symmetric = situation.configuration.options.symmetric_cluster
    table: dict[str, Scores] = {}
    for unit in situation.units:
        members = members_of(unit)
        for position, primitive in enumerate(members):
            wishes = _locations(situation, primitive.id)
            if isinstance(unit, Group) and position == 0:
                wishes += _locations(situation, unit.id)
            scores = _located(situation, wishes)
            if (not symmetric and not isinstance(unit, Group)) or (not symmetric and position == 0):
                scores = _opted_in(situation, wishes, scores)
            seen = situation.observed[primitive.id]
            if len(seen.active) == 1 and situation.managed(primitive):
                here = seen.active[0]
                scores[here] = add_scores(scores[here], primitive.options.resource_stickiness)
            if seen.active and not situation.managed(primitive):
                scores[seen.active[0]] = INFINITY  # it stays, and draws its companions
            for index in range(len(scores)):
                if index in seen.banned or -1 in seen.banned:
                    scores[index] = -INFINITY
            table[primitive.id] = scores
    return table


def _locations(situation: Situation, resource: str) -> list[Location]:
    return [wish for wish in situation.configuration.locations if wish.resource == resource]


def _located(situation: Situation, wishes: list[Location]) -> Scores:
    """Return the sums of the wishes, added in document order: saturation does not commute."""
    scores = [0] * len(situation.nodes)
    for wish in wishes:
        for index, node in enumerate(situation.nodes):
            if _applies(wish, node.name, situation.nodes[index].attributes):
                scores[index] = add_scores(scores[index], wish.score)
    return scores


def _opted_in(situation: Situation, wishes: list[Location], scores: Scores) -> Scores:
    """Return -INFINITY wherever no wish names the node."""
    return [
        score if any(_applies(wish, node.name, node.attributes) for wish in wishes) else -INFINITY
        for score, node in zip(scores, situation.nodes, strict=True)
    ]


def _applies(wish: Location, name: str, attributes: object) -> bool:
    if wish.node is not None:
        return wish.node == name
    assert wish.rule is not None, "a location has a node or a rule"
    assert isinstance(attributes, dict), "node attributes are a dict"
    return matches(wish.rule, attributes)
