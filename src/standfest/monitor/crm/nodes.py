"""Nodes: lists by state, single lines for those that need attention, elements, HTML."""

from collections.abc import Iterator

from standfest.core.scheduler.entities import Node
from standfest.core.scheduler.values import integer
from standfest.model.element import Element
from standfest.monitor.crm.layout import Block, Item, Line, Tag, lines_of, span, tags_of
from standfest.monitor.crm.primitives import line_of
from standfest.monitor.crm.resources import brief_lines, is_wanted
from standfest.monitor.crm.resources_xml import primitive_xml
from standfest.monitor.crm.show import Show
from standfest.monitor.crm.situation import Situation, in_standby, is_implied, node_name
from standfest.monitor.crm.words import truth

_LISTS = ("Online", "OFFLINE", "RemoteOnline", "RemoteOFFLINE", "GuestOnline")
_OLD = "<3.15.1"  # what a node is that does not say its feature set


def nodes_text(situation: Situation, show: Show | None = None) -> list[str]:
    """Return the lines of all nodes, `  * ` before each, without a title."""
    return lines_of(node_items(situation, show or Show()))


def node_section(situation: Situation, show: Show) -> Block | None:
    """Return the section of nodes; None if none is shown."""
    items = tuple(node_items(situation, show))
    wanted = any(show.of_node(node.name) for node in situation.cluster.nodes)
    return Block("Node List", items) if items or (wanted and show.by_node) else None


def kind_of(node: Node) -> str:
    """Return what stands before `Node` and before the names of lists."""
    if node.is_guest:
        return "Guest"
    return "Remote" if node.is_remote else ""


def health_of(situation: Situation, node: Node) -> str:
    """Return `red`, `yellow` or `green`: the worst of its health attributes."""
    strategy = situation.cluster.options.health_strategy
    if strategy == "none":
        return "green"
    found = "green"
    for name, value in node.attributes.items():
        if not name.startswith("#health"):
            continue
        score = integer(value, 0)
        if value == "red" or score < 0:
            return "red"
        if value == "yellow" or (value != "green" and not score):
            found = "yellow"
    return found


def feature_set(node: Node) -> str:
    """Return the feature set of a full node that is online; else empty."""
    if not node.online or node.is_remote or node.is_guest:
        return ""
    return node.attributes.get("#feature-set") or _OLD


def status_of(node: Node) -> str:
    """Return a node's state in words."""
    if node.unclean:
        state = "online" if node.online else "pending" if node.pending else "offline"
        return f"UNCLEAN ({state})"
    if node.pending:
        return "pending"
    if node.standby_on_fail and node.online:
        return "standby (on-fail)"
    if node.standby and node.record is not None:
        if not node.online:
            return "OFFLINE (standby)"
        return "standby (with active resources)" if node.running else "standby"
    if node.maintenance:
        return "maintenance" if node.online else "OFFLINE (maintenance)"
    return "online" if node.online else "OFFLINE"


def node_items(situation: Situation, show: Show) -> list[Item]:
    """Return nodes as single lines where they are special or all is shown, the others in lists."""
    items: list[Item] = []
    lists: dict[str, list[str]] = {name: [] for name in _LISTS}
    for node in situation.cluster.nodes:
        if not show.of_node(node.name):
            continue
        if show.by_node:
            items += _with_resources(situation, node, show)
            continue
        listed = f"{kind_of(node)}{'Online' if node.online else 'OFFLINE'}"
        plain = status_of(node) in ("online", "OFFLINE")
        if plain and health_of(situation, node) == "green" and not show.detail:
            if listed in lists:
                lists[listed].append(node.name)
        else:
            items.append(Line(_title(situation, node, show)))
    return items + [Line(f"{name}: [ {' '.join(of)} ]") for name, of in lists.items() if of]


def _title(situation: Situation, node: Node, show: Show) -> str:
    text = f"{kind_of(node)}Node {node_name(node, detail=show.detail)}: {status_of(node)}"
    health = health_of(situation, node)
    if health != "green":
        text += f" (health is {health.upper()})"
    features = feature_set(node)
    if show.detail and features:
        text += f", feature set {features}"
    return text


def _with_resources(situation: Situation, node: Node, show: Show) -> list[Item]:
    inner = _resources_on(situation, node, show)
    if show.brief and not inner:
        return []
    return [Block(_title(situation, node, show), (Block("Resources", tuple(inner)),))]


def _resources_on(situation: Situation, node: Node, show: Show) -> list[Line]:
    running = [leaf for leaf in node.running if is_wanted(leaf, show)]
    if show.brief:
        return brief_lines(running, show, of_node=True)
    if not show.detail:
        running = [leaf for leaf in running if not is_implied(leaf)]
    bare = Show(place=False, detail=show.detail)
    return [line_of(situation, leaf, bare) for leaf in running]


# --- HTML ----------------------------------------------------------------------------------------


def node_tags(situation: Situation, show: Show) -> tuple[Tag, ...]:
    """Return the section of nodes as HTML, an entry for each node."""
    entries = tuple(
        _node_tag(situation, node, show)
        for node in situation.cluster.nodes
        if show.of_node(node.name)
    )
    return (Tag("h2", ("Node List",)), Tag("ul", entries)) if entries else ()


def _node_tag(situation: Situation, node: Node, show: Show) -> Tag:
    spans = tuple(_status_spans(situation, node, show))
    name = f"{node_name(node, detail=show.detail)}:"
    if not show.by_node:
        return Tag("li", (span(name, "bold"), *spans))
    inner = tuple(_resources_on(situation, node, show))
    block = (Tag("li", tags_of(Block("Resources", inner), "h3")),) if inner else ()
    status = Tag("li", (span("Status:"), *spans, *block))
    return Tag("li", (Tag("h3", (name,)), Tag("ul", (status,))))


def _status_spans(situation: Situation, node: Node, show: Show) -> Iterator[Tag]:
    yield span(" online", "online") if node.online else span(" OFFLINE", "offline")
    if node.standby_on_fail and node.running:
        yield span(" (in standby due to on-fail, with active resources)", "standby")
    elif node.standby_on_fail:
        yield span(" (in standby due to on-fail)", "standby")
    elif in_standby(situation, node) and node.running:
        yield span(" (in standby, with active resources)", "standby")
    elif in_standby(situation, node):
        yield span(" (in standby)", "standby")
    if node.maintenance:
        yield span(" (in maintenance mode)", "maint")
    health = health_of(situation, node)
    if health != "green":
        yield span(f" (health is {health.upper()})", f"health_{health}")
    features = feature_set(node)
    if show.detail and features:
        yield span(f", feature set {features}")


# --- XML -----------------------------------------------------------------------------------------


def nodes_xml(situation: Situation, show: Show | None = None) -> Element:
    """Return <nodes>."""
    chosen = show or Show()
    return Element(
        "nodes",
        (),
        tuple(
            _node_xml(situation, node, chosen)
            for node in situation.cluster.nodes
            if chosen.of_node(node.name)
        ),
    )


def _node_xml(situation: Situation, node: Node, show: Show) -> Element:
    features = feature_set(node)
    remote = node.is_remote or node.is_guest
    container = node.connection.container if node.connection is not None else None
    attributes = (
        ("name", node.name),
        ("id", node.id),
        ("online", truth(node.online)),
        ("standby", truth(in_standby(situation, node))),
        ("standby_onfail", truth(node.standby_on_fail)),
        ("maintenance", truth(node.maintenance)),
        ("pending", truth(node.pending)),
        ("unclean", truth(node.unclean)),
        ("health", health_of(situation, node)),
        *((("feature_set", features),) if features else ()),
        ("shutdown", truth(node.shutdown)),
        ("expected_up", truth(node.expected)),
        ("is_dc", truth(node is situation.cluster.dc)),
        ("resources_running", str(len(node.running))),
        ("type", "remote" if remote else "member"),
        *((("id_as_resource", container.id),) if container is not None else ()),
    )
    inner = [primitive_xml(r) for r in node.running if is_wanted(r, show)] if show.by_node else []
    return Element("node", attributes, tuple(inner))
