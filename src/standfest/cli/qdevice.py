"""`standfest qdevice`: the quorum server, which breaks ties for clusters it is no part of."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from standfest.cli.asking import EXIT_NO_DAEMON
from standfest.daemons.places import DEFAULT_RUN_DIR
from standfest.model.errors import ConfigError, OperationError
from standfest.runtime import channel
from standfest.runtime.frames import Query, Reply

EXIT_CONFIGURATION = 78  # EX_CONFIG, sysexits.h
DEFAULT_FILE = Path("/etc/standfest/qdevice.toml")
SOCKET = "qdevice.sock"

RUN_DIR = click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    default=DEFAULT_RUN_DIR,
    show_default=True,
    help="Directory of the server's socket.",
)


@click.group(name="qdevice")
def command() -> None:
    """Run or show a quorum server: a third vote for many clusters of two halves."""


@command.command()
@click.argument(
    "file", required=False, default=DEFAULT_FILE, type=click.Path(dir_okay=False, path_type=Path)
)
@click.option("--check", is_flag=True, help="Only check the file and the keys.")
@RUN_DIR
def run(file: Path, check: bool, run_dir: Path) -> None:
    """Serve the clusters of FILE until SIGTERM; SIGHUP reads file and keys again.

    FILE is /etc/standfest/qdevice.toml by default.
    """
    from standfest.daemons.qdevice import load  # noqa: PLC0415  ciphers, only to run it

    try:
        load(file)
    except ConfigError as error:
        for finding in error.findings:
            click.echo(str(finding), err=True)
        sys.exit(EXIT_CONFIGURATION)
    if not check:
        words = [sys.executable, "-m", "standfest.daemons.qdevice", str(file), str(run_dir)]
        os.execv(sys.executable, words)  # a fresh, small process


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@RUN_DIR
def status(as_json: bool, run_dir: Path) -> None:
    """Show the clusters, their nodes, and who has the vote."""
    try:
        reply = channel.request(run_dir / SOCKET, Query("status"))
    except OperationError as error:
        click.echo(f"standfest: {error}", err=True)
        sys.exit(EXIT_NO_DAEMON)
    assert isinstance(reply, Reply), "the daemon answers a query with a Reply"
    content = json.loads(reply.text)
    if as_json:
        click.echo(json.dumps(content, indent=2))
        return
    for line in lines(content):
        click.echo(line)


def lines(report: dict[str, Any]) -> list[str]:
    """Return the report for a terminal."""
    found = [f"Listening at {report['address']} port {report['port']}"]
    for cluster in report["clusters"]:
        found += ["", f"Cluster {cluster['name']}:"]
        if not cluster["nodes"]:
            found.append("  nobody has asked yet")
        for node in cluster["nodes"]:
            vote = "has the vote" if node["has_vote"] else node["answer"] or "no vote"
            found.append(
                f"  {node['name']:<20} {vote}; with {', '.join(node['view'])}; asked "
                f"{node['silent_ms'] / 1000:.1f} s ago"
            )
    refused = sorted(report["refused"].items())
    found += ["", "Datagrams refused:", *(f"  {reason:<20} {n}" for reason, n in refused)]
    return found if refused else [*found, "  none"]
