"""`standfest status`: the cluster as this node sees it."""

import json
from pathlib import Path

import click

from standfest.cli import asking
from standfest.cli.places import run_dir_option
from standfest.monitor.text import render
from standfest.runtime.frames import Query


@click.command(name="status")
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
@run_dir_option
def command(as_json: bool, run_dir: Path) -> None:
    """Show nodes, resources and failures."""
    report = json.loads(asking.ask(run_dir, Query("status")).text)
    click.echo(json.dumps(report, indent=2) if as_json else render(report), nl=as_json)
