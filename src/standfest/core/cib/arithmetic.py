"""Values that count up when they are written: `name++` adds one to attribute `name`, `name+=N` N.

Source: facts/formats/TOOLS.md section 6; what 2.1.5 makes of odd ones, by experiment
(docs/guide/tools.md).
"""

import re
from dataclasses import replace

from standfest.model.element import Element

INFINITY = 1_000_000
_WORDS = {"INFINITY": INFINITY, "+INFINITY": INFINITY, "-INFINITY": -INFINITY}
_NUMBER = re.compile(r"\s*([+-]?[0-9]{1,18})")


def expanded(name: str, value: str, old: str | None) -> str:
    """Return what attribute `name` becomes when it was `old` and `value` is written to it.

    A number is what the text begins with, 0 without one. More than INFINITY is INFINITY; there is
    no least value, as in 2.1.5.
    """
    if value == f"{name}++":
        offset = 1
    elif value.startswith(f"{name}+="):
        offset = _score(value.removeprefix(f"{name}+="))
    else:
        return value
    return str(min(_score(old or "") + offset, INFINITY))


def settled(element: Element) -> Element:
    """Return an element that is new, with every value that counts up counted from 0."""
    attributes = tuple((name, expanded(name, value, None)) for name, value in element.attributes)
    return replace(element, attributes=attributes, children=tuple(map(settled, element.children)))


def _score(text: str) -> int:
    if text in _WORDS:
        return _WORDS[text]
    number = _NUMBER.match(text)
    return max(-INFINITY, min(INFINITY, int(number[1]))) if number else 0
