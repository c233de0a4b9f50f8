"""Asking a running daemon, for the verbs that change or show a cluster."""

import sys
from pathlib import Path

import click

from standfest.daemons.places import Places
from standfest.model.errors import OperationError
from standfest.runtime import channel, frames

EXIT_REFUSED = 1
EXIT_NO_DAEMON = 102  # as Pacemaker's tools: not connected


def ask(run_dir: Path, value: frames.Command | frames.Query) -> frames.Reply:
    """Return the cluster daemon's answer; ends the program with one line when there is none.

    A query that is refused ends it, too; what becomes of a command is the caller's to say.
    """
    try:
        answer = channel.request(Places(run_dir=run_dir).cluster_socket, value)
    except OperationError as error:
        click.echo(f"standfest: {error}", err=True)
        sys.exit(EXIT_NO_DAEMON)
    assert isinstance(answer, frames.Reply), "the daemon answers a command with a Reply"
    if isinstance(value, frames.Query) and not answer.accepted:
        click.echo(f"standfest: {answer.text}", err=True)
        sys.exit(EXIT_REFUSED)
    return answer


def command(run_dir: Path, value: frames.Command) -> None:
    """Have a change made; prints the daemon's sentence and exits 1 when it refuses."""
    reply = ask(run_dir, value)
    click.echo(reply.text, err=not reply.accepted)
    if not reply.accepted:
        sys.exit(EXIT_REFUSED)
