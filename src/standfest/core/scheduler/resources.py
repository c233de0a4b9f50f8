"""Unpack stage: resources with their effective options, clones with their instances.

Source: Pacemaker Explained, "Resource options", "Clones"; SCHEDULER-SPEC sections 5 to 7.
"""

from collections.abc import Mapping

from standfest.core.scheduler import values
from standfest.core.scheduler.bundles import guests_of, read_bundle
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.entities import Kind, Need, OperationConfig, Resource, Role
from standfest.core.scheduler.nodes import add_remote
from standfest.core.scheduler.rules import Facts, values_of
from standfest.model.configuration import MAX_INSTANCES
from standfest.model.element import Element
from standfest.model.scores import INFINITY

ROLES = {
    "started": Role.STARTED,
    "stopped": Role.STOPPED,
    "promoted": Role.PROMOTED,
    "master": Role.PROMOTED,
    "unpromoted": Role.UNPROMOTED,
    "slave": Role.UNPROMOTED,
}
TAGS = {
    "primitive": Kind.PRIMITIVE,
    "group": Kind.GROUP,
    "clone": Kind.CLONE,
    "master": Kind.CLONE,
    "bundle": Kind.BUNDLE,
}
_NOT_INHERITED = frozenset(
    {
        "clone-max",
        "clone-node-max",
        "clone-min",
        "globally-unique",
        "notify",
        "interleave",
        "ordered",
        "promotable",
        "promoted-max",
        "promoted-node-max",
        "master-max",
        "master-node-max",
    }
)


class Reader:
    """Makes resources of elements; defaults are read once."""

    def __init__(self, cluster: Cluster, configuration: Element) -> None:
        self.cluster = cluster
        self._configuration = configuration
        self._resource_defaults = configuration.child("rsc_defaults")
        self._operation_defaults = configuration.child("op_defaults")
        self._plain_resource = self._plain(self._resource_defaults)
        self._plain_operation = self._plain(self._operation_defaults)
        self.facts = Facts(cluster.now)
        self._later_guests = 0
        self.parts: list[Resource] = []  # of the bundle that is being read

    def _plain(self, section: Element | None) -> Mapping[str, str] | None:
        """Return the defaults if no rule makes them depend on the resource; None otherwise."""
        if section is None:
            return {}
        if any(part.child("rule") is not None for part in section.children):
            return None
        return values_of(section, "meta_attributes", Facts(self.cluster.now))

    def read(self) -> None:
        """Make all resources."""
        section = self._configuration.child("resources")
        elements = section.children if section is not None else ()
        for element in elements:
            if element.tag == "template":
                self.cluster.templates[element.id] = element
        self._remotes_first(elements)
        # Bundles make their nodes when their turn comes: clones before them do not count these.
        later = {e.id: len(guests_of(e)) for e in elements if e.tag == "bundle"}
        self._later_guests = sum(later.values())
        for element in elements:
            if element.tag in TAGS:
                self.cluster.resources.append(self.resource(element, None))
                self.cluster.resources += self.parts
                self.parts = []
                self._later_guests -= later.get(element.id, 0)

    def _remotes_first(self, elements: tuple[Element, ...]) -> None:
        """Make the nodes behind connections, because score tables have a place for each."""
        for element in elements:
            for inner in element.walk():
                if inner.tag != "primitive":
                    continue
                meta = values_of(inner, "meta_attributes", self.facts)
                if element.tag == "bundle":
                    self._guests(element)
                full = self._templated(inner)
                if full.get("class") == "ocf" and full.get("type") == "remote":
                    add_remote(self.cluster, inner.id)
                elif "remote-node" in meta:
                    node = add_remote(self.cluster, meta["remote-node"])
                    node.is_guest = True

    def _guests(self, bundle: Element) -> None:
        for name in guests_of(bundle):
            add_remote(self.cluster, name).is_guest = True

    def apply_options(self, resource: Resource) -> None:
        """Read the effective options of a resource that no element describes."""
        self._effective(resource, resource.meta)

    def _templated(self, element: Element) -> Element:
        """Return a primitive with what its template says put behind its own."""
        name = element.get("template")
        if name is None or name not in self.cluster.templates:
            return element
        template = self.cluster.templates[name]
        attributes = dict(template.attributes) | dict(element.attributes)
        attributes.pop("template", None)
        own, inherited = element.child("operations"), template.child("operations")
        operations: tuple[Element, ...] = ()
        if own is not None or inherited is not None:
            mine = own.children if own is not None else ()
            taken = {(op.get("name"), values.milliseconds(op.get("interval"), 0)) for op in mine}
            theirs = tuple(
                op
                for op in (inherited.children if inherited is not None else ())
                if (op.get("name"), values.milliseconds(op.get("interval"), 0)) not in taken
            )
            operations = (Element("operations", (), (*mine, *theirs)),)
        sets = tuple(c for c in element.children if c.tag != "operations")
        rest = tuple(c for c in template.children if c.tag != "operations")
        children = (*sets, *rest, *operations)
        return Element("primitive", tuple(attributes.items()), children, line=element.line)

    def resource(self, element: Element, parent: Resource | None) -> Resource:
        """Return the resource that an element describes, children included."""
        kind = TAGS[element.tag]
        if kind is Kind.PRIMITIVE:
            element = self._templated(element)
        resource = Resource(element.id, kind, element, parent)
        self.cluster.by_id.setdefault(resource.id, resource)
        self.read_options(resource)
        if kind is Kind.GROUP:
            self._group(resource)
        elif kind is Kind.CLONE:
            self._clone(resource)
        elif kind is Kind.BUNDLE:
            read_bundle(self, resource)
        else:
            self._primitive(resource)
        return resource

    # --- options --------------------------------------------------------------------------------

    def read_options(self, resource: Resource) -> None:
        """Read the effective options of a resource, defaults included."""
        element, parent = resource.element, resource.parent
        facts = self.facts
        agent = ("", "", "")
        if resource.kind is Kind.PRIMITIVE:
            agent = (
                element.get("class") or "",
                element.get("provider") or default_provider(element.get("class")),
                element.get("type") or "",
            )
            resource.agent = agent
        meta = values_of(element, "meta_attributes", facts)
        if parent is not None:
            for name, value in parent.meta.items():
                if name not in meta and not (
                    name in _NOT_INHERITED and resource.kind is Kind.PRIMITIVE
                ):
                    meta[name] = value
        if self._plain_resource is None:
            assert self._resource_defaults is not None, "an absent section has no rules"
            about = Facts(self.cluster.now, agent=agent)
            defaults: Mapping[str, str] = values_of(
                self._resource_defaults, "meta_attributes", about
            )
        else:
            defaults = self._plain_resource
        for name, value in defaults.items():
            meta.setdefault(name, value)
        resource.meta = meta
        self._effective(resource, meta)

    def _effective(self, resource: Resource, meta: Mapping[str, str]) -> None:
        given = self.cluster.options.given
        resource.priority = values.score(meta.get("priority"), 0)
        default = given.get("default-resource-stickiness")
        resource.stickiness = values.score(meta.get("resource-stickiness", default), 0)
        threshold = values.score(meta.get("migration-threshold"), INFINITY)
        resource.migration_threshold = threshold if threshold >= 0 else INFINITY
        resource.failure_timeout = values.milliseconds(meta.get("failure-timeout"), 0) // 1000
        resource.critical = values.boolean(meta.get("critical"), True)
        managed = meta.get("is-managed", given.get("is-managed-default"))
        resource.managed = values.boolean(managed, True)
        maintenance = values.boolean(meta.get("maintenance"), False)
        if maintenance or self.cluster.options.maintenance_mode:
            resource.managed = False
            resource.maintenance = True
        resource.multiple_active = meta.get("multiple-active", "stop_start")
        resource.restart_type = meta.get("restart-type", "ignore")
        resource.target_role = ROLES.get(meta.get("target-role", "").lower(), Role.UNKNOWN)
        if resource.parent is None or resource.parent.kind is not Kind.CLONE:
            pass
        migrate = meta.get("allow-migrate")
        resource.allow_migrate = values.boolean(migrate, False)

    def _needs(self, resource: Resource) -> None:
        """Read `requires`: fence devices need quorum, everything else fencing where it is on."""
        options = self.cluster.options
        value = resource.meta.get("requires")
        if value is None:
            if resource.fence_device or self._connects(resource):
                need = Need.QUORUM
            elif options.fencing:
                need = Need.UNFENCING if self.cluster.have_unfencing else Need.FENCING
            elif options.no_quorum_policy == "ignore":
                need = Need.NOTHING
            else:
                need = Need.QUORUM
            resource.needs = need
            return
        word = value.lower()
        if word == "nothing":
            resource.needs = Need.NOTHING
        elif word == "quorum" or not options.fencing:
            resource.needs = Need.QUORUM
        elif word == "unfencing":
            resource.needs = Need.QUORUM if resource.fence_device else Need.UNFENCING
        else:
            resource.needs = Need.FENCING

    @staticmethod
    def _connects(resource: Resource) -> bool:
        """Return whether it is a connection to a remote node: what is behind it needs fencing."""
        return resource.agent == ("ocf", "pacemaker", "remote") and resource.container is None

    def settle_needs(self) -> None:
        """Decide `requires`; done when it is known whether any device unfences."""
        for resource in self.cluster.resources:
            self._settle(resource)

    def _settle(self, resource: Resource) -> None:
        self._needs(resource)
        for child in resource.children:
            self._settle(child)

    # --- kinds ----------------------------------------------------------------------------------

    def _group(self, resource: Resource) -> None:
        resource.ordered = values.boolean(resource.meta.get("ordered"), True)
        resource.collocated = values.boolean(resource.meta.get("collocated"), True)
        for child in resource.element.children:
            if child.tag == "primitive":
                self._child(child, resource)

    def _child(self, element: Element, parent: Resource) -> Resource:
        child = self.resource(element, parent)
        parent.children.append(child)
        child.clone = parent.clone
        return child

    def _clone(self, resource: Resource) -> None:
        meta, element = resource.meta, resource.element
        inner = next((c for c in element.children if c.tag in ("primitive", "group")), None)
        promotable = element.tag == "master" or values.boolean(meta.get("promotable"), False)
        resource.promotable = promotable
        resource.promoted_max = values.integer(meta.get("promoted-max", meta.get("master-max")), 1)
        resource.promoted_node_max = values.integer(
            meta.get("promoted-node-max", meta.get("master-node-max")), 1
        )
        resource.clone_node_max = values.integer(meta.get("clone-node-max"), 1)
        unique = meta.get("globally-unique")
        resource.globally_unique = values.boolean(unique, resource.clone_node_max > 1)
        if not resource.globally_unique and resource.clone_node_max > 1:
            resource.clone_node_max = 1
        resource.clone_min = values.integer(meta.get("clone-min"), 0)
        count = max(1, len(self.cluster.nodes) - self._later_guests)
        resource.clone_max = min(values.integer(meta.get("clone-max"), count), MAX_INSTANCES)
        resource.ordered = values.boolean(meta.get("ordered"), False)
        resource.interleave = values.boolean(meta.get("interleave"), False)
        resource.notify = values.boolean(meta.get("notify"), False)
        if "resource-stickiness" not in meta:
            resource.stickiness = 1
        resource.child_is_group = inner is not None and inner.tag == "group"
        if inner is None:
            return
        for number in range(max(0, resource.clone_max)):
            self.instance(resource, inner, number)
        if resource.clone_max <= 0:
            # What still runs of it has to be known to be stopped.
            self.instance(resource, inner, 0)

    def instance(self, clone: Resource, inner: Element, number: int) -> Resource:
        """Return a new instance of a clone."""
        before = dict(self.cluster.by_id)
        instance = self.resource(inner, clone)
        for leaf in _tree(instance):
            leaf.base = leaf.id
            leaf.clone = clone
            leaf.instance = number
            leaf.promotable = clone.promotable
            leaf.notify = clone.notify
            leaf.globally_unique = clone.globally_unique
            if "resource-stickiness" not in clone.meta and not leaf.stickiness:
                given = leaf.meta.get("resource-stickiness")
                leaf.stickiness = 1 if given is None else leaf.stickiness
            leaf.id = f"{leaf.id}:{number}"
            leaf.history_id = leaf.id if clone.globally_unique else leaf.base
            self.cluster.by_id[leaf.id] = leaf
            if leaf.base not in before:
                self.cluster.by_id[leaf.base] = self.cluster.by_id.get(leaf.base, leaf)
        clone.children.append(instance)
        return instance

    def _primitive(self, resource: Resource) -> None:
        element = resource.element
        facts = self.facts
        resource.parameters = self._parameters(resource)
        resource.fence_device = resource.agent[0] == "stonith"
        if resource.fence_device:
            self.cluster.have_fence_device = True
        if element.child("utilization") is not None:
            read = values_of(element, "utilization", facts)
            resource.utilization = {n: values.integer(v, 0) for n, v in read.items()}
        operations = element.child("operations")
        for op in operations.children if operations is not None else ():
            if op.tag == "op":
                resource.operations.append(self._operation(resource, op))
        resource.provides = resource.meta.get("provides", "")
        if resource.fence_device and resource.provides == "unfencing":
            self.cluster.have_unfencing = True
        if resource.agent[0] == "ocf" and resource.agent[2] == "remote":
            self._connection(resource)
        if "allow-migrate" not in resource.meta and resource.remote_node is not None:
            resource.allow_migrate = True

    def _connection(self, resource: Resource) -> None:
        node = self.cluster.node_by_name.get(resource.id)
        if node is not None:
            node.connection = resource
            resource.remote_node = node
        interval = resource.parameters.get("reconnect_interval")
        resource.reconnect_interval = values.milliseconds(interval, 0)
        if resource.reconnect_interval:
            # A failed connection is tried again then: it overrides any failure-timeout.
            resource.failure_timeout = resource.reconnect_interval // 1000

    def _parameters(self, resource: Resource) -> Mapping[str, str]:
        found: dict[str, str] = {}
        level: Resource | None = resource
        while level is not None:
            for name, value in values_of(level.element, "instance_attributes", self.facts).items():
                found.setdefault(name, value)
            level = level.parent
        return found

    def parameters_on(self, resource: Resource, index: int) -> Mapping[str, str]:
        """Return the parameters on one node, whose attributes rules may ask for."""
        if not _ruled(resource):
            return resource.parameters
        cache = resource.parameters_by_node
        if cache is None:
            cache = resource.parameters_by_node = {}
        if index not in cache:
            plain = self.facts
            self.facts = Facts(self.cluster.now, self.cluster.nodes[index].attributes)
            cache[index] = self._parameters(resource)
            self.facts = plain
        return cache[index]

    def _operation(self, resource: Resource, element: Element) -> OperationConfig:
        name = element.get("name") or ""
        meta = values_of(element, "meta_attributes", self.facts)
        for key, value in element.attributes:
            if key not in ("id", "name"):
                meta[key] = value
        interval = values.milliseconds(meta.get("interval"), 0)
        if self._plain_operation is None:
            assert self._operation_defaults is not None, "an absent section has no rules"
            about = Facts(self.cluster.now, agent=resource.agent, operation=(name, interval))
            defaults: Mapping[str, str] = values_of(
                self._operation_defaults, "meta_attributes", about
            )
        else:
            defaults = self._plain_operation
        for key, value in defaults.items():
            meta.setdefault(key, value)
        config = OperationConfig(name, interval)
        config.id = element.id
        config.meta = meta
        config.element = element
        fallback = self.cluster.options.given.get("default-action-timeout")
        config.timeout = values.milliseconds(meta.get("timeout", fallback), 20_000)
        config.role = meta.get("role", "")
        config.on_fail = meta.get("on-fail", "")
        config.enabled = values.boolean(meta.get("enabled"), True)
        if name in ("start", "stop", "promote", "demote"):
            config.interval = 0
        return config

    def default_operation(self, resource: Resource, name: str, interval: int) -> Mapping[str, str]:
        """Return op_defaults for an operation that the resource does not configure."""
        if self._plain_operation is not None:
            return self._plain_operation
        assert self._operation_defaults is not None, "an absent section has no rules"
        about = Facts(self.cluster.now, agent=resource.agent, operation=(name, interval))
        return values_of(self._operation_defaults, "meta_attributes", about)


def default_provider(standard: str | None) -> str:
    """Return the provider of an agent that names none: OCF agents are then `heartbeat`'s."""
    return "heartbeat" if standard == "ocf" else ""


def _tree(resource: Resource) -> list[Resource]:
    found = [resource]
    for child in resource.children:
        found += _tree(child)
    return found


def _ruled(resource: Resource) -> bool:
    level: Resource | None = resource
    while level is not None:
        for part in level.element.children:
            if part.tag == "instance_attributes" and part.child("rule") is not None:
                return True
        level = level.parent
    return False


def target_role(resource: Resource) -> Role:
    """Return what an administrator limits the resource to; UNKNOWN: nothing."""
    role = resource.target_role
    if role in (Role.UNKNOWN, Role.STARTED):
        return Role.UNKNOWN
    if role > Role.STARTED:
        clone = resource.clone if resource.clone is not None else resource
        if not clone.promotable or role is Role.PROMOTED:
            return Role.UNKNOWN
    return role
