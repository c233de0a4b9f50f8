"""The current dialect: sets of name-value pairs and the rules that choose them.

Rules and references came to options, constraints and the rest in different versions, so each of the
three places has its own types, told apart by what follows the dot.

Source: facts/formats/CIB-MODERN.md section 1; the differences between versions by experiment.
"""

from standfest.config.cib.schema.datatypes import SCORE, words
from standfest.config.cib.schema.notation import (
    BY_REFERENCE,
    WITH_ID,
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
    Version,
    choice,
    group,
    interleave,
    only,
    since,
    some,
    until,
)

SET_TAGS = ("cluster_property_set", "meta_attributes", "instance_attributes", "utilization")
OPTIONS = ".options"
"""The place of cluster options and defaults."""
CONSTRAINTS = ".constraints"
"""The place of constraints; the rules of alerts are the same."""
ALERTS = ".alerts"

_FIELDS = "hours monthdays weekdays months weeks years weekyears"


def _rules(place: str, kinds_since: Version, sources_since: Version) -> dict[str, Pattern]:
    """Return the types of a place's rules.

    kinds_since: when they could ask for agents and operations; sources_since: when values could
    come from a resource's parameters.
    """
    term = choice(
        one("expression", f"expression{place}"),
        one("date_expression"),
        one("rule", f"rule{place}"),
        only(kinds_since, choice(one("rsc_expression"), one("op_expression"))),
    )
    scored = choice(need("score", SCORE), need("score-attribute"), only((3, 9), EMPTY))
    return {
        f"rule{place}": choice(
            BY_REFERENCE,
            interleave(
                WITH_ID, scored, may("boolean-op", words("and or")), may("role"), some(term)
            ),
        ),
        f"expression{place}": group(
            WITH_ID,
            need("attribute"),
            need("operation", words("lt gt lte gte eq ne defined not_defined")),
            may("value"),
            choice(
                may("type", words("string number version")),
                only((3, 5), need("type", words("integer"))),
            ),
            since(sources_since, may("value-source", words("literal param meta"))),
        ),
    }


def _sets(place: str, rule: str, references_since: Version) -> dict[str, Pattern]:
    """Return the types of a place's sets. references_since: when a pair could be one elsewhere."""
    content = choice(
        BY_REFERENCE,
        interleave(WITH_ID, may("score", SCORE), optional("rule", rule), each("nvpair", place)),
    )
    pair = choice(
        only(references_since, group(BY_REFERENCE, until((3, 10), may("name")))),
        group(WITH_ID, need("name"), choice(need("value"), only(FIRST, EMPTY, (3, 10)))),
    )
    return {**{f"{tag}{place}": content for tag in SET_TAGS}, f"nvpair{place}": pair}


SETS: dict[str, Pattern] = {
    **_sets("", "rule", (1, 3)),
    **_sets(OPTIONS, f"rule{OPTIONS}", (3, 0)),
    **_sets(ALERTS, f"rule{CONSTRAINTS}", (1, 3)),
    **_rules("", (3, 4), (2, 9)),
    **_rules(OPTIONS, (3, 4), (3, 0)),
    **_rules(CONSTRAINTS, (3, 5), (2, 9)),
    "date_expression": group(
        WITH_ID,
        choice(
            group(
                need("operation", words("in_range")),
                choice(
                    group(need("start"), choice(need("end"), one("duration"))),
                    need("end"),
                    only((3, 9), group(need("start"), may("end"), optional("duration"))),
                    only((3, 9), group(need("end"), optional("duration"))),
                ),
            ),
            group(need("operation", words("gt")), need("start")),
            group(need("operation", words("lt")), need("end")),
            group(need("operation", words("date_spec")), one("date_spec")),
        ),
    ),
    "date_spec": group(
        WITH_ID,
        may(_FIELDS),
        until((3, 10), may("moon")),
        since((3, 9), may("yeardays minutes seconds")),
    ),
    "duration": group(
        WITH_ID, may(_FIELDS), may("moon"), since((3, 9), may("days minutes seconds"))
    ),
    "rsc_expression": group(WITH_ID, may("class provider type")),
    "op_expression": group(WITH_ID, need("name"), may("interval")),
}
