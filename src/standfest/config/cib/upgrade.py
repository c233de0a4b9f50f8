"""A whole Heartbeat 2 document, or one of an older schema -> today's, and all that changed.

The list is not told by the steps of the upgrade but found by comparing both documents, so nothing
that a step does can be missing from it. Versions (admin_epoch, epoch, num_updates) stay: whoever
stores the result counts. The status is left behind: a cluster states it anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from standfest.config.cib import legacy, legacy_defaults, older
from standfest.config.cib.schema.validate import validate
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.errors import Finding

TARGET = "pacemaker-3.9"
"""The schema of the result: the newest that Debian 12's tools know."""

FIRST = "pacemaker-3.0"
"""The first schema in which everything is called as it is today."""

_ROOT = {
    "admin_epoch": "admin_epoch",
    "epoch": "epoch",
    "num_updates": "num_updates",
    "crm_feature_set": "crm_feature_set",
    "have_quorum": "have-quorum",
    "dc_uuid": "dc-uuid",
    "remote_access_port": "remote-tls-port",
    "cib-last-written": "cib-last-written",
}
_YES_NO = {"yes": "true", "no": "false"}
_NAMELESS = frozenset({"attributes", "lifetime"})
"""Elements that are known by where they stand, whatever ids they have."""

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference; line: of the old document, 0 where it has none.

    before or after is empty where there was nothing, or is nothing any more.
    """

    line: int
    what: str
    before: str
    after: str

    def __str__(self) -> str:
        """Return the line that an administrator reads."""
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.what}: {self.before or 'nothing'} -> {self.after or 'nothing'}"


@dataclass(frozen=True, slots=True)
class Upgraded:
    """The document in today's dialect, what changed, in the old one's order, and what to know.

    findings: warnings for what has no equivalent, errors for what TARGET refuses in the result.
    """

    root: Element
    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]


def upgrade(root: Element, path: str) -> Upgraded:
    """Return a <cib> as TARGET allows it, from Heartbeat 2's dialect or an older schema.

    One whose schema is 3.0 or later is unchanged: nothing is called otherwise since.
    """
    if older.is_older(root):
        return _newer(root, path)
    if not legacy.is_legacy(root) or root.get("validate-with") is not None:
        return Upgraded(root, (), tuple(validate(root, path)))
    old = root.child("configuration") or Element("configuration", line=root.line)
    new = legacy_defaults.state(legacy.upgrade(old))
    attributes = tuple(
        (_ROOT[name], _YES_NO.get(value, value)) for name, value in root.attributes if name in _ROOT
    )
    status = Element("status")
    result = Element("cib", (*attributes, ("validate-with", TARGET)), (new, status), line=root.line)
    changes = list(differences(root.with_children((old,)), result.with_children((new,))))
    gone = root.child("status")
    if gone is not None and gone.children:
        changes.append(Change(gone.line, "<status>", "what was seen", "empty: it is seen anew"))
    findings = (*legacy.losses(old, path), *validate(result, path))
    return Upgraded(result, tuple(changes), findings)


def _newer(root: Element, path: str) -> Upgraded:
    """Return a document of schemas 1.0 to 2.10 by TARGET; its status is as it was."""
    # What 3.0 allows as it stands is left as it stands, empty sets included, as in Pacemaker.
    written = older.upgraded(root) if validate(root, path, FIRST) else root
    result = written.with_attribute("validate-with", TARGET)
    old = root.child("configuration") or Element("configuration")
    changes = tuple(differences(old, result.child("configuration") or Element("configuration")))
    return Upgraded(result, changes, (*older.losses(old, path), *validate(result, path)))


@dataclass(frozen=True, slots=True)
class _Place:
    element: Element
    parent: Key


def differences(old: Element, new: Element) -> Iterator[Change]:
    """Yield what is different: in the old document's order, then what is new.

    Elements are the same when their ids are, as far as today's dialect allows the old ones.
    """
    before, after = _places(old), _places(new)
    for key, place in before.items():
        if key not in after:
            yield Change(place.element.line, _named(place.element), _written(place.element), "")
            continue
        now = after[key]
        yield from _changes(place.element, now.element)
        if place.parent != now.parent:
            yield Change(
                place.element.line,
                f"{_named(place.element)} moved",
                f"in {_named(before[place.parent].element)}",
                f"in {_named(after[now.parent].element)}",
            )
        yield from _order(place.element, _inside(key, before, after), _inside(key, after, before))
    for key, place in after.items():
        if key not in before:
            yield Change(place.element.line, _named(place.element), "", _written(place.element))


def _places(root: Element) -> dict[Key, _Place]:
    """Return every element by its key; <attributes> is no place of its own for its pairs."""
    found: dict[Key, _Place] = {}
    stack: list[tuple[Element, Key]] = [(root, ())]
    while stack:
        element, parent = stack.pop()
        key = _key(element, parent)
        while key in found:
            key = (*key, "again")
        found[key] = _Place(element, parent)
        host = parent if element.tag == "attributes" else key
        stack.extend((child, host) for child in reversed(element.children))
    return found


def _key(element: Element, parent: Key) -> Key:
    if element.id and element.tag not in _NAMELESS:
        kind = "node" if element.tag == "node" else "id"
        return (kind, element.id if kind == "node" else legacy.identifier(element.id))
    return (*parent, element.tag)


def _inside(key: Key, places: dict[Key, _Place], others: dict[Key, _Place]) -> list[Key]:
    """Return the keys of the children that both documents have in this element, in order."""
    return [
        child
        for child, place in places.items()
        if place.parent == key and child in others and others[child].parent == key
    ]


def _order(element: Element, before: list[Key], after: list[Key]) -> Iterator[Change]:
    if before != after:
        order = [" ".join(key[-1] for key in keys) for keys in (before, after)]
        yield Change(element.line, f"order in {_named(element)}", *order)


def _changes(old: Element, new: Element) -> Iterator[Change]:
    """Yield the differences of one element's own tag, attributes and text."""
    what = _named(old)
    if old.tag != new.tag:
        yield Change(old.line, what, f"<{old.tag}>", f"<{new.tag}>")
    stated, said = dict(old.attributes), dict(new.attributes)
    fresh = {name: value for name, value in said.items() if name not in stated}
    for name, value in stated.items():
        if name in said:
            if said[name] != value:
                yield Change(old.line, what, _pair(name, value), _pair(name, said[name]))
            continue
        heir = _heir(name, value, fresh)
        now = _pair(heir, fresh.pop(heir)) if heir else ""
        yield Change(old.line, what, _pair(name, value), now)
    for name, value in fresh.items():
        yield Change(old.line, what, "", _pair(name, value))
    if old.text != new.text:
        yield Change(old.line, what, repr(old.text), repr(new.text))


def _heir(name: str, value: str, fresh: dict[str, str]) -> str:
    """Return the new attribute that stands for an old one: by its name, or else by its value."""
    dashed = name.replace("_", "-")
    if dashed in fresh:
        return dashed
    if name == "disabled" and "enabled" in fresh:
        return "enabled"
    values = (value.lower(), legacy.identifier(value).lower())
    same = [new for new, said in fresh.items() if said.lower() in values]
    return same[0] if same else ""


def _pair(name: str, value: str) -> str:
    return f'{name}="{value}"'


def _named(element: Element) -> str:
    return f"<{element.tag} id={element.id}>" if element.id else f"<{element.tag}>"


def _written(element: Element) -> str:
    """Return an element's own tag with its attributes, without what it holds."""
    return xml.serialise(element.with_children(())).strip()
