"""Whether resources run, and what of their configuration keeps them from it: `crm_resource --why`.

Source: what crm_resource 2.1.5 says of the same documents.
"""

from dataclasses import dataclass

from standfest.core.scheduler.entities import Node, Resource
from standfest.core.scheduler.values import boolean
from standfest.model.element import Element
from standfest.monitor.crm.situation import Situation, is_promotable, target_role
from standfest.monitor.crm.words import truth
from standfest.monitor.resource.found import is_running, outermost


@dataclass(frozen=True, slots=True)
class Why:
    """What is asked: of one resource or of all, on one node or anywhere."""

    resource: Resource | None
    node: Node | None


def why_text(situation: Situation, asked: Why) -> list[str]:
    """Return the lines."""
    lines = []
    where = f" on host {asked.node.name}" if asked.node is not None else ""
    for resource, running in _answers(situation, asked):
        state = "running" if running else "not running"
        lines.append(f"Resource {resource.id} is {state}{where}")
        lines += _check_text(resource)
    return lines


def why_xml(situation: Situation, asked: Why) -> Element:
    """Return <reason>."""
    answers = _answers(situation, asked)
    if asked.resource is not None:
        running = answers[0][1]
        checks = (_check_xml(asked.resource),)
        if asked.node is None:
            return Element("reason", (("running", truth(running)),), checks)
        # That it does not run there is only in the text: the schema has no word for it.
        here = (("running_on", asked.node.name),) if running else ()
        return Element("reason", here, checks)
    host = (("host", asked.node.name),) if asked.node is not None else ()
    children = tuple(
        Element(
            "resource",
            (("id", resource.id), ("running", truth(running)), *host),
            (_check_xml(resource),),
        )
        for resource, running in answers
    )
    return Element("reason", (), (Element("resources", (), children),))


def _answers(situation: Situation, asked: Why) -> list[tuple[Resource, bool]]:
    if asked.resource is None and asked.node is None:
        return [(one, is_running(one)) for one in outermost(situation.cluster)]
    if asked.resource is None:
        assert asked.node is not None
        return [(one, True) for one in asked.node.running]
    if asked.node is None:
        return [(asked.resource, is_running(asked.resource))]
    here = asked.resource.running
    return [(asked.resource, asked.node in here)]


def _facts(resource: Resource) -> tuple[str, bool, bool, bool]:
    """Return whose configuration counts, and: kept stopped, kept from promotion, unmanaged."""
    whole = resource.outermost
    word = target_role(whole).lower() or target_role(resource).lower()
    demoted = word in ("unpromoted", "slave") and is_promotable(whole)
    # Of what is not managed for another reason (maintenance, a failure) something else tells.
    managed = boolean(whole.meta.get("is-managed"), True)
    return whole.id, word == "stopped", demoted, not managed


def _check_text(resource: Resource) -> list[str]:
    name, stopped, demoted, unmanaged = _facts(resource)
    lines = []
    if stopped:
        lines.append(f"Configuration specifies '{name}' should remain stopped")
    if demoted:
        lines.append(f"Configuration specifies '{name}' should not be promoted")
    if unmanaged:
        lines.append(f"Configuration prevents cluster from stopping or starting unmanaged '{name}'")
    if resource.lock_node is not None:
        lines.append(f"'{name}' is locked to node {resource.lock_node.name} due to shutdown")
    return lines


def _check_xml(resource: Resource) -> Element:
    name, stopped, demoted, unmanaged = _facts(resource)
    lock = resource.lock_node
    attributes = (
        ("id", name),
        *((("remain_stopped", "true"),) if stopped else ()),
        *((("promotable", "false"),) if demoted else ()),
        *((("unmanaged", "true"),) if unmanaged else ()),
        *((("locked-to", lock.name),) if lock is not None else ()),
    )
    return Element("check", attributes)
