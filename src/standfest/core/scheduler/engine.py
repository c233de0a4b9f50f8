"""The scheduler: from a configuration, a recorded status and a time to actions and their order.

`STAGES` is its table of contents; each stage works on the `Cluster` that `unpack` has made.
"""

from standfest.core.scheduler import (
    actions,
    assign,
    bundles,
    caution,
    digests,
    fence,
    links,
    loops,
    notify,
    order,
    outcome,
    probes,
    relations,
    remotes,
    scores,
    sequence,
    steps,
)
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.constraints import ConstraintReader
from standfest.core.scheduler.entities import Resource
from standfest.core.scheduler.history import History
from standfest.core.scheduler.ledger import Ledger
from standfest.core.scheduler.nodes import read_nodes, read_options, read_states, sort_nodes
from standfest.core.scheduler.resources import Reader, target_role
from standfest.core.scheduler.values import boolean
from standfest.model.element import Element
from standfest.model.history import Recorded, Ticket


def unpack(configuration: Element, recorded: Recorded, now: int) -> Cluster:
    """Return the situation: nodes, resources with what runs where, constraints."""
    cluster = Cluster(now)
    cluster.recorded = recorded
    read_options(cluster, configuration)
    cluster.quorate = boolean(recorded.attributes.get("have-quorum"), False)
    cluster.no_quorum_panic = boolean(recorded.attributes.get("no-quorum-panic"), False)
    read_nodes(cluster, configuration)
    reader = cluster.reader = Reader(cluster, configuration)
    reader.read()
    reader.settle_needs()
    remotes.connect(reader)
    remotes.recall(cluster, recorded)
    sort_nodes(cluster)
    cluster.dc = cluster.node(recorded.attributes.get("dc-uuid", ""))
    for ticket in recorded.tickets:
        cluster.tickets[ticket.id] = ticket
    read_states(cluster)
    caution.note_absence(cluster)
    for resource in cluster.resources:
        _wishes(resource)
    History(cluster, reader).read()
    _tags(cluster, configuration)
    ConstraintReader(cluster).read(configuration)
    for node in cluster.nodes:
        node.before = outcome.node_state(node)
    return cluster


def _wishes(resource: Resource) -> None:
    resource.next_role = target_role(resource)
    for child in resource.children:
        _wishes(child)


def _tags(cluster: Cluster, configuration: Element) -> None:
    section = configuration.child("tags")
    for tag in section.children if section is not None else ():
        cluster.tags[tag.id] = [reference.id for reference in tag.children]
    resources = configuration.child("resources")
    for element in resources.walk() if resources is not None else ():
        template = element.get("template") if element.tag == "primitive" else None
        if template is not None:
            cluster.tags.setdefault(f"template:{template}", []).append(element.id)


def fence_decisions(cluster: Cluster) -> None:
    """Decide which nodes must be fenced."""
    fence.decide(cluster)


def score(cluster: Cluster) -> None:
    """Give every node a score for every resource."""
    scores.score(cluster)
    remotes.keep_off(cluster)
    bundles.stay_home(cluster)


def changes(cluster: Cluster) -> None:
    """Require a restart or reload of what runs with other parameters than are configured."""
    digests.compare(cluster)


def collocate(cluster: Cluster) -> None:
    """Tie group members together."""
    relations.collocate_internally(cluster)


def allocate(cluster: Cluster) -> None:
    """Assign resources to nodes, and roles to instances."""
    assign.allocate(cluster)


def act(cluster: Cluster) -> None:
    """Make the actions."""
    steps.act(cluster)


def fencing(cluster: Cluster) -> None:
    """Make fencing and shutdown actions; lost connections can make more of them necessary."""
    links.order(cluster)
    fence.fence(cluster)


def hold_back(cluster: Cluster) -> None:
    """Start nothing that a node of which nothing is known may be running."""
    caution.hold_back(cluster)


def relate(cluster: Cluster) -> None:
    """Order actions, and let "required" and "runnable" spread along the order."""
    before = cluster.orders
    cluster.orders = []
    relations.relate_internally(cluster)
    cluster.orders += before
    for first, task, then, then_task, flags in bundles.relate_addresses(cluster):
        actions.relate(cluster, first, task, then, then_task, flags)
    order.apply_orders(cluster)
    probes.order_probes(cluster)
    spread = order.Spread(cluster)
    for action in list(cluster.actions):
        if not action.runnable:
            spread.block_dependents(action)
    spread.run(list(cluster.actions))


def notifications(cluster: Cluster) -> None:
    """Tell instances of clones about what happens to their siblings; complete the order."""
    sequence.sequence(cluster)
    notify.notify(cluster)


def untangle(cluster: Cluster) -> None:
    """Keep actions from being begun that wait, directly or not, for themselves (rule 8.8)."""
    loops.untangle(cluster)


STAGES = (
    fence_decisions,
    changes,
    score,
    collocate,
    allocate,
    act,
    fencing,
    hold_back,
    relate,
    notifications,
    untangle,
)


def decide(
    configuration: Element, recorded: Recorded, now: int, ledger: Ledger | None = None
) -> Cluster:
    """Return the cluster with every decision made; `now` in seconds since 1970.

    ledger: is told where every score comes from.
    """
    cluster = unpack(configuration, recorded, now)
    cluster.ledger = ledger
    for stage in STAGES:
        stage(cluster)
    return cluster


__all__ = ["STAGES", "Ticket", "decide", "unpack"]
