"""Pacemaker's patches, `<diff format="2">`: from two documents, and applied to a third one.

Paths name elements by tags and ids. Where siblings cannot be told apart that way and differ, the
element around them is deleted and created anew. A patch is applied as a whole or not at all.
Source: by experiment with crm_diff 2.1.5, both ways (tests/differential).
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from standfest.core.cib.counting import VERSION, rank_of, same
from standfest.core.cib.printed import digest_versioned
from standfest.model.element import Element
from standfest.model.errors import StandfestError

MAX_CHANGES = 100_000
_PART = re.compile(r"/([^/\[\]]+)(?:\[@id='([^']*)'\])?(?=/|$)")
_UNADDRESSABLE = frozenset("'/[]\"")
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)


class DiffError(StandfestError):
    """A patch that cannot be made or applied; stale: the document is newer than what it changes."""

    def __init__(self, problem: str, stale: bool = False) -> None:
        super().__init__(problem)
        self.stale = stale


# ---------------------------------------------------------------- two documents -> a patch


def diff(
    old: Element, new: Element, *, versions: bool = True, digest: bool = False
) -> Element | None:
    """Return the <diff> that makes `old` `new`, None when both say the same.

    versions: whether the versions of two <cib> count and are stated; digest: whether the result's
    is. Raises DiffError where the roots' tags or the unnameable children of the root differ.
    """
    if old.tag != new.tag:
        raise DiffError(f"<{old.tag}> and <{new.tag}> cannot be compared")
    stated = versions and old.tag == "cib"
    if not versions:
        for name in VERSION:
            new = new.with_attribute(name, old.get(name))
    if same(old, new):
        return None
    found = _compare(old, new, f"/{old.tag}")
    if found is None:
        raise DiffError(f"children of <{old.tag}> have no ids to tell them apart")
    head = [("format", "2")]
    if digest:
        head.append(("digest", digest_versioned(new)))
    version = (_versions(old, new),) if stated else ()
    return Element("diff", tuple(head), (*version, *found.deletes, *found.others))


@dataclass(frozen=True, slots=True)
class _Found:
    """What to delete, first of all, and everything else in document order."""

    deletes: tuple[Element, ...]
    others: tuple[Element, ...]


Key = tuple[str, str]


def _compare(old: Element, new: Element, path: str) -> _Found | None:
    """Return the changes at and below a place; None when paths cannot say them."""
    if old.text != new.text:
        return None
    here = _modified(old, new, path)
    if len(old.children) == len(new.children) and all(map(same, old.children, new.children)):
        return _Found((), here)
    before, after = _keyed(old.children), _keyed(new.children)
    if before is None or after is None:
        return None
    deletes: list[Element] = []
    others: list[Element] = list(here)
    kept: list[Key] = []
    inner: dict[Key, _Found] = {}
    for key, child in before.items():
        where = f"{path}{_part(key)}"
        changes = _compare(child, after[key], where) if key in after else None
        if changes is None:
            deletes.append(Element("change", (("operation", "delete"), ("path", where))))
            continue
        kept.append(key)
        inner[key] = changes
        deletes.extend(changes.deletes)
    for position, (key, child) in enumerate(after.items()):
        if key not in inner:
            kept.insert(position, key)
            others.append(_placed("create", path, position, child))
            continue
        others.extend(inner[key].others)
        if kept[position] != key:
            kept.remove(key)
            kept.insert(position, key)
            others.append(_placed("move", f"{path}{_part(key)}", position))
    return _Found(tuple(deletes), tuple(others))


def _keyed(children: Sequence[Element]) -> dict[Key, Element] | None:
    """Return children by tag and id; None when two have the same, or a path cannot name one.

    A path without an id names the first child of a tag, whether that one has an id or not.
    """
    found = {(child.tag, child.id): child for child in children}
    tags = Counter(child.tag for child in children)
    if len(found) != len(children):
        return None
    for tag, identifier in found:
        if _UNADDRESSABLE & set(identifier) or (not identifier and tags[tag] > 1):
            return None
    return found


def _part(key: Key) -> str:
    tag, identifier = key
    return f"/{tag}[@id='{identifier}']" if identifier else f"/{tag}"


def _placed(operation: str, path: str, position: int, *content: Element) -> Element:
    attributes = (("operation", operation), ("path", path), ("position", str(position)))
    return Element("change", attributes, content)


def _modified(old: Element, new: Element, path: str) -> tuple[Element, ...]:
    """Return the change of attributes; their order alone is no change."""
    before, after = dict(old.attributes), dict(new.attributes)
    changes = [
        Element("change-attr", (("name", name), ("operation", "set"), ("value", value)))
        for name, value in new.attributes
        if before.get(name) != value
    ]
    changes += [
        Element("change-attr", (("name", name), ("operation", "unset")))
        for name in before
        if name not in after
    ]
    if not changes:
        return ()
    result = Element("change-result", (), (Element(new.tag, new.attributes),))
    listed = Element("change-list", (), tuple(changes))
    return (Element("change", (("operation", "modify"), ("path", path)), (listed, result)),)


def _versions(old: Element, new: Element) -> Element:
    sides = (("source", old), ("target", new))
    return Element("version", (), tuple(_version(tag, cib) for tag, cib in sides))


def _version(tag: str, cib: Element) -> Element:
    numbers = zip(VERSION, rank_of(cib), strict=True)
    return Element(tag, tuple((name, str(number)) for name, number in numbers))


# ---------------------------------------------------------------- a patch and a document -> another


def apply(document: Element, patch: Element) -> Element:
    """Return the document with a <diff> applied; raises DiffError and nothing is changed.

    A patch that says for which version it is is refused for any other, and one that says what
    comes out, by a digest, when that does not. Deletions and changes of attributes come first, what
    is created and moved then, by position.
    """
    if patch.tag != "diff" or patch.get("format") != "2":
        raise DiffError(f'<{patch.tag}> is no patch; expected <diff format="2">')
    changes = list(patch.all("change"))
    if len(changes) > MAX_CHANGES:
        raise DiffError(f"{len(changes)} changes; expected at most {MAX_CHANGES}")
    _check_version(document, patch.child("version"))
    tree = _Tree(document)
    placed = [change for change in changes if tree.change(change)]
    tree.place(placed)
    result = tree.element()
    digest = patch.get("digest")
    if digest is not None and digest != digest_versioned(result):
        raise DiffError("what comes out is not what the patch's digest says")
    return result


def _check_version(document: Element, version: Element | None) -> None:
    source = version.child("source") if version is not None else None
    if source is None:
        return
    wanted, there = rank_of(source), rank_of(document)
    if wanted != there:
        numbers = ".".join(map(str, wanted)), ".".join(map(str, there))
        problem = f"the patch is for version {numbers[0]}, the CIB has {numbers[1]}"
        raise DiffError(problem, stale=there > wanted)


class _Node:
    """An element that can be changed in place."""

    __slots__ = ("children", "element", "parent")

    def __init__(self, element: Element, parent: "_Node | None" = None) -> None:
        self.element = element
        self.parent = parent
        self.children = [_Node(child, self) for child in element.children]

    def built(self) -> Element:
        return self.element.with_children(tuple(child.built() for child in self.children))


@dataclass(frozen=True, slots=True)
class _Placing:
    position: int
    parent: _Node
    node: _Node
    new: bool


class _Tree:
    """The document while a patch is applied to it; changes are found before anything moves."""

    def __init__(self, document: Element) -> None:
        self._root = _Node(document)
        self._placings: list[_Placing] = []

    def element(self) -> Element:
        return self._root.built()

    def change(self, change: Element) -> bool:
        """Delete or modify at once; return whether the change is one for `place`."""
        operation, path = change.get("operation"), change.get("path") or ""
        node = self._find(path)
        match operation:
            case "delete":
                if node.parent is None:
                    raise DiffError("the root cannot be deleted")
                node.parent.children.remove(node)
            case "modify":
                node.element = _with_changes(node.element, change)
            case "create":
                if len(change.children) != 1:
                    raise DiffError(
                        f"create at {path}: {len(change.children)} elements; expected 1"
                    )
                made = _Node(change.children[0], node)
                self._placings.append(_Placing(_position(change), node, made, new=True))
            case "move":
                if node.parent is None:
                    raise DiffError("the root cannot be moved")
                placing = _Placing(_position(change), node.parent, node, new=False)
                self._placings.append(placing)
            case _:
                raise DiffError(f"operation {operation}; expected create, modify, delete or move")
        return operation in ("create", "move")

    def place(self, placed: list[Element]) -> None:
        """Take out what moves, then put it and what is new where it comes to be, by position."""
        assert len(placed) == len(self._placings)
        for one in (one for one in self._placings if not one.new):
            if one.node not in one.parent.children:
                raise DiffError("an element is moved twice, or moved and deleted")
            one.parent.children.remove(one.node)
        for one in sorted(self._placings, key=lambda placing: placing.position):
            one.parent.children.insert(one.position, one.node)

    def _find(self, path: str) -> _Node:
        parts = _parts(path)
        node = self._root
        if not parts or not _is(node, parts[0]):
            raise DiffError(f"path {path!r}: there is no such root")
        for part in parts[1:]:
            found = next((child for child in node.children if _is(child, part)), None)
            if found is None:
                raise DiffError(f"path {path!r}: there is no such element")
            node = found
        return node


def _is(node: _Node, part: Key) -> bool:
    return node.element.tag == part[0] and part[1] in ("", node.element.id)


def _parts(path: str) -> list[Key]:
    parts: list[Key] = []
    end = 0
    for found in _PART.finditer(path):
        if found.start() != end:
            break
        parts.append((found[1], found[2] or ""))
        end = found.end()
    if end != len(path):
        raise DiffError(f"path {path!r}; expected /TAG or /TAG[@id='ID'], repeated")
    return parts


def _position(change: Element) -> int:
    text = change.get("position") or ""
    if not _NUMBER.fullmatch(text):
        raise DiffError(f"position {text!r}; expected a number from 0")
    return int(text)


def _with_changes(element: Element, change: Element) -> Element:
    """Return the element with what a <change> says; its result, when given, is the last word."""
    listed = change.child("change-list")
    for one in listed.children if listed is not None else ():
        name, operation = one.get("name"), one.get("operation")
        if not name or operation not in ("set", "unset"):
            raise DiffError(f"change of attribute {name!r} by {operation!r}; expected set or unset")
        value = one.get("value") if operation == "set" else None
        if operation == "set" and value is None:
            raise DiffError(f"attribute {name} is set to nothing; expected a value")
        element = element.with_attribute(name, value)
    result = change.child("change-result")
    stated = result.children[0] if result is not None and len(result.children) == 1 else None
    if stated is not None and stated.tag == element.tag:
        element = replace(element, attributes=stated.attributes)
    return element
