"""Moving and banning resources by constraints, in a whole <cib>, and taking that back.

Ids are those of Pacemaker's tools: `cli-prefer-RSC`, `cli-ban-RSC-on-NODE`, and for their rules
where they end at a time. Source: facts/formats/TOOLS.md section 4; experiments with 2.1.5.
"""

from collections.abc import Callable
from dataclasses import dataclass

from standfest.core.cib.places import element_at, put_at, section_path, with_section
from standfest.model.element import Element

PREFER = "cli-prefer-"
BAN = "cli-ban-"


@dataclass(frozen=True, slots=True)
class Where:
    """A resource and a node; promoted: its promoted role alone; until: an ISO 8601 time, or ""."""

    resource: str
    node: str
    promoted: bool = False
    until: str = ""

    @property
    def role(self) -> str:
        """Return the role as a constraint names it."""
        return "Promoted" if self.promoted else "Started"


def preferred(cib: Element, where: Where) -> Element:
    """Return the CIB with the resource on the node as long as the node is there.

    An earlier preference goes, and a ban from this node; bans from others stay.
    """
    gone = {f"{PREFER}{where.resource}", ban_id(where.resource, where.node)}
    cib = without(cib, tuple(one for one in constraints_of(cib, where.resource) if one in gone))
    name = where.resource
    ids = (f"cli-prefer-rule-{name}", f"cli-prefer-expr-{name}", f"cli-prefer-lifetime-end-{name}")
    return _with(cib, f"{PREFER}{name}", where, "INFINITY", ids)


def banned(cib: Element, where: Where) -> Element:
    """Return the CIB with the resource kept off the node; what there is of this ban is changed."""
    name = ban_id(where.resource, where.node)
    ids = (f"{name}-rule", f"{name}-expr", f"{name}-lifetime")
    return _with(cib, name, where, "-INFINITY", ids)


def ban_id(resource: str, node: str) -> str:
    """Return the id of the constraint that keeps a resource off a node."""
    return f"{BAN}{resource}-on-{node}"


def constraints_of(
    cib: Element, resource: str, node: str = "", *, force: bool = False
) -> tuple[str, ...]:
    """Return the ids of what moves and bans of a resource have left, sorted.

    node: only what is about this node; of a preference for another one only with force.
    """
    return tuple(
        sorted(
            element.id
            for element in _locations(cib)
            if element.get("rsc") == resource
            and (
                (element.id == f"{PREFER}{resource}" and (force or node in ("", node_of(element))))
                or (element.id.startswith(f"{BAN}{resource}-on-") and _is_ban(element, node))
            )
        )
    )


def expired(
    cib: Element, passed: Callable[[str], bool], resource: str = "", node: str = ""
) -> tuple[str, ...]:
    """Return the ids of moves and bans whose end has come, sorted.

    passed: whether a time, as it was written, is over; resource, node: only those of these.
    """
    found = []
    for element in _locations(cib):
        owner = element.get("rsc") or ""
        ours = element.id == f"{PREFER}{owner}" or element.id.startswith(f"{BAN}{owner}-on-")
        if not ours or resource not in ("", owner) or node not in ("", node_of(element)):
            continue
        ends = [one.get("end") for one in element.walk() if one.tag == "date_expression"]
        if any(end is not None and passed(end) for end in ends):
            found.append(element.id)
    return tuple(sorted(found))


def without(cib: Element, ids: tuple[str, ...]) -> Element:
    """Return the CIB without these location constraints."""
    path = section_path(cib, "constraints")
    if path is None or not ids:
        return cib
    section = element_at(cib, path)
    kept = tuple(e for e in section.children if e.tag != "rsc_location" or e.id not in ids)
    return put_at(cib, path, section.with_children(kept))


def node_of(element: Element) -> str:
    """Return the node that a move or a ban is about, of its attribute or of its rule."""
    named = element.get("node")
    if named is not None:
        return named
    for part in element.walk():
        if part.tag == "expression" and part.get("attribute") == "#uname":
            return part.get("value") or ""
    return ""


def _is_ban(element: Element, node: str) -> bool:
    return not node or element.id == ban_id(element.get("rsc") or "", node)


def _locations(cib: Element) -> tuple[Element, ...]:
    path = section_path(cib, "constraints")
    return tuple(element_at(cib, path).all("rsc_location")) if path is not None else ()


def _with(
    cib: Element, identifier: str, where: Where, score: str, ids: tuple[str, str, str]
) -> Element:
    attributes = (("id", identifier), ("rsc", where.resource), ("role", where.role))
    if not where.until:
        made = Element("rsc_location", (*attributes, ("node", where.node), ("score", score)))
        return _put(cib, made)
    rule, expression, lifetime = ids
    is_node = (
        ("id", expression),
        ("attribute", "#uname"),
        ("operation", "eq"),
        ("value", where.node),
        ("type", "string"),
    )
    ends = (("id", lifetime), ("operation", "lt"), ("end", where.until))
    parts = (Element("expression", is_node), Element("date_expression", ends))
    inner = Element("rule", (("id", rule), ("score", score), ("boolean-op", "and")), parts)
    return _put(cib, Element("rsc_location", attributes, (inner,)))


def _put(cib: Element, made: Element) -> Element:
    """Return the CIB with a constraint in the place of the one with its id, or at the end.

    It replaces that one: one half with an end and half without could not be read.
    """
    cib, path = with_section(cib, "constraints")
    children = element_at(cib, path).children
    for index, child in enumerate(children):
        if child.tag == made.tag and child.id == made.id:
            return put_at(cib, (*path, index), made)
    return put_at(cib, path, element_at(cib, path).with_children((*children, made)))
