"""Runs a seeded bug in a process of its own, and knows which checker caught it last time."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.simulation.bugs.catalogue import BUGS

from standfest.model.time import Duration, seconds
from standfest.sim.scene import draw

ROOT = Path(__file__).parents[3]
RECORD = Path(__file__).with_name("caught.json")
PATIENCE_S = 600

HOURS, FAULTS_PER_HOUR = 0.2, 90
LONGEST_DEADTIME: Duration = seconds(10)
"""What a search tries: 30 faults in some five minutes, and what they lead to."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is simulated, as standfest.sim.run.Order."""

    seed: int
    nodes: int
    hours: float
    faults_per_hour: int = 30
    fencing: bool | None = None

    def __str__(self) -> str:
        """Return the options of `standfest sim run`."""
        words = f"--seed {self.seed} --nodes {self.nodes} --hours {self.hours:g}"
        if self.faults_per_hour != 30:
            words += f" --faults-per-hour {self.faults_per_hour}"
        if self.fencing is None:
            return words
        return f"{words} {'--fencing' if self.fencing else '--no-fencing'}"


@dataclass(frozen=True, slots=True)
class Catch:
    """Which checker caught a bug, where, and what it said."""

    order: Order
    checker: str
    what: str


def simulate(bug: str | None, orders: Iterable[Order]) -> Catch | None:
    """Return what the first order breaks that breaks anything; bug: None for the code as it is."""
    asked = {"bug": bug, "orders": [asdict(order) for order in orders]}
    source = str(ROOT / "src")
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation.bugs.child"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=PATIENCE_S,
        env={**os.environ, "PYTHONPATH": f"{source}:{ROOT}"},
    )
    assert done.returncode == 0, done.stderr.strip().splitlines()[-1]
    return _catch(json.loads(done.stdout))


def recorded() -> dict[str, Catch]:
    """Return what is on record: bug -> how it was caught."""
    rows: dict[str, Any] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    found = {name: _catch(row) for name, row in rows.items() if name in BUGS}
    return {name: catch for name, catch in found.items() if catch is not None}


def record(catches: dict[str, Catch]) -> None:
    """Replace what is on record."""
    rows = {name: asdict(catches[name]) for name in BUGS if name in catches}
    RECORD.write_text(json.dumps(rows, indent=1) + "\n")


def candidates(bug: str, seeds: Iterable[int]) -> Iterator[Order]:
    """Yield the orders to try: those of scenes in which enough happens in a short while."""
    kind = BUGS[bug]
    for seed in seeds:
        for nodes in kind.nodes or (3, 2):
            scene = draw(random.Random(f"{seed}/scene"), nodes, fencing=kind.fencing)
            asked = not kind.resources or scene.resources in kind.resources
            if asked and scene.deadtime <= LONGEST_DEADTIME:
                yield Order(seed, nodes, HOURS, FAULTS_PER_HOUR, kind.fencing)


def _catch(row: dict[str, Any] | None) -> Catch | None:
    return None if row is None else Catch(Order(**row["order"]), row["checker"], row["what"])
