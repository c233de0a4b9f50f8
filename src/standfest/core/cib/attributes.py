"""Named values in a whole <cib>: cluster options, defaults, attributes of nodes, lasting or not.

Ids are those that Pacemaker's tools choose. Source: facts/formats/TOOLS.md section 6, and
crm_attribute 2.1.5 by experiment (docs/guide/tools.md).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from standfest.core.cib.arithmetic import expanded
from standfest.core.cib.objects import ChangeError, Refusal
from standfest.core.cib.places import (
    Path,
    element_at,
    put_at,
    replaced_at,
    section_path,
    with_section,
)
from standfest.model.element import Element

SCOPES = ("crm_config", "rsc_defaults", "op_defaults", "nodes", "status", "tickets")
_NOT_AN_ID = re.compile(r"[^\w.-]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Node:
    """A node by both of its names; remote: a Pacemaker Remote node or a guest."""

    id: str
    name: str
    remote: bool = False


@dataclass(frozen=True, slots=True)
class Attributes:
    """Which values: of a scope, of a node in the scopes `nodes` and `status`.

    set_id, id: only in this set, only this nvpair; what is created gets them.
    """

    scope: str
    node: Node | None = None
    utilization: bool = False
    set_id: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """One nvpair, and where it is."""

    place: Path
    pair: Element

    @property
    def name(self) -> str:
        """Return its name."""
        return self.pair.get("name") or ""

    @property
    def value(self) -> str:
        """Return its value, empty without one."""
        return self.pair.get("value") or ""


class AmbiguousError(ChangeError):
    """Several values match, and only one can be meant."""

    def __init__(self, name: str, found: tuple[Found, ...]) -> None:
        super().__init__(Refusal.INVALID, f"several attributes match {name}")
        self.name = name
        self.found = found


def node_named(cib: Element, name: str) -> Node | None:
    """Return the node with this name, whatever its case; None if there is none."""
    wanted = name.lower()
    for section, tag in (("nodes", "node"), ("status", "node_state")):
        path = section_path(cib, section)
        for element in element_at(cib, path).all(tag) if path is not None else ():
            uname = element.get("uname") or ""
            remote = element.get("remote_node") == "true"
            counts = tag == "node" or remote  # others are known by their <node> only
            if uname.lower() == wanted and element.id and counts:
                return Node(element.id, uname, remote)
    return Node(name, name, remote=True) if name in remote_nodes(cib) else None


def remote_nodes(cib: Element) -> frozenset[str]:
    """Return the names of remote nodes and guests that the configuration makes."""
    path = section_path(cib, "resources")
    below = element_at(cib, path).walk() if path is not None else iter(())
    return frozenset(
        (element.get("value") or "") if element.tag == "nvpair" else element.id
        for element in below
        if (element.tag == "nvpair" and element.get("name") == "remote-node")
        or (element.tag == "primitive" and _agent(element) == ("ocf", "pacemaker", "remote"))
    )


def found(cib: Element, which: Attributes, name: str | re.Pattern[str] | None) -> tuple[Found, ...]:
    """Return the values of this name, of names with this form, or all, in document order."""
    matching = []
    for place, holder in _sets(cib, which):
        if which.set_id and holder.id != which.set_id:
            continue
        for index, pair in enumerate(holder.children):
            named = pair.tag == "nvpair" and _is_named(pair.get("name") or "", name)
            if named and which.id in ("", pair.id):
                matching.append(Found((*place, index), pair))
    return tuple(matching)


def with_value(cib: Element, which: Attributes, name: str, value: str) -> Element:
    """Return the CIB with a value set in place, or added to the set that is meant for it.

    `value++` and `value+=N` count from the old one. Raises AmbiguousError.
    """
    matching = found(cib, which, name)
    if len(matching) > 1:
        raise AmbiguousError(name, matching)
    if matching:
        pair = matching[0].pair
        changed = pair.with_attribute("value", expanded("value", value, pair.get("value")))
        return put_at(cib, matching[0].place, changed)
    set_id = which.set_id or _set_id(which)
    pair = Element(
        "nvpair",
        (
            ("id", which.id or _NOT_AN_ID.sub(".", f"{set_id}-{name}")),
            ("name", name),
            ("value", expanded("value", value, None)),
        ),
    )
    cib, owner = _owner(cib, which)
    parent = element_at(cib, owner)
    tag = _set_tag(which)
    for index, child in enumerate(parent.children):
        if child.tag == tag and child.id == set_id:
            holder = child.with_children((*child.children, pair))
            return put_at(cib, (*owner, index), holder)
    holder = Element(tag, (("id", set_id),), (pair,))
    return put_at(cib, owner, parent.with_children((*parent.children, holder)))


def without(cib: Element, which: Attributes, name: str) -> tuple[Element, Found | None]:
    """Return the CIB without a value, and which it was; raises AmbiguousError."""
    matching = found(cib, which, name)
    if len(matching) > 1:
        raise AmbiguousError(name, matching)
    if not matching:
        return cib, None
    return replaced_at(cib, matching[0].place), matching[0]


def _agent(element: Element) -> tuple[str | None, str | None, str | None]:
    return element.get("class"), element.get("provider"), element.get("type")


def _is_named(name: str, wanted: str | re.Pattern[str] | None) -> bool:
    if wanted is None or isinstance(wanted, str):
        return wanted in (None, name)
    return wanted.search(name) is not None


def _set_tag(which: Attributes) -> str:
    if which.scope == "crm_config":
        return "cluster_property_set"
    if which.scope in ("rsc_defaults", "op_defaults"):
        return "meta_attributes"
    return "utilization" if which.utilization else "instance_attributes"


def _set_id(which: Attributes) -> str:
    fixed = {
        "crm_config": "cib-bootstrap-options",
        "rsc_defaults": "rsc-options",
        "op_defaults": "op-options",
        "tickets": "status-tickets",
    }
    if which.node is None:
        return fixed[which.scope]
    tail = "-utilization" if which.utilization else ""
    return _NOT_AN_ID.sub(".", f"{which.scope}-{which.node.id}{tail}")


def _sets(cib: Element, which: Attributes) -> Iterator[tuple[Path, Element]]:
    """Yield the sets that are there, in document order; in crm_config, one before all others."""
    owner = _owner_path(cib, which)
    if owner is None:
        return
    tag = _set_tag(which)
    for index, child in enumerate(element_at(cib, owner).children):
        if child.tag == tag:
            yield (*owner, index), child


def _steps(which: Attributes) -> tuple[tuple[str, str], ...]:
    """Return the (tag, id) of the elements between a section and the sets."""
    if which.scope == "tickets":
        return (("tickets", ""),)
    if which.node is None:
        return ()
    if which.scope == "nodes":
        return (("node", which.node.id),)
    return (("node_state", which.node.id), ("transient_attributes", which.node.id))


def _section(which: Attributes) -> str:
    return "status" if which.scope == "tickets" else which.scope


def _owner_path(cib: Element, which: Attributes) -> Path | None:
    path = section_path(cib, _section(which))
    for tag, identifier in _steps(which):
        if path is None:
            return None
        index = _child(element_at(cib, path), tag, identifier)
        path = None if index is None else (*path, index)
    return path


def _owner(cib: Element, which: Attributes) -> tuple[Element, Path]:
    """Return the CIB with the element that the sets are in, and its place."""
    cib, path = with_section(cib, _section(which))
    for tag, identifier in _steps(which):
        parent = element_at(cib, path)
        index = _child(parent, tag, identifier)
        if index is None:
            index = len(parent.children)
            made = _new(tag, identifier, which.node)
            cib = put_at(cib, path, parent.with_children((*parent.children, made)))
        path = (*path, index)
    return cib, path


def _new(tag: str, identifier: str, node: Node | None) -> Element:
    made = Element(tag, (("id", identifier),) if identifier else ())
    if tag in ("node", "node_state") and node is not None:
        made = made.with_attribute("uname", node.name)
        if node.remote and tag == "node":
            made = replace(made, attributes=(*made.attributes, ("type", "remote")))
        if node.remote and tag == "node_state":
            made = made.with_attribute("remote_node", "true")
    return made


def _child(parent: Element, tag: str, identifier: str) -> int | None:
    for index, child in enumerate(parent.children):
        if child.tag == tag and identifier in ("", child.id):
            return index
    return None
