"""The rule-by-rule scheduler cases of Pacemaker 2.1.5 whose constructs are implemented.

A case is left out for what its XML contains, never for its name. Compared are the set of actions,
the places where everything runs afterwards, and the order between actions.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from standfest.config.cib import compile_configuration, load
from standfest.core.scheduler.schedule import schedule
from standfest.model.element import Element
from standfest.model.graph import Action, Graph
from standfest.model.operations import Agent, Operation, OperationResult, OperationStatus
from standfest.model.status import Join, NodeState, Status
from standfest.model.time import milliseconds
from standfest.model.xml import parse

FOLDER = next(
    (
        place
        for parent in Path(__file__).resolve().parents
        if (place := parent / "shared/facts/formats/samples/scheduler-vectors").is_dir()
    ),
    Path("absent"),
)
NOW = 1_760_011_200  # 2025-10-09 12:00:00 UTC, the time at which the cases were recorded
# Left: start-fail-fatal-true, whose recorder forgets that it has stopped the resource itself.
AT_LEAST = 0.98

NOT_YET = re.compile(
    r"<(clone|master|bundle|template|tags?|rsc_ticket|utilization|ticket_state|resource_set)\b"
    r'|stonith-enabled" value="true|allow-migrate|date_expression|#health|discovery|remote'
    r"|influence=|node-attribute=|rsc-pattern|score-attribute|<(rsc|op)_expression|multiple-active"
    r'|op-status="-1"|<op [^>]*role="Stopped"|"shutdown"|shutdown-lock|op-force-restart'
    r'|rc-code="9"|kind="Serialize"'
)
# A recorded operation keeps only a digest of its parameters, so changes of them cannot be told.
NEEDS_DIGESTS = re.compile(r"<instance_attributes|<op [^>]*timeout=")

needs_vectors = pytest.mark.skipif(
    not (FOLDER / "expected-2.1.5.json").is_file(), reason="the recorded cases are not here"
)


def in_scope(text: str) -> bool:
    resources = text.partition("<resources")[2].partition("</resources>")[0]
    return not NOT_YET.search(text) and not NEEDS_DIGESTS.search(resources)


def read_status(cib: Element) -> Status:
    status = cib.child("status")
    assert status is not None
    nodes = [_node(state) for state in status.all("node_state")]
    names = {entry.id: entry.get("uname") or "" for entry in cib.walk() if entry.tag == "node"}
    return Status(
        tuple(sorted(nodes, key=lambda node: node.name)),
        have_quorum=cib.get("have-quorum") in ("1", "true"),
        coordinator=names.get(cib.get("dc-uuid") or "", ""),
    )


def _node(state: Element) -> NodeState:
    attributes = {
        pair.get("name") or "": pair.get("value") or ""
        for transient in state.all("transient_attributes")
        for pair in transient.walk()
        if pair.tag == "nvpair"
    }
    history = tuple(
        (resource.id, tuple(_results(resource)))
        for resource in state.walk()
        if resource.tag == "lrm_resource"
    )
    return NodeState(
        name=state.get("uname") or "",
        in_membership=state.get("in_ccm") == "true",
        online=state.get("crmd") == "online",
        join=Join(state.get("join") or "down"),
        expected=state.get("expected") == "member",
        history=history,
        attributes=tuple(sorted(attributes.items())),
    )


def _results(resource: Element) -> Iterator[OperationResult]:
    agent = Agent(
        resource.get("class") or "", resource.get("type") or "", resource.get("provider") or ""
    )
    found: dict[int, OperationResult] = {}
    for entry in resource.all("lrm_rsc_op"):
        key = entry.get("transition-key") or ""
        operation = Operation(
            resource.id,
            agent,
            entry.get("operation") or "",
            milliseconds(int(entry.get("interval") or 0)),
            0,
            key=key,
            expected=int(key.split(":")[2]),
        )
        call = int(entry.get("call-id") or 0)
        found[call] = OperationResult(
            operation,
            OperationStatus(int(entry.get("op-status") or 0)),
            int(entry.get("rc-code") or 0),
            call,
            last_change=int(entry.get("last-rc-change") or 0),
        )
    return iter([result for _, result in sorted(found.items())])


def runnable(graph: Graph) -> dict[int, Action]:
    """Return the actions that can ever run, by id."""
    done: dict[int, Action] = {}
    progress = True
    while progress:
        progress = False
        for action in graph.actions:
            if action.id not in done and action.runnable and all(i in done for i in action.inputs):
                done[action.id] = action
                progress = True
    return done


def label(action: Action) -> str:
    key = action.key.replace("_lrm_delete_", "_delete_").replace("_cancel_", "_monitor_")
    return f"*{key}" if not action.node else f"{key}@{action.node}"


def startable(graph: dict[str, list[str]]) -> set[str]:
    """Return the recorded actions that do not wait for themselves."""
    done: set[str] = set()
    while more := {name for name, inputs in graph.items() if done.issuperset(inputs)} - done:
        done |= more
    return done


def closure(actions: dict[int, Action]) -> set[tuple[str, str]]:
    """Return every (earlier, later) pair."""
    before: dict[int, set[int]] = {}

    def all_before(number: int) -> set[int]:
        if number not in before:
            direct = actions[number].inputs
            before[number] = set(direct).union(*(all_before(i) for i in direct))
        return before[number]

    return {(label(actions[i]), label(actions[n])) for n in actions for i in all_before(n)}


def outcome(name: str) -> str:
    """Return what is wrong with our plan for a case; empty when nothing is."""
    text = (FOLDER / f"{name}.xml").read_text()
    want = expected()[name]
    cib = parse(text, name)
    configuration, _ = compile_configuration(load([(name, text)]).configuration)
    status = read_status(cib)
    actions = runnable(schedule(configuration, status, NOW).graph)
    ours, theirs = {label(action) for action in actions.values()}, startable(want["graph"])
    if ours != theirs:
        return f"missing {sorted(theirs - ours)}, superfluous {sorted(ours - theirs)}"
    ended = after(configuration.primitives(), status, actions)
    for resource, (_, nodes) in want["final"].items():
        if ended.get(resource, set()) != set(nodes):
            return f"{resource} ends on {sorted(ended.get(resource, ()))}, not {nodes}"
    pairs = {(i, a) for a in theirs for i in want["graph"][a]}
    unordered = pairs - closure(actions)
    return f"unordered {sorted(unordered)}" if unordered else ""


def after(
    primitives: tuple[object, ...], status: Status, actions: dict[int, Action]
) -> dict[str, set[str]]:
    """Return where everything runs once the actions have succeeded."""
    places: dict[str, set[str]] = {}
    for state in status.nodes:
        if state.in_membership:
            for resource, _ in state.history:
                if state.runs(resource):
                    places.setdefault(resource, set()).add(state.name)
    for action in actions.values():
        if action.task == "stop":
            places.get(action.resource, set()).discard(action.node)
        elif action.task == "start":
            places.setdefault(action.resource, set()).add(action.node)
    return places


@cache
def expected() -> dict[str, dict[str, dict[str, list[str]]]]:
    found: dict[str, dict[str, dict[str, list[str]]]] = json.loads(
        (FOLDER / "expected-2.1.5.json").read_text()
    )
    return found


@needs_vectors
def test_the_recorded_cases_in_scope_are_planned_as_pacemaker_plans_them() -> None:
    names = [n for n in sorted(expected()) if in_scope((FOLDER / f"{n}.xml").read_text())]
    failures = {name: why for name in names if (why := outcome(name))}
    passed = len(names) - len(failures)
    print(f"\n{passed} of {len(names)} recorded cases in scope agree")
    for name, why in failures.items():
        print(f"  {name}: {why}")
    assert len(names) > 80
    assert passed >= AT_LEAST * len(names), failures
