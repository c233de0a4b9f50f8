"""The current dialect: resources.

Source: facts/formats/CIB-MODERN.md section 1; the differences between versions by experiment.
"""

import re

from standfest.config.cib.schema.datatypes import (
    BOOLEAN,
    IDREF,
    INTEGER,
    Kind,
    words,
)
from standfest.config.cib.schema.grammar_constraints import roles
from standfest.config.cib.schema.grammar_sets import (
    OPERATION,
    OPERATION_PARAMETERS,
    PARAMETERS,
    PRIMITIVE,
    RESOURCE,
)
from standfest.config.cib.schema.notation import (
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

_RANGE = Kind("a range such as 1-3", re.compile(r"[0-9-]+"), strict=True)


def _agent(newer_since: Version) -> Pattern:
    """Return class, provider and type. newer_since: when the classes that 1.0 did not know came."""
    return group(
        choice(
            group(need("class", words("ocf")), need("provider")),
            need("class", words("lsb heartbeat stonith")),
            only(newer_since, need("class", words("service systemd"))),
            only(FIRST, need("class", words("upstart")), (3, 10)),
            only(newer_since, need("class", words("nagios")), (3, 10)),
        ),
        need("type"),
    )


_CONTENT = interleave(
    each("meta_attributes", PRIMITIVE),
    each("instance_attributes", PARAMETERS),
    optional("operations"),
    since((1, 2), each("utilization")),
)
_SETS = interleave(each("meta_attributes", RESOURCE), each("instance_attributes"))
_CLONED = choice(one("primitive"), one("group"))

RESOURCES: dict[str, Pattern] = {
    "resources": interleave(
        each("primitive group clone"),
        until((3, 10), each("master")),
        since((1, 2), each("template")),
        since((2, 8), each("bundle")),
    ),
    "primitive": interleave(
        WITH_ID,
        choice(_agent((1, 2)), only((1, 2), need("template", IDREF))),
        may("description"),
        _CONTENT,
    ),
    "template": interleave(WITH_ID, _agent((2, 7)), may("description"), _CONTENT),
    "operations": interleave(may("id", WITH_ID.data), may("id-ref", IDREF), each("op")),
    "op": interleave(
        WITH_ID,
        need("name interval"),
        may("description"),
        choice(may("start-delay"), may("interval-origin")),
        may("timeout"),
        may("enabled record-pending", BOOLEAN),
        roles("role"),
        choice(
            may("on-fail", words("ignore block stop restart standby fence")),
            only((1, 2), need("on-fail", words("restart-container"))),
            only((3, 4), need("on-fail", words("demote"))),
        ),
        choice(
            EMPTY,
            only(FIRST, need("requires", words("nothing quorum fencing")), (2, 10)),
            only((1, 3), need("requires", words("unfencing")), (2, 10)),
        ),
        each("meta_attributes", OPERATION),
        each("instance_attributes", OPERATION_PARAMETERS),
    ),
    "group": interleave(
        WITH_ID,
        may("description"),
        _SETS,
        some(one("primitive")),
    ),
    "clone": interleave(WITH_ID, may("description"), _SETS, _CLONED),
    "master": interleave(WITH_ID, may("description"), _SETS, _CLONED),
    "bundle": interleave(
        WITH_ID,
        may("description"),
        _SETS,
        choice(
            one("docker", "container"),
            only((2, 10), one("rkt", "container"), (3, 10)),
            only((3, 2), one("podman", "container")),
        ),
        optional("network"),
        optional("storage"),
        optional("primitive"),
    ),
    "container": interleave(
        need("image"),
        may("replicas replicas-per-host", INTEGER),
        choice(
            EMPTY,
            only((3, 0), need("promoted-max", INTEGER)),
            only(FIRST, need("masters", INTEGER), (3, 10)),
        ),
        may("run-command network options"),
    ),
    "network": interleave(
        may("ip-range-start host-interface"),
        may("control-port host-netmask", INTEGER),
        since((3, 0), may("add-host", BOOLEAN)),
        each("port-mapping"),
    ),
    "port-mapping": interleave(
        WITH_ID,
        choice(group(need("port", INTEGER), may("internal-port", INTEGER)), need("range", _RANGE)),
    ),
    "storage": each("storage-mapping"),
    "storage-mapping": interleave(
        WITH_ID,
        choice(need("source-dir"), need("source-dir-root")),
        need("target-dir"),
        may("options"),
    ),
}
