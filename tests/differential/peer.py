"""What Debian's crm_simulate makes of a CIB, and what we make of it, in one comparable form."""

import re
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.generators.situation import MOMENT, NOW

from standfest.config.recorded import read
from standfest.core.scheduler import outcome
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.engine import decide

Places = dict[str, list[tuple[str, str]]]
Operation = tuple[str, str, str, str]  # what, resource, node, interval or how
# Orderings are compared between these; nobody waits for probes and monitors in the same way.
DEEDS = ("start", "stop", "promote", "demote", "migrate_to", "migrate_from", "reload", "fence")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The operations of a transition, which comes before which, and where everything ends up."""

    operations: Counter[Operation]
    ordered: frozenset[tuple[Operation, Operation]]
    places: Places
    oddity: str = ""  # one of the ODDITIES, if crm_simulate shows it here


INSTANCE = re.compile(r"\* (\w+) +([\w-]+):(\d+) +\((.*?)\)")  # of "Transition Summary"
ODDITIES = {
    "shuffle": "2.1.5 stops an instance of an anonymous clone and starts another in its place",
    "crowd": "2.1.5 starts two instances of a cloned group on one node",
    "abort": "2.1.5 ends with a failed assertion of its own",
    "invalid": "2.1.5 says itself that its transition is invalid, and stops in the middle",
}
"""What 2.1.5 does differently from its documentation or from 3.0.2: docs/guide/compatibility.md."""


def ours(text: str) -> Verdict:
    cluster = decide(*read(text, "ours"), NOW)
    listed, edges = outcome.graph(cluster)
    operations = [
        (
            str(one["op"]),
            str(one.get("rsc", "")),
            str(one["node"]),
            str(one.get("interval") or one.get("how") or ""),
        )
        for one in listed
    ]
    before: dict[int, set[int]] = {number: set() for number in range(len(operations))}
    for earlier, later in edges:
        before[later].add(earlier)
    return Verdict(
        Counter(operations), _ordered(operations, before), _settled(outcome.final(cluster)[1])
    )


def theirs(text: str) -> Verdict:
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "in.xml"), Path(folder, "out.xml")
        graph = Path(folder, "graph.xml")
        before.write_text(text)
        words = ["crm_simulate", "-x", str(before), "-S", "-O", str(after), "-G", str(graph)]
        result = subprocess.run(
            [*words, "-t", MOMENT], capture_output=True, timeout=60, text=True, check=False
        )
        if "fatal assertion" in result.stderr:
            return Verdict(Counter(), frozenset(), {}, "abort")
        assert graph.is_file(), f"crm_simulate: {result.stderr[-500:]}"
        found = decide(*read(after.read_bytes(), "theirs"), NOW)
        running = outcome.initial(decide(*read(text, "ours"), NOW))
        tree, unique = ET.parse(graph).getroot(), _unique(found)
        operations, waits = _executable(tree, unique)
        total = Counter(operations)
        # Every instance of a clone deletes the same records once more.
        total -= Counter({one: total[one] - 1 for one in total if one[0] == "delete"})
        return Verdict(
            total,
            _ordered(operations, waits),
            _settled(outcome.initial(found)),
            "invalid"
            if "An invalid transition was produced" in result.stderr
            else _oddity(result.stdout, unique, Counter(operations), running),
        )


def _unique(cluster: Cluster) -> set[str]:
    leaves = outcome.leaves_of(cluster)
    return {leaf.base for leaf in leaves if leaf.globally_unique}


def _oddity(summary: str, unique: set[str], operations: Counter[Operation], running: Places) -> str:
    """Return which of the ODDITIES the summary of a transition shows."""
    if any(operation[0] == "start" and count > 1 for operation, count in operations.items()):
        return "crowd"
    left, reached = set(), set()
    for what, name, number, where in INSTANCE.findall(summary):
        nodes = re.findall(r"\bn\d+\b", where)
        if name in unique or not nodes:
            continue
        if what in ("Stop", "Move", "Recover", "Migrate"):
            left.add((name, nodes[0], number))
        begun = what == "Promote" and where.strip().startswith("Stopped")
        if begun or what in ("Start", "Move", "Recover", "Migrate"):
            reached.add((name, nodes[-1], number))
    for name, node, number in reached:
        leavers = {other for base, place, other in left if (base, place) == (name, node)}
        if leavers - {number}:
            return "shuffle"
        if not leavers and any(place == node for _, place in running.get(name, ())):
            return "crowd"
    return ""


def _settled(places: Places) -> Places:
    return {name: sorted(found) for name, found in places.items() if found}


def _executable(root: ET.Element, unique: set[str]) -> tuple[list[Operation], dict[int, set[int]]]:
    """Return the operations of a transition graph, and what each waits for.

    Actions that wait for themselves are never begun, so they are left out.
    """
    inputs: dict[str, set[str]] = {}
    meaning: dict[str, Operation | None] = {}
    for synapse in root.iter("synapse"):
        for action in synapse.iterfind("action_set/*"):
            name = action.get("id", "")
            inputs[name] = {stub.get("id", "") for stub in synapse.iterfind("inputs/trigger/*")}
            meaning[name] = _meaning(action, unique)
    done: list[str] = []
    reached: set[str] = set()
    while ready := [name for name in inputs if name not in reached and inputs[name] <= reached]:
        done += ready
        reached |= set(ready)
    kept = [name for name in done if meaning[name] is not None]
    numbers = {name: number for number, name in enumerate(kept)}
    waits: dict[str, set[int]] = {}
    for name in done:
        waits[name] = set()
        for earlier in inputs[name]:
            waits[name] |= {numbers[earlier]} if earlier in numbers else waits[earlier]
    operations = [operation for name in kept if (operation := meaning[name]) is not None]
    return operations, {numbers[name]: waits[name] for name in kept}


def _meaning(action: ET.Element, unique: set[str]) -> Operation | None:
    """Return an operation of an agent or the fencer; None for a milestone or notification."""
    task, node = action.get("operation", ""), action.get("on_node", "")
    attributes = action.find("attributes")
    meta = attributes.attrib if attributes is not None else {}
    primitive = action.find("primitive")
    name = ""
    if primitive is not None:
        name = primitive.get("long-id") or primitive.get("id") or ""
        base = name.partition(":")[0]
        name = name if base in unique else base
    interval = meta.get("CRM_meta_interval", "0")
    if action.tag == "pseudo_event" or task == "notify":
        return None
    if task == "stonith":
        return ("fence", "", node, meta.get("CRM_meta_stonith_action", ""))
    if task == "do_shutdown":
        return ("shutdown", "", node, "")
    if task == "monitor":
        return ("monitor", name, node, interval) if interval != "0" else ("probe", name, node, "")
    if task == "cancel":
        return ("cancel", name, node, interval)
    task = {"lrm_delete": "delete", "reload-agent": "reload"}.get(task, task)
    return (task, name, node, "")


def _ordered(
    operations: list[Operation], waits: dict[int, set[int]]
) -> frozenset[tuple[Operation, Operation]]:
    """Return all pairs of deeds of which the first must be complete before the second begins."""
    complete: dict[int, set[int]] = {}

    def before(number: int, path: frozenset[int]) -> set[int]:
        if number not in complete:
            found = set(waits[number])
            for earlier in waits[number] - path:
                found |= before(earlier, path | {number})
            complete[number] = found
        return complete[number]

    return frozenset(
        (operations[earlier], operations[later])
        for later in range(len(operations))
        if operations[later][0] in DEEDS
        for earlier in before(later, frozenset())
        if operations[earlier][0] in DEEDS
    )


def disagreement(text: str) -> str:
    """Return what differs, in a few lines; empty when both decide alike."""
    mine, peer = ours(text), theirs(text)
    if peer.oddity:
        return ""
    missing, superfluous = peer.operations - mine.operations, mine.operations - peer.operations
    lines = [f"only crm_simulate: {' '.join(one)}" for one in missing.elements()]
    lines += [f"only here: {' '.join(one)}" for one in superfluous.elements()]
    if not lines:
        lines = [
            f"not ordered here: {' '.join(earlier)} before {' '.join(later)}"
            for earlier, later in sorted(peer.ordered - mine.ordered)
        ]
        for name in sorted(mine.places.keys() | peer.places.keys()):
            here, there = mine.places.get(name), peer.places.get(name)
            if here != there:
                lines.append(f"{name} ends as {here} here, {there} with crm_simulate")
    return "\n".join(lines)
