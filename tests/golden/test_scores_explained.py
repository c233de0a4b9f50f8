"""Every score of every recorded case is the sum of what the ledger wrote down for it."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from standfest.config.recorded import read
from standfest.core.scheduler import calendar
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.engine import decide
from standfest.core.scheduler.entities import Resource
from standfest.core.scheduler.ledger import Cause, Ledger
from standfest.model.scores import INFINITY, add_scores

SUITE = next(
    (
        place
        for parent in Path(__file__).resolve().parents
        if (place := parent / "shared/suites/scheduler").is_dir()
    ),
    Path("absent"),
)
SCORE = re.compile(r"pcmk__\w+_assign: (\S+) allocation score on (\S+): (-?\w+)")
WORDS = {"INFINITY": INFINITY, "-INFINITY": -INFINITY}
AGREE_AT_LEAST = 0.93  # of the scores that Pacemaker has printed, too

pytestmark = pytest.mark.skipif(not SUITE.is_dir(), reason="the scheduler suite is not here")


def every(resource: Resource) -> Iterator[Resource]:
    yield resource
    for child in resource.children:
        yield from every(child)


@cache
def times() -> dict[str, str]:
    tests = json.loads((SUITE / "tests.json").read_text())
    return {test["name"]: test.get("now") or "" for test in tests}


def moment(name: str, recorded_at: str) -> int:
    at = times()[name]
    now = calendar.parse(at) if at and at != "-" else None
    return now if now is not None else int(recorded_at or time.time())


def scheduled(name: str) -> tuple[Cluster, Ledger]:
    configuration, recorded = read((SUITE / f"visible/{name}.xml").read_bytes(), name)
    now = moment(name, recorded.attributes.get("execution-date", ""))
    ledger = Ledger()
    return decide(configuration, recorded, now, ledger), ledger


def total(ledger: Ledger, resource: Resource, index: int) -> int:
    score = 0
    for change in ledger.changes.get(resource, ()):
        assert change.cause is not Cause.OTHER, f"{resource.id}: a step that names no cause"
        if index in change.values:
            value = change.values[index]
            score = value if index in change.exact else add_scores(score, value)
    return score


def printed(name: str) -> dict[tuple[str, str], set[int]]:
    """Return what Pacemaker printed: it may print a score again after each trial."""
    found: dict[tuple[str, str], set[int]] = {}
    for match in SCORE.finditer((SUITE / f"visible/raw/{name}.scores").read_text()):
        score = WORDS[match[3]] if match[3] in WORDS else int(match[3])
        found.setdefault((match[1], match[2]), set()).add(score)
    return found


def test_contributions_add_up_to_every_score() -> None:
    seen: Counter[str] = Counter()
    for path in sorted((SUITE / "visible").glob("*.xml")):
        cluster, ledger = scheduled(path.stem)
        peer = printed(path.stem)
        for resource in (one for top in cluster.resources for one in every(top)):
            for node in cluster.nodes:
                score = resource.allowed[node.index]
                found = total(ledger, resource, node.index)
                assert found == score, f"{path.stem}: {resource.id} on {node.name}"
                seen["scores"] += 1
                if (resource.id, node.name) in peer:
                    seen["printed"] += 1
                    seen["agree"] += score in peer[resource.id, node.name]
    print(f"\n{seen['scores']} scores explained; {seen['agree']} of {seen['printed']} as printed")
    assert seen["scores"] > 20_000
    assert seen["agree"] >= AGREE_AT_LEAST * seen["printed"]
