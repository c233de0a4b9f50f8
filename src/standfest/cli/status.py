"""`standfest status`: the cluster as this node sees it."""

import json
import sys
from pathlib import Path

import click

from standfest.cli import asking
from standfest.cli.places import run_dir_option
from standfest.daemons.places import Places
from standfest.model.errors import OperationError
from standfest.monitor.text import render, render_links
from standfest.runtime import channel
from standfest.runtime.frames import Query, Reply


@click.command(name="status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--links", is_flag=True, help="Show heartbeats instead: links, sent, refused; ping nodes."
)
@run_dir_option
def command(as_json: bool, links: bool, run_dir: Path) -> None:
    """Show nodes, ping nodes, resources and failures."""
    report = _links(run_dir) if links else asking.ask(run_dir, Query("status"))
    content = json.loads(report.text)
    if as_json:
        click.echo(json.dumps(content, indent=2))
    else:
        click.echo(render_links(content) if links else render(content), nl=False)


def _links(run_dir: Path) -> Reply:
    try:
        answer = channel.request(Places(run_dir=run_dir).pulse_socket, Query("links"))
    except OperationError as error:
        click.echo(f"standfest: {error}", err=True)
        sys.exit(asking.EXIT_NO_DAEMON)
    assert isinstance(answer, Reply), "the daemon answers a query with a Reply"
    return answer
