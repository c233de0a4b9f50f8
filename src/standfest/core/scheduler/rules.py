"""Rules: conditions on time, node attributes, agents and operations; attribute sets under rules.

Source: Pacemaker Explained, "Rules"; facts/formats/CIB-MODERN.md, SCHEDULER-SPEC 11.10 to 11.13.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from standfest.core.scheduler import calendar, values
from standfest.model.element import Element

EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Facts:
    """What a rule is judged by; now: UTC seconds since 1970. attributes None: no node in question.

    agent: (standard, provider, type); operation: (name, interval in ms); groups: what the groups
    of an rsc-pattern matched, for %0 to %9 in attribute names.
    """

    now: int
    attributes: Mapping[str, str] | None = None
    parameters: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    meta: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    agent: tuple[str, str, str] | None = None
    operation: tuple[str, int] | None = None
    groups: tuple[str, ...] = ()


def passes(rule: Element, facts: Facts) -> bool:
    """Return whether a rule's conditions hold, all of them or (boolean-op) any."""
    any_of = (rule.get("boolean-op") or "and").lower() == "or"
    seen = False
    for part in rule.children:
        result = _part(part, facts)
        if result is None:
            continue
        seen = True
        if result == any_of:
            return any_of
    return not any_of if seen else True


def _part(part: Element, facts: Facts) -> bool | None:
    match part.tag:
        case "rule":
            return passes(part, facts)
        case "expression":
            return _attribute(part, facts)
        case "date_expression":
            return calendar.holds(part, facts.now)
        case "rsc_expression":
            return _agent(part, facts)
        case "op_expression":
            return _operation(part, facts)
        case _:
            return None


def _agent(part: Element, facts: Facts) -> bool:
    if facts.agent is None:
        return False
    standard, provider, type_ = facts.agent
    return (
        part.get("class") in (None, standard)
        and part.get("provider") in (None, provider)
        and part.get("type") in (None, type_)
    )


def _operation(part: Element, facts: Facts) -> bool:
    if facts.operation is None:
        return False
    name, interval = facts.operation
    if part.get("name") not in (None, name):
        return False
    wanted = part.get("interval")
    return wanted is None or values.milliseconds(wanted, 0) == interval


def _attribute(part: Element, facts: Facts) -> bool:
    if facts.attributes is None:
        return False
    name = part.get("attribute") or ""
    if "%" in name:
        for number, text in enumerate(facts.groups):
            name = name.replace(f"%{number}", text)
    operation = part.get("operation") or ""
    actual = facts.attributes.get(name)
    if operation == "defined":
        return actual is not None
    if operation == "not_defined":
        return actual is None
    value = part.get("value")
    source = part.get("value-source")
    if source == "param":
        value = facts.parameters.get(value or "")
    elif source == "meta":
        value = facts.meta.get(value or "")
    if operation in ("eq", "ne"):
        same = (
            actual is not None
            and value is not None
            and _compared(actual, value, part.get("type"), operation) == 0
        )
        return same == (operation == "eq")
    if actual is None or value is None:
        return False
    order = _compared(actual, value, part.get("type"), operation)
    match operation:
        case "lt":
            return order < 0
        case "lte":
            return order <= 0
        case "gt":
            return order > 0
        case "gte":
            return order >= 0
        case _:
            return False


def _compared(left: str, right: str, kind: str | None, operation: str) -> int:
    if kind is None:
        ordered = operation in ("lt", "lte", "gt", "gte")
        number = ordered and ("." in left or "." in right)
        kind = ("number" if number else "integer") if ordered else "string"
    if kind in ("integer", "number"):
        one, other = _number(left), _number(right)
        if one is not None and other is not None:
            if kind == "integer":
                one, other = int(one), int(other)
            return (one > other) - (one < other)
    if kind == "version":
        a, b = _version(left), _version(right)
        return (a > b) - (a < b)
    low, high = left.lower(), right.lower()
    return (low > high) - (low < high)


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if abs(found) < 1e18 else None


def _version(text: str) -> list[int]:
    parts = [int(p) if p.isdigit() and len(p) < 10 else 0 for p in text.split(".")]
    while parts and not parts[-1]:
        parts.pop()
    return parts


def next_change(rule: Element, now: int) -> int | None:
    """Return when the passing of time alone may change a rule's outcome."""
    moments = []
    for part in rule.children:
        if part.tag == "rule":
            moments.append(next_change(part, now))
        elif part.tag == "date_expression":
            moments.append(calendar.next_edge(part, now))
    return min((m for m in moments if m is not None and m > now), default=None)


def values_of(element: Element, tag: str, facts: Facts, first: str = "") -> dict[str, str]:
    """Return name -> value of an element's attribute sets that apply.

    Sets with a higher score come first, of the same score the last one, as in Pacemaker 2.1.5 (by
    experiment); the set with id `first` before all. The first value found for a name counts.
    """
    found: dict[str, str] = {}
    sets = [child for child in element.children if child.tag == tag]
    if len(sets) > 1:
        sets.reverse()
        sets.sort(key=lambda one: (one.id != first, -values.score(one.get("score"), 0)))
    for one in sets:
        if not _applies(one, facts):
            continue
        for pair in one.children:
            if pair.tag == "nvpair":
                _keep(pair, found)
            elif pair.tag == "attributes":
                for inner in pair.children:
                    _keep(inner, found)
    return found


def _keep(pair: Element, found: dict[str, str]) -> None:
    name = value = None
    for key, text in pair.attributes:
        if key == "name":
            name = text
        elif key == "value":
            value = text
    if name is not None and value is not None and name not in found:
        found[name] = value


def _applies(one: Element, facts: Facts) -> bool:
    for part in one.children:
        if part.tag == "rule":
            return passes(part, facts)
    return True
