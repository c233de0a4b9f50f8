"""The drill's results: a table for people, a list for programs."""

import json
import statistics
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from standfest.lab.scenarios import Result


def as_json(results: Sequence[Result]) -> str:
    """Return the list that `--json` promises."""
    entries = [
        {
            "scenario": result.scenario,
            "service": result.service,
            "outage_ms": result.outage_ms,
            "detected_ms": result.detected_ms,
            "from": result.before,
            "to": result.after,
            "recovered": result.recovered,
            "duplicate_owner_ms": result.duplicate_owner_ms,
        }
        for result in results
    ]
    return json.dumps(entries, indent=2)


def show(console: Console, results: Sequence[Result], notes: Sequence[str]) -> None:
    """Print the table, what was decided how, and what the lab had to replace.

    outage is detect + decide + start, less what the service still answered after the fault; twice
    is for how long two nodes owned an address or served.
    """
    table = Table(
        title="Drill (milliseconds)",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for column in ("scenario", "service", "from", "to"):
        table.add_column(column, no_wrap=True)
    for column in ("outage", "detect", "decide", "start", "twice"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for result in results:
        table.add_row(
            result.scenario,
            result.service,
            result.before,
            result.after,
            _number(result.outage_ms),
            _number(result.detected_ms),
            _number(result.decided_ms),
            _number(result.started_ms),
            _number(result.duplicate_owner_ms),
            "ok" if result.passed else "FAILED",
        )
    console.print(table)
    for scenario, remark in sorted({(r.scenario, r.remark) for r in results if r.remark}):
        console.print(f"{scenario}: {remark}", highlight=False, soft_wrap=True)
    for line in _medians(results):
        console.print(line, highlight=False, soft_wrap=True)
    for note in notes:
        console.print(f"note: {note}", highlight=False, soft_wrap=True)


def _medians(results: Sequence[Result]) -> list[str]:
    groups: dict[tuple[str, str], list[float]] = {}
    for result in results:
        if result.outage_ms is not None:
            groups.setdefault((result.scenario, result.service), []).append(result.outage_ms)
    return [
        f"{scenario}, {service}: median of {len(values)}: {statistics.median(values):.0f} ms "
        f"({min(values):.0f} to {max(values):.0f})"
        for (scenario, service), values in groups.items()
        if len(values) > 1
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
