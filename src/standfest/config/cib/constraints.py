"""Constraints: location, colocation, order. Source: facts/formats/CIB-MODERN.md section 1."""

from collections.abc import Collection, Iterable

from standfest.config.cib import values
from standfest.config.cib.findings import Findings
from standfest.config.cib.names import meant
from standfest.model.configuration import (
    Colocation,
    Expression,
    Location,
    Order,
    OrderKind,
    Rule,
)
from standfest.model.element import Element
from standfest.model.scores import INFINITY

_OPERATIONS = ("lt", "gt", "lte", "gte", "eq", "ne", "defined", "not_defined")
_ACTIONS = ("start", "stop", "promote", "demote")
_WITHOUT_EFFECT = {"resource-discovery": "always", "influence": "true", "require-all": "true"}
"""Attributes of constraints that change nothing yet -> the value that needs no warning."""
_KINDS = {kind.value.lower(): kind for kind in OrderKind}


class Constraints:
    """Reads constraint elements one by one, in document order."""

    def __init__(
        self, findings: Findings, resources: Collection[str], unbuilt: Iterable[str] = ()
    ) -> None:
        self._findings = findings
        self._resources = resources
        self._unbuilt = frozenset(unbuilt)
        self.locations: list[Location] = []
        self.colocations: list[Colocation] = []
        self.orders: list[Order] = []

    def read(self, element: Element) -> None:
        """Read one constraint."""
        if element.child("resource_set") is not None:
            return  # `load` has said that sets are not implemented
        for name, harmless in _WITHOUT_EFFECT.items():
            if element.get(name) not in (None, harmless):
                self._findings.warn(element, f"{element.id}: {name} is not implemented yet")
        match element.tag:
            case "rsc_location":
                self._location(element)
            case "rsc_colocation":
                self._colocation(element)
            case "rsc_order":
                self._order(element)
            case _:
                return

    def _resource(self, element: Element, attribute: str) -> str | None:
        name = element.get(attribute)
        if name in self._resources:
            return name
        if name in self._unbuilt:
            self._findings.warn(element, f"{element.id}: {name} is not implemented yet")
            return None
        problem = f"{element.tag} {element.id}: {attribute} is {name or 'missing'}"
        self._findings.error(element, problem, meant(name or "", self._resources))
        return None

    def _location(self, element: Element) -> None:
        if element.get("rsc-pattern") is not None:
            self._findings.warn(element, f"{element.id}: rsc-pattern is not implemented yet")
            return
        resource = self._resource(element, "rsc")
        if resource is None:
            return
        role = (element.get("role") or "Started").capitalize()
        if role != "Started":
            self._findings.warn(element, f"{element.id}: role {role} is not implemented yet")
            return
        rules = list(element.all("rule"))
        if element.child("lifetime") is not None:
            # Left out: a ban that is over must not stay, and only dates tell when it is.
            self._findings.warn(
                element, f"{element.id} is left out: lifetime is not implemented yet"
            )
            return
        node = element.get("node")
        if node is not None:
            text = element.get("score") or "0"
            score = self._findings.value(element, "score", text, values.score, 0)
            self.locations.append(Location(element.id, resource, score, node=node))
            return
        if not rules:
            self._findings.error(
                element, f"{element.id} names no node", "node and score, or a rule"
            )
        for rule in rules:
            self._location_rule(element, resource, rule)

    def _location_rule(self, element: Element, resource: str, rule: Element) -> None:
        if rule.get("score-attribute") or rule.get("role"):
            self._findings.warn(rule, f"{rule.id}: score-attribute and role are not implemented")
            return
        text = rule.get("score") or "0"
        score = self._findings.value(rule, "score", text, values.score, 0)
        compiled = self._rule(rule)
        if compiled is not None:
            self.locations.append(Location(element.id, resource, score, rule=compiled))

    def _rule(self, element: Element) -> Rule | None:
        parts: list[Expression | Rule] = []
        for child in element.children:
            if child.tag == "expression":
                parts.append(self._expression(child))
            elif child.tag == "rule":
                inner = self._rule(child)
                if inner is None:
                    return None
                parts.append(inner)
            else:
                return None  # `load` has said that these expressions are not implemented
        return Rule(tuple(parts), any_of=(element.get("boolean-op") or "and").lower() == "or")

    def _expression(self, element: Element) -> Expression:
        operation = element.get("operation") or ""
        if operation not in _OPERATIONS:
            problem = f"operation of {element.id} is {operation or 'missing'}"
            self._findings.error(element, problem, meant(operation, _OPERATIONS))
        if element.get("value-source") not in (None, "literal"):
            self._findings.warn(element, f"{element.id}: value-source is not implemented yet")
        return Expression(
            element.get("attribute") or "",
            operation,
            element.get("value") or "",
            element.get("type") or "",
        )

    def _colocation(self, element: Element) -> None:
        dependent = self._resource(element, "rsc")
        primary = self._resource(element, "with-rsc")
        for name in ("rsc-role", "with-rsc-role", "node-attribute"):
            word = element.get(name)
            if word is not None and word not in ("Started", "#uname"):
                self._findings.warn(element, f"{element.id}: {name} is not implemented yet")
        if dependent is None or primary is None:
            return
        text = element.get("score") or str(INFINITY)
        score = self._findings.value(element, "score", text, values.score, INFINITY)
        self.colocations.append(Colocation(element.id, dependent, primary, score))

    def _order(self, element: Element) -> None:
        first, then = self._resource(element, "first"), self._resource(element, "then")
        if first is None or then is None:
            return
        kind = OrderKind.MANDATORY
        stated, score = element.get("kind"), element.get("score")
        if stated is not None:
            kind = self._findings.value(element, "kind", stated, _kind, kind)
        elif score is not None:
            value = self._findings.value(element, "score", score, values.score, INFINITY)
            kind = OrderKind.MANDATORY if value else OrderKind.OPTIONAL
        symmetrical = kind is not OrderKind.SERIALIZE
        text = element.get("symmetrical")
        if text is not None and symmetrical:
            symmetrical = self._findings.value(element, "symmetrical", text, values.boolean, True)
        first_action = element.get("first-action") or "start"
        then_action = element.get("then-action") or first_action
        for action in (first_action, then_action):
            if action not in _ACTIONS:
                problem = f"{element.id}: action is {action}"
                self._findings.error(element, problem, meant(action, _ACTIONS))
        self.orders.append(
            Order(
                element.id,
                first,
                then,
                first_action,
                then_action,
                kind,
                symmetrical,
            )
        )


def _kind(text: str) -> OrderKind:
    if text.lower() not in _KINDS:
        raise ValueError(", ".join(kind.value for kind in OrderKind))
    return _KINDS[text.lower()]
