"""The current dialect: sets of name-value pairs and the rules that choose them.

Rules and references came to options, constraints and the rest in different versions, and names
went, so each place has its own types, told apart by what follows the dot.

Source: facts/formats/CIB-MODERN.md section 1; the differences between versions by experiment.
"""

from dataclasses import dataclass

from standfest.config.cib.schema.datatypes import SCORE, Other, other, words
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
"""The place of cluster options; the rules of defaults are the same."""
CONSTRAINTS = ".constraints"
"""The place of constraints; the rules of alerts are the same."""
ALERTS = ".alerts"
DEFAULTS = ".rsc_defaults"
OPERATION_DEFAULTS = ".op_defaults"
RESOURCE = ".resource"
"""Meta-attributes of groups, clones and bundles."""
PRIMITIVE = ".primitive"
"""Meta-attributes of primitives and templates."""
PARAMETERS = ".parameters"
"""Their instance attributes."""
OPERATION = ".op"
OPERATION_PARAMETERS = ".op.parameters"

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


@dataclass(frozen=True, slots=True)
class _Gone:
    """Names that pairs of a place have no more: only in 3.0, from 3.0 to 3.10, since 4.0."""

    in_3_0: str = ""
    in_3: str = ""
    in_4: str = ""


def _pair(gone: _Gone) -> Pattern:
    """Return name and value of a pair; a value was optional before 4.0."""
    return choice(
        only(FIRST, group(need("name"), may("value")), (2, 10)),
        only(
            (3, 0), group(need("name", other(f"{gone.in_3_0} {gone.in_3}")), may("value")), (3, 0)
        ),
        only((3, 1), group(need("name", other(gone.in_3)), may("value")), (3, 10)),
        only((4, 0), group(need("name", other(gone.in_4)), need("value"))),
    )


def _sets(place: str, rule: str, references_since: Version, pair: Pattern) -> dict[str, Pattern]:
    """Return the types of a place's sets. references_since: when a pair could be one elsewhere."""
    content = choice(
        BY_REFERENCE,
        interleave(WITH_ID, may("score", SCORE), optional("rule", rule), each("nvpair", place)),
    )
    whole = choice(
        only(references_since, group(BY_REFERENCE, until((3, 10), may("name")))),
        group(WITH_ID, pair),
    )
    return {**{f"{tag}{place}": content for tag in SET_TAGS}, f"nvpair{place}": whole}


_OPTIONS_GONE = _Gone(
    in_3="default-action-timeout default_action_timeout default-resource-stickiness "
    "default_resource_stickiness is-managed-default is_managed_default "
    "default-resource-failure-stickiness default_resource_failure_stickiness "
    "default-migration-threshold default_migration_threshold expected-quorum-votes "
    "notification-agent notification-recipient cluster_recheck_interval dc_deadtime "
    "election_timeout no_quorum_policy remove_after_stop shutdown_escalation startup_fencing "
    "stonith_action stonith_enabled stop_orphan_actions stop_orphan_resources symmetric_cluster "
    "transition_idle_timeout cluster-infrastructure",
    in_4="crmd-integration-timeout crmd-finalization-timeout crmd-transition-delay "
    "remove-after-stop stonith-action",
)
STACKS = ("heartbeat", "openais", "classic openais", "classic openais (with plugin)", "cman")
"""What `cluster-infrastructure` may not say since 3.0: stacks that are no more."""
_OPTION = choice(
    _pair(_OPTIONS_GONE),
    # Of two options only some values are gone.
    only(
        (3, 0),
        group(need("name", words("cluster-infrastructure")), need("value", Other(STACKS))),
        (3, 10),
    ),
    only(
        (4, 0),
        group(need("name", words("stonith-action")), need("value", other("poweroff"))),
    ),
)
_PLACES: dict[str, _Gone] = {
    "": _Gone(),
    RESOURCE: _Gone(in_4="restart-type"),
    PRIMITIVE: _Gone(
        in_3="isolation isolation-instance isolation-host isolation-wrapper", in_4="restart-type"
    ),
    PARAMETERS: _Gone(
        in_3_0="pcmk_list_cmd pcmk_monitor_cmd pcmk_off_cmd pcmk_on_cmd pcmk_reboot_cmd "
        "pcmk_status_cmd pcmk_arg_map"
    ),
    OPERATION: _Gone(in_3="requires", in_4="can_fail role_after_failure"),
    OPERATION_PARAMETERS: _Gone(
        in_3_0="requires interval-origin start-delay enabled on-fail record-pending role timeout"
    ),
}

SETS: dict[str, Pattern] = {
    **_sets(OPTIONS, f"rule{OPTIONS}", (3, 0), _OPTION),
    **_sets(DEFAULTS, f"rule{OPTIONS}", (3, 0), _pair(_Gone(in_4="restart-type"))),
    **_sets(
        OPERATION_DEFAULTS,
        f"rule{OPTIONS}",
        (3, 0),
        _pair(_Gone(in_4="can_fail role_after_failure")),
    ),
    **_sets(ALERTS, f"rule{CONSTRAINTS}", (1, 3), _pair(_Gone())),
    **{
        name: pattern
        for place, gone in _PLACES.items()
        for name, pattern in _sets(place, "rule", (1, 3), _pair(gone)).items()
    },
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
