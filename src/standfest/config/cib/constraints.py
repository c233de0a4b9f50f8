"""Constraints: whether all that they name is there, and every word is one that is known.

Only checked here; `core.scheduler` reads and applies them itself.
Source: facts/formats/CIB-MODERN.md section 1.
"""

import re
from collections.abc import Mapping

from standfest.config.cib import values
from standfest.config.cib.findings import Findings
from standfest.config.cib.names import meant
from standfest.config.cib.rules import word
from standfest.model.element import Element

RESOURCES = ("primitive", "group", "clone", "master", "bundle")
ACTIONS = ("start", "stop", "promote", "demote")
KINDS = ("Optional", "Mandatory", "Serialize")
ROLES = ("Started", "Stopped", "Promoted", "Unpromoted", "Master", "Slave")
_SET_WORDS = {"action": ACTIONS, "role": ROLES, "kind": KINDS, "ordering": ("group", "listed")}
_WORDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "rsc_location": {"role": ROLES, "resource-discovery": ("always", "never", "exclusive")},
    "rsc_colocation": {"rsc-role": ROLES, "with-rsc-role": ROLES},
    "rsc_order": {"kind": KINDS, "first-action": ACTIONS, "then-action": ACTIONS},
    "rsc_ticket": {"rsc-role": ROLES, "loss-policy": ("stop", "demote", "fence", "freeze")},
}
_BOOLEANS = ("influence", "symmetrical", "require-all", "sequential")
_REFERENCES = {
    "rsc_location": ("rsc",),
    "rsc_colocation": ("rsc", "with-rsc"),
    "rsc_order": ("first", "then"),
    "rsc_ticket": ("rsc",),
}


def check(configuration: Element, findings: Findings) -> None:
    """Note what is wrong with the constraints, and with the tags that they may name."""
    checker = _Checker(configuration, findings)
    for element in _section(configuration, "constraints"):
        checker.constraint(element)


class _Checker:
    def __init__(self, configuration: Element, findings: Findings) -> None:
        self._findings = findings
        self._several: dict[str, int] = {}  # tag or template -> for how many resources it stands
        known: set[str] = set()
        for top in _section(configuration, "resources"):
            if top.tag == "template":
                self._several.setdefault(top.id, 0)
            for element in top.walk():
                if element.tag in RESOURCES:
                    known.add(element.id)
                    template = element.get("template")
                    if template is not None:
                        self._several[template] = self._several.get(template, 0) + 1
                elif element.tag == "nvpair" and element.get("name") == "remote-node":
                    known.add(element.get("value") or "")  # the connection that it implies
        for tag in _section(configuration, "tags"):
            self._several[tag.id] = len(tag.children)
        self._known = known | self._several.keys()

    def constraint(self, element: Element) -> None:
        """Check one constraint."""
        if element.tag not in _REFERENCES:
            return
        self._values(element, _WORDS[element.tag])
        sets = list(element.all("resource_set"))
        for part in sets:
            self._set(part)
        pattern = element.get("rsc-pattern")
        if pattern is not None:
            self._findings.value(element, "rsc-pattern", pattern, _pattern, None)
        elif not sets:
            for name in _REFERENCES[element.tag]:
                self._reference(element, name, element.get(name))
        if element.tag == "rsc_location":
            self._place(element)
        elif element.tag == "rsc_colocation" and not sets:
            self._both_sides(element)

    def _values(self, element: Element, words: Mapping[str, tuple[str, ...]]) -> None:
        for name, known in words.items():
            word(element, name, known, self._findings)
        for name in _BOOLEANS:
            text = element.get(name)
            if text is not None:
                self._findings.value(element, name, text, values.boolean, True)
        score = element.get("score")
        if score is not None:
            self._findings.value(element, "score", score, values.score, 0)

    def _set(self, part: Element) -> None:
        self._values(part, _SET_WORDS)
        if part.get("ordering") is not None:
            problem = f"ordering of {part.id} has no effect"
            self._findings.warn(part, problem, "sequential, if the members are to be independent")
        for member in part.all("resource_ref"):
            self._reference(member, "resource_ref", member.id)
        if part.child("resource_ref") is None:
            self._findings.error(part, f"resource_set {part.id} is empty", "a <resource_ref>")

    def _reference(self, element: Element, attribute: str, name: str | None) -> None:
        # NAME:NUMBER is one instance of a clone, and means the whole.
        if name in self._known or (name or "").rpartition(":")[0] in self._known:
            return
        who = f"{element.tag} {element.id}: {attribute}"
        if attribute == element.tag:
            who = attribute
        problem = f"{who} is {name or 'missing'}"
        self._findings.error(element, problem, meant(name or "", self._known))

    def _place(self, element: Element) -> None:
        if element.get("node") is None and element.child("rule") is None:
            problem = f"{element.id} names no node"
            self._findings.error(element, problem, "node and score, or a rule")

    def _both_sides(self, element: Element) -> None:
        names = [element.get(name) or "" for name in ("rsc", "with-rsc")]
        if all(self._several.get(name, 1) > 1 for name in names):
            problem = f"{element.id} is left out: {' and '.join(names)} stand for several resources"
            self._findings.warn(element, problem, "a resource on one side")


def _section(configuration: Element, tag: str) -> tuple[Element, ...]:
    section = configuration.child(tag)
    return section.children if section is not None else ()


def _pattern(text: str) -> None:
    try:
        re.compile(text.removeprefix("!"))
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"a regular expression: {error}") from None
