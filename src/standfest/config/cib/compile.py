"""A current-dialect <configuration> -> checked, and the values that others than the scheduler read.

Every option gets its effective value: own, from its template, from the group or clone around it,
from rsc_defaults or op_defaults, or built in. There is no time here, so sets with a rule do not
count: it matters to whoever asks for parameters that a rule changes, such as the `nic` that
`links` watches; the scheduler reads the document itself and knows the time.
Source: facts/formats/CIB-MODERN.md sections 2 to 4.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

from standfest.config.cib import alerts, constraints, fencing, rules, shared, templates, values
from standfest.config.cib.findings import Findings
from standfest.config.cib.names import meant
from standfest.config.cib.options import Names
from standfest.config.cib.sets import applicable, options_of
from standfest.config.cib.vocabulary import NO_REMOTE, RENAMED_OPTIONS
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
    configuration: Element, path: str | Callable[[Element], str] = "cib.xml", nodes: int = 0
) -> tuple[Configuration, tuple[Finding, ...]]:
    """Return the values and the warnings; raises ConfigError with all errors.

    path: the file, or what tells an element's file when there are several: `Loaded.path_of`.
    nodes: how many there are, where the configuration names none.
    """
    compiler = _Compiler(path)
    compiled = compiler.compile(configuration, nodes)
    if compiler.findings.errors:
        raise ConfigError(*sorted(compiler.findings.errors, key=lambda f: (f.path, f.line)))
    return compiled, tuple(compiler.findings.warnings)


class _Compiler:
    def __init__(self, path: str | Callable[[Element], str]) -> None:
        self.findings = Findings(path)
        self._names = Names(self.findings)
        self._templates: dict[str, Element] = {}
        self._resource_defaults: dict[str, str] = {}
        self._operation_defaults: dict[str, str] = {}
        self._stated: dict[str, Element] = {}  # cluster option -> the nvpair that counts
        self._primitives: list[tuple[Element, Primitive, Mapping[str, str]]] = []

    def compile(self, configuration: Element, nodes: int) -> Configuration:
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
        options = self._options(properties)
        compiled = Configuration(
            options=options,
            nodes=self._nodes(configuration),
            resources=self._resources(configuration),
            fencing=fencing.compile_plan(configuration, self._primitives, options, self.findings),
        )
        constraints.check(configuration, self.findings)
        rules.check(configuration, self.findings)
        alerts.check(configuration, self.findings)
        shared.check(
            configuration,
            self.findings,
            nodes=len(compiled.nodes) or nodes,
            defaults=self._resource_defaults,
            fencing=compiled.options.stonith_enabled,
        )
        return compiled

    # --- crm_config and defaults ----------------------------------------------------------------

    def _properties(self, configuration: Element) -> dict[str, str]:
        section = configuration.child("crm_config")
        sets = applicable(section, "cluster_property_set") if section else []
        sets.sort(key=lambda s: s.id != "cib-bootstrap-options")  # it comes before all others
        found: dict[str, str] = {}
        for properties in sets:
            for pair in properties.all("nvpair"):
                name = (pair.get("name") or "").replace("_", "-")
                name = RENAMED_OPTIONS.get(name, name)
                found.setdefault(name, pair.get("value") or "")
                self._stated.setdefault(name, pair)
        for properties in section.all("cluster_property_set") if section else ():
            self._names.options(properties)
        return found

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
            stonith_timeout=read("stonith-timeout", values.duration, default.stonith_timeout),
            stonith_max_attempts=read(
                "stonith-max-attempts", values.count, default.stonith_max_attempts
            ),
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
            self._names.meta(section)
        return options_of(section, "meta_attributes")

    def _nodes(self, configuration: Element) -> tuple[NodeEntry, ...]:
        section = configuration.child("nodes")
        entries = []
        for node in section.all("node") if section else ():
            name = node.get("uname") or node.id
            if node.get("type") == "remote":
                self.findings.warn(node, f"node {name}: {NO_REMOTE}")
            attributes = options_of(node, "instance_attributes")
            entries.append(NodeEntry(node.id, name, tuple(sorted(attributes.items()))))
        return tuple(entries)

    # --- resources ------------------------------------------------------------------------------

    def _resources(self, configuration: Element) -> tuple[Resource, ...]:
        section = configuration.child("resources")
        found: list[Resource] = []
        for template in section.all("template") if section else ():
            self._templates[template.id] = template
            self._names.meta(template)
            self._agent(template, template)
        for element in section.children if section else ():
            if element.tag == "primitive":
                found.append(self._primitive(element, {}, {}))
            elif element.tag == "group":
                found.append(self._group(element, {}))
            elif element.tag in ("clone", "master"):
                clone = self._clone(element)
                if clone is not None:
                    found.append(clone)
            elif element.tag == "bundle":
                self._bundle(element)
        return tuple(found)

    def _group(self, element: Element, inherited: dict[str, str]) -> Group:
        self._names.meta(element)
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
        self._names.meta(element)
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
        stated = self._resource_defaults | meta

        def read(name: str, parse: Callable[[str], T], fallback: T) -> T:
            text = stated.get(name)
            return (
                fallback
                if text is None
                else self.findings.value(element, name, text, parse, fallback)
            )

        most = read("promoted-max", values.count, read("master-max", values.count, 1))
        several = read("clone-node-max", values.count, 1) > 1
        return Clone(
            element.id,
            child,
            tuple(sorted(meta.items())),
            promotable=element.tag == "master" or read("promotable", values.boolean, False),
            promoted_max=most,
            globally_unique=read("globally-unique", values.boolean, several),
        )

    def _bundle(self, element: Element) -> None:
        """Look at a bundle's numbers: without `replicas` there are as many as are promoted."""
        for engine in element.all("docker", "podman", "rkt"):
            for name in ("replicas", "promoted-max", "masters"):
                if (text := engine.get(name)) is not None:
                    what = f"{name} of {element.id}"
                    self.findings.value(engine, what, text, values.instances, 1)

    def _primitive(
        self, written: Element, inherited: dict[str, str], given: dict[str, str]
    ) -> Primitive:
        self._names.meta(written)
        element = templates.merged(written, self._templates)
        meta = inherited | options_of(element, "meta_attributes")
        parameters = dict(given) | options_of(element, "instance_attributes")
        operations = element.child("operations")
        entries = tuple(self._operation(o) for o in (operations.all("op") if operations else ()))
        self._twice(written, entries)
        timeout = self._operation_defaults.get("timeout", "20s")
        compiled = Primitive(
            id=element.id,
            agent=self._agent(written, element),
            parameters=tuple(sorted(parameters.items())),
            operations=entries,
            options=self._resource_options(written, meta),
            default_timeout=self.findings.value(
                written, "timeout", timeout, values.duration, DEFAULT_TIMEOUT
            ),
        )
        self._primitives.append((written, compiled, meta))
        return compiled

    def _agent(self, written: Element, element: Element) -> Agent:
        """Return the agent; `element` is what is written, with what its template gives it."""
        standard, kind = element.get("class") or "", element.get("type") or ""
        who = written.id
        name = written.get("template")
        if name is not None and name not in self._templates:
            expected = meant(name, self._templates) or "the id of a <template>"
            self.findings.error(written, f"template of {who} is {name}", expected)
            return Agent(standard, kind)
        if standard not in STANDARDS:
            problem = f"class of {who} is {standard or 'missing'}"
            self.findings.error(written, problem, meant(standard, STANDARDS))
        path = kind.removeprefix("external/") if standard == "stonith" else kind
        if not _is_name(path):
            self.findings.error(written, f"type of {who} is {kind or 'missing'}", "a name")
        provider = element.get("provider") or ("heartbeat" if standard == "ocf" else "")
        if provider and not _is_name(provider):
            self.findings.error(written, f"provider of {who} is {provider}", "a name")
        if (standard, provider, kind) == ("ocf", "pacemaker", "remote"):
            self.findings.warn(written, f"{who} is a connection: {NO_REMOTE}")
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
            role=read("role", _role, ""),
            start_delay=read("start-delay", values.duration, 0),
            parameters=tuple(sorted(parameters.items())),
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


def _role(text: str) -> str:
    """Return a role as it is written; raises ValueError if there is none of that name."""
    _word(_ROLES)(text)
    return text


def _is_name(text: str) -> bool:
    """Return whether the text can name a file in an agents' folder, and nothing outside it."""
    return bool(text) and "/" not in text and "\0" not in text and not text.startswith(".")
