"""Every recorded case followed until nothing is left to do, and written as a CIB and read again."""

import json
import time
from functools import cache
from pathlib import Path

import pytest

from standfest.analysis import graphfile, savedcib, tables
from standfest.analysis.candidates import limit_of
from standfest.analysis.follow import MOST_TRANSITIONS, at_rest, follow
from standfest.config.recorded import read
from standfest.core.scheduler import calendar, outcome
from standfest.core.scheduler.engine import decide
from standfest.model import xml

SUITE = next(
    (
        place
        for parent in Path(__file__).resolve().parents
        if (place := parent / "shared/suites/scheduler").is_dir()
    ),
    Path("absent"),
)
REST_AT_LEAST = 0.98
AGREE_AT_LEAST = 0.88

pytestmark = pytest.mark.skipif(not SUITE.is_dir(), reason="the scheduler suite is not here")


@cache
def times() -> dict[str, str]:
    tests = json.loads((SUITE / "tests.json").read_text())
    return {test["name"]: test.get("now") or "" for test in tests}


def moment(name: str, recorded_at: str) -> int:
    at = times()[name]
    now = calendar.parse(at) if at and at != "-" else None
    return now if now is not None else int(recorded_at or time.time())


def cases() -> list[Path]:
    return sorted((SUITE / "visible").glob("*.xml"))


def test_what_is_written_as_a_cib_is_decided_like_what_was_read() -> None:
    for path in cases():
        configuration, recorded = read(path.read_bytes(), path.stem)
        now = moment(path.stem, recorded.attributes.get("execution-date", ""))
        before = decide(configuration, recorded, now)
        after = decide(*read(savedcib.document(configuration, recorded, now), path.stem), now)
        assert outcome.events(after) == outcome.events(before), path.stem
        assert outcome.final(after) == outcome.final(before), path.stem


def test_nearly_all_come_to_rest_after_a_few_transitions() -> None:
    restless = []
    for path in cases():
        configuration, recorded = read(path.read_bytes(), path.stem)
        now = moment(path.stem, recorded.attributes.get("execution-date", ""))
        steps = [step.cluster for step in follow(configuration, recorded, now, [])]
        assert len(steps) < MOST_TRANSITIONS, path.stem
        if not at_rest(steps[-1]):
            restless.append(path.stem)
    print(f"\n{len(cases()) - len(restless)} of {len(cases())} come to rest; not {restless}")
    assert len(cases()) - len(restless) >= REST_AT_LEAST * len(cases())


def test_promotion_scores_are_mostly_the_ones_that_pacemaker_printed() -> None:
    agree = printed = 0
    for path in cases():
        configuration, recorded = read(path.read_bytes(), path.stem)
        now = moment(path.stem, recorded.attributes.get("execution-date", ""))
        lines = (SUITE / f"visible/raw/{path.stem}.scores").read_text()
        for instance, scores in tables.promotion_scores(
            decide(configuration, recorded, now)
        ).items():
            for node, score in scores.items():
                begin = f"{instance} promotion score on {node}: "
                if begin in lines:
                    printed += 1
                    agree += f"{begin}{limit_of(score)}\n" in lines
    print(f"\n{agree} of {printed} promotion scores as printed")
    assert printed > 300
    assert agree >= AGREE_AT_LEAST * printed


def test_every_graph_is_well_formed_and_waits_only_for_what_is_in_it() -> None:
    for path in cases():
        configuration, recorded = read(path.read_bytes(), path.stem)
        now = moment(path.stem, recorded.attributes.get("execution-date", ""))
        graph = xml.parse(graphfile.as_xml(decide(configuration, recorded, now)), path.stem)
        made: set[str] = set()
        waited: set[str] = set()
        for synapse in graph.children:
            actions, inputs = synapse.children
            made.update(action.id for action in actions.children)
            waited.update(trigger.children[0].id for trigger in inputs.children)
        assert waited <= made, path.stem
