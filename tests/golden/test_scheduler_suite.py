"""Pacemaker's own regression cases, as far as they are here: what happens, and what it comes to.

The comparator and the cases stay in ../shared; nothing here depends on a case's name.
"""

import importlib.util
import json
import time
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from standfest.analysis.canonical import canonical
from standfest.config.recorded import read
from standfest.core.scheduler import calendar
from standfest.core.scheduler.engine import decide

SUITE = next(
    (
        place
        for parent in Path(__file__).resolve().parents
        if (place := parent / "shared/suites/scheduler").is_dir()
    ),
    Path("absent"),
)
# docs/guide/compatibility.md
AT_LEAST = {
    "core": 1.0,
    "extended": 1.0,
    "exotic": 0.99,
}
ORDERED = {
    "core": 200,
    "extended": 95,
    "exotic": 125,
}

needs_suite = pytest.mark.skipif(
    not (SUITE / "visible").is_dir(), reason="Pacemaker's scheduler cases are not here"
)


def comparator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("suite_compare", SUITE / "compare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@needs_suite
def test_pacemakers_cases_are_decided_as_pacemaker_decides_them() -> None:
    compare = comparator().compare
    total: Counter[str] = Counter()
    agreed: Counter[str] = Counter()
    ordered: Counter[str] = Counter()
    for place in sorted((SUITE / "visible").glob("*.expected.json")):
        expected = json.loads(place.read_text())
        base = place.name.removesuffix(".expected.json")
        graph = json.loads((place.parent / f"{base}.graph.json").read_text())
        moment = calendar.parse(expected["now"]) if expected["now"] else int(time.time())
        assert moment is not None
        document = read((place.parent / f"{base}.xml").read_bytes(), base)
        ours = json.loads(json.dumps(canonical(decide(*document, moment))))
        verdict, _ = compare(expected, ours, graph)
        total[expected["tier"]] += 1
        agreed[expected["tier"]] += bool(verdict.get("both"))
        ordered[expected["tier"]] += bool(verdict.get("order"))
    print(f"\nagreed {dict(agreed)} of {dict(total)}; ordered {dict(ordered)}")
    assert sum(total.values()) > 400
    for tier, share in AT_LEAST.items():
        assert agreed[tier] >= share * total[tier], (tier, agreed[tier], total[tier])
    for tier, count in ORDERED.items():
        assert ordered[tier] >= count, (tier, ordered[tier])
