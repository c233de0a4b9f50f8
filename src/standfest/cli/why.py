"""`standfest why RESOURCE CIB`: why it is where it is, or why it does not run."""

import dataclasses
import json
import sys
from pathlib import Path

import click

from standfest.analysis.why import Explanation, Place, explain
from standfest.cli.simulate import moment_of
from standfest.config.recorded import read
from standfest.model.errors import ConfigError, OperationError


@click.command(name="why")
@click.argument("resource")
@click.argument("cib", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--node", default="", help="Only this node.")
@click.option("--at", default="", metavar="TIME", help="Decide as of this ISO 8601 time, not now.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def command(resource: str, cib: str, node: str, at: str, as_json: bool) -> None:
    """Say why RESOURCE is placed as it is, in the situation in the file CIB (- for stdin)."""
    try:
        text = sys.stdin.buffer.read() if cib == "-" else Path(cib).read_bytes()
        configuration, recorded = read(text, cib)
        found = explain(configuration, recorded, moment_of(at, recorded), resource)
    except OSError as error:
        raise click.ClickException(f"{cib}: {error.strerror}; expected a CIB file") from error
    except (ConfigError, OperationError) as error:
        raise click.ClickException(str(error)) from error
    if not found:
        raise click.ClickException(f"{cib}: no resource {resource}; expected the id of one")
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(one) for one in found], indent=2))
        return
    for one in found:
        _show(one, node)


def _show(one: Explanation, node: str) -> None:
    click.echo(f"{one.resource}: {one.decision}")
    for place in one.places:
        if not node or place.node == node:
            _place(place)
    for causes in one.causes:
        click.echo(f"  would run without: {' and '.join(causes)}")


def _place(place: Place) -> None:
    mark = "*" if place.chosen else " "
    state = f", {place.unusable}" if place.unusable else ""
    click.echo(f" {mark} {place.node}: {_score(place.score)}{state}")
    for part in place.contributions:
        click.echo(f"      {_score(part.score):>9}  {part.what}")


def _score(score: int) -> str:
    if abs(score) >= 1_000_000:
        return "INFINITY" if score > 0 else "-INFINITY"
    return str(score)
