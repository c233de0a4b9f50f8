"""A current-dialect <configuration> -> the values that the scheduler reads.

Every option gets its effective value here: own, from the group or clone around it, from
rsc_defaults or op_defaults, or built in. Source: facts/formats/CIB-MODERN.md sections 2 to 4.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from standfest.config.cib import values
from standfest.config.cib.constraints import Constraints
from standfest.config.cib.findings import Findings
from standfest.config.cib.names import meant
from standfest.config.cib.sets import applicable, options_of
from standfest.config.cib.vocabulary import (
    IMPLEMENTED_META,
    IMPLEMENTED_OPTIONS,
    KNOWN_META,
    KNOWN_OPTIONS,
    META_WITHOUT_EFFECT,
    SILENT_OPTIONS,
)
from standfest.model.configuration import (
    Clone,
    ClusterOptions,
    Configuration,
    Group,
    NodeEntry,
    NoQuorumPolicy,
    OnFail,
    OperationEntry,
    Primitive,
    Resource,
    ResourceOptions,
    TargetRole,
)
from standfest.model.element import Element
from standfest.model.errors import ConfigError, Finding
from standfest.model.operations import Agent
from standfest.model.time import Duration, seconds

DEFAULT_TIMEOUT: Duration = seconds(20)
STANDARDS = ("ocf", "lsb", "systemd", "service", "heartbeat", "stonith")
_POLICIES = {policy.value: policy for policy in NoQuorumPolicy} | {"fence": NoQuorumPolicy.SUICIDE}
_ON_FAIL = {reaction.value: reaction for reaction in OnFail}
_ROLES = {role.value.lower(): role for role in TargetRole} | {
    "master": TargetRole.PROMOTED,
    "slave": TargetRole.UNPROMOTED,
    "#default": TargetRole.STARTED,
}
T = TypeVar("T")


def compile_configuration(
    configuration: Element, path: str | Callable[[Element], str] = "cib.xml"
) -> tuple[Configuration, tuple[Finding, ...]]:
    """Return the values and the warnings; raises ConfigError with all errors.

    path: the file, or what tells an element's file when there are several: `Loaded.path_of`.
    """
    compiler = _Compiler(path)
    compiled = compiler.compile(configuration)
    if compiler.findings.errors:
        raise ConfigError(*sorted(compiler.findings.errors, key=lambda f: (f.path, f.line)))
    return compiled, tuple(compiler.findings.warnings)


class _Compiler:
    def __init__(self, path: str | Callable[[Element], str]) -> None:
        self.findings = Findings(path)
        self._resource_defaults: dict[str, str] = {}
        self._operation_defaults: dict[str, str] = {}
        self._stated: dict[str, Element] = {}  # cluster option -> the nvpair that counts

    def compile(self, configuration: Element) -> Configuration:
        properties = self._properties(configuration)
        self._resource_defaults = self._defaults(configuration, "rsc_defaults")
        for old, new in (
            ("default-resource-stickiness", "resource-stickiness"),
            ("is-managed-default", "is-managed"),
        ):
            if old in properties:
                self._resource_defaults = {new: properties[old]} | self._resource_defaults
        self._operation_defaults = self._defaults(configuration, "op_defaults")
        if "default-action-timeout" in properties:
            timeout = properties["default-action-timeout"]
            self._operation_defaults = {"timeout": timeout} | self._operation_defaults
        resources = self._resources(configuration)
        constraints = Constraints(self.findings, _ids(resources), _unbuilt(configuration))
        section = configuration.child("constraints")
        for constraint in section.children if section else ():
            constraints.read(constraint)
        return Configuration(
            options=self._options(properties),
            nodes=self._nodes(configuration),
            resources=resources,
            locations=tuple(constraints.locations),
            colocations=tuple(constraints.colocations),
            orders=tuple(constraints.orders),
        )

    # --- crm_config and defaults ----------------------------------------------------------------

    def _properties(self, configuration: Element) -> dict[str, str]:
        section = configuration.child("crm_config")
        sets = applicable(section, "cluster_property_set") if section else []
        sets.sort(key=lambda s: s.id != "cib-bootstrap-options")  # it comes before all others
        found: dict[str, str] = {}
        for properties in sets:
            for pair in properties.all("nvpair"):
                name = (pair.get("name") or "").replace("_", "-")
                name = {"fencing-enabled": "stonith-enabled"}.get(name, name)
                self._known_option(name, pair)
                found.setdefault(name, pair.get("value") or "")
                self._stated.setdefault(name, pair)
        return found

    def _known_option(self, name: str, pair: Element) -> None:
        if name in IMPLEMENTED_OPTIONS or name in SILENT_OPTIONS:
            return
        if name in KNOWN_OPTIONS:
            self.findings.warn(pair, f"cluster option {name} is not implemented yet")
            return
        problem = f"unknown cluster option {name}"
        self.findings.warn(pair, problem, meant(name, KNOWN_OPTIONS))

    def _options(self, properties: Mapping[str, str]) -> ClusterOptions:
        default = ClusterOptions()

        def read(name: str, parse: Callable[[str], T], fallback: T) -> T:
            if name not in properties:
                return fallback
            pair = self._stated[name]
            return self.findings.value(pair, name, properties[name], parse, fallback)

        return ClusterOptions(
            symmetric_cluster=read("symmetric-cluster", values.boolean, True),
            no_quorum_policy=read("no-quorum-policy", _word(_POLICIES), default.no_quorum_policy),
            stonith_enabled=read("stonith-enabled", values.boolean, True),
            start_failure_is_fatal=read("start-failure-is-fatal", values.boolean, True),
            maintenance_mode=read("maintenance-mode", values.boolean, False),
            stop_all_resources=read("stop-all-resources", values.boolean, False),
            enable_startup_probes=read("enable-startup-probes", values.boolean, True),
            stop_orphan_resources=read("stop-orphan-resources", values.boolean, True),
            cluster_delay=read("cluster-delay", values.duration, default.cluster_delay),
            batch_limit=read("batch-limit", values.score, 0),
            recheck_interval=read(
                "cluster-recheck-interval", values.duration, default.recheck_interval
            ),
        )

    def _defaults(self, configuration: Element, tag: str) -> dict[str, str]:
        section = configuration.child(tag)
        if section is None:
            return {}
        if tag == "rsc_defaults":
            self._known_meta(section)
        return options_of(section, "meta_attributes")

    def _nodes(self, configuration: Element) -> tuple[NodeEntry, ...]:
        section = configuration.child("nodes")
        entries = []
        for node in section.all("node") if section else ():
            name = node.get("uname") or node.id
            attributes = options_of(node, "instance_attributes")
            entries.append(NodeEntry(node.id, name, tuple(sorted(attributes.items()))))
        return tuple(entries)

    # --- resources ------------------------------------------------------------------------------

    def _resources(self, configuration: Element) -> tuple[Resource, ...]:
        section = configuration.child("resources")
        found: list[Resource] = []
        for element in section.children if section else ():
            if element.tag == "primitive":
                found.append(self._primitive(element, {}, {}))
            elif element.tag == "group":
                found.append(self._group(element, {}))
            elif element.tag in ("clone", "master"):
                clone = self._clone(element)
                if clone is not None:
                    found.append(clone)
        return tuple(found)

    def _group(self, element: Element, inherited: dict[str, str]) -> Group:
        self._known_meta(element)
        meta = inherited | options_of(element, "meta_attributes")
        parameters = options_of(element, "instance_attributes")
        members = tuple(self._primitive(m, meta, parameters) for m in element.all("primitive"))
        if not members:
            self.findings.error(element, f"group {element.id} is empty", "at least one primitive")

        def flag(name: str) -> bool:
            return self.findings.value(element, name, meta.get(name, "true"), values.boolean, True)

        return Group(
            element.id,
            members,
            self._resource_options(element, meta),
            ordered=flag("ordered"),
            collocated=flag("collocated"),
        )

    def _clone(self, element: Element) -> Clone | None:
        meta = options_of(element, "meta_attributes")
        inner = next(element.all("primitive", "group"), None)
        if inner is None:
            self.findings.error(element, f"clone {element.id} is empty", "a primitive or a group")
            return None
        child: Primitive | Group
        if inner.tag == "group":
            child = self._group(inner, meta)
        else:
            child = self._primitive(inner, meta, options_of(element, "instance_attributes"))
        return Clone(element.id, child, tuple(sorted(meta.items())))

    def _primitive(
        self, element: Element, inherited: dict[str, str], given: dict[str, str]
    ) -> Primitive:
        self._known_meta(element)
        meta = inherited | options_of(element, "meta_attributes")
        parameters = dict(given) | options_of(element, "instance_attributes")
        operations = element.child("operations")
        entries = tuple(self._operation(o) for o in (operations.all("op") if operations else ()))
        self._twice(element, entries)
        timeout = self._operation_defaults.get("timeout", "20s")
        return Primitive(
            id=element.id,
            agent=self._agent(element),
            parameters=tuple(sorted(parameters.items())),
            operations=entries,
            options=self._resource_options(element, meta),
            default_timeout=self.findings.value(
                element, "timeout", timeout, values.duration, DEFAULT_TIMEOUT
            ),
        )

    def _agent(self, element: Element) -> Agent:
        standard, kind = element.get("class") or "", element.get("type") or ""
        if element.get("template") is not None:
            problem = f"{element.id} uses template {element.get('template')}"
            self.findings.error(element, problem, "class and type: templates are not built yet")
            return Agent(standard, kind)
        if standard not in STANDARDS:
            problem = f"class of {element.id} is {standard or 'missing'}"
            self.findings.error(element, problem, meant(standard, STANDARDS))
        name = kind.removeprefix("external/") if standard == "stonith" else kind
        if not _is_name(name):
            self.findings.error(element, f"type of {element.id} is {kind or 'missing'}", "a name")
        provider = element.get("provider") or ("heartbeat" if standard == "ocf" else "")
        if provider and not _is_name(provider):
            self.findings.error(element, f"provider of {element.id} is {provider}", "a name")
        return Agent(standard, kind, provider)

    def _twice(self, element: Element, entries: tuple[OperationEntry, ...]) -> None:
        seen: set[tuple[str, Duration]] = set()
        for entry in entries:
            if (entry.name, entry.interval) in seen:
                problem = f"two {entry.name} operations of {element.id} with one interval"
                self.findings.error(element, problem, "different intervals")
            seen.add((entry.name, entry.interval))

    def _operation(self, element: Element) -> OperationEntry:
        options = (
            dict(self._operation_defaults)
            | options_of(element, "meta_attributes")
            | dict(element.attributes)
        )

        def read(name: str, parse: Callable[[str], T], fallback: T) -> T:
            text = options.get(name)
            if text is None:
                return fallback
            return self.findings.value(element, name, text, parse, fallback)

        parameters = options_of(element, "instance_attributes")
        return OperationEntry(
            id=element.id,
            name=element.get("name") or "",
            interval=read("interval", values.duration, 0),
            timeout=read("timeout", values.duration, DEFAULT_TIMEOUT),
            on_fail=read("on-fail", _word(_ON_FAIL), None),
            enabled=read("enabled", values.boolean, True),
            role=options.get("role", ""),
            start_delay=read("start-delay", values.duration, 0),
            parameters=tuple(sorted(parameters.items())),
        )

    def _known_meta(self, element: Element) -> None:
        """Warn of meta-attributes that do nothing here: not built, or misspelt."""
        for attributes in applicable(element, "meta_attributes"):
            for pair in attributes.all("nvpair"):
                name, value = pair.get("name") or "", (pair.get("value") or "").lower()
                if name in IMPLEMENTED_META or value in META_WITHOUT_EFFECT.get(name, ()):
                    continue
                if name in KNOWN_META:
                    self.findings.warn(pair, f"meta-attribute {name} is not implemented yet")
                else:
                    self.findings.warn(
                        pair, f"unknown meta-attribute {name}", meant(name, KNOWN_META)
                    )

    def _resource_options(self, element: Element, own: Mapping[str, str]) -> ResourceOptions:
        options = dict(self._resource_defaults) | dict(own)
        default = ResourceOptions()

        def read(name: str, parse: Callable[[str], T], fallback: T) -> T:
            text = options.get(name)
            if text is None:
                return fallback
            return self.findings.value(element, name, text, parse, fallback)

        return ResourceOptions(
            priority=read("priority", values.score, 0),
            target_role=read("target-role", _word(_ROLES), default.target_role),
            is_managed=read("is-managed", values.boolean, True),
            maintenance=read("maintenance", values.boolean, False),
            resource_stickiness=read("resource-stickiness", values.score, 0),
            migration_threshold=read(
                "migration-threshold", values.score, default.migration_threshold
            ),
            failure_timeout=read("failure-timeout", values.duration, 0),
            critical=read("critical", values.boolean, True),
        )


def _word(words: Mapping[str, T]) -> Callable[[str], T]:
    """Return a parser for one of a few words, in any case."""

    def parse(text: str) -> T:
        if text.lower() not in words:
            raise ValueError(meant(text, words))
        return words[text.lower()]

    return parse


def _is_name(text: str) -> bool:
    """Return whether the text can name a file in an agents' folder, and nothing outside it."""
    return bool(text) and "/" not in text and "\0" not in text and not text.startswith(".")


def _unbuilt(configuration: Element) -> Iterable[str]:
    """Return the ids that a constraint may name although nothing is made of them yet."""
    tags = ("bundle", "template", "tag")
    return (element.id for element in configuration.walk() if element.tag in tags)


def _ids(resources: tuple[Resource, ...]) -> frozenset[str]:
    found: set[str] = set()
    for resource in resources:
        inner = resource.child if isinstance(resource, Clone) else resource
        found |= {resource.id, inner.id}
        if isinstance(inner, Group):
            found |= {member.id for member in inner.members}
    return frozenset(found)
