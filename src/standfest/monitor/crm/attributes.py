"""Node attributes, tickets, and what may not run where."""

from collections.abc import Iterator

from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import Node, Resource, Role
from standfest.core.scheduler.values import integer
from standfest.model.element import Element
from standfest.model.history import Ticket
from standfest.monitor.crm.layout import Block, Line, Tag, span
from standfest.monitor.crm.show import Show
from standfest.monitor.crm.situation import Situation, node_name, tree
from standfest.monitor.crm.words import moment, truth

_HIDDEN = ("#", "fail-count-", "last-failure-")
_NOT_SHOWN = frozenset({"shutdown", "terminate", "standby"})
_PING = frozenset({"ping", "pingd"})


def _shown(situation: Situation, show: Show) -> Iterator[tuple[Node, list[tuple[str, str]]]]:
    if not show.has("attributes"):
        return
    for node in situation.cluster.nodes:
        if not node.online or not show.of_node(node.name):
            continue
        pairs = sorted(
            (name, value)
            for name, value in node.attributes.items()
            if not name.startswith(_HIDDEN) and name not in _NOT_SHOWN
        )
        if pairs:
            yield node, pairs


def expected_score(cluster: Cluster, node: Node, name: str) -> int | None:
    """Return what a ping resource on a node sets this attribute to when it reaches all hosts."""
    for resource in _on(cluster, node):
        standard, _, kind = resource.agent
        if standard != "ocf" or kind not in _PING:
            continue
        parameters = resource.parameters
        if parameters.get("name", "pingd") != name:
            continue
        hosts = len(parameters.get("host_list", "").split())
        return hosts * integer(parameters.get("multiplier"), 1)
    return None


def _on(cluster: Cluster, node: Node) -> Iterator[Resource]:
    return iter(node.running)


def attribute_block(situation: Situation, show: Show) -> Block | None:
    """Return the attributes of nodes that are there; None without any."""
    blocks = []
    for node, pairs in _shown(situation, show):
        lines = tuple(_line(situation, node, name, value) for name, value in pairs)
        name = node_name(node, detail=show.detail)
        blocks.append(Block(f"Node: {name}", lines, html_title=f"{name}:"))
    return Block("Node Attributes", tuple(blocks)) if blocks else None


def _line(situation: Situation, node: Node, name: str, value: str) -> Line:
    expected = expected_score(situation.cluster, node, name)
    text = f"{name:<32}\t: {value:<10}"
    html: tuple[Tag | str, ...] = (f"{name}: {value}",)
    if expected is not None:
        score = integer(value, 0)
        html = (span(f"{name}: {value}"),)
        if score <= 0:
            text += "\t: Connectivity is lost"
            html = (span(f"{name}: {value}"), span("(connectivity is lost)", "bold"))
        elif score < expected:
            text += f"\t: Connectivity is degraded (Expected={expected})"
            said = f"(connectivity is degraded -- expected {expected})"
            html = (span(f"{name}: {value}"), span(said, "bold"))
    return Line(text, html)


def attributes_xml(situation: Situation, show: Show) -> Element | None:
    """Return <node_attributes>; None without any."""
    nodes = []
    for node, pairs in _shown(situation, show):
        children = []
        for name, value in pairs:
            expected = expected_score(situation.cluster, node, name)
            more = (("expected", str(expected)),) if expected is not None else ()
            children.append(Element("attribute", (("name", name), ("value", value), *more)))
        nodes.append(Element("node", (("name", node.name),), tuple(children)))
    return Element("node_attributes", (), tuple(nodes)) if nodes else None


# --- tickets -------------------------------------------------------------------------------------


def _tickets(situation: Situation, show: Show) -> list[Ticket]:
    if not show.has("tickets"):
        return []
    known = situation.cluster.tickets.values()
    tickets = {ticket.id: ticket for ticket in known if isinstance(ticket, Ticket)}
    for rule in situation.cluster.ticket_rules:
        tickets.setdefault(rule.ticket, Ticket(rule.ticket))
    return sorted(tickets.values(), key=lambda ticket: ticket.id)


def ticket_block(situation: Situation, show: Show) -> Block | None:
    """Return the tickets; None without any."""
    lines = []
    for ticket in _tickets(situation, show):
        words = ["granted" if ticket.granted else "revoked"]
        if ticket.standby:
            words.append("[standby]")
        said = " ".join(words)
        last = f' last-granted="{moment(ticket.last_granted)}"' if ticket.last_granted else ""
        lines.append(Line(f"{ticket.id}: {said}{last}", (f"{ticket.id}:\t{said}{last}",)))
    return Block("Tickets", tuple(lines)) if lines else None


def tickets_xml(situation: Situation, show: Show) -> Element | None:
    """Return <tickets>; None without any."""
    found = []
    for ticket in _tickets(situation, show):
        last = (("last-granted", moment(ticket.last_granted)),) if ticket.last_granted else ()
        status = "granted" if ticket.granted else "revoked"
        pairs = (("id", ticket.id), ("status", status), ("standby", truth(ticket.standby)), *last)
        found.append(Element("ticket", pairs))
    return Element("tickets", (), tuple(found)) if found else None


# --- bans ----------------------------------------------------------------------------------------


def _bans(situation: Situation, show: Show) -> Iterator[tuple[str, Resource, Node, int, bool]]:
    if not show.has("bans"):
        return
    for resource, location in reversed(situation.cluster.locations):
        if not location.id.startswith(show.bans) or not _about(resource, show):
            continue
        scores = list(location.scores.items())
        if not _any(location.element):
            scores.reverse()  # as Pacemaker's list of nodes has them
        for index, score in scores:
            if score < 0 and 0 <= index < len(situation.cluster.nodes):
                node = situation.cluster.nodes[index]
                promoted = location.role is Role.PROMOTED
                yield location.id, resource, node, score, promoted


def _any(element: Element) -> bool:
    rule = element if element.tag == "rule" else element.child("rule")
    return rule is not None and rule.get("boolean-op") == "or"


def _about(resource: Resource, show: Show) -> bool:
    if show.resources is None:
        return True
    return any(show.resources & {part.id, part.base} for part in tree(resource))


def ban_block(situation: Situation, show: Show) -> Block | None:
    """Return the constraints that keep resources off nodes; None without any."""
    lines = tuple(
        Line(
            f"{ban}\tprevents {resource.id} from running "
            f"{'in Promoted role ' if promoted else ''}on {node_name(node, detail=show.detail)}"
        )
        for ban, resource, node, _, promoted in _bans(situation, show)
    )
    return Block("Negative Location Constraints", lines) if lines else None


def bans_xml(situation: Situation, show: Show) -> Element | None:
    """Return <bans>; None without any."""
    found = tuple(
        Element(
            "ban",
            (
                ("id", ban),
                ("resource", resource.id),
                ("node", node.name),
                ("weight", str(score)),
                ("promoted-only", truth(promoted)),
                ("master_only", truth(promoted)),
            ),
        )
        for ban, resource, node, score, promoted in _bans(situation, show)
    )
    return Element("bans", (), found) if found else None
