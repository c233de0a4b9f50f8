"""The 236 rule-by-rule cases recorded from crm_simulate 2.1.5, against the new scheduler.

Compared are the operations of agents and the fencer (instances of a clone are alike) and where
everything runs afterwards. Milestones are not compared: what they order is, by the suite's test.
"""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from standfest.config.recorded import read
from standfest.core.scheduler import outcome
from standfest.core.scheduler.actions import Action
from standfest.core.scheduler.engine import decide
from standfest.core.scheduler.entities import Role

FOLDER = next(
    (
        place
        for parent in Path(__file__).resolve().parents
        if (place := parent / "shared/facts/formats/samples/scheduler-vectors").is_dir()
    ),
    Path("absent"),
)
NOW = 1_760_011_200  # 2025-10-09 12:00:00 UTC, the time at which the cases were recorded
AT_LEAST = 233
INSTANCE = re.compile(r":\d+(?=_)")

needs_vectors = pytest.mark.skipif(
    not (FOLDER / "expected-2.1.5.json").is_file(), reason="the recorded cases are not here"
)


def label(action: Action) -> str:
    assert action.node is not None
    node = action.node.name
    if action.task == "stonith":
        return f"stonith-{node}-{action.how}@{node}"
    key = f"do_shutdown-{node}" if action.task == "do_shutdown" else action.key
    return f"{INSTANCE.sub('', key)}@{node}"


def startable(graph: dict[str, list[str]]) -> set[str]:
    """Return the recorded actions that do not wait for themselves."""
    done: set[str] = set()
    while more := {name for name, inputs in graph.items() if done.issuperset(inputs)} - done:
        done |= more
    return {name for name in done if not name.startswith("*")}


def wrong(name: str, want: dict[str, object]) -> str:
    cluster = decide(*read((FOLDER / f"{name}.xml").read_bytes(), name), NOW)
    ours = Counter(
        label(action)
        for action in cluster.actions
        if (outcome.happens(action) or (action.print_always and action.runnable))
        and not action.pseudo
        and action.node is not None
    )
    graph = want["graph"]
    assert isinstance(graph, dict)
    theirs = Counter(INSTANCE.sub("", text) for text in startable(graph))
    if ours != theirs:
        return f"missing {sorted(theirs - ours)}, superfluous {sorted(ours - theirs)}"
    _, places = outcome.final(cluster)
    for leaf in outcome.leaves_of(cluster):  # a bundle is told by its replicas, not by its parts
        if cluster.bundles and leaf.assigned is not None and leaf.next_role > Role.STOPPED:
            places.setdefault(outcome.label(leaf), []).append(("", leaf.assigned.name))
    final = want["final"]
    assert isinstance(final, dict)
    for resource, value in final.items():
        pairs = [value] if isinstance(value[0], str) else value
        nodes = {node for _, found in pairs for node in found}
        here = {
            node
            for known, found in places.items()
            if resource in (known, known.partition(":")[0])
            for _, node in found
        }
        if here != nodes:
            return f"{resource} ends on {sorted(here)}, not {sorted(nodes)}"
    return ""


@needs_vectors
def test_the_recorded_cases_are_decided_as_recorded() -> None:
    expected = json.loads((FOLDER / "expected-2.1.5.json").read_text())
    failures = {name: why for name, want in expected.items() if (why := wrong(name, want))}
    print(f"\n{len(expected) - len(failures)} of {len(expected)} recorded cases agree")
    for name, why in failures.items():
        print(f"  {name}: {why}")
    assert len(expected) == 236
    assert len(expected) - len(failures) >= AT_LEAST
