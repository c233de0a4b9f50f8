"""What the coordinator gives the scheduler: the configuration that counts, and the status as read.

`recorded` says the same as `core.cib.status_xml` would in XML and `config.recorded` would read back
from it; a property holds the three together: a recorded input must replay as it was decided.
"""

import json
from collections.abc import Sequence

from standfest.core.cib.document import Cib, with_section
from standfest.core.cib.status_xml import cib_element, digest, node_ids, resource_entries
from standfest.model import xml
from standfest.model.configuration import Configuration, NoQuorumPolicy
from standfest.model.element import Element
from standfest.model.history import Entry, NodeRecord, Recorded, ResourceRecord, Ticket
from standfest.model.operations import OperationResult, OperationStatus
from standfest.model.status import NodeState
from standfest.model.tickets import TicketState
from standfest.model.time import Duration, in_milliseconds, seconds
from standfest.runtime.cluster import links
from standfest.runtime.cluster.effects import KeepInput
from standfest.runtime.cluster.ipfail import Preference, with_preference

RESULT_MARK = "standfest-result"
"""Begins the comment that says what the scheduler made of an input."""

UNKNOWN_KEY = "0:0:{expected}:00000000-0000-0000-0000-000000000000"


def document(kept: KeepInput) -> str:
    """Return an input as a CIB that `standfest simulate` and crm_simulate read.

    The time is its `execution-date`; the result stands in a comment at the end.
    """
    element = cib_element(kept.cib).with_attribute("execution-date", str(kept.wall))
    # Two hyphens would end the comment.
    result = json.dumps(kept.result).replace("--", "-\\u002d")
    return f"{xml.serialise(element)}<!-- {RESULT_MARK} {result} -->\n"


def effective(
    element: Element,
    configuration: Configuration,
    nodes: Sequence[str],
    *,
    policy: NoQuorumPolicy | None,
    wanted: Preference | None = None,
) -> Element:
    """Return the configuration with all nodes and the derived rules.

    nodes: all of the installation, whether the CIB names them or not. policy: counts instead of
    the configuration's no-quorum-policy. wanted: whom ipfail prefers.
    """
    element = links.with_link_rules(_with_nodes(element, nodes), configuration)
    element = with_preference(element, configuration, wanted)
    if policy is None:
        return element
    override = Element(
        "cluster_property_set",
        (("id", "standfest-quorum"), ("score", "INFINITY")),
        (
            Element(
                "nvpair",
                (
                    ("id", "standfest-quorum-no-quorum-policy"),
                    ("name", "no-quorum-policy"),
                    ("value", policy.value),
                ),
            ),
        ),
    )
    section = element.child("crm_config") or Element("crm_config")
    # The one named cib-bootstrap-options would come before all others.
    kept = tuple(_without(s, "no-quorum-policy") for s in section.children)
    return with_section(element, section.with_children((override, *kept)))


def running(configuration: Configuration, state: NodeState) -> list[str]:
    """Return what runs on a node that the cluster is to stop before the node may leave."""
    ours = {
        primitive.id
        for primitive in configuration.primitives()
        if primitive.options.is_managed and not primitive.options.maintenance
    }
    # Instances of globally unique clones have their number behind a colon.
    names = [name for name, _ in state.history if name.partition(":")[0] in ours]
    return [name for name in names if state.runs(name)]


def recheck_after(interval: Duration, moment: int | None, wall: int) -> Duration:
    """Return how long a decision may stand, 0 for ever.

    interval: `cluster-recheck-interval`, since not every date expression says when it ends;
    moment: when time alone may change the outcome, in seconds since 1970.
    """
    waits = [interval] if interval else []
    if moment is not None:
        waits.append(seconds(max(1, moment - wall)))
    return min(waits, default=0)


def _with_nodes(element: Element, nodes: Sequence[str]) -> Element:
    known = node_ids(element)
    added = [
        Element("node", (("id", name), ("uname", name))) for name in nodes if name not in known
    ]
    if not added:
        return element
    section = element.child("nodes") or Element("nodes")
    return with_section(element, section.with_children((*section.children, *added)))


def _without(properties: Element, name: str) -> Element:
    pairs = tuple(
        pair for pair in properties.children if (pair.get("name") or "").replace("_", "-") != name
    )
    return properties.with_children(pairs)


def recorded(cib: Cib) -> Recorded:
    """Return the CIB's attributes and status in the form that the scheduler reads."""
    ids = node_ids(cib.configuration)
    status = cib.status
    attributes = {"have-quorum": "1" if status.have_quorum else "0"}
    if status.coordinator:
        attributes["dc-uuid"] = ids.get(status.coordinator, status.coordinator)
    nodes = [_node(state, ids.get(state.name, state.name)) for state in status.nodes]
    return Recorded(attributes, nodes, [_ticket(state) for state in status.tickets.states])


def _ticket(state: TicketState) -> Ticket:
    return Ticket.stated(state.id, dict(state.attributes))


def _node(state: NodeState, identifier: str) -> NodeRecord:
    attributes = {
        "id": identifier,
        "uname": state.name,
        "in_ccm": "true" if state.in_membership else "false",
        "crmd": "online" if state.online else "offline",
        "join": state.join.value,
        "expected": "member" if state.expected else "down",
    }
    record = NodeRecord(identifier, state.name, attributes)
    record.transient = dict(state.attributes)
    for name, results in state.history:
        record.history.append(_resource(name, results))
    return record


def _resource(name: str, results: tuple[OperationResult, ...]) -> ResourceRecord:
    agent = results[-1].operation.agent if results else None
    named = (agent.standard, agent.provider, agent.type) if agent is not None else ("", "", "")
    record = ResourceRecord(name, named)
    for identifier, result in resource_entries(name, results).items():
        record.entries.append(_entry(identifier, result))
    return record


def _entry(identifier: str, result: OperationResult) -> Entry:
    operation = result.operation
    interval = in_milliseconds(operation.interval)
    pending = result.status is OperationStatus.PENDING
    entry = Entry(operation.task, interval, int(result.exit_code), int(result.status))
    entry.id = identifier
    entry.key = f"{operation.resource}_{operation.task}_{interval}"
    entry.transition = operation.key or UNKNOWN_KEY.format(expected=operation.expected)
    entry.expected = operation.expected
    entry.call_id = -1 if pending else result.call_id
    entry.last_change = result.last_change
    entry.failed = identifier.endswith("_last_failure_0")
    entry.digest = digest(result)
    entry.exit_reason = result.exit_reason
    meta = dict(operation.meta)
    entry.migrate_source = meta.get("migrate_source", "")
    entry.migrate_target = meta.get("migrate_target", "")
    return entry
