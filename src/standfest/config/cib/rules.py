"""Rules, wherever they stand: operations, words, dates, and what can never hold there.

Only checked here; `core.scheduler` judges them when it knows time and node.
Source: facts/formats/CIB-MODERN.md, "Reading rules".
"""

import re
from collections.abc import Callable, Mapping

from standfest.config.cib import values
from standfest.config.cib.findings import Findings
from standfest.config.cib.names import meant
from standfest.model.element import Element

OPERATIONS = ("lt", "gt", "lte", "gte", "eq", "ne", "defined", "not_defined")
_DATE_OPERATIONS = ("gt", "lt", "in_range", "date_spec")
_TYPES = ("string", "integer", "number", "version")
_SOURCES = ("literal", "param", "meta")
_DATE = re.compile(
    r"\d{4}(-?(W\d{2}(-?[1-7])?|\d{3}|(0[1-9]|1[0-2])(-?(0[1-9]|[12]\d|3[01]))?))?"
    r"([T ]\s*\d{2}(:?\d{2}(:?\d{2}([.,]\d+)?)?)?)?\s*(Z|[+-]\d{2}(:?\d{2})?)?",
    re.ASCII,
)
_SPAN = re.compile(r"\d{1,9}|\d{1,9}-\d{1,9}|\d{1,9}-|-\d{1,9}", re.ASCII)
_EXPRESSIONS = {
    "expression": "a node attribute",
    "rsc_expression": "an agent",
    "op_expression": "an operation",
}
_WHOSE: Mapping[tuple[str, str], frozenset[str]] = {
    ("rsc_location", "rule"): frozenset({"expression"}),
    ("node", "instance_attributes"): frozenset({"expression"}),
    ("node", "utilization"): frozenset({"expression"}),
    ("primitive", "instance_attributes"): frozenset({"expression"}),
    ("template", "instance_attributes"): frozenset({"expression"}),
    ("group", "instance_attributes"): frozenset({"expression"}),
    ("clone", "instance_attributes"): frozenset({"expression"}),
    ("master", "instance_attributes"): frozenset({"expression"}),
    ("op", "instance_attributes"): frozenset({"expression"}),
    ("rsc_defaults", "meta_attributes"): frozenset({"rsc_expression"}),
    ("op_defaults", "meta_attributes"): frozenset({"rsc_expression", "op_expression"}),
}
"""(element, part with the rule) -> expressions that can hold there besides dates."""


def check(configuration: Element, findings: Findings) -> None:
    """Note what is wrong with any rule of a configuration."""
    for owner in configuration.walk():
        for part in owner.children:
            if part.tag == "rule" and owner.tag == "rsc_location":
                _score(part, findings)
                _rule(part, _WHOSE["rsc_location", "rule"], findings)
            elif part.tag == "lifetime" or "attributes" in part.tag or part.tag in _SETS:
                allowed = _WHOSE.get((owner.tag, part.tag), frozenset())
                for rule in part.all("rule"):
                    _rule(rule, allowed, findings)


_SETS = ("cluster_property_set", "utilization")


def _score(rule: Element, findings: Findings) -> None:
    text = rule.get("score")
    if text is not None:
        findings.value(rule, "score", text, values.score, 0)


def _rule(rule: Element, allowed: frozenset[str], findings: Findings) -> None:
    word(rule, "boolean-op", ("and", "or"), findings)
    for part in rule.children:
        if part.tag == "rule":
            _rule(part, allowed, findings)
        elif part.tag == "date_expression":
            _date(part, findings)
        elif part.tag in _EXPRESSIONS:
            if part.tag not in allowed:
                what = _EXPRESSIONS[part.tag]
                findings.warn(part, f"{part.id} never holds: no rule here can ask for {what}")
            if part.tag == "expression":
                _expression(part, findings)
            elif (text := part.get("interval")) is not None:
                findings.value(part, "interval", text, values.duration, 0)


def _expression(part: Element, findings: Findings) -> None:
    operation = part.get("operation") or ""
    word(part, "operation", OPERATIONS, findings)
    word(part, "type", _TYPES, findings)
    word(part, "value-source", _SOURCES, findings)
    if part.get("value") is None and operation in OPERATIONS[:6]:
        findings.error(part, f"{part.id} compares with nothing", 'value="..."')


def _date(part: Element, findings: Findings) -> None:
    word(part, "operation", _DATE_OPERATIONS, findings)
    operation = part.get("operation") or "in_range"
    for name in ("start", "end"):
        text = part.get(name)
        if text is not None:
            findings.value(part, name, text, _moment, None)
    missing = {
        "gt": part.get("start") is None and 'start="..."',
        "lt": part.get("end") is None and 'end="..."',
        "in_range": part.get("start") is None and part.get("end") is None and "start or end",
        "date_spec": part.child("date_spec") is None and "a <date_spec>",
    }.get(operation)
    if missing:
        findings.error(part, f"{part.id} names no time", missing)
    length = part.child("duration")
    if length is not None:
        _numbers(length, _count, findings)
        if operation == "in_range" and part.get("start") is None:
            findings.error(part, f"{part.id} has a duration, but no start", 'start="..."')
    spec = part.child("date_spec")
    if spec is not None:
        _numbers(spec, _span, findings)
        if spec.get("moon") is not None:
            findings.warn(spec, f"moon of {spec.id} has no effect")


def _numbers(element: Element, parse: Callable[[str], None], findings: Findings) -> None:
    for name, text in element.attributes:
        if name != "id":
            findings.value(element, name, text, parse, None)


def _moment(text: str) -> None:
    if _DATE.fullmatch(text.strip()) is None:
        raise ValueError("a time such as 2030-01-31 14:00:00 +01:00")


def _span(text: str) -> None:
    if _SPAN.fullmatch(text.strip()) is None:
        raise ValueError("a number, or a range such as 8-16, 8- or -16")


def _count(text: str) -> None:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError("a number")


def word(element: Element, name: str, words: tuple[str, ...], findings: Findings) -> None:
    """Note an attribute that is there, but none of a few words; case does not count."""
    text = element.get(name)
    if text is not None and text.lower() not in {known.lower() for known in words}:
        findings.error(element, f"{name} of {element.id} is {text!r}", meant(text, words))
