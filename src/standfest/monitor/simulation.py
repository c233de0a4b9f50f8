"""A transition as crm_simulate writes it: lines, and the elements of its XML.

Source: facts/formats/TOOLS.md section 7, samples/outputs/*.crm_simulate.*, and what crm_simulate
2.1.5 prints for the cases of the scheduler suite.
"""

from collections.abc import Iterator, Mapping, Sequence

from standfest.model.deeds import Deed, Executed, NodeDeed, Score
from standfest.model.element import Element
from standfest.model.scores import INFINITY

_TASK, _NAME, _DETAIL = 8, 5, 5
"""Widths of the columns at least."""


def detail_of(deed: Deed) -> str:
    """Return what stands in parentheses: roles and nodes."""
    before, after = deed.role, deed.next_role
    if deed.source == deed.target:
        if before == after:
            return f"{before} {deed.source}".strip()
        return f"{before} -> {after} {deed.target}"
    if before == after:
        return f"{before} {deed.source} -> {deed.target}".strip()
    return f"{before} {deed.source} -> {after} {deed.target}"


def node_line(deed: NodeDeed) -> str:
    """Return the line of a node."""
    resource = f" (resource: {deed.container})" if deed.container else ""
    reason = f" '{deed.reason}'" if deed.reason else ""
    return f"{deed.task} {deed.node}{resource}{reason}"


def deed_lines(deeds: Sequence[Deed]) -> Iterator[str]:
    """Yield the lines of resources, in columns: a name longer than all before widens its column."""
    task, name, detail = _TASK, _NAME, _DETAIL
    for deed in deeds:
        task = max(task, len(deed.task))
        name = len(deed.resource) + 2 if len(deed.resource) > name else name
        detail = max(detail, len(detail_of(deed)))
    for deed in deeds:
        columns = f"{deed.task:<{task}}   {deed.resource:<{name}}   ( {detail_of(deed):>{detail}} )"
        reason = f"due to {deed.reason}" if deed.reason else ""
        if deed.blocked:
            reason = f"{reason} (blocked)" if reason else "blocked"
        yield f"{columns}  {reason}".rstrip()


def node_element(deed: NodeDeed) -> Element:
    """Return a node's deed as an element."""
    pairs = [("task", deed.task), ("node", deed.node)]
    if deed.reason:
        pairs.append(("reason", deed.reason))
    return Element("node_action", tuple(pairs))


def deed_element(deed: Deed) -> Element:
    """Return a resource's deed as an element."""
    pairs = [("action", deed.task.lower()), ("resource", deed.resource)]
    if deed.role:
        pairs.append(("role", deed.role))
    if deed.role != deed.next_role:
        pairs.append(("next-role", deed.next_role))
    if deed.source != deed.target:
        pairs += [("source", deed.source), ("dest", deed.target)]
    elif deed.task == "Promote" and deed.role == "Stopped":
        pairs.append(("dest", deed.target))
    elif deed.task in ("Restart", "Re-promote") or deed.role != deed.next_role:
        pairs.append(("source", deed.source))
    else:
        pairs.append(("node", deed.source))
    if deed.reason:
        pairs.append(("reason", deed.reason))
    if deed.blocked:
        pairs.append(("blocked", "true"))
    return Element("rsc_action", tuple(pairs))


def executed_line(done: Executed) -> str:
    """Return the line of something that is done."""
    operation = f"{done.task}={done.interval}" if done.interval else done.task
    match done.kind:
        case "pseudo":
            where = f" on {done.node}" if done.node else ""
            return f"Pseudo action:   {done.task}{where}"
        case "fencing":
            return f"Fencing {done.node} ({done.task})"
        case "cluster":
            resource = f" for {done.resource}" if done.resource else ""
            return f"Cluster action:  {done.task}{resource} on {done.node}"
        case _:
            return f"Resource action: {done.resource:<15} {operation} on {done.node}"


def executed_element(done: Executed) -> Element:
    """Return something that is done as an element."""
    match done.kind:
        case "pseudo":
            where = (("node", done.node),) if done.node else ()
            return Element("pseudo_action", (("task", done.task), *where))
        case "fencing":
            return Element("fencing_action", (("target", done.node), ("op", done.task)))
        case "cluster":
            pairs = [("task", done.task), ("node", done.node)]
            if done.resource:
                pairs.append(("id", done.resource))
            return Element("cluster_action", tuple(pairs))
        case _:
            pairs = [("resource", done.resource), ("op", done.task), ("node", done.node)]
            if done.interval:
                pairs.append(("interval", str(done.interval)))
            return Element("rsc_action", tuple(pairs))


# --- what is changed first ------------------------------------------------------------------------

_NODES = {
    "up": ("Bringing node {} online", "Online"),
    "down": ("Taking node {} offline", "Offline"),
    "fail": ("Failing node {}", "Failing"),
}
_TICKETS = {
    "grant": ("Granting ticket {}", "Granting"),
    "revoke": ("Revoking ticket {}", "Revoking"),
    "standby": ("Making ticket {} standby", "Standby"),
    "activate": ("Activating ticket {}", "Activating"),
}


def change_line(kind: str, change: str, name: str) -> str:
    """Return a change of a node or a ticket, or an operation's result, as a line."""
    if kind == "operation":
        return f"Injecting {name} into the configuration"
    words = (_NODES if kind == "node" else _TICKETS)[change][0]
    return words.format(name)


def change_element(kind: str, change: str, name: str) -> Element:
    """Return the same as an element."""
    if kind == "operation":
        return Element("inject_spec", (("spec", name),))
    action = (_NODES if kind == "node" else _TICKETS)[change][1]
    return Element(f"modify_{kind}", (("action", action), (kind, name)))


def attribute_line(name: str, value: str, node: str) -> str:
    """Return an attribute that a failure sets, as a line; node: its id."""
    return f"Injecting attribute {name}={value} into /node_state '{node}'"


def attribute_element(name: str, value: str, node: str) -> Element:
    """Return the same as an element."""
    pairs = (("name", name), ("value", value), ("node_path", "/node_state"), ("cib_node", node))
    return Element("inject_attr", pairs)


# --- scores and capacities ------------------------------------------------------------------------


def _score(score: int) -> str:
    if abs(score) >= INFINITY:
        return "INFINITY" if score > 0 else "-INFINITY"
    return str(score)


def score_line(score: Score) -> str:
    """Return a score as a line."""
    if not score.function:
        where = score.node or "none"
        return f"{score.resource} promotion score on {where}: {_score(score.score)}"
    lead = f"{score.function}: {score.resource} allocation score on {score.node}"
    return f"{lead}: {_score(score.score)}"


def score_element(score: Score) -> Element:
    """Return a score as an element."""
    worth = ("score", _score(score.score))
    if not score.function:
        where = (("node", score.node),) if score.node else ()
        return Element("promotion_score", (("id", score.resource), worth, *where))
    pairs = (("function", score.function), ("node", score.node), worth, ("id", score.resource))
    return Element("node_weight", pairs)


def _amounts(amounts: Mapping[str, int]) -> str:
    return "".join(f" {name}={value}" for name, value in sorted(amounts.items()))


def capacity_line(comment: str, node: str, amounts: Mapping[str, int]) -> str:
    """Return what a node has; comment: Original or Remaining."""
    return f"{comment}: {node} capacity:{_amounts(amounts)}"


def capacity_element(comment: str, node: str, amounts: Mapping[str, int]) -> Element:
    """Return the same as an element."""
    return Element("capacity", (("node", node), ("comment", comment)), _amount_elements(amounts))


def _amount_elements(amounts: Mapping[str, int]) -> tuple[Element, ...]:
    pairs = sorted(amounts.items())
    return tuple(Element(name, (), (), str(value)) for name, value in pairs)


_PLACED = "pcmk__finalize_assignment"


def use_line(resource: str, node: str, amounts: Mapping[str, int]) -> str:
    """Return what a resource takes where it is placed."""
    return f"{_PLACED}: {resource} utilization on {node}:{_amounts(amounts)}"


def use_element(resource: str, node: str, amounts: Mapping[str, int]) -> Element:
    """Return the same as an element."""
    head = (("resource", resource), ("node", node), ("function", _PLACED))
    return Element("utilization", head, _amount_elements(amounts))
