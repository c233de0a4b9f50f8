"""Options of resources in a whole <cib>: parameters, meta-attributes, utilization.

Which nvpair is meant, what it is called and what is said about it was learnt from Debian's
crm_resource 2.1.5 by experiment (docs/guide/tools.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from standfest.core.cib.arithmetic import expanded
from standfest.core.cib.places import Path, element_at, paths, put_at, replaced_at
from standfest.core.cib.resources import CLONE_TAGS, clone_around, place_of, without_number
from standfest.model.element import Element
from standfest.model.errors import StandfestError


class Kind(Enum):
    """Which options; the value is the tag of their sets."""

    INSTANCE = "instance_attributes"
    META = "meta_attributes"
    UTILIZATION = "utilization"


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a resource. set_id, id: only in this set, only this nvpair.

    force: exactly this resource is meant, not the clone around it or what is in it.
    """

    resource: str
    name: str
    kind: Kind = Kind.INSTANCE
    set_id: str = ""
    id: str = ""
    force: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """An nvpair that there is, and its place."""

    place: Path
    pair: Element


@dataclass(frozen=True, slots=True)
class Changed:
    """The CIB after a change, and what is said of it, line by line."""

    cib: Element
    said: tuple[str, ...]


class UnknownError(StandfestError):
    """There is no such resource."""


class NoPlaceError(StandfestError):
    """A resource of this kind cannot have such an option."""


class SeveralError(StandfestError):
    """Several nvpairs match and one is meant, or the name is taken by another kind of option.

    said: what is said first; warned: what is said as a warning.
    """

    def __init__(self, said: tuple[str, ...], warned: tuple[str, ...] = ()) -> None:
        super().__init__("several options match")
        self.said = said
        self.warned = warned


def with_option(cib: Element, option: Option, value: str) -> Changed:
    """Return the CIB with an option set in place, or added to the resource's set for it.

    `value++` and `value+=N` count from the old value. Raises UnknownError, SeveralError,
    NoPlaceError.
    """
    holder, place, said = _holder(cib, option, "update")
    matching, many = _one(cib, place, option)
    if len(matching) > 1:
        raise SeveralError((*said, *many))
    if matching:
        found = matching[0]
        new = expanded("value", value, found.pair.get("value"))
        in_set = f" set={option.set_id}" if option.set_id else ""
        line = f"Set '{holder}' option: id={found.pair.id}{in_set} name={option.name} value={value}"
        changed = put_at(cib, found.place, found.pair.with_attribute("value", new))
        return Changed(changed, (*said, line))
    tag = element_at(cib, place).tag
    if option.kind is Kind.UTILIZATION and tag != "primitive":
        raise NoPlaceError(f"utilization of {tag} {holder}; expected a primitive")
    set_id = option.set_id or f"{holder}-{option.kind.value}"
    identifier = option.id or f"{set_id}-{option.name}"
    pair = Element(
        "nvpair",
        (("id", identifier), ("name", option.name), ("value", expanded("value", value, None))),
    )
    line = f"Set '{holder}' option: id={identifier} set={set_id} name={option.name} value={value}"
    return Changed(_added(cib, place, option.kind, set_id, pair), (*said, line))


def without_option(cib: Element, option: Option) -> Changed:
    """Return the CIB without an option; what is not set is no error, and nothing is said of it.

    The set stays, empty perhaps. Raises UnknownError, SeveralError.
    """
    holder, place, said = _holder(cib, option, "delete")
    matching, many = _one(cib, place, option)
    if len(matching) > 1:
        raise SeveralError((*said, *many))
    if not matching:
        return Changed(cib, said)
    found = matching[0]
    in_set = f" set={option.set_id}" if option.set_id else ""
    line = f"Deleted '{holder}' option: id={found.pair.id}{in_set} name={option.name}"
    return Changed(replaced_at(cib, found.place), (*said, line))


def _holder(cib: Element, option: Option, verb: str) -> tuple[str, Path, tuple[str, ...]]:
    """Return which resource has the option: the id, the place, and what is said of the choice.

    An option for all of a clone is the clone's, not the resource's in it, unless that has one.
    """
    name = without_number(cib, option.resource)
    place = place_of(cib, name)
    if place is None:
        raise UnknownError(name)
    if option.force:
        return name, place, ()
    if option.kind is Kind.INSTANCE and verb == "update":
        _not_taken(cib, place, name, option)
    around = clone_around(cib, place) if option.kind is not Kind.INSTANCE else None
    said = _listed(option.name, _below(cib, around or place, option))
    if option.kind is Kind.INSTANCE:
        return name, place, said
    if around is not None:
        if _below(cib, place, option):
            return name, place, said
        outer = element_at(cib, around).id
        line = (
            f"Performing {verb} of '{option.name}' on '{outer}', the parent of '{option.resource}'"
        )
        return outer, around, (*said, line)
    if element_at(cib, place).tag in CLONE_TAGS:
        for index, child in enumerate(element_at(cib, place).children):
            if child.tag in ("primitive", "group") and _below(cib, (*place, index), option):
                line = (
                    f"A value for '{option.name}' already exists in child '{child.id}', "
                    f"performing {verb} on that instead of '{name}'"
                )
                return child.id, (*place, index), (*said, line)
    return name, place, said


def _not_taken(cib: Element, place: Path, name: str, option: Option) -> None:
    """Refuse a parameter that is a meta-attribute already; most of all they are meant to be one."""
    asked = Option(name, option.name, Kind.META, option.set_id, option.id)
    taken = list(_sets(cib, place, asked))
    if taken:
        identifier = taken[0].pair.id
        raise SeveralError(
            (),
            (
                f"WARNING: There is already a meta attribute for '{name}' called "
                f"'{option.name}' (id={identifier})",
                f"         Delete '{identifier}' first or use the force option to override",
            ),
        )


def _one(cib: Element, place: Path, option: Option) -> tuple[list[Found], tuple[str, ...]]:
    matching = list(_sets(cib, place, option))
    return matching, _listed(option.name, matching)


def _sets(cib: Element, place: Path, option: Option) -> Iterator[Found]:
    """Yield the matching nvpairs in the resource's own sets, in document order."""
    for at, holder in enumerate(element_at(cib, place).children):
        if holder.tag == option.kind.value and option.set_id in ("", holder.id):
            for index, pair in enumerate(holder.children):
                if _matches(pair, option):
                    yield Found((*place, at, index), pair)


def _below(cib: Element, place: Path, option: Option) -> list[Found]:
    """Return the matching nvpairs of a resource and of all in it, whatever their set."""
    found = []
    for where, holder in paths(element_at(cib, place), place):
        if holder.tag == option.kind.value:
            found += [
                Found((*where, index), pair)
                for index, pair in enumerate(holder.children)
                if _matches(pair, option)
            ]
    return found


def _matches(pair: Element, option: Option) -> bool:
    if pair.tag != "nvpair" or pair.get("name") != option.name:
        return False
    return option.id in ("", pair.id)


def _listed(name: str, matching: list[Found]) -> tuple[str, ...]:
    if len(matching) < 2:
        return ()
    lines = (f"  Value: {one.pair.get('value') or ''} \t(id={one.pair.id})" for one in matching)
    return (f"Multiple attributes match name={name}", *lines, "")


def _added(cib: Element, place: Path, kind: Kind, set_id: str, pair: Element) -> Element:
    owner = element_at(cib, place)
    for index, child in enumerate(owner.children):
        if child.tag == kind.value and child.id == set_id:
            return put_at(cib, (*place, index), _with_pair(child, pair))
    new = Element(kind.value, (("id", set_id),), (pair,))
    return put_at(cib, place, owner.with_children((*owner.children, new)))


def _with_pair(holder: Element, pair: Element) -> Element:
    """Return a set with an nvpair in the place of the one that has its id, or at the end."""
    kept = list(holder.children)
    for index, child in enumerate(kept):
        if child.tag == "nvpair" and child.id == pair.id:
            kept[index] = pair
            return holder.with_children(tuple(kept))
    return holder.with_children((*kept, pair))
