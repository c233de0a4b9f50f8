"""Random changes of CIB documents: what an editor, a script or an old habit may make of them.

Elements are taken away, renamed, doubled, moved and swapped; attributes are taken away, renamed,
added; values become others that documents have, or nonsense. The same number makes the same change.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from standfest.model.element import Element

NONSENSE = ("", " ", "0", "-1", "1.5", "yes", "maybe", "Infinity", "a b", "1a", "x:y", "P1D", "é")
NEW_TAGS = ("note", "read", "select", "bundle", "rule", "lifetime", "acl_role", "master")
NEW_NAMES = ("comment", "id-ref", "score", "role", "template", "kind", "influence", "require-all")
MAX_CHANGES = 3

Place = tuple[int, ...]
"""The way down from the root: the number of the child at each level."""


@dataclass(frozen=True, slots=True)
class Words:
    """What documents are made of: tags, attributes, and the values of each attribute."""

    tags: tuple[str, ...]
    names: tuple[str, ...]
    values: dict[str, tuple[str, ...]]


def words_of(documents: Sequence[Element]) -> Words:
    """Return the words of the documents' configurations."""
    tags = dict.fromkeys(NEW_TAGS)
    values: dict[str, dict[str, None]] = {}
    for document in documents:
        for element in document.walk():
            if element.tag in ("status", "node_state"):
                continue
            tags[element.tag] = None
            for name, value in element.attributes:
                known = values.setdefault(name, {})
                if len(known) < 200:
                    known[value] = None
    names = tuple(dict.fromkeys((*values, *NEW_NAMES)))
    return Words(tuple(tags), names, {name: tuple(known) for name, known in values.items()})


def mutated(document: Element, words: Words, source: random.Random) -> Element:
    """Return the document with one to MAX_CHANGES changes outside its status."""
    for _ in range(source.randint(1, MAX_CHANGES)):
        places = _places(document)
        document = _change(document, source.choice(places), words, source)
    return document


def _places(document: Element) -> list[Place]:
    """Return the way to each element, the root's first, the status left out."""
    found: list[Place] = []
    stack: list[tuple[Element, Place]] = [(document, ())]
    while stack:
        element, place = stack.pop()
        found.append(place)
        stack.extend(
            (child, (*place, number))
            for number, child in enumerate(element.children)
            if child.tag != "status"
        )
    return found


def at(document: Element, place: Place) -> Element:
    """Return the element at a place."""
    for number in place:
        document = document.children[number]
    return document


def put(document: Element, place: Place, *elements: Element) -> Element:
    """Return the document with these elements instead of the one at a place."""
    if not place:
        return elements[0] if elements else document
    head, rest = place[0], place[1:]
    children = document.children
    inside = elements if not rest else (put(children[head], rest, *elements),)
    return replace(document, children=(*children[:head], *inside, *children[head + 1 :]))


def _change(document: Element, place: Place, words: Words, source: random.Random) -> Element:
    element = at(document, place)
    changes = (_attributes, _value, _value, _children) if not place else _CHANGES
    kind = source.choice(changes)
    if kind is _delete:
        return put(document, place)
    if kind is _double:
        return put(document, place, element, element)
    if kind is _move:
        goal = source.choice(_places(document))
        host = at(document, goal)
        if goal[: len(place)] == place:
            return document
        moved = put(document, goal, replace(host, children=(*host.children, element)))
        return put(moved, place) if place[: len(goal)] != goal else moved
    return put(document, place, kind(element, words, source))


def _delete(element: Element, _words: Words, _source: random.Random) -> Element:
    return element


def _double(element: Element, _words: Words, _source: random.Random) -> Element:
    return element


def _move(element: Element, _words: Words, _source: random.Random) -> Element:
    return element


def _rename(element: Element, words: Words, source: random.Random) -> Element:
    return replace(element, tag=source.choice(words.tags))


def _attributes(element: Element, words: Words, source: random.Random) -> Element:
    """Take an attribute away, rename it, or add one."""
    names = [name for name, _ in element.attributes]
    action = source.choice(("delete", "rename", "add")) if names else "add"
    new = source.choice(words.names)
    if action == "add":
        return element.with_attribute(new, _other(new, words, source))
    old = source.choice(names)
    if action == "delete" or new in names:
        return element.with_attribute(old, None)
    renamed = tuple((new if name == old else name, v) for name, v in element.attributes)
    return replace(element, attributes=renamed)


def _value(element: Element, words: Words, source: random.Random) -> Element:
    if not element.attributes:
        return _attributes(element, words, source)
    name, _ = source.choice(element.attributes)
    return element.with_attribute(name, _other(name, words, source))


def _other(name: str, words: Words, source: random.Random) -> str:
    if source.random() < 0.6 and name in words.values:
        return source.choice(words.values[name])
    return source.choice(NONSENSE)


def _children(element: Element, words: Words, source: random.Random) -> Element:
    """Shuffle the children, or add one without content."""
    children = list(element.children)
    if len(children) > 1 and source.random() < 0.7:
        source.shuffle(children)
        return element.with_children(tuple(children))
    new = Element(source.choice(words.tags), (("id", f"new-{source.randrange(1000)}"),))
    return element.with_children((*children, new))


_CHANGES = (_delete, _double, _move, _rename, _attributes, _attributes, _value, _value, _children)
