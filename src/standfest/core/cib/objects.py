"""What administrators do to a whole <cib>: query, create, modify, replace, delete, erase, bump.

Pure: a document in, a document out, or a ChangeError and nothing. What is matched and where new
children go was learnt from Debian's cibadmin 2.1.5 by experiment (docs/guide/tools.md has the
table). Versions are counted when a change is kept, not here (counting.py).
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace as replace_fields
from enum import Enum

from standfest.core.cib.arithmetic import expanded, settled
from standfest.core.cib.counting import rank_of
from standfest.core.cib.places import (
    WHOLE,
    Path,
    element_at,
    first,
    paths,
    put_at,
    replaced_at,
    section_path,
    with_section,
)
from standfest.model.element import Element
from standfest.model.errors import StandfestError

FEATURE_SET = "3.16.1"
SCHEMA = "pacemaker-3.9"
EMPTY_SECTIONS = ("crm_config", "nodes", "resources", "constraints")


class Refusal(Enum):
    """Why a change cannot be."""

    NO_SUCH = "No such device or address"
    EXISTS = "File exists"
    INVALID = "Invalid argument"
    OLDER = "Update was older than existing configuration"


class ChangeError(StandfestError):
    """A change that cannot be; nothing is changed. failed: the object that could not be created."""

    def __init__(self, refusal: Refusal, problem: str, failed: Element | None = None) -> None:
        super().__init__(problem)
        self.refusal = refusal
        self.problem = problem
        self.failed = failed


def empty(schema: str = SCHEMA, epoch: int = 1) -> Element:
    """Return a CIB without anything."""
    attributes = (
        ("crm_feature_set", FEATURE_SET),
        ("validate-with", schema),
        ("epoch", str(epoch)),
        ("num_updates", "0"),
        ("admin_epoch", "0"),
    )
    return Element("cib", attributes, (_no_configuration(), Element("status")))


def query(cib: Element, section: str | None = None) -> Element:
    """Return a section, or all; raises ChangeError without it."""
    path = section_path(cib, section)
    if path is None:
        raise ChangeError(Refusal.NO_SUCH, f"the CIB has no section {section}")
    return element_at(cib, path)


def fragment(data: Element, section: str | None) -> Element:
    """Return what of the data given is meant: of a whole <cib>, the section that is asked for."""
    if data.tag != "cib" or section is None or section in WHOLE:
        return data
    path = section_path(data, section)
    if path is None:
        raise ChangeError(Refusal.INVALID, f"the <cib> given has no section {section}")
    return element_at(data, path)


def create(
    cib: Element, data: Element, section: str | None = None, at: Path | None = None
) -> Element:
    """Return the CIB with a new object, or all children of a section that is given whole.

    at: the parent. What has the same tag and id in the parent exists already, and of the children
    given, too: raises ChangeError with the first that does. Without a section and a parent this is
    `modify`: the data must begin at a place that is there.
    """
    if at is None and (section is None or section in WHOLE or data.tag == "cib"):
        return modify(cib, data)
    path = section_path(cib, section) if at is None else at
    wanted = data.children if at is None and data.tag == section else (data,)
    for one in wanted:
        if path is None:
            raise ChangeError(Refusal.INVALID, f"the CIB has no section {section}", failed=one)
        parent = element_at(cib, path)
        if _entity(parent.children, one) is not None:
            raise ChangeError(Refusal.EXISTS, f"{_named(one)} exists already", failed=one)
        cib = put_at(cib, path, parent.with_children((*parent.children, _made(one))))
    return cib


def modify(
    cib: Element,
    data: Element,
    section: str | None = None,
    at: Path | None = None,
    allow_create: bool = False,
) -> Element:
    """Return the CIB with the data merged into the first object that has its tag and its id.

    at: where to look, itself included. Attributes are set, children merged, by tag and id, or by
    the tag alone where the data has no id; nothing is removed. allow_create: an object that is
    nowhere comes to the end of the section; raises ChangeError otherwise.
    """
    if at is None:
        at = section_path(cib, section)
    if at is None:
        assert section is not None, "the root is always there"
        cib, at = with_section(cib, section)
    found = first(cib, at, lambda e: e.tag == data.tag and e.get("id") == data.get("id"))
    if found is not None:
        return put_at(cib, found, merged(element_at(cib, found), data))
    if not allow_create:
        raise ChangeError(Refusal.NO_SUCH, f"{_named(data)} is not in {section or 'the CIB'}")
    parent = element_at(cib, at)
    return put_at(cib, at, parent.with_children((*parent.children, _made(data))))


def replace(
    cib: Element, data: Element, section: str | None = None, at: Path | None = None
) -> Element:
    """Return the CIB with a whole object, section or document in the place of the one that is.

    at: exactly this one is replaced, by whatever is given. A whole document must not be older.
    """
    if at is not None:
        if not at:
            raise ChangeError(Refusal.INVALID, "the CIB itself is replaced without a path")
        return put_at(cib, at[:-1], _with_last(cib, at, settled(data)))
    if data.tag == "cib":
        if _older(data, cib):
            raise ChangeError(Refusal.OLDER, "the CIB given is older than the one that is there")
        return settled(data)
    path = section_path(cib, section)
    found = first(cib, path, lambda e: _replaceable(e, data)) if path is not None else None
    if found is None:
        raise ChangeError(Refusal.NO_SUCH, f"{_named(data)} is not in {section or 'the CIB'}")
    return put_at(cib, found, settled(data))


def delete(cib: Element, data: Element, section: str | None = None) -> Element:
    """Return the CIB without the first object that has the tag and all attributes of the data.

    Of a section given whole, each child says what to delete. What is not there is no error.
    """
    path = section_path(cib, section)
    if path is None:
        return cib
    for one in data.children if data.tag == section else (data,):
        below = (
            where
            for where, element in paths(element_at(cib, path), path)
            if where != path and _deletable(element, one)
        )
        found = next(below, None)
        if found is not None:
            cib = replaced_at(cib, found)
    return cib


def delete_at(cib: Element, places: Iterable[Path]) -> Element:
    """Return the CIB without what is at these places; the whole CIB cannot be deleted."""
    wanted = sorted(set(places), reverse=True)
    if () in wanted:
        raise ChangeError(Refusal.INVALID, "the whole CIB cannot be deleted")
    kept = [one for one in wanted if not any(one[:n] in wanted for n in range(1, len(one)))]
    for place in kept:  # from the end, so that indexes hold
        cib = replaced_at(cib, place)
    return cib


def erase(cib: Element) -> Element:
    """Return the CIB without configuration and status, and with the next admin_epoch."""
    attributes = next_admin_epoch(cib).attributes
    return Element("cib", attributes, (_no_configuration(), Element("status")))


def next_admin_epoch(cib: Element) -> Element:
    """Return the CIB with the next admin_epoch."""
    return cib.with_attribute("admin_epoch", str(rank_of(cib)[0] + 1))


def bump(cib: Element) -> Element:
    """Return the CIB with the next epoch."""
    return cib.with_attribute("epoch", str(rank_of(cib)[1] + 1))


def merged(target: Element, update: Element) -> Element:
    """Return an element with the attributes and, recursively, the children of another one."""
    for name, value in update.attributes:
        target = target.with_attribute(name, expanded(name, value, target.get(name)))
    children = list(target.children)
    for child in update.children:
        index = _entity(children, child)
        if index is None:
            children.append(_made(child))
        else:
            children[index] = merged(children[index], child)
    return target.with_children(tuple(children))


def _made(data: Element) -> Element:
    """Return a new object; children with the same tag and id become one."""
    return merged(Element(data.tag, line=data.line), data)


def _entity(children: Sequence[Element], wanted: Element) -> int | None:
    """Return which child has the tag and the id, or the id-ref; without one, the tag alone."""
    key = next((name for name in ("id", "id-ref") if wanted.get(name) is not None), None)
    for index, child in enumerate(children):
        if child.tag == wanted.tag and (key is None or child.get(key) == wanted.get(key)):
            return index
    return None


def _deletable(element: Element, data: Element) -> bool:
    return element.tag == data.tag and all(
        element.get(name) == value for name, value in data.attributes
    )


def _replaceable(element: Element, data: Element) -> bool:
    identifier = data.get("id")
    return element.tag == data.tag and (identifier is None or element.get("id") == identifier)


def _with_last(cib: Element, at: Path, new: Element) -> Element:
    """Return the parent with what is at a place removed, and the new one at its end."""
    parent = element_at(cib, at[:-1])
    kept = tuple(child for index, child in enumerate(parent.children) if index != at[-1])
    return parent.with_children((*kept, new))


def _older(new: Element, old: Element) -> bool:
    """Return whether a document to replace with is older, or does not say how old it is."""
    stated = all(new.get(name) is not None for name in ("admin_epoch", "epoch", "num_updates"))
    return not stated or rank_of(new) < rank_of(old)


def _no_configuration() -> Element:
    return Element("configuration", (), tuple(Element(tag) for tag in EMPTY_SECTIONS))


def _named(element: Element) -> str:
    return f"<{element.tag} id={element.id}>" if element.id else f"<{element.tag}>"


def shallow(element: Element) -> Element:
    """Return the element without what is below it."""
    return replace_fields(element, children=(), text="")
