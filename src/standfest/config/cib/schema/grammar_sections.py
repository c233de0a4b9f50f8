"""The current dialect: the document, options, nodes, fencing, access, tags, alerts.

Source: facts/formats/CIB-MODERN.md section 1; the differences between versions by experiment.
"""

import re

from standfest.config.cib.schema.datatypes import (
    BOOLEAN,
    IDREF,
    NOT_NEGATIVE,
    POSITIVE,
    SCORE,
    UP_TO_NINE,
    Kind,
    Words,
    words,
)
from standfest.config.cib.schema.grammar_sets import ALERTS, DEFAULTS, OPERATION_DEFAULTS, OPTIONS
from standfest.config.cib.schema.notation import (
    OPAQUE,
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
    many,
    only,
    since,
    some,
)
from standfest.config.cib.schema.versions import NAMES, NONE

_DEVICES = Kind(
    "ids of fence devices with commas between them",
    re.compile(r"[A-Za-z0-9_.-]+(,[A-Za-z0-9_.-]+)*"),
    strict=True,
)
_ALERT_SETS = each("meta_attributes instance_attributes", ALERTS)

SECTIONS: dict[str, Pattern] = {
    "cib": group(
        need("admin_epoch epoch num_updates", NOT_NEGATIVE),
        need("validate-with", Words((*NAMES, NONE))),
        may("crm_feature_set dc-uuid cib-last-written"),
        may("have-quorum no-quorum-panic", BOOLEAN),
        may("remote-tls-port remote-clear-port", NOT_NEGATIVE),
        since((1, 2), may("update-origin update-client update-user execution-date")),
        one("configuration"),
        optional("status", OPAQUE),
    ),
    "configuration": interleave(
        one("crm_config"),
        one("nodes"),
        one("resources"),
        one("constraints"),
        optional("rsc_defaults"),
        optional("op_defaults"),
        since((1, 2), optional("fencing-topology")),
        since((1, 2), optional("acls")),
        since((1, 3), optional("tags")),
        since((2, 5), optional("alerts")),
    ),
    "crm_config": each("cluster_property_set", OPTIONS),
    "rsc_defaults": each("meta_attributes", DEFAULTS),
    "op_defaults": each("meta_attributes", OPERATION_DEFAULTS),
    "nodes": each("node"),
    "node": interleave(
        need("id uname"),
        choice(
            need("type", words("member")),
            only(FIRST, need("type", words("ping")), (3, 10)),
            only(FIRST, need("type", words("normal")), (2, 10)),
            only((1, 3), need("type", words("remote"))),
            only((1, 2), EMPTY),
        ),
        may("description"),
        each("instance_attributes"),
        since((1, 2), interleave(may("score", SCORE), each("utilization"))),
    ),
    "fencing-topology": each("fencing-level"),
    "fencing-level": group(
        WITH_ID,
        choice(
            need("target"),
            need("target-pattern"),
            only((2, 4), need("target-attribute target-value")),
        ),
        choice(
            only((4, 0), need("index", UP_TO_NINE)), only(FIRST, need("index", POSITIVE), (3, 10))
        ),
        need("devices", _DEVICES),
    ),
    "acls": choice(
        only((1, 2), interleave(many(one("acl_role", "acl_role")), each("acl_user")), (1, 3)),
        only((2, 0), each("acl_role acl_target acl_group")),
    ),
    "acl_role": choice(
        only((1, 2), group(WITH_ID, each("read write deny")), (1, 3)),
        only((2, 0), interleave(WITH_ID, may("description"), each("acl_permission"))),
    ),
    "acl_user": interleave(WITH_ID, choice(some(one("role_ref")), each("read write deny"))),
    "role_ref": need("id", IDREF),
    **dict.fromkeys(
        ("read", "write", "deny"),
        group(
            WITH_ID,
            choice(need("xpath"), group(need("ref", IDREF), may("tag")), need("tag")),
            may("attribute"),
        ),
    ),
    "acl_permission": interleave(
        WITH_ID,
        need("kind", words("read write deny")),
        choice(
            need("xpath"),
            need("reference", IDREF),
            group(need("object-type"), may("attribute")),
        ),
        may("description"),
    ),
    "acl_target": interleave(need("id"), since((3, 8), may("name")), each("role")),
    "acl_group": interleave(WITH_ID, since((3, 8), may("name")), each("role")),
    "role": need("id", IDREF),
    "tags": each("tag"),
    "tag": interleave(WITH_ID, at_least_one("obj_ref")),
    "obj_ref": choice(
        only(FIRST, need("id", IDREF), (3, 2)),
        only((3, 3), need("id")),
    ),
    "alerts": each("alert"),
    "alert": group(
        WITH_ID,
        may("description"),
        need("path"),
        choice(
            only((2, 10), interleave(optional("select"), _ALERT_SETS, each("recipient"))),
            only((2, 5), group(_ALERT_SETS, each("recipient")), (2, 9)),
        ),
    ),
    "select": interleave(
        *(optional(f"select_{what}") for what in ["nodes", "fencing", "resources"]),
        optional("select_attributes"),
    ),
    "select_nodes": interleave(),
    "select_fencing": interleave(),
    "select_resources": interleave(),
    "select_attributes": each("attribute"),
    "attribute": interleave(WITH_ID, need("name")),
    "recipient": group(WITH_ID, may("description"), need("value"), _ALERT_SETS),
}
