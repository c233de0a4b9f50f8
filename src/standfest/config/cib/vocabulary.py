"""Which elements and attributes a configuration may have, in both dialects, and what has no effect.

What the scheduler decides and the running cluster does is not mentioned here; a name is told to
have no effect only while that is so.

Source: facts/formats/CIB-MODERN.md section 1, CIB-LEGACY.md section 1.
"""

SECTION_TAGS = (
    "crm_config",
    "nodes",
    "resources",
    "constraints",
    "rsc_defaults",
    "op_defaults",
    "fencing-topology",
    "acls",
    "tags",
    "alerts",
)

_RESOURCE_SETS = ("meta_attributes", "instance_attributes", "utilization")
_RESOURCES = ("primitive", "group", "clone", "master", "master_slave", "bundle", "template")
_RULE = ("expression", "date_expression", "rsc_expression", "op_expression", "rule")

CHILDREN: dict[str, tuple[str, ...]] = {
    "cib": ("configuration", "status"),
    "configuration": SECTION_TAGS,
    "crm_config": ("cluster_property_set",),
    "cluster_property_set": ("rule", "nvpair", "attributes"),
    "meta_attributes": ("rule", "nvpair", "attributes"),
    "instance_attributes": ("rule", "nvpair", "attributes"),
    "utilization": ("rule", "nvpair", "attributes"),
    "attributes": ("nvpair",),
    "nvpair": (),
    "rsc_defaults": ("meta_attributes",),
    "op_defaults": ("meta_attributes",),
    "nodes": ("node",),
    "node": _RESOURCE_SETS,
    "resources": _RESOURCES,
    "primitive": (*_RESOURCE_SETS, "operations"),
    "template": (*_RESOURCE_SETS, "operations"),
    "operations": ("op",),
    "op": _RESOURCE_SETS,
    "group": (*_RESOURCE_SETS, "primitive"),
    "clone": (*_RESOURCE_SETS, "primitive", "group"),
    "master": (*_RESOURCE_SETS, "primitive", "group"),
    "master_slave": (*_RESOURCE_SETS, "primitive", "group"),
    "bundle": ("docker", "podman", "rkt", "network", "storage", "primitive", "meta_attributes"),
    "constraints": ("rsc_location", "rsc_colocation", "rsc_order", "rsc_ticket"),
    "rsc_location": ("rule", "resource_set", "lifetime"),
    "rsc_colocation": ("resource_set", "lifetime"),
    "rsc_order": ("resource_set", "lifetime"),
    "rsc_ticket": ("resource_set",),
    "resource_set": ("resource_ref",),
    "resource_ref": (),
    "tags": ("tag",),
    "tag": ("obj_ref",),
    "obj_ref": (),
    "alerts": ("alert",),
    "alert": ("meta_attributes", "instance_attributes", "select", "recipient"),
    "select": ("select_nodes", "select_fencing", "select_resources", "select_attributes"),
    "select_nodes": (),
    "select_fencing": (),
    "select_resources": (),
    "select_attributes": ("attribute",),
    "attribute": (),
    "recipient": ("meta_attributes", "instance_attributes"),
    "lifetime": ("rule",),
    "rule": _RULE,
    "expression": (),
    "date_expression": ("duration", "date_spec"),
    "duration": (),
    "date_spec": (),
    "rsc_expression": (),
    "op_expression": (),
}
"""Element -> its possible children. Elements that are not a key are opaque: nothing is checked."""

_OPTIONS = (
    "description is_managed restart_type multiple_active resource_stickiness ordered collocated "
    "notify globally_unique interleave"
)
_SPEC = "id seconds hours monthdays weekdays yeardays months weeks weekyears years moon minutes"

_ATTRIBUTES = {
    "crm_config": "",
    "cluster_property_set": "id id-ref score",
    "meta_attributes": "id id-ref score",
    "instance_attributes": "id id-ref score",
    "utilization": "id id-ref score",
    "attributes": "",
    "nvpair": "id id-ref name value",
    "node": "id uname type description score",
    "primitive": f"id class provider type template {_OPTIONS}",
    "template": "id class provider type description",
    "operations": "id id-ref",
    "group": f"id {_OPTIONS}",
    "clone": f"id {_OPTIONS}",
    "master": f"id {_OPTIONS}",
    "master_slave": f"id {_OPTIONS}",
    "op": (
        "id name interval timeout description start-delay start_delay interval-origin enabled "
        "disabled record-pending role on-fail on_fail prereq requires"
    ),
    "rsc_location": "id rsc rsc-pattern role node score resource-discovery description",
    "rsc_colocation": (
        "id rsc with-rsc score rsc-role with-rsc-role node-attribute node_attribute influence "
        "from to from_role to_role symmetrical description"
    ),
    "rsc_order": (
        "id first then first-action then-action kind score symmetrical require-all "
        "from to action to_action type description"
    ),
    "rsc_ticket": "id ticket loss-policy rsc rsc-role description",
    "resource_set": "id id-ref sequential require-all ordering action role score kind",
    "resource_ref": "id",
    "lifetime": "",
    "tag": "id description",
    "obj_ref": "id",
    "alert": "id path description",
    "attribute": "id name",
    "recipient": "id value description",
    "rule": "id id-ref boolean-op boolean_op score score-attribute score_attribute role",
    "expression": "id attribute operation value type value-source",
    "date_expression": "id operation start end",
    "date_spec": _SPEC,
    "duration": f"{_SPEC} days",
    "rsc_expression": "id class provider type",
    "op_expression": "id name interval",
}
ATTRIBUTES: dict[str, frozenset[str]] = {
    tag: frozenset(names.split()) for tag, names in _ATTRIBUTES.items()
}
"""Element -> its attributes. Elements that are not a key take any."""

REQUIRED: dict[str, tuple[str, ...]] = {
    "primitive": ("id",),
    "group": ("id",),
    "clone": ("id",),
    "master": ("id",),
    "master_slave": ("id",),
    "op": ("id", "name"),
    "nvpair": ("id", "name"),
    "node": ("id", "uname"),
    "cluster_property_set": ("id",),
    "meta_attributes": ("id",),
    "instance_attributes": ("id",),
    "rsc_location": ("id",),
    "rsc_colocation": ("id",),
    "rsc_order": ("id",),
    "rsc_ticket": ("id", "ticket"),
    "resource_set": ("id",),
    "resource_ref": ("id",),
    "rule": ("id",),
    "expression": ("id", "attribute", "operation"),
    "date_expression": ("id",),
    "op_expression": ("id", "name"),
    "template": ("id",),
    "tag": ("id",),
    "obj_ref": ("id",),
    "alert": ("id", "path"),
    "attribute": ("id", "name"),
    "recipient": ("id",),
}
"""Element -> attributes that it must have, and not empty, unless it is a reference (id-ref)."""

NO_REMOTE = "Pacemaker Remote is decided, but not driven yet"

NOT_YET: dict[str, str] = {
    "bundle": "bundles are decided, but not driven yet",
}
"""Element -> what the operator is told: it is known, and has no effect in the running cluster."""

EFFECTIVE_OPTIONS = frozenset(
    [
        "symmetric-cluster",
        "no-quorum-policy",
        "stonith-enabled",
        "stonith-action",
        "stonith-timeout",
        "stonith-max-attempts",
        "concurrent-fencing",
        "startup-fencing",
        "start-failure-is-fatal",
        "maintenance-mode",
        "stop-all-resources",
        "enable-startup-probes",
        "stop-orphan-resources",
        "stop-orphan-actions",
        "remove-after-stop",
        "placement-strategy",
        "node-health-strategy",
        "node-health-base",
        "node-health-green",
        "node-health-yellow",
        "node-health-red",
        "cluster-delay",
        "batch-limit",
        "cluster-recheck-interval",
    ]
)
WATCHDOG_OPTIONS = frozenset(["stonith-watchdog-timeout", "fence-reaction"])
"""Options of nodes that fence themselves."""

NO_WATCHDOG = "nodes do not fence themselves by a watchdog"

RENAMED_OPTIONS = {
    "fencing-enabled": "stonith-enabled",
    "fencing-action": "stonith-action",
    "fencing-timeout": "stonith-timeout",
    "fencing-max-attempts": "stonith-max-attempts",
    "fencing-watchdog-timeout": "stonith-watchdog-timeout",
    "fencing-reaction": "fence-reaction",
    "stop-removed-resources": "stop-orphan-resources",
    "cancel-removed-actions": "stop-orphan-actions",
}
"""Pacemaker 3's names -> those that all versions know."""

KNOWN_OPTIONS = (
    EFFECTIVE_OPTIONS
    | WATCHDOG_OPTIONS
    | frozenset(RENAMED_OPTIONS)
    | frozenset(
        [
            "priority-fencing-delay",
            "node-pending-timeout",
            "fence-remote-without-quorum",
            "have-watchdog",
            "migration-limit",
            "node-action-limit",
            "load-threshold",
            "dc-deadtime",
            "election-timeout",
            "shutdown-escalation",
            "join-integration-timeout",
            "join-finalization-timeout",
            "transition-delay",
            "shutdown-lock",
            "shutdown-lock-limit",
            "pe-error-series-max",
            "pe-warn-series-max",
            "pe-input-series-max",
            "enable-acl",
            "cluster-ipc-limit",
            "cluster-name",
            "dc-version",
            "cluster-infrastructure",
            "default-resource-stickiness",
            "default-action-timeout",
            "default-resource-failure-stickiness",
            "is-managed-default",
            "short-resource-names",
            "require-quorum",
            "suppress-cib-writes",
            "crmd-integration-timeout",
            "crmd-finalization-timeout",
            "crmd-transition-delay",
            "last-lrm-refresh",
            "expected-quorum-votes",
        ]
    )
)
"""Cluster options by their current names; the legacy ones have `_` for `-`."""

SILENT_OPTIONS = frozenset(
    [
        "dc-version",
        "cluster-infrastructure",
        "cluster-name",
        "have-watchdog",
        "last-lrm-refresh",
        "default-resource-stickiness",
        "default-action-timeout",
        "is-managed-default",
        "pe-error-series-max",
        "pe-warn-series-max",
        "pe-input-series-max",
        "short-resource-names",
        "require-quorum",
        "suppress-cib-writes",
    ]
)
"""Known options that need no warning: written by a cluster, converted, or without effect here."""

EFFECTIVE_META = frozenset(
    [
        "priority",
        "target-role",
        "is-managed",
        "maintenance",
        "resource-stickiness",
        "migration-threshold",
        "failure-timeout",
        "critical",
        "ordered",
        "collocated",
        "requires",
        "multiple-active",
        "restart-type",
        "allow-migrate",
        "allow-unhealthy-nodes",
        "container",
        "container-attribute-target",
        "provides",
        "clone-max",
        "clone-node-max",
        "clone-min",
        "globally-unique",
        "notify",
        "interleave",
        "promotable",
        "promoted-max",
        "promoted-node-max",
        "master-max",
        "master-node-max",
        "resource-failure-stickiness",  # the upgrade of the old dialect has dealt with it
    ]
)
REMOTE_META = frozenset(
    [
        "remote-node",
        "remote-addr",
        "remote-port",
        "remote-connect-timeout",
        "remote-allow-migrate",
    ]
)
KNOWN_META = EFFECTIVE_META | REMOTE_META
"""Meta-attributes of resources by their current names."""
