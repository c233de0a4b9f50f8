"""Who may read and change which part of the CIB: its section <acls>, as Pacemaker reads it.

Permissions mark elements; what counts for an element is the nearest mark on it or above it, and
`deny` before the others on the same one. Without any mark nothing is allowed. root and hacluster
are asked for nothing, and nobody is while `enable-acl` is not true.
Source: facts/formats/CIB-MODERN.md section 1, and `cibadmin --show-access` 2.1.5 by experiment.
"""

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from standfest.config.cib.values import boolean
from standfest.core.cib.patch import Patch, Step, difference, steps
from standfest.model.element import Element
from standfest.model.errors import ConfigError

EXEMPT = frozenset({"", "root", "hacluster"})
"""The empty name is who asks on behalf of root."""
Path = tuple[int, ...]


class Kind(Enum):
    """What a permission does."""

    READ = "read"
    WRITE = "write"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Access:
    """The marks of one user on a document, by the place of the element."""

    marks: Mapping[Path, frozenset[Kind]] = field(default_factory=dict)

    def may(self, path: Path, kind: Kind) -> bool:
        """Return whether an element may be read, or written; who may write may read."""
        for end in range(len(path), -1, -1):
            found = self.marks.get(path[:end], frozenset())
            if Kind.DENY in found:
                return False
            if Kind.WRITE in found or (Kind.READ in found and kind is Kind.READ):
                return True
        return False


def access_of(
    cib: Element, user: str, groups: Collection[str], by: Element | None = None
) -> Access | None:
    """Return what a user may do with a whole <cib>; None: everything.

    by: the configuration whose <acls> count, where it is not the one of this document.
    """
    configuration = by or cib.child("configuration")
    if configuration is None or not limits(configuration, user):
        return None
    return evaluated(cib, user, groups, configuration)


def evaluated(
    cib: Element, user: str, groups: Collection[str], by: Element | None = None
) -> Access:
    """Return what the rules say of a user, whether they are enabled or not; by: as in access_of."""
    configuration = by or cib.child("configuration") or Element("configuration")
    from standfest.config.cib.xpath import matches  # noqa: PLC0415 (lxml, for who uses ACLs)

    marks: dict[Path, frozenset[Kind]] = {}
    for expression, kind in _permissions(configuration, user, groups):
        try:
            places = matches(cib, expression)
        except ConfigError:
            continue  # it matches nothing, and so allows nothing
        for place in places:
            marks[place] = marks.get(place, frozenset()) | {kind}
    return Access(marks)


def readable(cib: Element, access: Access) -> Element | None:
    """Return what may be read: of elements around it only their id; None when there is nothing."""
    return _readable(cib, (), access)


def forbidden(  # noqa: PLR0917 (what is changed, twice, and what may be done with it)
    patch: Patch,
    before: Element,
    after: Element,
    one: Access,
    two: Access,
    section: str = "configuration",
) -> str:
    """Return the first place that a patch changes and that may not be written, or nothing.

    patch: of this section; one, two: what may be done before and after, both of whole <cib>
    elements around the change.
    """
    at = next(i for i, child in enumerate(before.children) if child.tag == section)
    to = next(i for i, child in enumerate(after.children) if child.tag == section)
    old, new = before.children[at], after.children[to]
    return next(_refused(patch, (old, (at,)), (new, (to,)), (one, two), f"/cib/{section}"), "")


def forbidden_in_status(before: Element, after: Element, user: str, groups: Collection[str]) -> str:
    """Return the first place that a change of the status may not change, or nothing.

    before, after: whole <cib> elements with the same configuration, whose rules count.
    """
    one, two = (access_of(cib, user, groups) for cib in (before, after))
    old, new = (cib.child("status") or Element("status") for cib in (before, after))
    patch = difference(old, new)
    if patch is None or one is None or two is None:
        return ""
    return forbidden(patch, before, after, one, two, "status")


def limits(configuration: Element, user: str) -> bool:
    """Return whether a configuration asks at all what this user may do."""
    section = configuration.child("crm_config")
    for properties in section.children if section and user not in EXEMPT else ():
        for pair in properties.children:
            if pair.get("name") == "enable-acl":
                with contextlib.suppress(ValueError):
                    return boolean(pair.get("value") or "")
    return False


def _permissions(
    configuration: Element, user: str, groups: Collection[str]
) -> Iterator[tuple[str, Kind]]:
    """Yield the XPath and the kind of each permission that a user has, in order."""
    section = configuration.child("acls")
    if section is None:
        return
    roles = {role.id: role for role in section.all("acl_role")}
    for holder in section.children:
        name = holder.get("name") or holder.id
        mine = (holder.tag == "acl_target" and name == user) or (
            holder.tag == "acl_group" and name in groups
        )
        for reference in holder.all("role") if mine else ():
            role = roles.get(reference.id)
            for permission in role.all("acl_permission") if role else ():
                try:
                    kind = Kind(permission.get("kind") or "")
                except ValueError:
                    continue
                yield _expression(permission), kind


def _expression(permission: Element) -> str:
    xpath, reference = permission.get("xpath"), permission.get("reference")
    if xpath:
        return xpath
    if reference:
        return f"//*[@id='{reference}']"
    attribute = permission.get("attribute")
    return f"//{permission.get('object-type') or 'none'}" + (f"[@{attribute}]" if attribute else "")


def _readable(element: Element, path: Path, access: Access) -> Element | None:
    children = tuple(
        kept
        for at, child in enumerate(element.children)
        if (kept := _readable(child, (*path, at), access)) is not None
    )
    if access.may(path, Kind.READ):
        return element.with_children(children)
    if not children:
        return None
    own = tuple((name, value) for name, value in element.attributes if name == "id")
    return replace(element, attributes=own, children=children, text="")


_Place = tuple[Element, Path]


def _refused(
    patch: Patch, old: _Place, new: _Place, access: tuple[Access, Access], where: str
) -> Iterator[str]:
    (before, path_before), (after, path_after) = old, new
    one, two = access
    itself = patch.settings or patch.order or patch.text is not None
    allowed = one.may(path_before, Kind.WRITE) and two.may(path_after, Kind.WRITE)
    if itself and not allowed:
        yield where
    olds = {step: (child, (*path_before, at)) for at, (step, child) in _numbered(before)}
    news = {step: (child, (*path_after, at)) for at, (step, child) in _numbered(after)}
    for drop in patch.drops:
        if drop.step in olds and not _whole(*olds[drop.step], one):
            yield f"{where}/{drop.step}"
    for place in patch.places:
        if place.step in news and not _whole(*news[place.step], two):
            yield f"{where}/{place.step}"
    for step, inner in patch.inside:
        if step in olds and step in news:
            yield from _refused(inner, olds[step], news[step], access, f"{where}/{step}")


def _numbered(element: Element) -> Iterator[tuple[int, tuple[Step, Element]]]:
    return enumerate(steps(element.children))


def _whole(element: Element, path: Path, access: Access) -> bool:
    """Return whether an element with everything in it may be written."""
    return access.may(path, Kind.WRITE) and all(
        _whole(child, (*path, at), access) for at, child in enumerate(element.children)
    )
