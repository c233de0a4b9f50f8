"""`standfest why RESOURCE CIB`: why it is where it is, or why it does not run."""

import dataclasses
import gc
import json

import click

from standfest.analysis.candidates import limit_of
from standfest.analysis.contributions import Contribution
from standfest.analysis.why import Explanation, Place, explain
from standfest.cli.simulate import moment_of
from standfest.config.compressed import read_file
from standfest.config.recorded import read
from standfest.model.errors import ConfigError, OperationError


@click.command(name="why")
@click.argument("resource")
@click.argument("cib", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--node", default="", help="Only this node, and why it is not there.")
@click.option("--at", default="", metavar="TIME", help="Decide as of this ISO 8601 time, not now.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def command(resource: str, cib: str, node: str, at: str, as_json: bool) -> None:
    """Say why RESOURCE is placed as it is, in the situation in the file CIB (- for stdin)."""
    gc.disable()  # one answer, then the process ends
    try:
        configuration, recorded = read(read_file(cib), cib)
        found = explain(configuration, recorded, moment_of(at, recorded), resource, node)
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
        if not node or place.node == node or place.chosen:
            _place(place)
    if one.promotion_decision:
        click.echo(f"  {one.promotion_decision}")
        _contributions(one.promotion)
    for causes in one.causes:
        click.echo(f"  would {one.goal} without: {' and '.join(causes)}")
    if one.note:
        click.echo(f"  to {one.goal}: {one.note}")


def _place(place: Place) -> None:
    mark = "*" if place.chosen else " "
    state = f", {place.unusable}" if place.unusable else ""
    click.echo(f" {mark} {place.node}: {limit_of(place.score)}{state}")
    _contributions(place.contributions)


def _contributions(parts: tuple[Contribution, ...]) -> None:
    for part in parts:
        mark = " (from here on)" if part.replaces else ""
        mark = " (changes nothing more)" if part.no_effect else mark
        click.echo(f"      {limit_of(part.score):>9}  {part.what}{mark}")
