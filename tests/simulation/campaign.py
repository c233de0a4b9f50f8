"""Hours of simulation by the thousand: `python -m tests.simulation.campaign run|sum FILE`.

Each seed is a line of JSON in the file, so that a campaign can be ended at any time and gone on
with, by other code, too; `sum` adds up what is published in docs/guide/guarantees.md.
"""

import argparse
import gc
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.simulation.test_thousand import nodes_of

from standfest.model.time import in_seconds
from standfest.sim import probes
from standfest.sim.run import Order, run

ROOT = Path(__file__).resolve().parents[2]
CROWDED = 5
"""Every so many seeds have CROWDED_FAULTS an hour instead of 30."""
CROWDED_FAULTS = 100
KINDS = ("", "", "roster", "", "autojoin", "", "pings", "")
"""What tens of seeds have besides faults; nodes come and go only where their number is odd."""


def order_of(seed: int) -> Order:
    """Return what a seed of a campaign simulates: most of them nothing but faults."""
    nodes, kind = nodes_of(seed), seed // 10 % len(KINDS)
    faults = CROWDED_FAULTS if seed % CROWDED == 0 else 30
    what = KINDS[kind] if KINDS[kind] == "pings" or nodes % 2 else ""
    return Order(
        seed,
        nodes,
        1.0,
        faults,
        pings=what == "pings",
        roster=what == "roster",
        autojoin=what == "autojoin",
    )


def simulate(seed: int) -> dict[str, Any]:
    """Run one seed; return its line."""
    gc.collect()
    began = time.process_time()
    order = order_of(seed)
    outcome = run(order)
    violation = outcome.violation
    return {
        "seed": seed,
        "nodes": order.nodes,
        "options": [name for name in KINDS if name and getattr(order, name)],
        "faults": len(outcome.faults),
        "faults_per_hour": order.faults_per_hour,
        "simulated_s": in_seconds(outcome.simulated),
        "cpu_s": round(time.process_time() - began, 3),
        "noted": dict(sorted(outcome.noted.items())),
        "violation": None if violation is None else f"{violation}",
    }


def go(path: Path, first: int, minutes: float, jobs: int) -> int:
    """Append lines until the time is over; return how many promises were broken."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    described = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    broken, until = 0, time.monotonic() + 60 * minutes
    # Collected between the seeds, not while one runs: a fifteenth of the time.
    with path.open("a", encoding="ascii") as file, multiprocessing.Pool(jobs, gc.disable) as pool:
        for line in pool.imap_unordered(simulate, _numbers(first, until)):
            file.write(json.dumps({"commit": described.stdout.strip(), **line}) + "\n")
            file.flush()
            if line["violation"]:
                broken += 1
                print(
                    f"seed {line['seed']}, {line['nodes']} nodes: {line['violation']}", flush=True
                )
    return broken


def _numbers(first: int, until: float) -> Iterator[int]:
    """Yield seeds, not many more than can be worked on, until the time is over."""
    number, began = first, time.monotonic()
    while time.monotonic() < until:
        yield number
        number += 1
        # The pool takes all that it is given: no more than four a second are ever done.
        while number - first > 16 + 4 * (time.monotonic() - began) and time.monotonic() < until:
            time.sleep(0.1)


def total(paths: list[Path]) -> None:
    """Print the sums, by commit and by number of nodes, and the probes."""
    lines = [json.loads(text) for path in paths for text in path.read_text().splitlines()]
    print("| commit | seeds | hours | faults | broken |\n| --- | --- | --- | --- | --- |")
    for commit in dict.fromkeys(line["commit"] for line in lines):
        _row(commit, [line for line in lines if line["commit"] == commit])
    _row("all", lines)
    print("\n| nodes | hours | faults | times real time |\n| --- | --- | --- | --- |")
    for nodes in sorted({line["nodes"] for line in lines}):
        some = [line for line in lines if line["nodes"] == nodes]
        simulated = sum(line["simulated_s"] for line in some)
        faults = sum(line["faults"] for line in some)
        times = simulated / sum(line["cpu_s"] for line in some)
        print(f"| {nodes} | {simulated / 3600:,.0f} | {faults:,} | {times:,.0f} |")
    noted: Counter[str] = Counter()
    for line in lines:
        noted.update(line["noted"])
    print()
    for name in sorted(probes.names()):
        print(f"{name:24} {noted[name] or probes.unreached(name):>12}")
    for line in lines:
        if line["violation"]:
            print(f"{line['commit']} seed {line['seed']}: {line['violation']}")


def _row(name: str, lines: list[dict[str, Any]]) -> None:
    hours = sum(line["simulated_s"] for line in lines) / 3600
    seeds = [line["seed"] for line in lines]
    faults = sum(line["faults"] for line in lines)
    broken = sum(line["violation"] is not None for line in lines)
    print(f"| {name} | {min(seeds)} to {max(seeds)} | {hours:,.0f} | {faults:,} | {broken} |")


def main() -> int:
    """Run or add up; exit status 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.campaign")
    parser.add_argument("what", choices=("run", "sum"))
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    if asked.what == "sum":
        total(asked.files)
        return 0
    return 1 if go(asked.files[0], asked.first, asked.minutes, asked.jobs) else 0


if __name__ == "__main__":
    sys.exit(main())
