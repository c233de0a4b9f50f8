"""Heartbeat 2's dialect: what its document type declarations allow, in three releases of them.

Ids are plain text to them: neither their uniqueness nor what refers to them is theirs to judge.

Source: facts/formats/CIB-LEGACY.md section 1; the rest by experiment.
"""

from standfest.config.cib.schema.datatypes import words
from standfest.config.cib.schema.notation import at_least_one, each, may, need, one, optional
from standfest.config.cib.schema.patterns import (
    FIRST,
    Pattern,
    Version,
    choice,
    group,
    many,
    only,
    since,
)

RELEASES: dict[str, Version] = {
    "heartbeat-2.0.8": (0, 8),
    "heartbeat-2.1.2": (1, 2),
    "heartbeat-2.1.3": (1, 3),
}
"""Schema -> when it was in force, Heartbeat's leading 2 left out."""

_CLASS = words("ocf lsb heartbeat stonith")
_SETS = each("meta_attributes instance_attributes")
_SEEN = words("member pending down")
_FIELDS = "hours monthdays weekdays yeardays months weeks years"


def _switches(names: str) -> Pattern:
    """Return optional attributes that are on or off; since 2.1.2 also by yes and no."""
    wide, narrow = words("true false yes no 1 0"), words("true false 1 0")
    return choice(only((1, 2), may(names, wide)), only(FIRST, may(names, narrow), (1, 1)))


_OPTIONS = group(
    need("id"),
    may("description is_managed resource_stickiness"),
    may("restart_type", words("ignore restart")),
    may("multiple_active", words("stop_start stop_only block")),
)
_CLONE = group(
    _OPTIONS,
    _switches("notify globally_unique ordered interleave"),
    each("meta_attributes instance_attributes primitive group"),
)
_SET = group(need("id"), may("score"), each("rule"), one("attributes"))

LEGACY: dict[str, Pattern] = {
    "cib": group(
        need("admin_epoch epoch num_updates"),
        may("num_peers cib_feature_revision crm_feature_set dc_uuid ccm_transition generated"),
        may("cib-last-written crm-debug-origin"),
        since((1, 2), may("remote_access_port")),
        _switches("have_quorum ignore_dtd"),
        one("configuration"),
        one("status"),
    ),
    "configuration": group(one("crm_config"), one("nodes"), one("resources"), one("constraints")),
    "crm_config": each("cluster_property_set"),
    "cluster_property_set": _SET,
    "meta_attributes": _SET,
    "instance_attributes": _SET,
    "attributes": each("nvpair"),
    "nvpair": group(need("id name"), may("value")),
    "nodes": each("node"),
    "node": group(
        need("id uname"),
        need("type", words("normal member ping")),
        may("description"),
        each("instance_attributes"),
    ),
    "resources": each("primitive group clone master_slave"),
    "primitive": group(
        _OPTIONS,
        need("type"),
        need("class", _CLASS),
        may("provider"),
        each("operations meta_attributes instance_attributes"),
    ),
    "operations": each("op"),
    "op": group(
        need("id name"),
        may("description interval timeout start_delay"),
        _switches("disabled"),
        may("role", words("Started Stopped Master Slave")),
        may("prereq", words("nothing quorum fencing")),
        may("on_fail", words("ignore block stop restart fence")),
        _SETS,
    ),
    "group": group(
        _OPTIONS,
        _switches("ordered collocated"),
        each("meta_attributes instance_attributes primitive"),
    ),
    "clone": _CLONE,
    "master_slave": _CLONE,
    "constraints": each("rsc_order rsc_colocation rsc_location"),
    "rsc_location": group(
        need("id rsc"),
        may("description"),
        since((1, 3), may("node score")),
        optional("lifetime"),
        each("rule"),
    ),
    "rsc_colocation": group(
        need("id from to score"),
        may("from_role to_role node_attribute"),
        since((1, 2), _switches("symmetrical")),
        optional("lifetime"),
    ),
    "rsc_order": group(
        need("id from to"),
        may("action to_action score"),
        may("type", words("before after")),
        _switches("symmetrical"),
        optional("lifetime"),
    ),
    "lifetime": group(need("id"), at_least_one("rule")),
    "rule": group(
        need("id"),
        may("score score_attribute role"),
        may("boolean_op", words("and or")),
        each("expression date_expression rule"),
    ),
    "expression": group(
        need("id attribute"),
        need("operation", words("lt gt lte gte eq ne defined not_defined")),
        may("value"),
        choice(
            only(FIRST, may("type", words("integer string version")), (1, 1)),
            only((1, 2), may("type", words("number string version"))),
        ),
    ),
    "date_expression": group(
        need("id"),
        may("operation", words("in_range date_spec gt lt")),
        may("start end"),
        optional("date_spec"),
        optional("duration"),
    ),
    "date_spec": group(need("id"), may(_FIELDS), may("weekyears moon")),
    "duration": group(need("id"), may(_FIELDS)),
    "status": many(one("node_state")),
    "node_state": group(
        need("id uname"),
        may("ha", words("active dead")),
        may("crmd", words("online offline")),
        may("join expected", _SEEN),
        _switches("in_ccm"),
        may("shutdown clear_shutdown crm-debug-origin"),
        each("transient_attributes lrm"),
    ),
    "transient_attributes": group(may("id"), each("instance_attributes")),
    "lrm": group(need("id"), one("lrm_resources")),
    "lrm_resources": each("lrm_resource"),
    "lrm_resource": group(
        need("id type"), need("class", _CLASS), may("provider"), each("lrm_rsc_op")
    ),
    "lrm_rsc_op": group(
        need("id operation op_status rc_code call_id crm_feature_set interval transition_magic"),
        may("transition_key op_digest op_restart_digest op_force_restart migrate_from"),
        may("crm-debug-origin"),
        since((1, 3), may("last_run last_rc_change exec_time queue_time")),
    ),
}
"""Type -> what it holds; `status` is looked at, too, as the declarations do."""
