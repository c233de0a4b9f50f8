"""Small edits of a configuration's XML, with the ids that administrators' tools would choose."""

from collections.abc import Iterable, Set
from dataclasses import replace
from difflib import get_close_matches

from standfest.core.cib.document import with_section
from standfest.model.element import Element
from standfest.model.errors import Ground, OperationError, RefusedError

RESOURCE_TAGS = ("primitive", "group", "clone", "master", "bundle")


REFERENCES = ("rsc", "with-rsc", "first", "then")
_TARGETS = (*RESOURCE_TAGS, "template", "tag")
Ids = frozenset[str]


def set_node_attribute(configuration: Element, node: str, name: str, value: str | None) -> Element:
    """Return the configuration with a permanent node attribute set, or removed for None."""
    section = configuration.child("nodes") or Element("nodes")
    found = next((child for child in section.children if child.get("uname") == node), None)
    if found is None:
        if value is None:
            return configuration
        found = Element("node", (("id", node), ("uname", node)))
        section = section.with_children((*section.children, found))
    taken = _ids(configuration)
    kind = ("instance_attributes", f"nodes-{found.id}")
    changed = _with_nvpair(found, kind, name, value, taken)
    children = tuple(changed if child is found else child for child in section.children)
    return with_section(configuration, section.with_children(children))


def set_resource_meta(
    configuration: Element, resource: str, name: str, value: str | None
) -> Element:
    """Return the configuration with a meta-attribute set; raises OperationError if unknown."""
    section = configuration.child("resources") or Element("resources")
    changed = _replace_resource(section, resource, name, value, _ids(configuration))
    if changed is None:
        known = (e.id for e in section.walk() if e.tag in RESOURCE_TAGS)
        text = f"no resource {resource}; {expected(resource, known)}"
        raise RefusedError(Ground.NO_SUCH, text)
    return with_section(configuration, changed)


def add_constraint(configuration: Element, constraint: Element) -> Element:
    """Return the configuration with one more constraint; raises OperationError.

    Refused are ids that are taken and resources that do not exist: no member could read the result.
    """
    taken = _ids(configuration)
    for element in constraint.walk():
        if element.id in taken and element.tag != "resource_ref":
            raise OperationError(f"id {element.id} exists already; expected a new one")
    known = [e.id for e in configuration.walk() if e.tag in _TARGETS]
    for reference in REFERENCES:
        name = constraint.get(reference)
        if name is not None and name not in known:
            raise RefusedError(Ground.NO_SUCH, f"no resource {name}; {expected(name, known)}")
    section = configuration.child("constraints") or Element("constraints")
    return with_section(configuration, section.with_children((*section.children, constraint)))


def remove_constraint(configuration: Element, identifier: str) -> Element:
    """Return the configuration without a constraint; raises OperationError if there is none."""
    section = configuration.child("constraints") or Element("constraints")
    kept = tuple(child for child in section.children if child.id != identifier)
    if len(kept) == len(section.children):
        known = (child.id for child in section.children)
        raise OperationError(f"no constraint {identifier}; {expected(identifier, known)}")
    return with_section(configuration, section.with_children(kept))


def expected(name: str, known: Iterable[str]) -> str:
    """Return what was expected: the nearest known name, or all of them when none is near."""
    words = sorted(set(known))
    near = get_close_matches(name, words, n=1)
    if near:
        return f'expected "{near[0]}"'
    return f"expected one of: {', '.join(words)}" if words else "there are none"


def _ids(configuration: Element) -> Ids:
    return frozenset(element.id for element in configuration.walk() if element.id)


def _replace_resource(
    element: Element, resource: str, name: str, value: str | None, taken: Ids
) -> Element | None:
    if element.tag in RESOURCE_TAGS and element.id == resource:
        set_id = f"{resource}-meta_attributes"
        return _with_nvpair(element, ("meta_attributes", set_id), name, value, taken)
    for index, child in enumerate(element.children):
        changed = _replace_resource(child, resource, name, value, taken)
        if changed is not None:
            before, after = element.children[:index], element.children[index + 1 :]
            return element.with_children((*before, changed, *after))
    return None


def _with_nvpair(
    owner: Element, kind: tuple[str, str], name: str, value: str | None, taken: Ids
) -> Element:
    """Return `owner` with the name set in the first set that has it, else in the first set.

    kind: the tag of the sets, and the id of one that must be made.
    Sets with a rule are left alone: they hold sometimes, an administrator's word always.
    """
    set_tag, set_id = kind
    sets = [s for s in owner.all(set_tag) if s.child("rule") is None]
    holder = next((s for s in sets if any(p.get("name") == name for p in s.children)), None)
    if holder is None:
        if value is None:
            return owner
        holder = sets[0] if sets else None
    if holder is None:
        identifier = free_id(set_id, taken)
        pair = _nvpair(free_id(f"{identifier}-{name}", taken), name, value or "")
        fresh = Element(set_tag, (("id", identifier),), (pair,))
        return owner.with_children((fresh, *owner.children))
    pairs = _with_value(holder, name, value, taken)
    changed = replace(holder, children=pairs)
    return owner.with_children(tuple(changed if c is holder else c for c in owner.children))


def _with_value(holder: Element, name: str, value: str | None, taken: Ids) -> tuple[Element, ...]:
    """Return a set's pairs with the name changed in place, added at the end, or removed."""
    if value is None:
        return tuple(pair for pair in holder.children if pair.get("name") != name)
    pairs = tuple(
        pair.with_attribute("value", value) if pair.get("name") == name else pair
        for pair in holder.children
    )
    if any(pair.get("name") == name for pair in pairs):
        return pairs
    return (*pairs, _nvpair(free_id(f"{holder.id}-{name}", taken), name, value))


def free_id(wanted: str, taken: Set[str]) -> str:
    """Return an id that nothing has; a document with an id twice could not be read again."""
    identifier, number = wanted, 1
    while identifier in taken:
        identifier, number = f"{wanted}-{number}", number + 1
    return identifier


def _nvpair(identifier: str, name: str, value: str) -> Element:
    return Element("nvpair", (("id", identifier), ("name", name), ("value", value)))
