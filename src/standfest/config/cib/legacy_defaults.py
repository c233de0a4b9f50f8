"""What a Heartbeat 2 cluster did unless told otherwise, written out for today's readers.

Done once all files are merged, because an option in one file counts for the resources of another.
Source: facts/formats/CIB-LEGACY.md section 2, steps A and C.
"""

from dataclasses import replace

from standfest.config.cib.legacy import nvpair
from standfest.model.element import Element

_STICKINESS = "resource-stickiness"
_MOVED = {
    "default-resource-stickiness": ("rsc_defaults", "resource-stickiness"),
    "is-managed-default": ("rsc_defaults", "is-managed"),
    "default-resource-failure-stickiness": ("rsc_defaults", "migration-threshold"),
    "default-action-timeout": ("op_defaults", "timeout"),
}


def state(configuration: Element) -> Element:
    """Return the upgraded configuration with defaults where today's tools look for them."""
    options = configuration.child("crm_config") or Element("crm_config")
    moved: dict[str, dict[str, Element]] = {"rsc_defaults": {}, "op_defaults": {}}
    names = set()
    sets = []
    for properties in options.children:
        kept = []
        for pair in properties.children:
            name = pair.get("name") or ""
            names.add(name)
            if name == "cluster-infrastructure":
                continue  # which stack ran; today's schema refuses the names of 2008
            if name not in _MOVED:
                kept.append(pair)
            elif (value := _value(name, pair.get("value") or "")) is not None:
                target, new = _MOVED[name]
                attributes = nvpair(pair.id, new, value).attributes
                moved[target].setdefault(new, replace(pair, attributes=attributes))
        sets.append(properties.with_children(tuple(kept)))
    if not names & {"stonith-enabled", "fencing-enabled"}:
        # The old default was false, today's is true.
        pair = nvpair("heartbeat-2-stonith-enabled", "stonith-enabled", "false")
        sets.append(Element("cluster_property_set", (("id", "heartbeat-2-options"),), (pair,)))
    sections = {child.tag: child for child in configuration.children}
    if not moved["rsc_defaults"].keys() & {_STICKINESS} and "resources" in sections:
        given = sections.get("rsc_defaults")
        if given is None or _STICKINESS not in _names(given):
            sections["resources"] = _unsticky(sections["resources"])
    sections["crm_config"] = options.with_children(tuple(sets))
    for tag, pairs in moved.items():
        if pairs:
            section = sections.get(tag) or Element(tag)
            stated = Element(
                "meta_attributes", (("id", f"heartbeat-2-{tag}"),), tuple(pairs.values())
            )
            sections[tag] = section.with_children((*section.children, stated))
    return configuration.with_children(tuple(sections.values()))


def _unsticky(resources: Element) -> Element:
    """Return the resources with the old default, 0, for clones that may be several on a node.

    Today it is 1 for their instances: they would stay together when another node comes back.
    Heartbeat 2 spread them again unless told to keep them: its scheduler lowered clone_node_max as
    far as there were nodes.
    """
    return resources.with_children(tuple(_with_zero(top) for top in resources.children))


def _with_zero(top: Element) -> Element:
    said = {
        pair.get("name"): pair.get("value")
        for child in top.all("meta_attributes")
        for pair in child.all("nvpair")
    }
    if top.tag != "clone" or _STICKINESS in said or said.get("clone-node-max", "1") == "1":
        return top
    identifier = f"{top.id}-heartbeat-2-stickiness"
    pair = nvpair(f"{identifier}-0", _STICKINESS, "0", top.line)
    stated = Element("meta_attributes", (("id", identifier),), (pair,), line=top.line)
    return top.with_children((stated, *top.children))


def _names(element: Element) -> set[str]:
    return {pair.get("name") or "" for pair in element.walk() if pair.tag == "nvpair"}


def _value(name: str, value: str) -> str | None:
    """Return the value under the new name, or None where there is none."""
    if name != "default-resource-failure-stickiness":
        return value
    return "1" if value.strip().upper() == "-INFINITY" else None
