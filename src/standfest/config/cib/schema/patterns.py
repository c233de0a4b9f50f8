"""Patterns: what an element may have, as values; their derivatives are what may still follow.

A pattern speaks of one element's attributes and children by name; what a child holds is its own
type's pattern, so each element is judged alone. Attributes have no order; children have the one
that groups say.

Source: the semantics of RELAX NG (ISO/IEC 19757-2), validated by derivatives (J. Clark, "An
algorithm for RELAX NG validation", 2002).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from standfest.config.cib.schema.datatypes import TEXT, Data

Version = tuple[int, int]
FIRST: Version = (0, 0)
LAST: Version = (99, 99)
MAX_WAYS = 8
"""Alternatives that an error names, at the most."""


@dataclass(frozen=True, slots=True)
class Empty:
    """Nothing more is needed."""


@dataclass(frozen=True, slots=True)
class Never:
    """Nothing can make this right."""


@dataclass(frozen=True, slots=True)
class Text:
    """Text between children."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute."""

    name: str
    data: Data = TEXT


@dataclass(frozen=True, slots=True)
class Child:
    """One child element; `type` names what is known of its content."""

    tag: str
    type: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the parts."""

    parts: tuple["Pattern", ...]


@dataclass(frozen=True, slots=True)
class Group:
    """All parts, children in this order."""

    parts: tuple["Pattern", ...]


@dataclass(frozen=True, slots=True)
class Interleave:
    """All parts, children mixed."""

    parts: tuple["Pattern", ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """The part, once or more often."""

    part: "Pattern"


@dataclass(frozen=True, slots=True)
class Between:
    """The part, in schemas from one version to another."""

    first: Version
    last: Version
    part: "Pattern"


Leaf = Attribute | Child | Text
Pattern = Empty | Never | Attribute | Child | Text | Choice | Group | Interleave | Repeat | Between
EMPTY = Empty()
NEVER = Never()


def choice(*parts: Pattern) -> Pattern:
    """Return one of the parts."""
    kept: dict[Pattern, None] = {}
    for part in parts:
        inner = part.parts if isinstance(part, Choice) else (part,)
        kept.update((p, None) for p in inner if p != NEVER)
    if not kept:
        return NEVER
    return next(iter(kept)) if len(kept) == 1 else Choice(tuple(kept))


def group(*parts: Pattern) -> Pattern:
    """Return all parts, children in this order."""
    return _all(Group, parts)


def interleave(*parts: Pattern) -> Pattern:
    """Return all parts, children in any order."""
    return _all(Interleave, parts)


def _all(kind: type[Group] | type[Interleave], parts: Iterable[Pattern]) -> Pattern:
    kept: list[Pattern] = []
    for part in parts:
        if part == NEVER:
            return NEVER
        kept += part.parts if isinstance(part, kind) else (part,)
    kept = [part for part in kept if part != EMPTY]
    if not kept:
        return EMPTY
    return kept[0] if len(kept) == 1 else kind(tuple(kept))


def some(part: Pattern) -> Pattern:
    """Return the part, once or more often."""
    return part if part in (NEVER, EMPTY) else Repeat(part)


def many(part: Pattern) -> Pattern:
    """Return the part as often as wanted, or not at all."""
    return choice(EMPTY, some(part))


def maybe(part: Pattern) -> Pattern:
    """Return the part, or nothing."""
    return choice(EMPTY, part)


def since(first: Version, part: Pattern) -> Pattern:
    """Return the part where the schema is `first` or newer; nothing in older ones."""
    return choice(Between(first, LAST, part), Between(FIRST, _before(first), EMPTY))


def until(last: Version, part: Pattern) -> Pattern:
    """Return the part where the schema is `last` or older; nothing in newer ones."""
    return choice(Between(FIRST, last, part), Between((last[0], last[1] + 1), LAST, EMPTY))


def only(first: Version, part: Pattern, last: Version = LAST) -> Pattern:
    """Return the part in these schemas; in others it is no alternative."""
    return Between(first, last, part)


def _before(version: Version) -> Version:
    major, minor = version
    return (major, minor - 1) if minor else (major - 1, 99)


def at(pattern: Pattern, version: Version) -> Pattern:
    """Return the pattern as it is in one version."""
    match pattern:
        case Between(first, last, part):
            return at(part, version) if first <= version <= last else NEVER
        case Choice(parts):
            return choice(*(at(part, version) for part in parts))
        case Group(parts):
            return group(*(at(part, version) for part in parts))
        case Interleave(parts):
            return interleave(*(at(part, version) for part in parts))
        case Repeat(part):
            return some(at(part, version))
        case _:
            return pattern


def leaves(pattern: Pattern) -> Iterator[Leaf]:
    """Yield every attribute, child and text of the pattern."""
    match pattern:
        case Attribute() | Child() | Text():
            yield pattern
        case Choice(parts) | Group(parts) | Interleave(parts):
            for part in parts:
                yield from leaves(part)
        case Repeat(part) | Between(_, _, part):
            yield from leaves(part)
        case Empty() | Never():
            return


def nullable(pattern: Pattern) -> bool:
    """Return whether nothing more is needed."""
    match pattern:
        case Empty() | Text():
            return True
        case Choice(parts):
            return any(nullable(part) for part in parts)
        case Group(parts) | Interleave(parts):
            return all(nullable(part) for part in parts)
        case Repeat(part):
            return nullable(part)
        case _:
            return False


def after_attribute(pattern: Pattern, fits: Callable[[Attribute], bool]) -> Pattern:
    """Return what may follow an attribute, or NEVER; `fits` says which attributes it can be."""
    match pattern:
        case Attribute():
            return EMPTY if fits(pattern) else NEVER
        case Choice(parts):
            return choice(*(after_attribute(part, fits) for part in parts))
        case Group(parts):
            return _one_of(parts, lambda part: after_attribute(part, fits), group)
        case Interleave(parts):
            return _one_of(parts, lambda part: after_attribute(part, fits), interleave)
        case Repeat(part):
            return group(after_attribute(part, fits), maybe(pattern))
        case _:
            return NEVER


def after_child(pattern: Pattern, tag: str) -> Pattern:
    """Return what may follow a child, or NEVER when it may not stand here."""
    match pattern:
        case Child():
            return EMPTY if pattern.tag == tag else NEVER
        case Choice(parts):
            return choice(*(after_child(part, tag) for part in parts))
        case Group(parts):
            ways = []
            for number, part in enumerate(parts):
                ways.append(group(after_child(part, tag), *parts[number + 1 :]))
                if not nullable(part):
                    break
            return choice(*ways)
        case Interleave(parts):
            return _one_of(parts, lambda part: after_child(part, tag), interleave)
        case Repeat(part):
            return group(after_child(part, tag), maybe(pattern))
        case _:
            return NEVER


def _one_of(
    parts: tuple[Pattern, ...],
    after: Callable[[Pattern], Pattern],
    join: Callable[..., Pattern],
) -> Pattern:
    """Return the choice of which part it was, each with the other parts still to come."""
    ways = []
    for number, part in enumerate(parts):
        rest = after(part)
        if rest != NEVER:
            ways.append(join(*parts[:number], rest, *parts[number + 1 :]))
    return choice(*ways)


def closed(pattern: Pattern) -> Pattern:
    """Return what may follow when there is no other attribute."""
    match pattern:
        case Attribute():
            return NEVER
        case Choice(parts):
            return choice(*(closed(part) for part in parts))
        case Group(parts):
            return group(*(closed(part) for part in parts))
        case Interleave(parts):
            return interleave(*(closed(part) for part in parts))
        case Repeat(part):
            return some(closed(part))
        case _:
            return pattern


def ways(pattern: Pattern) -> tuple[tuple[Leaf, ...], ...]:
    """Return the shortest lists of leaves that complete the pattern, at most MAX_WAYS, in order."""
    match pattern:
        case Empty() | Text():
            return ((),)
        case Attribute() | Child():
            return ((pattern,),)
        case Choice(parts):
            if nullable(pattern):
                return ((),)
            found = dict.fromkeys(way for part in parts for way in ways(part))
            return tuple(found)[:MAX_WAYS]
        case Group(parts) | Interleave(parts):
            joined: list[tuple[Leaf, ...]] = [()]
            for part in parts:
                joined = [(*way, *more) for way in joined for more in ways(part)][:MAX_WAYS]
            return tuple(joined)
        case Repeat(part):
            return ways(part)
        case _:
            return ()
