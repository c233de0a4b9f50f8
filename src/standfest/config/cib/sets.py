"""Attribute sets: several may hold a name, the one with the highest score wins.

Source: facts/formats/CIB-MODERN.md, "Reading rules".
"""

from standfest.config.cib.findings import Findings
from standfest.model.element import Element


def options_of(element: Element, tag: str) -> dict[str, str]:
    """Return name -> value of all sets with this tag; the first value found for a name wins."""
    found: dict[str, str] = {}
    for attributes in sorted(element.all(tag), key=_score, reverse=True):
        if attributes.child("rule") is not None:
            continue
        for pair in attributes.all("nvpair"):
            found.setdefault(pair.get("name") or "", pair.get("value") or "")
    return found


def without_rules(section: Element, findings: Findings) -> dict[str, str]:
    """Return the defaults of a section; a set with a rule is left out, and said to be."""
    for attributes in section.all("meta_attributes"):
        if attributes.child("rule") is not None:
            findings.warn(attributes, f"set {attributes.id}: rules in defaults are not implemented")
    return options_of(section, "meta_attributes")


def _score(attributes: Element) -> int:
    text = attributes.get("score") or "0"
    if text.upper().lstrip("+") == "INFINITY":
        return 1_000_000
    return int(text) if text.lstrip("-").isdigit() else 0
