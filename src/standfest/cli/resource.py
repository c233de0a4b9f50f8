"""`standfest resource move|clear|cleanup RESOURCE`."""

from pathlib import Path

import click

from standfest.cli import asking
from standfest.cli.places import run_dir_option
from standfest.runtime.frames import Command


@click.group(name="resource")
def command() -> None:
    """Move a resource, take the move back, forget failures."""


@command.command()
@click.argument("resource")
@click.option("--node", default="", help="Where to; without it, away from where it runs.")
@run_dir_option
def move(resource: str, node: str, run_dir: Path) -> None:
    """Move RESOURCE (with its group) and keep it there until `clear`."""
    asking.command(run_dir, Command("move", resource=resource, node=node))


@command.command()
@click.argument("resource")
@run_dir_option
def clear(resource: str, run_dir: Path) -> None:
    """Take back every `move` of RESOURCE."""
    asking.command(run_dir, Command("clear", resource=resource))


@command.command()
@click.argument("resource")
@click.option("--node", default="", help="Only on this node.")
@run_dir_option
def cleanup(resource: str, node: str, run_dir: Path) -> None:
    """Forget RESOURCE's failures and look again what runs."""
    asking.command(run_dir, Command("cleanup", resource=resource, node=node))
