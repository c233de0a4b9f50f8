"""`standfest membership`: how steadily the other nodes are heard."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from standfest.cli import asking
from standfest.cli.places import run_dir_option
from standfest.daemons.places import Places
from standfest.model.errors import OperationError
from standfest.monitor.membership import render, render_view
from standfest.runtime import channel
from standfest.runtime.frames import Query, Reply


@click.command(name="membership")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@run_dir_option
def command(as_json: bool, run_dir: Path) -> None:
    """Show who is a member and why others are none, and how steadily each node is heard."""
    try:
        answer = channel.request(Places(run_dir=run_dir).pulse_socket, Query("membership"))
    except OperationError as error:
        click.echo(f"standfest: {error}", err=True)
        sys.exit(asking.EXIT_NO_DAEMON)
    assert isinstance(answer, Reply), "the daemon answers a query with a Reply"
    content = json.loads(answer.text)
    view = _view(Places(run_dir=run_dir).cluster_socket)
    if view is not None:
        content["view"] = view
    if as_json:
        click.echo(json.dumps(content, indent=2))
    else:
        if view is not None:
            click.echo(render_view(view))
        click.echo(render(content), nl=False)


def _view(socket: Path) -> dict[str, Any] | None:
    """Return what the cluster daemon says, or None while there is none, or it may not say it."""
    try:
        answer = channel.request(socket, Query("view"))
    except OperationError:
        return None
    assert isinstance(answer, Reply), "the daemon answers a query with a Reply"
    found: dict[str, Any] | None = json.loads(answer.text) if answer.accepted else None
    return found
