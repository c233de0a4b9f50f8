"""`standfest fence NODE`, `standfest fence confirm NODE`, `standfest fence history`."""

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from standfest.cli import asking
from standfest.cli.places import run_dir_option
from standfest.model.fencing import FencingState
from standfest.runtime.frames import Command, Query

POLL_S = 0.5
"""How often a command that waits looks whether fencing has ended."""

Record = dict[str, Any]


class _NodeFirst(click.Group):
    """A group whose first word may be a node's name instead of a command's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = (*self.commands, "-h", "--help")
        if args and args[0] not in known:
            args = ["node", *args]
        return super().parse_args(ctx, args)


@click.group(
    name="fence",
    cls=_NodeFirst,
    subcommand_metavar="NODE [--off|--on] | COMMAND",
    context_settings={"help_option_names": ["-h", "--help"]},
)
def command() -> None:
    """Cut a node's power, say that it is down, show what was fenced.

    `standfest fence NODE` reboots NODE by its fence device and waits until that is done.
    """


@command.command()
@click.argument("node")
@click.option("--off", "action", flag_value="off", help="Switch it off instead of rebooting it.")
@click.option("--on", "action", flag_value="on", help="Switch it on, or let it in again.")
@click.option("--no-wait", is_flag=True, help="Do not wait until it has ended.")
@click.option("--json", "as_json", is_flag=True, help="Print how it ended as JSON.")
@run_dir_option
def node(node: str, action: str | None, no_wait: bool, as_json: bool, run_dir: Path) -> None:
    """Fence NODE (a node that is named like a command here)."""
    wanted = action or "reboot"
    before = {record["id"] for record in _history(run_dir) if not _open(record)}
    reply = asking.ask(run_dir, Command("fence", node=node, how=wanted))
    if not reply.accepted or no_wait:
        click.echo(reply.text, err=not reply.accepted)
        sys.exit(0 if reply.accepted else asking.EXIT_REFUSED)
    record = _ended(run_dir, node, wanted, before)
    if as_json:
        click.echo(json.dumps(record, indent=2))
    else:
        click.echo(_line(record))
    sys.exit(asking.EXIT_REFUSED if record["state"] == FencingState.FAILED.value else 0)


@command.command()
@click.argument("node")
@run_dir_option
def confirm(node: str, run_dir: Path) -> None:
    """Say that NODE is down: whatever it ran is started elsewhere.

    Only after you have seen to it that nothing runs there. If it still does, data that both nodes
    write is lost.
    """
    asking.command(run_dir, Command("fence-confirm", node=node))


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@run_dir_option
def history(as_json: bool, run_dir: Path) -> None:
    """Show the last fencings, oldest first, and those under way."""
    records = _history(run_dir)
    if as_json:
        click.echo(json.dumps(records, indent=2))
        return
    for record in records:
        click.echo(_line(record))
    if not records:
        click.echo("nothing was fenced")


def _history(run_dir: Path) -> list[Record]:
    records: list[Record] = json.loads(asking.ask(run_dir, Query("fencing")).text)["history"]
    return records


def _ended(run_dir: Path, target: str, action: str, before: set[str]) -> Record:
    """Wait for the fencing that was asked for, or that was joined; its tries are limited."""
    while True:
        for record in reversed(_history(run_dir)):
            alike = record["target"] == target and (record["action"] == "on") == (action == "on")
            if alike and not _open(record) and record["id"] not in before:
                return record
        time.sleep(POLL_S)


def _open(record: Record) -> bool:
    return bool(record["state"] == FencingState.UNDER_WAY.value)


def _line(record: Record) -> str:
    at = datetime.fromtimestamp(record["ended"] or record["began"], UTC).astimezone()
    words = [f"{at:%Y-%m-%d %H:%M:%S}", record["target"], f"{record['action']}:", record["state"]]
    if record["executor"]:
        words.append(f"by {record['executor']} with {' and '.join(record['devices'])}")
    if record["origin"]:
        words.append(f"(asked on {record['origin']})")
    if record["failed_attempts"]:
        words.append(f"[{record['failed_attempts']} failed attempts]")
    if record["reason"]:
        words.append(f"- {record['reason']}")
    return " ".join(words)
