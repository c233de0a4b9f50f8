"""Where a resource may be, and with what it is together: `crm_resource --constraints`, `--stack`.

Source: what crm_resource 2.1.5 says of the same documents.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from standfest.core.scheduler.colocate import colocations_of, dependents_of
from standfest.core.scheduler.entities import Colocation, Location, Resource, Role
from standfest.model.element import Element
from standfest.model.scores import INFINITY
from standfest.monitor.crm.situation import Situation, role_name


@dataclass(frozen=True, slots=True)
class _Line:
    """A line with those below it; element: the same for XML, None for a title."""

    text: str
    element: Element | None = None
    below: tuple["_Line", ...] = ()


def score_text(score: int) -> str:
    """Return a score as it is written in a CIB."""
    if abs(score) >= INFINITY:
        return "INFINITY" if score > 0 else "-INFINITY"
    return str(score)


def constraints_text(situation: Situation, resource: Resource, *, recursive: bool) -> list[str]:
    """Return the lines, indented."""
    return [line for part in _of(situation, resource, recursive) for line in _drawn(part, 0)]


def constraints_xml(situation: Situation, resource: Resource, *, recursive: bool) -> Element:
    """Return <constraints>."""
    found = [e for part in _of(situation, resource, recursive) for e in _elements(part)]
    return Element("constraints", (), tuple(found))


def _drawn(line: _Line, depth: int) -> Iterator[str]:
    yield f"{'  ' * depth}{'* ' if depth else ''}{line.text}"
    for inner in line.below:
        yield from _drawn(inner, depth + 1)


def _elements(line: _Line) -> Iterator[Element]:
    if line.element is not None:
        yield line.element
    for inner in line.below:
        yield from _elements(inner)


def _of(situation: Situation, resource: Resource, recursive: bool) -> list[_Line]:
    found = _locations(situation, resource)
    # Each direction begins anew: what was met in one may be met in the other.
    for towards in (False, True):
        seen = {id(resource)}
        found += _colocations(situation, resource, recursive, towards, seen)
    return found


def _locations(situation: Situation, resource: Resource) -> list[_Line]:
    lines = [
        _location(situation.cluster.nodes[index].name, resource.id, location, score)
        for owner, location in reversed(situation.cluster.locations)
        if owner is resource
        for index, score in sorted(location.scores.items(), reverse=not _any(location.element))
    ]
    return [_Line("Locations:", None, tuple(lines))] if lines else []


def _any(rule: Element) -> bool:
    """Return whether one condition of a rule is enough: then 2.1.5 names the nodes forwards."""
    return (rule.get("boolean-op") or "").lower() == "or"


def _location(node: str, resource: str, location: Location, score: int) -> _Line:
    value = score_text(score)
    text = f"Node {node} (score={value}, id={location.id}, rsc={resource})"
    attributes = (("node", node), ("rsc", resource), ("id", location.id), ("score", value))
    return _Line(text, Element("rsc_location", attributes))


def _colocations(
    situation: Situation, resource: Resource, recursive: bool, towards: bool, seen: set[int]
) -> list[_Line]:
    """Return what is with the resource or, towards, what it is with."""
    found = colocations_of(resource) if towards else dependents_of(resource)
    lines = []
    for one in found:
        if one.score == 0 or one.element is None:
            continue
        other = one.primary if towards else one.dependent
        if id(other) in seen:
            lines.append(_Line(f"{other.id} (id={_id(one)} - loop)", _element(one)))
            continue
        below = _locations(situation, other)
        if recursive:
            seen.add(id(other))
            below += _colocations(situation, other, recursive, towards, seen)
        lines.append(_Line(_words(one, other, towards), _element(one), tuple(below)))
    if not lines:
        return []
    if towards:
        return [_Line(f"Resources {resource.id} is colocated with:", None, tuple(lines))]
    return [_Line(f"Resources colocated with {resource.id}:", None, tuple(lines))]


def _words(one: Colocation, other: Resource, towards: bool) -> str:
    words = [f"score={score_text(one.score)}"]
    if one.primary_role > Role.STARTED:
        words.append(f"{'with' if towards else 'needs'} role={role_name(one.primary_role)}")
    words.append(f"id={_id(one)}")
    return f"{other.id} ({', '.join(words)})"


def _id(one: Colocation) -> str:
    """Return the id of the constraint, or of the set in it that both resources are in."""
    both = {one.dependent.id, one.primary.id}
    for part in one.element.all("resource_set") if one.element is not None else ():
        if both <= {reference.id for reference in part.children}:
            return part.id
    return one.id


def _element(one: Colocation) -> Element:
    attributes = (
        ("id", _id(one)),
        ("rsc", one.dependent.id),
        ("with-rsc", one.primary.id),
        ("score", score_text(one.score)),
        *(
            (("rsc-role", role_name(one.dependent_role)),)
            if one.dependent_role > Role.STARTED
            else ()
        ),
        *(
            (("with-rsc-role", role_name(one.primary_role)),)
            if one.primary_role > Role.STARTED
            else ()
        ),
    )
    return Element("rsc_colocation", attributes)
