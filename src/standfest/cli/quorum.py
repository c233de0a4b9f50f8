"""`standfest quorum`: who has how many votes, and what this partition may do."""

import json
from pathlib import Path

import click

from standfest.cli import asking
from standfest.cli.places import run_dir_option
from standfest.monitor.quorum import render
from standfest.runtime.frames import Query


@click.group(name="quorum")
def command() -> None:
    """Show votes and what breaks a tie; prepare a shared disk for it."""


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@run_dir_option
def status(as_json: bool, run_dir: Path) -> None:
    """Show the votes, whether this partition has quorum, why, and what breaks a tie."""
    content = json.loads(asking.ask(run_dir, Query("quorum")).text)
    if as_json:
        click.echo(json.dumps(content, indent=2))
    else:
        click.echo(render(content), nl=False)
