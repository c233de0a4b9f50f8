"""Fence devices and levels put into a whole <cib>, and taken out of it.

Ids are made from the names; where one is taken a number follows. Whether agents know the parameters
is not looked at. Source: facts/formats/CIB-MODERN.md section 5; stonith_admin 2.1.5 by experiment.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from standfest.core.cib.edit import free_id
from standfest.core.cib.objects import ChangeError, Refusal
from standfest.core.cib.places import (
    Path,
    element_at,
    paths,
    put_at,
    replaced_at,
    section_path,
    with_section,
)
from standfest.core.cib.resources import RESOURCE_TAGS, place_of
from standfest.model.element import Element

LEVELS = range(1, 10)
TOPOLOGY = "fencing-topology"
Pairs = Sequence[tuple[str, str]]
_SEPARATORS = re.compile(r"[,;\s]+")
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Target:
    """For which nodes a level is: one node, a pattern of names, or an attribute's value."""

    attributes: tuple[tuple[str, str], ...]

    @property
    def words(self) -> str:
        """Return what an id is made of."""
        return _NO_NAME.sub("-", "-".join(value for _, value in self.attributes)).strip("-")


def target_of(text: str) -> Target:
    """Return the target in `NODE`, `@PATTERN` or `ATTRIBUTE=VALUE`."""
    if text.startswith("@"):
        return Target((("target-pattern", text[1:]),))
    name, equals, value = text.partition("=")
    if equals:
        return Target((("target-attribute", name), ("target-value", value)))
    return Target((("target", text),))


def with_device(cib: Element, name: str, agent: str, parameters: Pairs) -> Element:
    """Return the CIB with a fence device; as it is where it has the same one.

    parameters: the last one of a name counts. Raises ChangeError for an id that is taken.
    """
    wanted = dict(parameters)
    there = next((e for e in _configured(cib) if e.id == name), None)
    if there is not None:
        if _is_device(cib, there) and (there.get("type"), _parameters(there)) == (agent, wanted):
            return cib
        raise ChangeError(Refusal.EXISTS, f"the id {name} is taken by a <{there.tag}>", there)
    taken = {element.id for element in _configured(cib)} | {name}
    holder = free_id(f"{name}-instance_attributes", taken)
    pairs: list[Element] = []
    for key, value in wanted.items():
        identifier = free_id(f"{holder}-{_NO_NAME.sub('-', key)}", taken)
        taken.add(identifier)
        pairs.append(Element("nvpair", (("id", identifier), ("name", key), ("value", value))))
    sets = (Element("instance_attributes", (("id", holder),), tuple(pairs)),) if pairs else ()
    attributes = (("id", name), ("class", "stonith"), ("type", agent))
    cib, place = with_section(cib, "resources")
    section = element_at(cib, place)
    device = Element("primitive", attributes, sets)
    return put_at(cib, place, section.with_children((*section.children, device)))


def without_device(cib: Element, name: str) -> Element:
    """Return the CIB without a fence device, and without a group or clone of nothing else.

    What names it elsewhere stays. Raises ChangeError if there is none.
    """
    _known(cib, name)
    place = place_of(cib, name)
    assert place is not None, "it is known"
    while _is_all(element_at(cib, place[:-1])):
        place = place[:-1]
    return replaced_at(cib, place)


def with_level(cib: Element, target: Target, index: int, devices: Sequence[str]) -> Element:
    """Return the CIB with a level for a target; devices come to those that it has already.

    index: one of LEVELS. Raises ChangeError for a device that there is not.
    """
    for name in devices:
        _known(cib, name)
    wanted = tuple(dict.fromkeys(devices))
    place = next(_levels(cib, target, index), None)
    if place is not None:
        level = element_at(cib, place)
        has = [word for word in _SEPARATORS.split(level.get("devices") or "") if word]
        more = [name for name in wanted if name not in has]
        if not more:
            return cib
        return put_at(cib, place, level.with_attribute("devices", ",".join([*has, *more])))
    attributes = (
        ("id", free_id(f"fl-{target.words}-{index}", {e.id for e in _configured(cib)})),
        *target.attributes,
        ("index", str(index)),
        ("devices", ",".join(wanted)),
    )
    cib, where = with_section(cib, TOPOLOGY)
    section = element_at(cib, where)
    level = Element("fencing-level", attributes)
    return put_at(cib, where, section.with_children((*section.children, level)))


def without_level(cib: Element, target: Target, index: int | None) -> Element:
    """Return the CIB without a target's level, without all of them for None.

    Raises ChangeError if there is none.
    """
    gone = {place[-1] for place in _levels(cib, target, index)}
    where = section_path(cib, TOPOLOGY)
    if not gone or where is None:
        said = f"level {index}" if index is not None else "level"
        name = "=".join(value for _, value in target.attributes)
        raise ChangeError(Refusal.NO_SUCH, f"no {said} for {name}")
    section = element_at(cib, where)
    kept = tuple(child for at, child in enumerate(section.children) if at not in gone)
    return put_at(cib, where, replace(section, children=kept))


def _levels(cib: Element, target: Target, index: int | None) -> Iterator[Path]:
    """Yield the places of a target's levels."""
    where = section_path(cib, TOPOLOGY)
    for at, child in enumerate(element_at(cib, where).children) if where is not None else ():
        assert where is not None, "there is a section"
        same = all(child.get(name) == value for name, value in target.attributes)
        if child.tag == "fencing-level" and same and index in {None, _index(child)}:
            yield (*where, at)


def _index(level: Element) -> int:
    text = level.get("index") or ""
    return int(text) if text.isdecimal() else 0


def _known(cib: Element, name: str) -> None:
    place = place_of(cib, name)
    if place is None or not _is_device(cib, element_at(cib, place)):
        raise ChangeError(Refusal.NO_SUCH, f"no fence device {name}")


def _is_device(cib: Element, element: Element) -> bool:
    """Return whether a primitive is of class stonith, by itself or by its template."""
    if element.tag != "primitive":
        return False
    template = element.get("template")
    if template is not None:
        element = next(
            (e for _, e in paths(cib) if e.tag == "template" and e.id == template), element
        )
    return element.get("class") == "stonith"


def _is_all(parent: Element) -> bool:
    """Return whether a resource is the only one in a group or clone."""
    inner = [child for child in parent.children if child.tag in RESOURCE_TAGS]
    return parent.tag in RESOURCE_TAGS and len(inner) == 1


def _parameters(device: Element) -> dict[str, str]:
    return {
        pair.get("name") or "": pair.get("value") or ""
        for holder in device.all("instance_attributes")
        for pair in holder.all("nvpair")
    }


def _configured(cib: Element) -> Iterator[Element]:
    """Yield what has ids that must not be given twice; the status repeats them."""
    configuration = cib.child("configuration")
    return configuration.walk() if configuration is not None else iter(())
