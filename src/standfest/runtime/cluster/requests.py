"""Administrators' requests as changes of the CIB."""

from collections.abc import Iterator

from standfest.core.cib.changes import (
    AddConstraint,
    Change,
    ForgetHistory,
    RemoveConstraint,
    SetNodeAttribute,
)
from standfest.core.cib.document import Cib
from standfest.model.configuration import Clone, Configuration, Group
from standfest.model.element import Element
from standfest.model.errors import OperationError
from standfest.runtime.cluster.failures import forget_failures
from standfest.runtime.cluster.protocol import Cleanup, Clear, Move, Request, Standby


def changes_for(
    request: Request, cib: Cib, configuration: Configuration, nodes: tuple[str, ...]
) -> tuple[tuple[Change, ...], str]:
    """Return what the request changes, and the sentence that tells the administrator.

    Raises OperationError when it names something that does not exist or cannot be done.
    """
    match request:
        case Standby(node, on):
            _known("node", node, nodes)
            value = "on" if on else None
            text = f"{node} goes into standby" if on else f"{node} takes part again"
            return (SetNodeAttribute(node, "standby", value),), text
        case Move(resource, node):
            return _move(_whole(configuration, resource), node, cib, configuration, nodes)
        case Clear(resource):
            whole = _whole(configuration, resource)
            gone = tuple(RemoveConstraint(name) for name in _moves(cib, whole))
            return gone, f"{whole} may run anywhere again" if gone else f"{whole} was not moved"
        case Cleanup(resource, node):
            if node:
                _known("node", node, nodes)
            cleaned = tuple(_cleanup(cib, members(configuration, resource), node))
            return cleaned, f"failures of {resource} are forgotten"


def members(configuration: Configuration, resource: str) -> tuple[str, ...]:
    """Return the primitives that a resource id stands for; raises OperationError if unknown."""
    for top in configuration.resources:
        inner = top.child if isinstance(top, Clone) else top
        primitives = inner.members if isinstance(inner, Group) else (inner,)
        names = tuple(primitive.id for primitive in primitives)
        if resource in (top.id, inner.id):
            return names
        if resource in names:
            return (resource,)
    known = [resource.id for resource in configuration.resources]
    raise OperationError(f"no resource {resource}; expected one of: {', '.join(known) or 'none'}")


def _whole(configuration: Configuration, resource: str) -> str:
    """Return the resource that moves as one: the group or clone around a member."""
    members(configuration, resource)
    for top in configuration.resources:
        inner = top.child if isinstance(top, Clone) else top
        primitives = inner.members if isinstance(inner, Group) else (inner,)
        if resource in {top.id, inner.id, *(primitive.id for primitive in primitives)}:
            return top.id
    raise AssertionError("members() has found it")


def _move(
    resource: str, node: str, cib: Cib, configuration: Configuration, nodes: tuple[str, ...]
) -> tuple[tuple[Change, ...], str]:
    before = tuple(RemoveConstraint(name) for name in _moves(cib, resource))
    if node:
        _known("node", node, nodes)
        prefer = _location(f"cli-prefer-{resource}", resource, node, "INFINITY")
        return (*before, AddConstraint(prefer)), f"{resource} goes to {node} and stays there"
    inside = members(configuration, resource)
    here = [s.name for s in cib.status.nodes if any(s.runs(name) for name in inside)]
    if len(here) != 1:
        where = " and ".join(here) or "no node"
        raise OperationError(f"{resource} runs on {where}; expected one node, or name the target")
    ban = _location(f"cli-ban-{resource}-on-{here[0]}", resource, here[0], "-INFINITY")
    return (*before, AddConstraint(ban)), f"{resource} leaves {here[0]} until it is cleared"


def _location(identifier: str, resource: str, node: str, score: str) -> Element:
    return Element(
        "rsc_location",
        (
            ("id", identifier),
            ("rsc", resource),
            ("role", "Started"),
            ("node", node),
            ("score", score),
        ),
    )


def _moves(cib: Cib, resource: str) -> Iterator[str]:
    constraints = cib.configuration.child("constraints")
    for constraint in constraints.children if constraints else ():
        if constraint.id == f"cli-prefer-{resource}" or constraint.id.startswith(
            f"cli-ban-{resource}-on-"
        ):
            yield constraint.id


def _cleanup(cib: Cib, resources: tuple[str, ...], node: str) -> Iterator[Change]:
    for state in cib.status.nodes:
        if node and state.name != node:
            continue
        for resource in resources:
            yield ForgetHistory(state.name, resource)
            yield from forget_failures(state, resource)


def _known(kind: str, name: str, names: tuple[str, ...]) -> None:
    if name not in names:
        raise OperationError(f"no {kind} {name}; expected one of: {', '.join(names)}")
