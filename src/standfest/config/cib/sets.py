"""Attribute sets: several may hold a name, the one with the highest score wins; else the last one.

Source: facts/formats/CIB-MODERN.md, "Reading rules"; Pacemaker 2.1.5 by experiment.
"""

from standfest.config.cib.values import score
from standfest.model.element import Element


def options_of(element: Element, tag: str) -> dict[str, str]:
    """Return name -> value of all sets with this tag; the first value found for a name wins."""
    found: dict[str, str] = {}
    for attributes in applicable(element, tag):
        for pair in attributes.all("nvpair"):
            found.setdefault(pair.get("name") or "", pair.get("value") or "")
    return found


def applicable(element: Element, tag: str) -> list[Element]:
    """Return the sets with this tag, best score first; `load` has warned of those with a rule."""
    sets = [attributes for attributes in element.all(tag) if attributes.child("rule") is None]
    sets.reverse()
    return sorted(sets, key=_score, reverse=True)


def _score(attributes: Element) -> int:
    try:
        return score(attributes.get("score") or "0")
    except ValueError:
        return 0
