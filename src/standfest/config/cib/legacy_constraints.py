"""Constraints of Heartbeat 2 -> today's. Source: facts/formats/CIB-LEGACY.md sections 1 and 2."""

from dataclasses import replace

from standfest.model.element import Element

_COLOCATION = {
    "from": "rsc",
    "to": "with-rsc",
    "from_role": "rsc-role",
    "to_role": "with-rsc-role",
    "node_attribute": "node-attribute",
}


def upgrade(element: Element) -> Element:
    """Return a constraint, or a part of one, in the current dialect; others are unchanged."""
    score = element.get("score")
    if score is not None:
        # The current schema wants INFINITY in capitals, and no decimals.
        element = element.with_attribute("score", score.strip().upper().partition(".")[0])
    match element.tag:
        case "rsc_order":
            return _order(element)
        case "rsc_colocation":
            return _colocation(element)
        case "rsc_location":
            return _location(element)
        case "rule":
            return _rule(element)
        case "lifetime":
            return element.with_attribute("id", None)
        case "date_expression" if element.get("operation") is None:
            return element.with_attribute("operation", "in_range")
        case _:
            return element


def _order(order: Element) -> Element:
    """`from A type=after to B`: A's action after B's; `before`: A's action before B's."""
    one, other = order.get("from"), order.get("to")
    if one is None or other is None:
        return order
    action, to_action = order.get("action"), order.get("to_action")
    kept = tuple((n, v) for n, v in order.attributes if n in ("id", "symmetrical", "score"))
    if order.get("type") == "before":
        first, then, first_action, then_action = one, other, action, to_action
    else:
        first, then = other, one
        first_action, then_action = to_action or action, action or "start"
    attributes = [*kept, ("first", first), ("then", then)]
    if first_action:
        attributes.append(("first-action", first_action))
    if then_action:
        attributes.append(("then-action", then_action))
    return replace(order, attributes=tuple(attributes))


def _colocation(colocation: Element) -> Element:
    attributes = tuple(
        (_COLOCATION.get(name, name), value.capitalize() if name.endswith("_role") else value)
        for name, value in colocation.attributes
        if name != "symmetrical"
    )
    return replace(colocation, attributes=attributes)


def _location(location: Element) -> Element:
    """Return the constraint with a score for each of its rules: absent meant 0.

    Today the lifetime stands after the rules, and constraints have no description.
    """
    rules = tuple(
        child if child.get("score") or child.get("score-attribute") else _indifferent(child)
        for child in location.all("rule")
    )
    others = tuple(child for child in location.children if child.tag != "rule")
    return location.with_attribute("description", None).with_children((*rules, *others))


def _indifferent(rule: Element) -> Element:
    return rule.with_attribute("score", "0")


def _rule(rule: Element) -> Element:
    """Return a rule that says what one without expressions meant: always."""
    if rule.children:
        return rule
    always = (("id", f"{rule.id}-always"), ("attribute", "#uname"), ("operation", "defined"))
    return rule.with_children((Element("expression", always, line=rule.line),))
