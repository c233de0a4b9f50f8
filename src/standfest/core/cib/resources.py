"""Where resources are in a whole <cib>, what is around them, and taking one out.

Source: facts/formats/CIB-MODERN.md section 1; crm_resource 2.1.5 by experiment.
"""

from standfest.core.cib.places import Path, element_at, paths, replaced_at, section_path
from standfest.model.element import Element

CLONE_TAGS = ("clone", "master")
RESOURCE_TAGS = ("primitive", "group", *CLONE_TAGS, "bundle")


def place_of(cib: Element, resource: str) -> Path | None:
    """Return the place of the resource with this id; None if there is none."""
    section = section_path(cib, "resources")
    if section is None:
        return None
    found = paths(element_at(cib, section), section)
    return next((p for p, e in found if e.tag in RESOURCE_TAGS and e.id == resource), None)


def without_number(cib: Element, name: str) -> str:
    """Return which resource is meant by a name that may end with an instance's number, `:0`."""
    base, colon, number = name.rpartition(":")
    numbered = colon and number.isascii() and number.isdigit()
    return base if numbered and place_of(cib, name) is None else name


def clone_around(cib: Element, place: Path) -> Path | None:
    """Return the place of the clone that a resource is directly in; None if it is in none."""
    above = element_at(cib, place[:-1])
    return place[:-1] if above.tag in CLONE_TAGS else None


def without_resource(cib: Element, resource: str, tag: str) -> Element:
    """Return the CIB without the resource that has this id and this tag; as it is if none has.

    What names it elsewhere stays: whether that can be is for whoever keeps the document.
    """
    section = section_path(cib, "resources")
    if section is None:
        return cib
    for place, element in paths(element_at(cib, section), section):
        if place != section and element.tag == tag and element.get("id") == resource:
            return replaced_at(cib, place)
    return cib


def with_property(cib: Element, resource: str, tag: str, name: str, value: str) -> Element | None:
    """Return the CIB with an attribute of a resource's own element set; None without such one."""
    place = place_of(cib, resource)
    if place is None or element_at(cib, place).tag != tag:
        return None
    return replaced_at(cib, place, element_at(cib, place).with_attribute(name, value))
