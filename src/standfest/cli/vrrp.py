"""`standfest vrrp`: what the director of this network namespace does."""

import json
import sys
import time

import click

from standfest.daemons.director import control, reports
from standfest.model.errors import OperationError

EXIT_NO_DIRECTOR = 69  # EX_UNAVAILABLE, sysexits.h
KINDS = (reports.DATA, reports.STATISTICS, reports.JSON)


@click.group(name="vrrp")
def command() -> None:
    """Look at the virtual routers of the running director."""


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--name", default="", help="Name of the director, if it was given one.")
def status(as_json: bool, name: str) -> None:
    """Show each virtual router: its state, since when, and what it holds."""
    text = _ask(reports.STATUS, name)
    if as_json:
        click.echo(json.dumps(json.loads(text), indent=2))
        return
    report = json.loads(text)
    rows = [("instance", "state", "for", "interface", "vrid", "priority", "addresses")]
    for one in report["instances"]:
        shown = one["held"] or one["addresses"]
        addresses = " ".join(shown) if one["held"] else f"({' '.join(shown)})"
        since = _duration(time.time() - one["since"]) if one["since"] else "-"
        where = (one["interface"], str(one["vrid"]), str(one["priority"]))
        rows.append((one["name"], one["state"], since, *where, addresses))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
    for one in report["instances"]:
        for fault in one["faults"]:
            click.echo(f"{one['name']}: {fault}")


@command.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.option("--name", default="", help="Name of the director, if it was given one.")
def dump(kind: str, name: str) -> None:
    """Print what keepalived would dump to a file: data, stats, or json."""
    click.echo(_ask(kind, name), nl=False)


@command.command()
@click.option("--name", default="", help="Name of the director, if it was given one.")
def metrics(name: str) -> None:
    """Print states and counters in Prometheus' text format."""
    click.echo(_ask(reports.METRICS, name), nl=False)


@command.command("clear-stats")
@click.option("--name", default="", help="Name of the director, if it was given one.")
def clear_stats(name: str) -> None:
    """Begin to count anew."""
    _ask(reports.CLEAR, name)


def _ask(question: str, name: str) -> str:
    try:
        return control.ask(question, name)
    except OperationError as error:
        click.echo(f"standfest: {error}", err=True)
        sys.exit(EXIT_NO_DIRECTOR)


def _duration(seconds: float) -> str:
    whole = max(0, int(seconds))
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, rest = divmod(rest, 60)
    if days:
        return f"{days}d{hours}h"
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"
