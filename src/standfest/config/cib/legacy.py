"""Heartbeat 2's dialect (DTD 1.0) -> the current one.

The upgrade keeps what the old cluster did: where a default has changed since, the old default is
written out. Source: facts/formats/CIB-LEGACY.md sections 2 and 3.
"""

import re
from dataclasses import replace

from standfest.config.cib import legacy_constraints
from standfest.config.cib.schema.versions import NAMES
from standfest.config.cib.values import boolean
from standfest.model.element import Element
from standfest.model.errors import Finding, Severity

_RENAMED = {
    "boolean_op": "boolean-op",
    "on_fail": "on-fail",
    "score_attribute": "score-attribute",
    "start_delay": "start-delay",
    "node_attribute": "node-attribute",
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
_META_SPELLING = {"start_prereq": "requires"}
_OPTION_SPELLING = {"transition_idle_timeout": "cluster-delay"}
_LEGACY_ATTRIBUTES = frozenset({"is_managed", "disabled", "from", "to", "prereq", *_RENAMED})
LEGACY_ROOT = frozenset({"cib_feature_revision", "have_quorum", "dc_uuid", "num_peers"})
_REFERENCES = frozenset({"id", "rsc", "from", "to"})
_NOT_AN_ID = re.compile(r"[^\w.-]")


def is_legacy(root: Element) -> bool:
    """Return whether anything in the document is only possible in the old dialect.

    One that names a schema of today's is none, whatever words of 2007 that schema still allowed.
    """
    if root.get("validate-with") in NAMES:
        return False
    if any(name in LEGACY_ROOT for name, _ in root.attributes):
        return True
    for element in root.walk():
        if element.tag in ("attributes", "master_slave"):
            return True
        if element.tag == "node" and element.get("type") == "normal":
            return True
        if any(name in _LEGACY_ATTRIBUTES for name, _ in element.attributes):
            return True
    return False


def upgrade(configuration: Element) -> Element:
    """Return a <configuration> in the current dialect; lines are kept."""
    element = _cleaned(configuration)
    children = tuple(
        upgrade(grandchild)
        for child in element.children
        for grandchild in (child.children if child.tag == "attributes" else (child,))
    )
    changed = replace(element, children=children)
    if element.tag in _RESOURCE_TAGS:
        return _resource(changed)
    if element.tag == "cluster_property_set":
        return changed.with_children(tuple(_option(child) for child in children))
    if element.tag == "meta_attributes":
        return changed.with_children(tuple(_meta(child) for child in children))
    if element.tag == "node" and element.get("type") == "normal":
        return changed.with_attribute("type", "member")
    if element.tag == "op":
        changed = _operation(changed)
    return legacy_constraints.upgrade(_renamed(changed))


def losses(configuration: Element, path: str) -> list[Finding]:
    """Return a warning for each thing of a legacy document that has no equivalent today."""
    findings = []
    for element in configuration.walk():
        stated = list(element.attributes)
        if element.tag == "nvpair":
            stated = [(element.get("name") or "", element.get("value") or "")]
        for name, value in stated:
            if not name.replace("-", "_").endswith("resource_failure_stickiness"):
                continue
            if value.strip().upper() not in ("-INFINITY", "0"):
                problem = f"{name} is {value}: it is dropped, nothing today does the same"
                expected = "a migration-threshold of the resource"
                findings.append(Finding(path, element.line, problem, expected, Severity.WARNING))
    return findings


def _cleaned(element: Element) -> Element:
    """Return the element with ids that XML allows; those of nodes are free text and stay."""
    if element.tag == "node":
        return element
    attributes = tuple(
        (name, identifier(value) if name in _REFERENCES else value)
        for name, value in element.attributes
    )
    return element if attributes == element.attributes else replace(element, attributes=attributes)


def identifier(text: str) -> str:
    """Return an id that XML allows, for one that the old dialect allowed."""
    cleaned = _NOT_AN_ID.sub("-", text)
    return cleaned if not cleaned or cleaned[0].isalpha() or cleaned[0] == "_" else f"id-{cleaned}"


def _renamed(element: Element) -> Element:
    attributes = tuple((_RENAMED.get(name, name), value) for name, value in element.attributes)
    return replace(element, attributes=attributes)


def _option(pair: Element) -> Element:
    name = pair.get("name") or ""
    return pair.with_attribute("name", _OPTION_SPELLING.get(name, name.replace("_", "-")))


def _meta(pair: Element) -> Element:
    name, value = _meta_pair(pair.get("name") or "", pair.get("value") or "")
    return pair.with_attribute("name", name).with_attribute("value", value)


def _meta_pair(name: str, value: str) -> tuple[str, str]:
    """Return a meta-attribute in today's words."""
    if name == "resource_failure_stickiness" and value.strip().upper() == "-INFINITY":
        return "migration-threshold", "1"
    return _META_SPELLING.get(name, name.replace("_", "-")), value


def _operation(operation: Element) -> Element:
    disabled = operation.get("disabled")
    if disabled is not None:
        try:
            enabled = "false" if boolean(disabled) else "true"
        except ValueError:
            enabled = disabled  # the compiler will refuse it, by its line
        operation = operation.with_attribute("disabled", None).with_attribute("enabled", enabled)
    if operation.get("interval") is None:
        return operation.with_attribute("interval", "0")
    return operation


def _resource(resource: Element) -> Element:
    """Move options out of XML attributes and instance attributes into meta_attributes."""
    options: dict[str, str] = {}
    for name, value in resource.attributes:
        if name not in _IDENTITY:
            options.update((_meta_pair(name, value),))
    others: list[Element] = []
    for child in resource.children:
        if child.tag != "instance_attributes" or child.child("rule") is not None:
            others.append(child)
            continue
        for pair in child.children:
            if (name := pair.get("name") or "") in _META_IN_INSTANCE:
                options.update((_meta_pair(name, pair.get("value") or ""),))
        kept = tuple(p for p in child.children if p.get("name") not in _META_IN_INSTANCE)
        if kept or not child.children:
            others.append(child.with_children(kept))
    children, requires = _without_requirements(others)
    options.update(requires)
    tag = _old_defaults(resource.tag, options, children)
    attributes = tuple((n, v) for n, v in resource.attributes if n in _IDENTITY)
    if resource.get("class") not in (None, "ocf"):
        attributes = tuple((n, v) for n, v in attributes if n != "provider")
    if options:
        set_id = f"{resource.id}-heartbeat-2-meta"
        pairs = tuple(nvpair(f"{set_id}-{n}", n, v, resource.line) for n, v in options.items())
        meta = Element("meta_attributes", (("id", set_id),), pairs, line=resource.line)
        children = (meta, *children)
    return replace(resource, tag=tag, attributes=attributes, children=children)


def _old_defaults(tag: str, options: dict[str, str], children: tuple[Element, ...]) -> str:
    """State the old defaults of groups and clones in `options`; return the resource's new tag."""
    stated = {
        pair.get("name")
        for child in children
        if child.tag == "meta_attributes"
        for pair in child.children
    }
    if tag in ("master_slave", "master"):
        tag, options["promotable"] = "clone", "true"
    if tag == "clone" and "globally-unique" not in stated:
        options.setdefault("globally-unique", "true")  # today's default is false
    if tag == "group":
        for name in ("ordered", "collocated"):
            if name not in stated:
                options.setdefault(name, "true")
    return tag


def _without_requirements(
    children: list[Element],
) -> tuple[tuple[Element, ...], dict[str, str]]:
    """Return a resource's children without `prereq`; a start's becomes the resource's `requires`.

    The old default stays unsaid: it is today's.
    """
    found: dict[str, str] = {}
    kept = []
    for child in children:
        if child.tag != "operations":
            kept.append(child)
            continue
        for operation in child.children:
            prereq = operation.get("prereq") or operation.get("requires")
            if prereq and operation.get("name") == "start":
                found["requires"] = prereq
        bare = tuple(
            op.with_attribute("prereq", None).with_attribute("requires", None)
            for op in child.children
        )
        kept.append(child.with_children(bare))
    return tuple(kept), found


def nvpair(identifier: str, name: str, value: str, line: int = 0) -> Element:
    """Return an <nvpair>."""
    attributes = (("id", identifier), ("name", name), ("value", value))
    return Element("nvpair", attributes, line=line)
