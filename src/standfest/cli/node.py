"""`standfest node standby|online NODE`."""

from pathlib import Path

import click

from standfest.cli import asking
from standfest.cli.places import run_dir_option
from standfest.runtime.frames import Command


@click.group(name="node")
def command() -> None:
    """Put a node into standby, or bring it back."""


@command.command()
@click.argument("node")
@run_dir_option
def standby(node: str, run_dir: Path) -> None:
    """Move all resources off NODE and keep them off; it stays a member."""
    asking.command(run_dir, Command("standby", node=node))


@command.command()
@click.argument("node")
@run_dir_option
def online(node: str, run_dir: Path) -> None:
    """Let NODE run resources again."""
    asking.command(run_dir, Command("online", node=node))
