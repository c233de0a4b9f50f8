"""Constraints of a generated cluster; they point one way only, so that none contradicts itself."""

from tests.generators.choices import Choices
from tests.generators.resources import Unit
from tests.generators.situation import Node

SCORES = ("INFINITY", "-INFINITY", "100", "1000", "7", "0", "-1", "-50")


def write(choose: Choices, units: list[Unit], nodes: list[Node]) -> list[str]:
    """Return up to five constraints."""
    units = [unit for unit in units if unit.name != "fencer"]
    kinds = [kind for kind in KINDS if choose.has(kind)]
    if not kinds:
        return []
    found = []
    for number in range(choose.number(0, 5)):
        kind = choose.pick(*kinds)
        line = KINDS[kind](choose, f"k{number}", units, nodes)
        if line:
            found.append(line)
    return found


def _location(choose: Choices, id: str, units: list[Unit], nodes: list[Node]) -> str:
    unit = choose.pick(*units)
    rsc, score = f'rsc="{unit.name}"', choose.pick(*SCORES)
    if choose.some("resource-sets", 5):
        return (
            f'<rsc_location id="{id}" node="{choose.pick(*nodes).name}" score="{score}">'
            f"{_set(choose, f'{id}-s', units)}</rsc_location>"
        )
    more = ""
    if choose.some("discovery", 4):
        how = choose.pick("never", "exclusive", "always")
        more += f' resource-discovery="{how}"'
    role = ' role="Promoted"' if unit.promotable and choose.pick(False, True) else ""
    if choose.some("rules", 2):
        return f'<rsc_location id="{id}" {rsc}{more}>{_rule(choose, id, role)}</rsc_location>'
    node = choose.pick(*nodes).name
    return f'<rsc_location id="{id}" {rsc} node="{node}" score="{score}"{role}{more}/>'


def _rule(choose: Choices, id: str, role: str) -> str:
    score = choose.pick(*SCORES)
    how = choose.pick("and", "or")
    inner = "".join(_expression(choose, f"{id}-e{number}") for number in range(choose.number(1, 2)))
    weight = f'score="{score}"'
    if choose.some("attributes", 4):
        weight = 'score-attribute="rank"'
    return f'<rule id="{id}-r" {weight} boolean-op="{how}"{role}>{inner}</rule>'


def _expression(choose: Choices, id: str) -> str:
    if choose.some("dates", 3):
        line = choose.pick(
            'operation="gt" start="2025-10-09 11:00:00Z"',
            'operation="lt" end="2025-10-09 11:00:00Z"',
            'operation="in_range" start="2025-10-01" end="2025-11-01"',
        )
        return f'<date_expression id="{id}" {line}/>'
    attribute = choose.pick("#uname", "site", "rank")
    operation = choose.pick("eq", "ne", "defined", "not_defined", "lt", "gte")
    if operation in ("defined", "not_defined"):
        return f'<expression id="{id}" attribute="{attribute}" operation="{operation}"/>'
    value = {"#uname": "n1", "site": "east", "rank": "5"}[attribute]
    kind = ' type="number"' if attribute == "rank" else ""
    return (
        f'<expression id="{id}" attribute="{attribute}" operation="{operation}" '
        f'value="{value}"{kind}/>'
    )


def _two(choose: Choices, units: list[Unit]) -> tuple[Unit, Unit] | None:
    if len(units) < 2:
        return None
    one = choose.number(0, len(units) - 2)
    return units[one], units[choose.number(one + 1, len(units) - 1)]


def _colocation(choose: Choices, id: str, units: list[Unit], _: list[Node]) -> str:
    if choose.some("resource-sets", 4):
        score = choose.pick("INFINITY", "100", "-INFINITY")
        half = max(1, len(units) // 2)
        sets = _set(choose, f"{id}-s", units[half:] or units)
        if len(units) > 1 and choose.pick(False, True):
            sets += _set(choose, f"{id}-t", units[:half])
        return f'<rsc_colocation id="{id}" score="{score}">{sets}</rsc_colocation>'
    both = _two(choose, units)
    if both is None:
        return ""
    primary, dependent = both
    words = f'rsc="{dependent.name}" with-rsc="{primary.name}" score="{choose.pick(*SCORES)}"'
    if primary.promotable and choose.pick(True, False):
        words += ' with-rsc-role="Promoted"'
    if dependent.promotable and choose.pick(False, True):
        words += ' rsc-role="Promoted"'
    if choose.some("influence", 4):
        words += f' influence="{choose.pick("false", "true")}"'
    if choose.some("attributes", 6):
        words += ' node-attribute="site"'
    return f'<rsc_colocation id="{id}" {words}/>'


def _order(choose: Choices, id: str, units: list[Unit], _: list[Node]) -> str:
    if choose.some("resource-sets", 4):
        half = max(1, len(units) // 2)
        sets = _set(choose, f"{id}-s", units[:half], alternatives=True)
        if len(units) > 1 and choose.pick(False, True):
            sets += _set(choose, f"{id}-t", units[half:])
        return f'<rsc_order id="{id}">{sets}</rsc_order>'
    both = _two(choose, units)
    if both is None:
        return ""
    first, then = both
    words = f'first="{first.name}" then="{then.name}"'
    if choose.some("order-kinds", 2):
        words += f' kind="{choose.pick("Mandatory", "Optional", "Serialize")}"'
    if choose.some("order-kinds", 4):
        words += ' symmetrical="false"'
    if first.promotable and choose.pick(True, False):
        words += ' first-action="promote" then-action="start"'
    elif choose.some("order-actions", 4):
        one, other = choose.pick(("stop", "start"), ("start", "stop"), ("stop", "stop"))
        words += f' first-action="{one}" then-action="{other}"'
        if "symmetrical" not in words:
            words += ' symmetrical="false"'
    return f'<rsc_order id="{id}" {words}/>'


def _set(choose: Choices, id: str, units: list[Unit], *, alternatives: bool = False) -> str:
    count = choose.number(1, len(units))
    words = ""
    if choose.pick(False, True):
        words += ' sequential="false"'
        if alternatives and choose.pick(False, True):
            words += ' require-all="false"'
    inner = "".join(f'<resource_ref id="{unit.name}"/>' for unit in units[:count])
    return f'<resource_set id="{id}"{words}>{inner}</resource_set>'


def _ticket(choose: Choices, id: str, units: list[Unit], _: list[Node]) -> str:
    unit = choose.pick(*units)
    policy = choose.pick("stop", "demote", "fence", "freeze")
    words = f'rsc="{unit.name}" ticket="t{choose.number(0, 1)}" loss-policy="{policy}"'
    if unit.promotable and choose.pick(False, True):
        words += ' rsc-role="Promoted"'
    return f'<rsc_ticket id="{id}" {words}/>'


KINDS = {
    "location": _location,
    "colocation": _colocation,
    "order": _order,
    "ticket": _ticket,
}
