"""What schemas 1.0 to 2.10 of today's dialect allowed -> as 3.0 and its successors say it.

What is called otherwise today is found by the names that schema 3.0 refuses (schema.grammar_sets),
and what becomes of it by what cibadmin 2.1.5 makes of it; new elements get the ids that it gives
them (`_2TO3_...`). Lines are kept. Nothing is decided by the number of a schema: what needs no
change has none.
"""

from collections.abc import Iterable
from dataclasses import replace

from standfest.config.cib import older_access
from standfest.config.cib.schema.grammar_sets import STACKS
from standfest.config.cib.schema.versions import NAMES
from standfest.config.cib.values import score
from standfest.model.element import Element
from standfest.model.errors import Finding, Severity

_UNDERSCORED = (
    *("cluster_recheck_interval", "dc_deadtime", "election_timeout", "no_quorum_policy"),
    *("remove_after_stop", "shutdown_escalation", "startup_fencing", "stonith_action"),
    *("stonith_enabled", "stop_orphan_actions", "stop_orphan_resources", "symmetric_cluster"),
)
RENAMED = {
    **{name: name.replace("_", "-") for name in _UNDERSCORED},
    "transition_idle_timeout": "cluster-delay",
}
MOVED = {
    "default-action-timeout": ("op_defaults", "timeout"),
    "default-resource-stickiness": ("rsc_defaults", "resource-stickiness"),
    "is-managed-default": ("rsc_defaults", "is-managed"),
}
"""Option, with `_` as well -> the section that has it today, and its name there."""
DROPPED = {
    "default-resource-failure-stickiness": "a migration-threshold in rsc_defaults",
    "default-migration-threshold": "a migration-threshold in rsc_defaults",
    "expected-quorum-votes": "nothing: membership knows the votes",
    "notification-agent": "an <alert>",
    "notification-recipient": "an <alert> with a <recipient>",
}
"""Option, with `_` as well -> what is expected instead."""
_ACTIONS = ("list", "monitor", "off", "on", "reboot", "status")
_PARAMETERS = {f"pcmk_{action}_cmd": f"pcmk_{action}_action" for action in _ACTIONS}
_NO_PARAMETER = "pcmk_arg_map"
_ISOLATION = frozenset({"isolation", "isolation-instance", "isolation-host", "isolation-wrapper"})
_OF_OPERATIONS = frozenset(
    ["interval-origin", "start-delay", "enabled", "on-fail", "record-pending", "role", "timeout"]
)
"""What stood among the parameters of an operation, and is one of its options today."""
_REQUIRING = frozenset({"start", "promote"})
_PREFIX = "_2TO3_"


def is_older(root: Element) -> bool:
    """Return whether a <cib> names a schema before 3.0."""
    version = NAMES.get(root.get("validate-with") or "")
    return version is not None and version < (3, 0)


def upgraded(cib: Element) -> Element:
    """Return a whole <cib> with its configuration upgraded; what it says of its schema stays."""
    return cib.with_children(
        tuple(upgrade(one) if one.tag == "configuration" else one for one in cib.children)
    )


def upgrade(configuration: Element) -> Element:
    """Return a <configuration> that says the same by schema 3.0; unchanged where it does so."""
    sections = {child.tag: _section(child) for child in configuration.children}
    options = configuration.child("crm_config")
    if options is not None:
        _move(options, sections)
    children = tuple(sections.values())
    return (
        configuration
        if children == configuration.children
        else replace(configuration, children=children)
    )


def losses(configuration: Element, path: str) -> list[Finding]:
    """Return a warning for each thing that is dropped, or does not mean the same any more."""
    found: list[Finding] = []

    def lose(element: Element, problem: str, expected: str) -> None:
        found.append(Finding(path, element.line, problem, expected, Severity.WARNING))

    for properties in _within(configuration, "crm_config"):
        for pair in properties.all("nvpair"):
            name, value = _named(pair), pair.get("value") or ""
            if name in DROPPED:
                lose(pair, f"{name} is dropped", DROPPED[name])
            elif name == "cluster-infrastructure" and value in STACKS:
                lose(pair, f"{name} is {value}: it is dropped", "nothing: the cluster states it")
    for resource in configuration.walk():
        if resource.tag not in ("primitive", "template"):
            continue
        for pair in _within(resource, "meta_attributes"):
            if pair.get("name") in _ISOLATION:
                lose(pair, f"{resource.id} was isolated: it is disabled", "a <bundle>")
        for pair in _within(resource, "instance_attributes"):
            if pair.get("name") == _NO_PARAMETER:
                lose(pair, f"{_NO_PARAMETER} of {resource.id} is dropped", "pcmk_host_argument")
        for operation in _within(resource, "operations"):
            if operation.get("name") not in _REQUIRING and any(_requirements(operation)):
                problem = f"requires of {operation.id} is dropped"
                lose(operation, problem, "requires of the resource; of start and promote it is")
    return found + older_access.losses(configuration, path)


def _section(section: Element) -> Element:
    match section.tag:
        case "crm_config":
            return _children(section, (_options(one) for one in section.children))
        case "nodes":
            return _children(section, (_node(one) for one in section.children))
        case "resources":
            return _children(section, (_resource(one) for one in section.children))
        case "acls":
            return older_access.upgrade(section)
        case _:
            return section


def _children(element: Element, children: Iterable[Element | None]) -> Element:
    """Return the element with these children, without those that are None."""
    kept = tuple(child for child in children if child is not None)
    return element if kept == element.children else element.with_children(kept)


def _node(node: Element) -> Element:
    return node.with_attribute("type", "member") if node.get("type") == "normal" else node


# --- options of the cluster -----------------------------------------------------------------------


def _named(pair: Element) -> str:
    """Return a pair's name; the old ones had two spellings."""
    name = pair.get("name") or ""
    dashed = name.replace("_", "-")
    return dashed if dashed in MOVED or dashed in DROPPED else name


def _options(properties: Element) -> Element | None:
    """Return a set of options without what is gone; None when nothing is left of it."""
    kept = _children(properties, (_option(child) for child in properties.children))
    return None if _is_empty(kept) else kept


def _option(pair: Element) -> Element | None:
    name = _named(pair)
    if name in MOVED or name in DROPPED:
        return None
    if name == "cluster-infrastructure" and pair.get("value") in STACKS:
        return None
    return pair.with_attribute("name", RENAMED[name]) if name in RENAMED else pair


def _move(options: Element, sections: dict[str, Element]) -> None:
    """Put defaults where they are today, unless they are there; a set's rule comes along."""
    plain: dict[str, list[Element]] = {"op_defaults": [], "rsc_defaults": []}
    ruled: dict[str, list[Element]] = {"op_defaults": [], "rsc_defaults": []}
    for properties in sorted(options.all("cluster_property_set"), key=_rank):
        rule = properties.child("rule")
        moved: dict[str, list[Element]] = {tag: [] for tag in plain}
        for pair in properties.all("nvpair"):
            target, name = MOVED.get(_named(pair), ("", ""))
            if target and pair.get("value") is not None:
                moved[target].append(pair.with_attribute("name", name))
        for tag, pairs in moved.items():
            if rule is None:
                plain[tag] = _overridden(plain[tag], pairs)
            else:
                ruled[tag] += [_set(f"{pair.id}-set", (_copied(rule), pair)) for pair in pairs]
    for tag, pairs in plain.items():
        section = sections.get(tag) or Element(tag)
        there = {pair.get("name") for pair in _pairs(section, "meta_attributes")}
        fresh = tuple(pair for pair in pairs if pair.get("name") not in there)
        children = (*_added(section.children, fresh, f"-{tag.replace('_', '-')}"), *ruled[tag])
        if children != section.children:
            sections[tag] = section.with_children(children)


def _rank(properties: Element) -> tuple[bool, int]:
    """Return what orders sets of options: of the same name the last one counts."""
    try:
        return properties.id == "cib-bootstrap-options", score(properties.get("score") or "0")
    except ValueError:
        return False, 0


def _overridden(pairs: list[Element], later: list[Element]) -> list[Element]:
    """Return pairs of several sets in one: those of a later set stand for earlier ones."""
    names = {pair.get("name") for pair in later}
    return [*(pair for pair in pairs if pair.get("name") not in names), *later]


def _added(
    children: tuple[Element, ...], pairs: tuple[Element, ...], name: str
) -> tuple[Element, ...]:
    """Return children with pairs in the first set of options without a rule, or in a new one."""
    if not pairs:
        return children
    for number, child in enumerate(children):
        if child.tag == "meta_attributes" and child.child("rule") is None:
            if child.get("id-ref") is not None:
                continue
            grown = child.with_children((*child.children, *pairs))
            return (*children[:number], grown, *children[number + 1 :])
    return (*children, _set(name, pairs))


def _set(name: str, children: tuple[Element, ...]) -> Element:
    return Element("meta_attributes", (("id", f"{_PREFIX}{name}"),), children)


def _copied(element: Element) -> Element:
    """Return a copy with other ids: the original stays, or may."""
    named = element.with_attribute("id", f"{_PREFIX}{element.id}") if element.id else element
    return named.with_children(tuple(map(_copied, element.children)))


# --- resources ------------------------------------------------------------------------------------


def _resource(resource: Element) -> Element:
    if resource.tag not in ("primitive", "template"):
        inner = (
            _resource(child) if child.tag in ("primitive", "group", "clone", "master") else child
            for child in resource.children
        )
        return _children(resource, inner)
    changed = _children(resource, (_part(child) for child in resource.children))
    wanted = [
        one
        for operation in _within(resource, "operations")
        if operation.get("name") in _REQUIRING
        for one in _requirements(operation)
    ]
    own = {pair.get("name") for pair in _pairs(resource, "meta_attributes")}
    if wanted and "requires" not in own:
        stated = [one for one in wanted if not one[0]]
        name, pair = (stated or wanted)[-1]
        fresh = _set(name or f"{resource.id}-meta", (pair,))
        changed = changed.with_children((*changed.children, fresh))
    return changed


def _requirements(operation: Element) -> Iterable[tuple[str, Element]]:
    """Yield (id of its set, pair) for each `requires` of an operation; no set for an attribute."""
    value = operation.get("requires")
    for child in operation.all("meta_attributes", "instance_attributes"):
        for pair in child.all("nvpair"):
            if pair.get("name") == "requires":
                yield child.id, pair
    if value is not None:
        identifier = f"{_PREFIX}{operation.id}-meta-requires"
        stated = (("id", identifier), ("name", "requires"), ("value", value))
        yield "", Element("nvpair", stated, line=operation.line)


def _part(part: Element) -> Element | None:
    match part.tag:
        case "meta_attributes":
            return None if _is_empty(part) else _isolated(part)
        case "instance_attributes":
            kept = _children(part, (_parameter(pair) for pair in part.children))
            return None if _is_empty(kept) else kept
        case "operations":
            return _children(part, (_operation(child) for child in part.children))
        case _:
            return part


def _isolated(part: Element) -> Element:
    """Return options with a disabled resource for an isolated one, whose wrapper is gone."""
    isolated = [pair for pair in part.children if pair.get("name") in _ISOLATION]
    if not isolated:
        return part
    stopped = isolated[0].with_attribute("name", "target-role").with_attribute("value", "Stopped")
    return _children(
        part,
        (
            stopped if pair is isolated[0] else pair
            for pair in part.children
            if pair is isolated[0] or pair not in isolated
        ),
    )


def _parameter(pair: Element) -> Element | None:
    name = pair.get("name") or ""
    if name == _NO_PARAMETER:
        return None
    return pair.with_attribute("name", _PARAMETERS[name]) if name in _PARAMETERS else pair


def _operation(operation: Element) -> Element:
    """Return an operation with its options where they belong, and without `requires`."""
    moved: list[Element] = []
    ruled: list[Element] = []
    children: list[Element] = []
    for child in operation.children:
        if child.tag not in ("meta_attributes", "instance_attributes"):
            children.append(child)
            continue
        options = _OF_OPERATIONS if child.tag == "instance_attributes" else frozenset[str]()
        own = tuple(pair for pair in child.all("nvpair") if pair.get("name") in options)
        rule = child.child("rule")
        kept = _children(
            child,
            (e for e in child.children if e not in own and e.get("name") != "requires"),
        )
        children.append(kept)
        if own and rule is not None:
            ruled.append(_set(child.id, (rule if _is_empty(kept) else _copied(rule), *own)))
        else:
            moved = _overridden(moved, list(own))
    grown = (*_added(tuple(children), tuple(moved), f"{operation.id}-meta"), *ruled)
    grown = tuple(child for child in grown if not _is_empty(child))
    changed = operation if grown == operation.children else operation.with_children(grown)
    return changed.with_attribute("requires", None) if operation.get("requires") else changed


# --- reading --------------------------------------------------------------------------------------


def _within(element: Element, tag: str) -> Iterable[Element]:
    """Yield the children of the element's children with this tag."""
    return (inner for child in element.all(tag) for inner in child.children)


def _is_empty(child: Element) -> bool:
    """Return whether this is a set that sets nothing."""
    sets = ("cluster_property_set", "meta_attributes", "instance_attributes")
    return child.tag in sets and child.get("id-ref") is None and child.child("nvpair") is None


def _pairs(element: Element, tag: str) -> Iterable[Element]:
    """Yield the pairs of an element's sets with this tag that no rule limits."""
    return (
        pair
        for child in element.all(tag)
        if child.child("rule") is None
        for pair in child.all("nvpair")
    )
