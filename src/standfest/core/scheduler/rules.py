"""Rules over node attributes. Source: facts/formats/CIB-MODERN.md, "Rule evaluation"."""

from collections.abc import Mapping

from standfest.model.configuration import Expression, Rule


def matches(rule: Rule, attributes: Mapping[str, str]) -> bool:
    """Return whether a node with these attributes satisfies the rule."""
    results = (
        matches(part, attributes) if isinstance(part, Rule) else _holds(part, attributes)
        for part in rule.expressions
    )
    return any(results) if rule.any_of else all(results)


def _holds(expression: Expression, attributes: Mapping[str, str]) -> bool:
    value = attributes.get(expression.attribute)
    if expression.operation == "defined":
        return value is not None
    if expression.operation == "not_defined":
        return value is None
    if value is None:
        return expression.operation == "ne"
    order = _compare(value, expression)
    if order is None:
        return False
    return {
        "lt": order < 0,
        "gt": order > 0,
        "lte": order <= 0,
        "gte": order >= 0,
        "eq": order == 0,
        "ne": order != 0,
    }[expression.operation]


def _compare(value: str, expression: Expression) -> int | None:
    """Return -1, 0 or 1, or None when numbers were wanted and there are none."""
    kind = expression.type
    if not kind:
        ordering = expression.operation in ("lt", "gt", "lte", "gte")
        decimal = "." in value or "." in expression.value
        kind = ("number" if decimal else "integer") if ordering else "string"
    if kind == "version":
        return _sign(_version(value), _version(expression.value))
    if kind in ("integer", "number"):
        try:
            return _sign(float(value), float(expression.value))
        except ValueError:
            return None
    return _sign(value.lower(), expression.value.lower())


def _version(text: str) -> list[int]:
    return [int(part) if part.isdigit() else 0 for part in text.split(".")]


def _sign(left: object, right: object) -> int:
    if left == right:
        return 0
    return -1 if left < right else 1  # type: ignore[operator]
