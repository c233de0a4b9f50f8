"""Recorded operations of a generated cluster: what an executor writes in such a situation.

Sequences as in facts/formats/CIB-STATUS.md section 5: a start replaces the probe's entry, a failure
leaves a copy in RSC_last_failure_0 and counts in the node's attributes.
"""

from dataclasses import dataclass

from tests.generators.choices import Choices
from tests.generators.resources import Leaf, Unit
from tests.generators.situation import NOW, Node, digest

TRANSITION = "a3b1c2d4-0000-4000-8000-00000000c0de"
OLD = {"fake": "two"}


@dataclass(slots=True)
class Recorder:
    """Writes entries with rising call ids."""

    call: int = 1

    def entry(
        self,
        id: str,
        key: str,
        task: str,
        *,
        code: int = 0,
        expected: int = 0,
        interval: int = 0,
        parameters: dict[str, str] | None = None,
        more: str = "",
        pending: bool = False,
    ) -> str:
        """Return one <lrm_rsc_op>; times rise with call ids, and end an hour ago."""
        self.call += 1
        kept = dict(parameters or {})
        if interval:
            kept["CRM_meta_timeout"] = "20000"
        status, call = (-1, -1) if pending else (0, self.call)
        code = 193 if pending else code
        name = f"{self.call}:1:{expected}:{TRANSITION}"
        return (
            f'<lrm_rsc_op id="{id}" operation_key="{key}_{task}_{interval}" operation="{task}" '
            f'crm_feature_set="3.16.1" transition-key="{name}" '
            f'transition-magic="{status}:{code};{name}" call-id="{call}" rc-code="{code}" '
            f'op-status="{status}" interval="{interval}" '
            f'last-rc-change="{NOW - 3600 + self.call}" exec-time="0" queue-time="0" '
            f'op-digest="{digest(kept)}"{more}/>'
        )


def record(choose: Choices, units: list[Unit], nodes: list[Node]) -> None:
    """Write a history of every resource on every node that remembers one."""
    recorder = Recorder()
    if choose.some("fresh", 8):
        return  # a cluster that has just been started
    for unit in units:
        if unit.kind == "clone":
            _clone(choose, recorder, unit, nodes)
        else:
            _single(choose, recorder, unit, nodes)
    if choose.some("orphans", 4):
        orphan = Leaf("gone", ("ocf", "pacemaker", "Dummy"), monitors=[(10, "")])
        for node in nodes:
            if choose.pick(False, True):
                _write(choose, recorder, orphan, "gone", node, active=True)


def _places(choose: Choices, nodes: list[Node]) -> list[Node]:
    where: list[Node | None] = [None, *nodes]
    place = choose.pick(*where)
    found = [place] if place is not None else []
    if place is not None and choose.some("double", 6):
        found += [node for node in nodes if node is not place][:1]
    return found


def _single(choose: Choices, recorder: Recorder, unit: Unit, nodes: list[Node]) -> None:
    places = _places(choose, nodes)
    depth = len(unit.leaves)
    if depth > 1 and choose.some("half-started", 4):
        depth = choose.number(1, depth)
    for node in nodes:
        for position, leaf in enumerate(unit.leaves):
            active = node in places and position < depth
            _write(choose, recorder, leaf, leaf.name, node, active=active)
    if len(places) == 1 and len(unit.leaves) == 1 and unit.leaves[0].migrates:
        _half_migrated(choose, recorder, unit.leaves[0], places[0], nodes)


def _clone(choose: Choices, recorder: Recorder, unit: Unit, nodes: list[Node]) -> None:
    left = unit.instances
    number = 0
    promoted_left = choose.number(0, 1) if unit.promotable else 0
    for node in nodes:
        if unit.promotable and choose.some("scores", 1):
            score = choose.pick("", "5", "10", "-5", "INFINITY", "0")
            if score and node.remembers:
                node.transient[f"master-{unit.leaves[0].name}"] = score
        for slot in range(unit.per_node if unit.unique else 1):
            active = left > 0 and choose.pick(False, True, True)
            if not active and (unit.unique or slot):
                continue
            promoted = active and promoted_left > 0 and choose.pick(False, True)
            left -= active
            promoted_left -= promoted
            for leaf in unit.leaves:
                key = f"{leaf.name}:{number}" if unit.unique else leaf.name
                _write(
                    choose,
                    recorder,
                    leaf,
                    key,
                    node,
                    active=active,
                    promoted=promoted,
                    promotable=unit.promotable,
                )
            number += active


def _write(
    choose: Choices,
    recorder: Recorder,
    leaf: Leaf,
    key: str,
    node: Node,
    *,
    active: bool,
    promoted: bool = False,
    promotable: bool = False,
) -> None:
    """Write what one node knows of a resource."""
    if not active and choose.some("unprobed", 6):
        return
    lines = (
        _active(choose, recorder, leaf, key, node, promoted=promoted, promotable=promotable)
        if active
        else _inactive(choose, recorder, leaf, key, node)
    )
    standard, provider, type_ = leaf.agent
    if leaf.agent[0] != "stonith" and active and choose.some("other-agent", 20):
        type_ = "Elsewhere"
    via = f' provider="{provider}"' if provider else ""
    node.history.append(
        f'<lrm_resource id="{key}" class="{standard}"{via} type="{type_}">'
        f"{''.join(lines)}</lrm_resource>"
    )


def _count(choose: Choices, node: Node, key: str, task: str, interval: int) -> None:
    if choose.some("cleaned", 6):
        return
    count = choose.pick("1", "2", "INFINITY") if choose.has("threshold") else "1"
    if task in ("start", "stop") and choose.pick(True, False):
        count = "INFINITY"
    node.transient[f"fail-count-{key}#{task}_{interval}"] = count
    node.transient[f"last-failure-{key}#{task}_{interval}"] = str(NOW - choose.pick(3600, 30))


def _inactive(choose: Choices, recorder: Recorder, leaf: Leaf, key: str, node: Node) -> list[str]:
    last, failure = f"{key}_last_0", f"{key}_last_failure_0"
    own = leaf.parameters
    if choose.some("start-failures", 8):
        _count(choose, node, key, "start", 0)
        code = choose.pick(1, 5, 6, 7)
        lines = [recorder.entry(failure, key, "start", code=code, parameters=own)]
        if choose.pick(True, False):
            lines.append(recorder.entry(last, key, "stop", parameters=own))
        else:
            lines.append(recorder.entry(last, key, "start", code=code, parameters=own))
            recorder.call -= 1
        return lines
    if choose.some("probe-errors", 12):
        code = choose.pick(1, 5, 2)
        return [
            recorder.entry(last, key, "monitor", code=code, expected=7, parameters=own),
            recorder.entry(failure, key, "monitor", code=code, expected=7, parameters=own),
        ]
    if choose.some("pending", 12):
        task = choose.pick("start", "monitor")
        expected = 7 if task == "monitor" else 0
        return [recorder.entry(last, key, task, expected=expected, pending=True, parameters=own)]
    if choose.some("stopped", 4):
        return [recorder.entry(last, key, "stop", parameters=own)]
    return [recorder.entry(last, key, "monitor", code=7, expected=7, parameters=own)]


def _active(
    choose: Choices,
    recorder: Recorder,
    leaf: Leaf,
    key: str,
    node: Node,
    *,
    promoted: bool,
    promotable: bool,
) -> list[str]:
    last, failure = f"{key}_last_0", f"{key}_last_failure_0"
    own = leaf.parameters
    if choose.some("changed", 5):
        own = own | OLD
    if choose.some("found", 10):
        code = 8 if promoted else 0
        return [recorder.entry(last, key, "monitor", code=code, expected=7, parameters=own)]
    if choose.some("stop-failures", 10):
        _count(choose, node, key, "stop", 0)
        line = recorder.entry(last, key, "stop", code=1, parameters=own)
        recorder.call -= 1
        return [line, recorder.entry(failure, key, "stop", code=1, parameters=own)]
    lines = []
    if choose.some("old-failures", 10):
        _count(choose, node, key, "monitor", 10000)
        lines.append(
            recorder.entry(failure, key, "monitor", code=7, interval=10000, parameters=own)
        )
    if promoted and choose.some("promote-failures", 6):
        task = choose.pick("promote", "demote")
        _count(choose, node, key, task, 0)
        line = recorder.entry(last, key, task, code=1, parameters=own)
        recorder.call -= 1
        return [line, recorder.entry(failure, key, task, code=1, parameters=own)]
    lines.append(recorder.entry(last, key, "promote" if promoted else "start", parameters=own))
    for seconds, role in leaf.monitors:
        if role == "Stopped" or (promotable and (role == "Promoted") != promoted):
            continue
        if choose.some("unwatched", 10):
            continue
        id, interval = f"{key}_monitor_{seconds}000", seconds * 1000
        good = 8 if role == "Promoted" else 0
        lines.append(
            recorder.entry(
                id, key, "monitor", code=good, expected=good, interval=interval, parameters=own
            )
        )
        if choose.some("failures", 6):
            code = choose.pick(7, 1) if good == 0 else choose.pick(7, 1, 0, 9)
            _count(choose, node, key, "monitor", interval)
            lines.append(
                recorder.entry(
                    failure,
                    key,
                    "monitor",
                    code=code,
                    expected=good,
                    interval=interval,
                    parameters=own,
                )
            )
    if choose.some("pending", 10):
        task = choose.pick("stop", "demote" if promoted else "stop")
        lines = [line for line in lines if f'id="{last}"' not in line]
        lines.append(recorder.entry(last, key, task, pending=True, parameters=own))
    return lines


def _half_migrated(
    choose: Choices, recorder: Recorder, leaf: Leaf, source: Node, nodes: list[Node]
) -> None:
    """Leave a live migration half way: it has left, or could not, or has not arrived."""
    others = [node for node in nodes if node is not source]
    if not others or not choose.some("half-migrated", 3):
        return
    target = choose.pick(*others)
    ends = f' migrate_source="{source.name}" migrate_target="{target.name}"'
    how = choose.pick("left", "not-left", "not-arrived", "pending")
    key = leaf.name
    code = 1 if how == "not-left" else 0
    leaving = recorder.entry(
        f"{key}_migrate_to_0",
        key,
        "migrate_to",
        code=code,
        more=ends,
        parameters=leaf.parameters,
        pending=how == "pending",
    )
    _add(source, key, leaving)
    if how == "not-arrived":
        arriving = recorder.entry(
            f"{key}_migrate_from_0",
            key,
            "migrate_from",
            code=1,
            more=ends,
            parameters=leaf.parameters,
        )
        _add(target, key, arriving)


def _add(node: Node, key: str, line: str) -> None:
    for index, text in enumerate(node.history):
        if text.startswith(f'<lrm_resource id="{key}" '):
            node.history[index] = text.removesuffix("</lrm_resource>") + line + "</lrm_resource>"
