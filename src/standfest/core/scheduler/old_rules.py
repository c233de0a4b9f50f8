"""Rules of location constraints: compare node attributes.

Source: facts/formats/CIB-MODERN.md "Reading rules", samples/rule-cases-2.1.5.json.
"""

from collections.abc import Mapping
from itertools import zip_longest

from standfest.model.configuration import Expression, Rule


def matches(rule: Rule, attributes: Mapping[str, str]) -> bool:
    """Return whether a node with these attributes satisfies the rule; an empty one always holds."""
    verdicts = (
        matches(part, attributes) if isinstance(part, Rule) else _holds(part, attributes)
        for part in rule.expressions
    )
    if not rule.expressions:
        return True
    return any(verdicts) if rule.any_of else all(verdicts)


def _holds(expression: Expression, attributes: Mapping[str, str]) -> bool:
    value = attributes.get(expression.attribute)
    match expression.operation:
        case "defined":
            return value is not None
        case "not_defined":
            return value is None
        case "eq":
            return value is not None and _compare(value, expression) == 0
        case "ne":
            # A node without the attribute differs from every value.
            return value is None or _compare(value, expression) != 0
        case operation:
            return value is not None and _in_order(operation, _compare(value, expression))


def _in_order(operation: str, difference: int | None) -> bool:
    if difference is None:
        return False
    return {
        "lt": difference < 0,
        "lte": difference <= 0,
        "gt": difference > 0,
        "gte": difference >= 0,
    }.get(operation, False)


def _compare(value: str, expression: Expression) -> int | None:
    """Return the sign of `value` minus the expression's value; None when they do not compare."""
    kind = expression.type or ("string" if expression.operation in ("eq", "ne") else "number")
    if kind == "version":
        return _compare_versions(value, expression.value)
    if kind in ("number", "integer"):
        try:
            left, right = float(value), float(expression.value)
        except ValueError:
            return None
        if kind == "integer":
            left, right = int(left), int(right)
        return (left > right) - (left < right)
    left_text, right_text = value.lower(), expression.value.lower()
    return (left_text > right_text) - (left_text < right_text)


def _compare_versions(left: str, right: str) -> int:
    for one, other in zip_longest(left.split("."), right.split("."), fillvalue=""):
        first = int(one) if one.isdigit() else -1
        second = int(other) if other.isdigit() else -1
        if first != second:
            return 1 if first > second else -1
    return 0
