"""Small edits of a configuration's XML, with the ids that administrators' tools would choose."""

from standfest.core.cib.document import with_section
from standfest.model.element import Element
from standfest.model.errors import OperationError

RESOURCE_TAGS = ("primitive", "group", "clone", "master", "bundle")


def set_node_attribute(configuration: Element, node: str, name: str, value: str | None) -> Element:
    """Return the configuration with a permanent node attribute set, or removed for None."""
    section = configuration.child("nodes") or Element("nodes")
    found = next((child for child in section.children if child.get("uname") == node), None)
    if found is None:
        if value is None:
            return configuration
        found = Element("node", (("id", node), ("uname", node)))
        section = section.with_children((*section.children, found))
    changed = _with_nvpair(found, "instance_attributes", f"nodes-{found.id}", name, value)
    children = tuple(changed if child is found else child for child in section.children)
    return with_section(configuration, section.with_children(children))


def set_resource_meta(
    configuration: Element, resource: str, name: str, value: str | None
) -> Element:
    """Return the configuration with a meta-attribute set; raises OperationError if unknown."""
    section = configuration.child("resources") or Element("resources")
    changed = _replace_resource(section, resource, name, value)
    if changed is None:
        known = sorted(e.id for e in section.walk() if e.tag in RESOURCE_TAGS)
        raise OperationError(f"no resource {resource}; expected one of: {', '.join(known)}")
    return with_section(configuration, changed)


def _replace_resource(
    element: Element, resource: str, name: str, value: str | None
) -> Element | None:
    if element.tag in RESOURCE_TAGS and element.id == resource:
        set_id = f"{resource}-meta_attributes"
        return _with_nvpair(element, "meta_attributes", set_id, name, value)
    for index, child in enumerate(element.children):
        changed = _replace_resource(child, resource, name, value)
        if changed is not None:
            before, after = element.children[:index], element.children[index + 1 :]
            return element.with_children((*before, changed, *after))
    return None


def _with_nvpair(
    owner: Element, set_tag: str, set_id: str, name: str, value: str | None
) -> Element:
    """Return `owner` with the name set in the first set that has it, else in the first set."""
    sets = list(owner.all(set_tag))
    holder = next((s for s in sets if any(p.get("name") == name for p in s.children)), None)
    if holder is None:
        if value is None:
            return owner
        holder = sets[0] if sets else None
    if holder is None:
        pair = _nvpair(set_id, name, value or "")
        fresh = Element(set_tag, (("id", set_id),), (pair,))
        return owner.with_children((fresh, *owner.children))
    pairs = tuple(pair for pair in holder.children if pair.get("name") != name)
    if value is not None:
        pairs = (*pairs, _nvpair(holder.id, name, value))
    changed = holder.with_children(pairs)
    return owner.with_children(tuple(changed if c is holder else c for c in owner.children))


def _nvpair(set_id: str, name: str, value: str) -> Element:
    return Element("nvpair", (("id", f"{set_id}-{name}"), ("name", name), ("value", value)))
