"""`standfest membership`: how steadily the other nodes are heard."""

import json
import sys
from pathlib import Path

import click

from standfest.cli import asking
from standfest.cli.places import run_dir_option
from standfest.daemons.places import Places
from standfest.model.errors import OperationError
from standfest.monitor.membership import render
from standfest.runtime import channel
from standfest.runtime.frames import Query, Reply


@click.command(name="membership")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@run_dir_option
def command(as_json: bool, run_dir: Path) -> None:
    """Show each node's heartbeats: late and lost ones, silences, the deadtime that they need."""
    try:
        answer = channel.request(Places(run_dir=run_dir).pulse_socket, Query("membership"))
    except OperationError as error:
        click.echo(f"standfest: {error}", err=True)
        sys.exit(asking.EXIT_NO_DAEMON)
    assert isinstance(answer, Reply), "the daemon answers a query with a Reply"
    content = json.loads(answer.text)
    if as_json:
        click.echo(json.dumps(content, indent=2))
    else:
        click.echo(render(content), nl=False)
