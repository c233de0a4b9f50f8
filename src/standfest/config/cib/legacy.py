"""Heartbeat 2's dialect (DTD 1.0) -> the current one.

The upgrade keeps what the old cluster did: where a default has changed since, the old default is
written out. Source: facts/formats/CIB-LEGACY.md sections 2 and 3.
"""

from dataclasses import replace

from standfest.model.element import Element

_RENAMED = {
    "boolean_op": "boolean-op",
    "on_fail": "on-fail",
    "score_attribute": "score-attribute",
    "start_delay": "start-delay",
    "node_attribute": "node-attribute",
    "prereq": "requires",
}
_RESOURCE_TAGS = frozenset({"primitive", "group", "clone", "master_slave", "master"})
_IDENTITY = frozenset({"id", "type", "class", "provider", "description", "template"})
_META_IN_INSTANCE = frozenset(
    [
        "priority",
        "is_managed",
        "resource_stickiness",
        "resource_failure_stickiness",
        "target_role",
        "clone_max",
        "clone_node_max",
        "master_max",
        "master_node_max",
        "globally_unique",
        "notify",
        "ordered",
        "interleave",
        "allow_migrate",
        "multiple_active",
        "restart_type",
        "start_prereq",
    ]
)
_OPTION_SPELLING = {"transition_idle_timeout": "cluster-delay"}
_LEGACY_ATTRIBUTES = frozenset({"is_managed", "disabled", "from", "to", *_RENAMED})


def is_legacy(root: Element) -> bool:
    """Return whether anything in the document is only possible in the old dialect."""
    for element in root.walk():
        if element.tag in ("attributes", "master_slave", "lifetime"):
            return True
        if any(name in _LEGACY_ATTRIBUTES for name, _ in element.attributes):
            return True
    return False


def upgrade(configuration: Element) -> Element:
    """Return a <configuration> in the current dialect; lines are kept."""
    upgraded = _upgrade(configuration)
    options = upgraded.child("crm_config") or Element("crm_config")
    names = {e.get("name") for e in options.walk() if e.tag == "nvpair"}
    if "stonith-enabled" in names:
        return upgraded
    # The old default was false, today's is true.
    pair = _nvpair("heartbeat-2-stonith-enabled", "stonith-enabled", "false")
    stated = Element("cluster_property_set", (("id", "heartbeat-2-options"),), (pair,))
    extended = options.with_children((*options.children, stated))
    others = tuple(child for child in upgraded.children if child.tag != "crm_config")
    return upgraded.with_children((extended, *others))


def _upgrade(element: Element) -> Element:
    children = tuple(
        _upgrade(grandchild)
        for child in element.children
        for grandchild in (child.children if child.tag == "attributes" else (child,))
    )
    changed = replace(element, children=children)
    if element.tag in _RESOURCE_TAGS:
        return _resource(changed)
    if element.tag == "rsc_order":
        return _order(changed)
    if element.tag == "rsc_colocation":
        return _colocation(changed)
    if element.tag == "cluster_property_set":
        return changed.with_children(tuple(_option(child) for child in children))
    if element.tag == "op":
        changed = _operation(changed)
    return _renamed(changed)


def _renamed(element: Element) -> Element:
    attributes = tuple((_RENAMED.get(name, name), value) for name, value in element.attributes)
    return replace(element, attributes=attributes)


def _option(pair: Element) -> Element:
    name = pair.get("name") or ""
    return pair.with_attribute("name", _OPTION_SPELLING.get(name, name.replace("_", "-")))


def _operation(operation: Element) -> Element:
    disabled = operation.get("disabled")
    if disabled is None:
        return operation
    enabled = "false" if disabled.lower() in ("true", "yes", "y", "on", "1") else "true"
    return operation.with_attribute("disabled", None).with_attribute("enabled", enabled)


def _resource(resource: Element) -> Element:
    """Move options out of XML attributes and instance attributes into meta_attributes."""
    options: dict[str, str] = {}
    for name, value in resource.attributes:
        if name not in _IDENTITY:
            options[name.replace("_", "-")] = value
    instance_sets = []
    others = []
    for child in resource.children:
        if child.tag != "instance_attributes":
            others.append(child)
            continue
        for pair in child.children:
            if (name := pair.get("name") or "") in _META_IN_INSTANCE:
                options[name.replace("_", "-")] = pair.get("value") or ""
        kept = tuple(p for p in child.children if p.get("name") not in _META_IN_INSTANCE)
        if resource.tag == "primitive":
            instance_sets.append(child.with_children(kept))
    tag = resource.tag
    if tag == "master_slave":
        tag, options["promotable"] = "clone", "true"
    if tag == "clone":
        options.setdefault("globally-unique", "true")  # today's default is false
    attributes = tuple((n, v) for n, v in resource.attributes if n in _IDENTITY)
    if resource.get("class") not in (None, "ocf"):
        attributes = tuple((n, v) for n, v in attributes if n != "provider")
    meta: tuple[Element, ...] = ()
    if options:
        set_id = f"{resource.id}-heartbeat-2-meta"
        pairs = tuple(_nvpair(f"{set_id}-{n}", n, v) for n, v in options.items())
        meta = (Element("meta_attributes", (("id", set_id),), pairs, line=resource.line),)
    children = (*meta, *instance_sets, *others)
    return replace(resource, tag=tag, attributes=attributes, children=children)


def _order(order: Element) -> Element:
    """`from A type=after to B`: A's action after B's; `before`: A's action before B's."""
    one, other = order.get("from"), order.get("to")
    if one is None or other is None:
        return order
    action, to_action = order.get("action"), order.get("to_action")
    kept = tuple((n, v) for n, v in order.attributes if n in ("id", "symmetrical", "score"))
    if order.get("type") == "before":
        first, then, first_action, then_action = one, other, action, to_action
    else:
        first, then = other, one
        first_action, then_action = to_action or action, action
    attributes = [*kept, ("first", first), ("then", then)]
    if first_action:
        attributes.append(("first-action", first_action))
    attributes.append(("then-action", then_action or "start"))
    return replace(order, attributes=tuple(attributes))


def _colocation(colocation: Element) -> Element:
    names = {
        "from": "rsc",
        "to": "with-rsc",
        "from_role": "rsc-role",
        "to_role": "with-rsc-role",
        "node_attribute": "node-attribute",
    }
    attributes = tuple(
        (names.get(name, name), value.capitalize() if name.endswith("_role") else value)
        for name, value in colocation.attributes
        if name != "symmetrical"
    )
    return replace(colocation, attributes=attributes)


def _nvpair(identifier: str, name: str, value: str) -> Element:
    return Element("nvpair", (("id", identifier), ("name", name), ("value", value)))
