"""Resources as elements of `api-result`: resource, group, clone, bundle."""

from standfest.core.scheduler.entities import Kind, Resource
from standfest.model.element import Element
from standfest.monitor.crm.bundles import engine_of, is_unique, parts_of, replicas_of
from standfest.monitor.crm.resources import is_wanted, shown_resources
from standfest.monitor.crm.show import Show
from standfest.monitor.crm.situation import (
    Situation,
    agent_of,
    busy,
    is_active,
    is_bundle,
    is_disabled,
    is_removed,
    name_of,
    state_of,
    target_role,
)
from standfest.monitor.crm.words import truth

Pairs = tuple[tuple[str, str], ...]


def resources_xml(situation: Situation, show: Show | None = None) -> Element:
    """Return <resources>, as crm_mon, crm_resource --list and crm_simulate have it."""
    chosen = show or Show(inactive=True)
    found = [
        element
        for resource in shown_resources(situation, chosen)
        for element in _elements(situation, resource, chosen)
    ]
    return Element("resources", (), tuple(found))


def _elements(situation: Situation, resource: Resource, show: Show) -> list[Element]:
    if not is_wanted(resource, show):
        return []
    if is_bundle(resource):
        return [_bundle(situation, resource)]
    if resource.kind is Kind.PRIMITIVE:
        return [primitive_xml(resource)]
    children = tuple(
        element for child in resource.children for element in _elements(situation, child, show)
    )
    if resource.kind is Kind.GROUP:
        return [_group(resource, children)]
    return [_clone(resource, children)]


def primitive_xml(resource: Resource) -> Element:
    """Return one <resource> with the nodes it runs on."""
    target = target_role(resource)
    lock = resource.lock_node
    doing = busy(resource)
    attributes: Pairs = (
        ("id", name_of(resource)),
        ("resource_agent", agent_of(resource)),
        ("role", state_of(resource)),
        *((("target_role", target),) if target else ()),
        ("active", truth(is_active(resource, wholly=True))),
        ("orphaned", truth(is_removed(resource))),
        ("blocked", truth(resource.blocked)),
        ("managed", truth(resource.managed)),
        ("failed", truth(resource.failed)),
        ("failure_ignored", truth(resource.failure_ignored)),
        ("nodes_running_on", str(len(resource.running))),
        *((("pending", doing),) if doing else ()),
        *((("locked_to", lock.name),) if lock is not None else ()),
    )
    nodes = tuple(
        Element("node", (("name", n.name), ("id", n.id), ("cached", truth(n.online))))
        for n in resource.running
    )
    return Element("resource", attributes, nodes)


def _group(group: Resource, children: tuple[Element, ...]) -> Element:
    return Element(
        "group",
        (
            ("id", name_of(group)),
            ("number_resources", str(len(children))),
            ("managed", truth(group.managed)),
            ("disabled", truth(is_disabled(group))),
        ),
        children,
    )


def _clone(clone: Resource, children: tuple[Element, ...]) -> Element:
    target = target_role(clone)
    return Element(
        "clone",
        (
            ("id", clone.id),
            ("multi_state", truth(clone.promotable)),
            ("unique", truth(clone.globally_unique)),
            ("managed", truth(clone.managed)),
            ("disabled", truth(is_disabled(clone))),
            ("failed", truth(clone.failed)),
            ("failure_ignored", truth(clone.failure_ignored)),
            *((("target_role", target),) if target else ()),
        ),
        children,
    )


def _bundle(situation: Situation, bundle: Resource) -> Element:
    engine, image = engine_of(bundle)
    replicas = tuple(
        Element(
            "replica",
            (("id", str(number)),),
            tuple(primitive_xml(part) for part in parts_of(situation.cluster, replica)),
        )
        for number, replica in enumerate(replicas_of(situation.cluster, bundle))
    )
    attributes: Pairs = (
        ("id", bundle.id),
        ("type", engine),
        ("image", image),
        ("unique", truth(is_unique(bundle))),
        ("managed", truth(bundle.managed)),
        ("failed", truth(bundle.failed)),
    )
    return Element("bundle", attributes, replicas)
