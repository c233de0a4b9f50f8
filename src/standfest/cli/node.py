"""`standfest node standby|online|add|remove NODE`."""

from pathlib import Path

import click

from standfest.cli import asking
from standfest.cli.places import run_dir_option
from standfest.runtime.frames import Command


@click.group(name="node")
def command() -> None:
    """Put a node into standby, or bring it back; add and remove nodes."""


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


@command.command()
@click.argument("node")
@run_dir_option
def add(node: str, run_dir: Path) -> None:
    """Make NODE (its `uname -n`) a node of the running cluster, with one vote.

    Done before the new node is started; it has the same authkeys, and an ha.cf that names all
    nodes. Refused where the nodes that take part have not more than half of the votes, before and
    after.
    """
    asking.command(run_dir, Command("node-add", node=node))


@command.command()
@click.argument("node")
@run_dir_option
def remove(node: str, run_dir: Path) -> None:
    """Take NODE, which must be stopped, out of the running cluster.

    Its status, its failures and its attributes go; constraints that name it stay. It cannot come
    back by itself, also with `autojoin`, until it is added again.
    """
    asking.command(run_dir, Command("node-remove", node=node))
