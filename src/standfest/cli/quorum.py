"""`standfest quorum`: who has how many votes, and what this partition may do."""

import json
import sys
from pathlib import Path

import click

from standfest.cli import asking
from standfest.cli.places import run_dir_option
from standfest.daemons import diskvote, reading
from standfest.daemons.places import DEFAULT_HA_DIR
from standfest.model.errors import ConfigError, OperationError
from standfest.monitor.quorum import render
from standfest.runtime.frames import Query

EXIT_CONFIGURATION = 78  # EX_CONFIG, sysexits.h


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


@command.group()
def disk() -> None:
    """Prepare a shared disk that breaks ties."""


@disk.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--ha-dir",
    type=click.Path(path_type=Path),
    default=DEFAULT_HA_DIR,
    show_default=True,
    help="Directory with ha.cf, whose nodes the disk is for.",
)
@click.option("--again", is_flag=True, help="Also a disk that is prepared already: other nodes.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def init(path: Path, ha_dir: Path, again: bool, yes: bool) -> None:
    """Prepare PATH, an empty block device or file that all nodes have; on one node, once.

    What is not empty is refused. With --again no daemon may use it meanwhile.
    """
    try:
        settings, _ = reading.heartbeat_settings(ha_dir)
    except ConfigError as error:
        for finding in error.findings:
            click.echo(str(finding), err=True)
        sys.exit(EXIT_CONFIGURATION)
    nodes = sorted(settings.nodes)
    if not yes:
        click.confirm(f"Write {1 + len(nodes)} sectors on {path}?", abort=True)
    try:
        diskvote.prepare(path, nodes, again=again)
    except OperationError as error:
        click.echo(f"standfest: {error}", err=True)
        sys.exit(1)
    click.echo(f"{path} breaks ties for {', '.join(nodes)}")
