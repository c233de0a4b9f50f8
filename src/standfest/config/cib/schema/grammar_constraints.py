"""The current dialect: constraints.

Source: facts/formats/CIB-MODERN.md section 1; the differences between versions by experiment.
"""

from standfest.config.cib.schema.datatypes import BOOLEAN, IDREF, SCORE, words
from standfest.config.cib.schema.grammar_sets import CONSTRAINTS as PLACE
from standfest.config.cib.schema.notation import (
    BY_REFERENCE,
    WITH_ID,
    at_least_one,
    each,
    may,
    need,
    one,
    optional,
)
from standfest.config.cib.schema.patterns import (
    EMPTY,
    FIRST,
    Pattern,
    choice,
    group,
    interleave,
    only,
    since,
    until,
)

_ACTIONS = words("start promote demote stop")
_KINDS = words("Optional Mandatory Serialize")
_LIFETIME = until((3, 10), optional("lifetime"))
_RULE = f"rule{PLACE}"


def roles(names: str) -> Pattern:
    """Return optional attributes that name a role; today's words for two of them came with 3.7."""
    old, new = "Stopped Started Master Slave", "Stopped Started Master Slave Promoted Unpromoted"
    return choice(only((3, 7), may(names, words(new))), only(FIRST, may(names, words(old)), (3, 6)))


CONSTRAINTS: dict[str, Pattern] = {
    "constraints": interleave(
        each("rsc_location rsc_colocation rsc_order"), since((1, 2), each("rsc_ticket"))
    ),
    "rsc_location": group(
        WITH_ID,
        choice(
            group(
                choice(need("rsc", IDREF), only((2, 6), need("rsc-pattern"))),
                since((1, 2), roles("role")),
            ),
            only((1, 2), at_least_one("resource_set")),
        ),
        choice(
            group(need("node"), need("score", SCORE)),
            only(FIRST, at_least_one("rule", _RULE), (3, 10)),
            only((4, 0), one("rule", _RULE)),
        ),
        since((2, 2), may("resource-discovery", words("always never exclusive"))),
        _LIFETIME,
    ),
    "rsc_colocation": group(
        WITH_ID,
        choice(
            may("score", SCORE),
            only(FIRST, need("score-attribute"), (2, 10)),
            only(FIRST, need("score-attribute-mangle"), (2, 10)),
        ),
        since((3, 6), may("influence")),
        _LIFETIME,
        choice(
            at_least_one("resource_set"),
            group(
                need("rsc with-rsc", IDREF), roles("rsc-role with-rsc-role"), may("node-attribute")
            ),
        ),
    ),
    "rsc_order": group(
        WITH_ID,
        choice(EMPTY, need("score", SCORE), need("kind", _KINDS)),
        may("symmetrical", BOOLEAN),
        since((2, 3), may("require-all", BOOLEAN)),
        _LIFETIME,
        choice(
            at_least_one("resource_set"),
            group(need("first then", IDREF), may("first-action then-action", _ACTIONS)),
        ),
    ),
    "rsc_ticket": group(
        WITH_ID,
        need("ticket"),
        may("loss-policy", words("stop demote fence freeze")),
        choice(at_least_one("resource_set"), group(need("rsc", IDREF), roles("rsc-role"))),
    ),
    "resource_set": choice(
        BY_REFERENCE,
        group(
            WITH_ID,
            may("sequential", BOOLEAN),
            since((1, 2), may("require-all", BOOLEAN)),
            since((2, 1), may("ordering", words("group listed"))),
            may("action", _ACTIONS),
            roles("role"),
            choice(may("score", SCORE), only((3, 0), need("kind", _KINDS))),
            at_least_one("resource_ref"),
        ),
    ),
    "resource_ref": need("id", IDREF),
    "lifetime": at_least_one("rule", _RULE),
}
