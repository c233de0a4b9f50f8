"""The head of a page: stack, coordinator, times, counts, options, and whether all is stopped."""

from collections.abc import Iterator

from standfest.core.scheduler.entities import Resource, Role
from standfest.model.element import Element
from standfest.monitor.crm.layout import Block, Line, Tag, span, tags_of
from standfest.monitor.crm.show import Show
from standfest.monitor.crm.situation import (
    Situation,
    in_standby,
    is_disabled,
    is_removed,
    node_name,
)
from standfest.monitor.crm.words import moment, plural, truth

_POLICIES = {
    "freeze": "Freeze resources",
    "stop": "Stop ALL resources",
    "demote": "Demote promotable resources and stop all other resources",
    "ignore": "Ignore",
    "suicide": "Suicide",
}
_OFF = " (the cluster will not attempt to start, stop, or recover services)"


def summary_block(situation: Situation, show: Show) -> Block:
    """Return the lines of the summary."""
    items: list[Line] = []
    if show.has("stack"):
        items.append(_labelled("Stack: ", _stack(situation)))
    if show.has("dc"):
        items.append(_coordinator(situation, show))
    if show.has("times"):
        items.append(_labelled("Last updated: ", moment(situation.now)))
        changed = _last_change(situation)
        items.append(_labelled("Last change: ", changed, f"Last change:  {changed}"))
    if show.has("counts"):
        items += _counts(situation)
    return Block("Cluster Summary", tuple(items))


def summary_lines(situation: Situation, show: Show) -> list[str]:
    """Return the section as text, options included."""
    lines = [
        f"  * {item.text}"
        for item in summary_block(situation, show).items
        if isinstance(item, Line)
    ]
    if show.has("options"):
        lines += [f"  * {line}" for line in _options(situation)]
    return ["Cluster Summary:", *lines]


def mode_lines(situation: Situation) -> list[str]:
    """Return the warning that the cluster does not manage anything; nothing if it does."""
    options = situation.cluster.options
    if options.maintenance_mode:
        return [
            "              *** Resource management is DISABLED ***",
            "  The cluster will not attempt to start, stop or recover services",
        ]
    if options.stop_all:
        return [
            "    *** Resource management is DISABLED ***",
            "  The cluster will keep all resources stopped",
        ]
    return []


def summary_tags(situation: Situation, show: Show) -> tuple[Tag, ...]:
    """Return the section, and the options, as HTML."""
    block = summary_block(situation, show)
    found = tags_of(block) if block.items else ()
    if show.has("options"):
        mode = Line("Resource management: enabled")
        options = situation.cluster.options
        for on, word, why in (
            (options.maintenance_mode, "DISABLED", _OFF),
            (options.stop_all, "STOPPED", " (the cluster will keep all resources stopped)"),
        ):
            if on:
                spans = (span("Resource management: "), span(word, "bold"), span(why))
                mode = Line("", spans)
                break
        lines = tuple(Line(line) for line in _options(situation))
        found += tags_of(Block("Config Options", (*lines, mode)))
    return found


def _labelled(label: str, value: str, text: str = "") -> Line:
    return Line(text or f"{label}{value}", (span(label, "bold"), span(value)))


def _stack(situation: Situation) -> str:
    return situation.cluster.options.given.get("cluster-infrastructure") or "unknown"


def _version(situation: Situation) -> str:
    return situation.cluster.options.given.get("dc-version") or ""


def _coordinator(situation: Situation, show: Show) -> Line:
    dc = situation.cluster.dc
    if dc is None:
        return Line("Current DC: NONE", (span("Current DC: ", "bold"), span("NONE", "warning")))
    who = f"{node_name(dc, detail=show.detail)} (version {_version(situation) or 'unknown'})"
    quorate = situation.cluster.quorate
    mixed = "MIXED-VERSION " if is_mixed(situation) else ""
    how = span(" with") if quorate else span(" WITHOUT", "warning")
    spans = (
        span("Current DC: ", "bold"),
        span(f"{who} -"),
        span(f" {mixed}partition"),
        how,
        span(" quorum"),
    )
    word = "with" if quorate else "WITHOUT"
    return Line(f"Current DC: {who} - {mixed}partition {word} quorum", spans)


def is_mixed(situation: Situation) -> bool:
    """Return whether nodes that are online have different feature sets."""
    nodes = [n for n in situation.cluster.nodes if n.online and not n.is_remote and not n.is_guest]
    sets = {n.attributes.get("#feature-set", "") for n in nodes}
    return len(sets) > 1


def _last_change(situation: Situation) -> str:
    said = situation.cib
    text = said.get("cib-last-written") or ""
    for word, name in (("by", "user"), ("via", "client"), ("on", "origin")):
        value = said.get(f"update-{name}")
        if value:
            text += f" {word} {value}"
    return text


def counts(situation: Situation) -> tuple[int, int, int]:
    """Return how many resource instances there are, are disabled, are blocked."""
    leaves = list(_counted(situation))
    return (
        len(leaves),
        sum(1 for leaf in leaves if is_disabled(leaf)),
        sum(1 for leaf in leaves if leaf.blocked),
    )


def _counted(situation: Situation) -> Iterator[Resource]:
    for resource in situation.cluster.resources:
        for leaf in resource.primitives():
            if not is_removed(leaf) or leaf.role > Role.STOPPED:
                yield leaf


def _counts(situation: Situation) -> Iterator[Line]:
    nodes = f"{plural(len(situation.cluster.nodes), 'node')} configured"
    yield Line(nodes, (span(nodes),))
    total, disabled, blocked = counts(situation)
    head = f"{plural(total, 'resource instance')} configured"
    if not disabled and not blocked:
        yield Line(head, (span(head),))
        return
    spans = [
        span(f"{head} ({disabled or blocked} "),
        span("DISABLED" if disabled else "BLOCKED", "bold"),
    ]
    parts = [f"{disabled} DISABLED"] if disabled else []
    if blocked:
        parts.append(f"{blocked} BLOCKED from further action due to failure")
        if disabled:
            spans += [span(f", {blocked} "), span("BLOCKED", "bold")]
        spans.append(span(" from further action due to failure)"))
    else:
        spans.append(span(")"))
    yield Line(f"{head} ({', '.join(parts)})", tuple(spans))


def _options(situation: Situation) -> Iterator[str]:
    options = situation.cluster.options
    yield f"STONITH of failed nodes {'enabled' if options.fencing else 'disabled'}"
    yield f"Cluster is {'symmetric' if options.symmetric else 'asymmetric'}"
    yield f"No quorum policy: {_POLICIES[_policy(situation)]}"


def _policy(situation: Situation) -> str:
    options = situation.cluster.options
    cluster = situation.cluster
    if options.no_quorum_policy not in ("suicide", "fence"):
        return options.no_quorum_policy
    # Nobody is fenced for a quorum that there never was.
    possible = options.fencing and (cluster.quorate or cluster.no_quorum_panic)
    return "suicide" if possible else "stop"


def summary_xml(situation: Situation, show: Show) -> Element:
    """Return <summary> with the parts that are wanted."""
    parts: list[Element] = []
    if show.has("stack"):
        parts.append(Element("stack", (("type", _stack(situation)),)))
    if show.has("dc"):
        parts.append(_dc_xml(situation))
    if show.has("times"):
        said = situation.cib
        parts.append(Element("last_update", (("time", moment(situation.now)),)))
        names = (
            ("time", "cib-last-written"),
            ("user", "update-user"),
            ("client", "update-client"),
            ("origin", "update-origin"),
        )
        parts.append(Element("last_change", tuple((n, said.get(a) or "") for n, a in names)))
    if show.has("counts"):
        total, disabled, blocked = counts(situation)
        number = (("number", str(len(situation.cluster.nodes))),)
        parts.append(Element("nodes_configured", number))
        numbers = (("number", str(total)), ("disabled", str(disabled)), ("blocked", str(blocked)))
        parts.append(Element("resources_configured", numbers))
    if show.has("options"):
        parts.append(_options_xml(situation))
    return Element("summary", (), tuple(parts))


def _dc_xml(situation: Situation) -> Element:
    dc = situation.cluster.dc
    if dc is None:
        return Element("current_dc", (("present", "false"),))
    return Element(
        "current_dc",
        (
            ("present", "true"),
            ("version", _version(situation)),
            ("name", dc.name),
            ("id", dc.id),
            ("with_quorum", truth(situation.cluster.quorate)),
            ("mixed_version", truth(is_mixed(situation))),
        ),
    )


def _options_xml(situation: Situation) -> Element:
    options = situation.cluster.options
    return Element(
        "cluster_options",
        (
            ("stonith-enabled", truth(options.fencing)),
            ("symmetric-cluster", truth(options.symmetric)),
            ("no-quorum-policy", _policy(situation)),
            ("maintenance-mode", truth(options.maintenance_mode)),
            ("stop-all-resources", truth(options.stop_all)),
            ("stonith-timeout-ms", str(options.fencing_timeout)),
            ("priority-fencing-delay-ms", str(options.priority_fencing_delay)),
        ),
    )


def simple_line(situation: Situation) -> str:
    """Return the state in one line, as monitoring systems want it."""
    nodes = situation.cluster.nodes
    trouble = [f"offline node: {node.name}" for node in nodes if not node.online]
    if situation.cluster.dc is None or trouble:
        said = [] if situation.cluster.dc is not None else ["No DC"]
        return "CLUSTER WARN: " + ", ".join(said + ([" ".join(trouble)] if trouble else []))
    standby = sum(1 for node in nodes if in_standby(situation, node))
    kept = sum(1 for node in nodes if not in_standby(situation, node) and node.maintenance)
    parts = [f"{plural(len(nodes) - standby - kept, 'node')} online"]
    if standby:
        parts.append(plural(standby, "standby node"))
    if kept:
        parts.append(plural(kept, "maintenance node"))
    parts.append(f"{plural(counts(situation)[0], 'resource instance')} configured")
    return "CLUSTER OK: " + ", ".join(parts)
