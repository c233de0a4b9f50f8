"""The smallest change that makes one element another, and its application to a third one.

A patch names what it touches by tag and id, not by place, and carries what it found there: it can
be applied to a document that others have changed elsewhere meanwhile, and is refused, as a whole,
where they changed the same.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from standfest.model.element import Element
from standfest.model.errors import OperationError

Attributes = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Step:
    """Which child: the nth, from 0, of those with this tag and this id (empty: none)."""

    tag: str
    id: str = ""
    nth: int = 0

    def __str__(self) -> str:
        """Return it as a part of a path, as Pacemaker writes one."""
        where = f"[@id='{self.id}']" if self.id else ""
        return f"{self.tag}{where}{f'[{self.nth + 1}]' if self.nth else ''}"


@dataclass(frozen=True, slots=True)
class Setting:
    """An attribute's value before and after; None where there is none."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Drop:
    """A child that goes, as it was."""

    step: Step
    element: Element


@dataclass(frozen=True, slots=True)
class Place:
    """A child that comes or, without `element`, only moves; at: its place afterwards, from 0."""

    at: int
    step: Step
    element: Element | None = None


@dataclass(frozen=True, slots=True)
class Patch:
    """What happens to one element, in this order: attributes and text, drops, places, `inside`.

    order: the names of all attributes afterwards, where that does not follow from `settings`.
    """

    settings: tuple[Setting, ...] = ()
    order: tuple[str, ...] = ()
    text: tuple[str, str] | None = None
    drops: tuple[Drop, ...] = ()
    places: tuple[Place, ...] = ()
    inside: tuple[tuple[Step, "Patch"], ...] = ()


class ConflictError(OperationError):
    """The document is another one than that which the patch was made from; path: where."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path


def difference(before: Element, after: Element) -> Patch | None:
    """Return how `before` becomes `after`, which has the same tag; None when they are equal."""
    assert before.tag == after.tag, "an element never becomes one of another kind"
    if before is after or before == after:
        return None
    settings, order = _settings(before.attributes, after.attributes)
    text = None if before.text == after.text else (before.text, after.text)
    old, new = dict(steps(before.children)), dict(steps(after.children))
    drops = tuple(Drop(step, child) for step, child in old.items() if step not in new)
    places = tuple(_places(old, new))
    inside: list[tuple[Step, Patch]] = []
    for step, child in new.items():
        changed = difference(old[step], child) if step in old else None
        if changed is not None:
            inside.append((step, changed))
    return Patch(settings, order, text, drops, places, tuple(inside))


def applied(patch: Patch, element: Element, path: str = "") -> Element:
    """Return the element after the patch; raises ConflictError, which names the place."""
    path = f"{path}/{Step(element.tag, element.id)}"
    attributes = _set(patch, element.attributes, path)
    text = element.text
    if patch.text is not None and text != patch.text[1]:
        if text != patch.text[0]:
            raise ConflictError(path, "the text is another one")
        text = patch.text[1]
    children = element.children
    if patch.drops or patch.places or patch.inside:
        children = _children(patch, children, path)
    return replace(element, attributes=attributes, children=children, text=text)


def size(patch: Patch) -> int:
    """Return how many things a patch changes."""
    here = len(patch.settings) + len(patch.drops) + len(patch.places) + (patch.text is not None)
    return here + bool(patch.order) + sum(size(inner) for _, inner in patch.inside)


# --- attributes ---------------------------------------------------------------------------------


def _settings(before: Attributes, after: Attributes) -> tuple[tuple[Setting, ...], tuple[str, ...]]:
    if before == after:
        return (), ()
    old, new = dict(before), dict(after)
    names = [*old, *(name for name in new if name not in old)]
    settings = tuple(
        Setting(name, old.get(name), new.get(name))
        for name in names
        if old.get(name) != new.get(name)
    )
    follows = [name for name in names if name in new]
    return settings, () if follows == list(new) else tuple(new)


def _set(patch: Patch, attributes: Attributes, path: str) -> Attributes:
    if not (patch.settings or patch.order):
        return attributes
    values = dict(attributes)
    for setting in patch.settings:
        here = values.get(setting.name)
        if here == setting.after:
            continue
        if here != setting.before:
            found = "is gone" if here is None else f"is {here} meanwhile"
            raise ConflictError(path, f"{setting.name} {found}; expected {setting.before}")
        if setting.after is None:
            del values[setting.name]
        else:
            values[setting.name] = setting.after
    first = [name for name in patch.order if name in values]
    return tuple((name, values[name]) for name in dict.fromkeys([*first, *values]))


# --- children -----------------------------------------------------------------------------------


def steps(children: Sequence[Element]) -> Iterator[tuple[Step, Element]]:
    """Yield children with what names them among the others."""
    seen: dict[tuple[str, str], int] = {}
    for child in children:
        key = child.tag, child.id
        nth = seen[key] = seen.get(key, -1) + 1
        yield Step(*key, nth), child


def _places(old: dict[Step, Element], new: dict[Step, Element]) -> Iterator[Place]:
    """Yield what comes, and the fewest that must move for the rest to be in order."""
    ranks = {step: at for at, step in enumerate(old)}
    kept = [step for step in new if step in ranks]
    still = {kept[at] for at in _rising([ranks[step] for step in kept])}
    for at, (step, child) in enumerate(new.items()):
        if step not in ranks:
            yield Place(at, step, child)
        elif step not in still:
            yield Place(at, step)


def _rising(numbers: Sequence[int]) -> list[int]:
    """Return the places of a longest rising subsequence (patience sorting)."""
    tops: list[int] = []  # the smallest number that ends a run of each length
    ends: list[int] = []
    before: list[int] = []
    for at, number in enumerate(numbers):
        length = bisect_left(tops, number)
        before.append(ends[length - 1] if length else -1)
        tops[length:] = [number, *tops[length + 1 :]] if length < len(tops) else [number]
        ends[length : length + 1] = [at]
    run: list[int] = []
    at = ends[-1] if ends else -1
    while at >= 0:
        run.append(at)
        at = before[at]
    return run[::-1]


def _children(patch: Patch, children: tuple[Element, ...], path: str) -> tuple[Element, ...]:
    here = dict(steps(children))
    for drop in patch.drops:
        found = here.get(drop.step)
        if found is not None and found != drop.element:
            raise ConflictError(f"{path}/{drop.step}", "changed meanwhile; expected to remove it")
        here.pop(drop.step, None)
    moved: list[tuple[int, Element]] = []
    lifted: dict[Step, int] = {}
    for place in patch.places:
        if place.element is None:
            child = here.pop(place.step, None)
            if child is not None:  # who removed it meanwhile has the last word
                lifted[place.step] = len(moved)
                moved.append((place.at, child))
        elif place.step not in here:
            moved.append((place.at, place.element))
        elif here[place.step] != place.element:
            raise ConflictError(f"{path}/{place.step}", "exists meanwhile; expected to add it")
    for step, inner in patch.inside:
        if step in lifted:
            at, child = moved[lifted[step]]
            moved[lifted[step]] = at, applied(inner, child, path)
        elif step in here:
            here[step] = applied(inner, here[step], path)
        else:
            raise ConflictError(f"{path}/{step}", "is gone; expected to change it")
    result = list(here.values())
    for at, child in moved:
        result.insert(at, child)
    return tuple(result)
