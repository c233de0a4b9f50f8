"""Short forms in which the grammars are written."""

from standfest.config.cib.schema.datatypes import ID, IDREF, TEXT, Data
from standfest.config.cib.schema.patterns import (
    Attribute,
    Child,
    Pattern,
    interleave,
    many,
    maybe,
    some,
)

OPAQUE = "anything"
"""The type of elements whose content is not looked at."""

WITH_ID = Attribute("id", ID)
BY_REFERENCE = Attribute("id-ref", IDREF)


def need(names: str, data: Data = TEXT) -> Pattern:
    """Return attributes that must be there."""
    return interleave(*(Attribute(name, data) for name in names.split()))


def may(names: str, data: Data = TEXT) -> Pattern:
    """Return attributes that may be there."""
    return interleave(*(maybe(Attribute(name, data)) for name in names.split()))


def one(tag: str, kind: str = "") -> Pattern:
    """Return one child, whose type is called like it or `kind`."""
    return Child(tag, kind or tag)


def optional(tag: str, kind: str = "") -> Pattern:
    """Return one child or none."""
    return maybe(one(tag, kind))


def each(tags: str, place: str = "") -> Pattern:
    """Return any number of children of each tag, mixed; their types end with `place`."""
    return interleave(*(many(one(tag, tag + place)) for tag in tags.split()))


def at_least_one(tag: str, kind: str = "") -> Pattern:
    """Return one child or more."""
    return some(one(tag, kind))
