"""`crm_node`: who this node is, who is there, and taking a node away.

It always asks the running cluster, as Pacemaker's does: CIB_file does not count.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from standfest.cli.tools.codes import Exit, ToolError
from standfest.cli.tools.live import LiveSource, ask
from standfest.cli.tools.tool import Callback, tool
from standfest.daemons.places import DEFAULT_RUN_DIR
from standfest.runtime.frames import Command, Query

_TOLD = "OCF_RESKEY_CRM_meta_on_node"
"""What an agent is told of the node that it works for, a guest perhaps."""
_FORCE = (
    "The supplied command is considered dangerous.  To prevent accidental destruction of the "
    "cluster, the --force flag is required in order to proceed."
)


def _wanted(ctx: click.Context, parameter: click.Parameter, value: object) -> object:
    """Remember which command was given last: that one counts."""
    if value:
        ctx.meta["command"] = parameter.name
    return value


def _command(*names: str, text: str, metavar: str | None = None) -> Callable[[Callback], Callback]:
    flag = metavar is None
    return click.option(*names, is_flag=flag, metavar=metavar, callback=_wanted, help=text)


@tool("crm_node")
@_command("-n", "--name", "name", text="Show this node's name.")
@_command("-i", "--cluster-id", "number", text="Show this node's id in the CIB.")
@_command("-l", "--list", "members", text="Show all nodes: id, name, member or lost.")
@_command("-p", "--partition", "partition", text="Show the names of this partition's members.")
@_command("-q", "--quorum", "quorum", text="Show 1 if this partition has quorum, else 0.")
@_command("-N", "--name-for-id", "identifier", metavar="ID", text="Show the name of a node.")
@_command("-R", "--remove", "removed", metavar="NAME", text="Take a stopped node away.")
@click.option("-f", "--force", is_flag=True, help="Do what is dangerous.")
@click.option("-Q", "--quiet", is_flag=True, hidden=True)
def command(*, force: bool, identifier: str | None, removed: str | None, **_flags: object) -> None:
    """Show low-level information about nodes."""
    ctx = click.get_current_context()
    run_dir = Path(os.environ.get("STANDFEST_RUN_DIR") or DEFAULT_RUN_DIR)
    match ctx.meta.get("command"):
        case "name":
            click.echo(os.environ.get(_TOLD) or _report(run_dir)["node"])
        case "number":
            click.echo(_id_of(run_dir, str(_report(run_dir)["node"])))
        case "members":
            _list(run_dir)
        case "partition":
            report = _report(run_dir)
            members = [n["name"] for n in report["nodes"] if n["status"] != "offline"]
            click.echo(" ".join([*members, ""]))
        case "quorum":
            click.echo("1" if _report(run_dir)["quorum"] else "0")
        case "identifier":
            click.echo(_name_of(run_dir, identifier or ""))
        case "removed":
            if not force:
                raise ToolError(Exit.USAGE, _FORCE)
            reply = ask(run_dir, Command("node-remove", node=removed or ""))
            if not reply.accepted:
                raise ToolError(Exit.ERROR, f"crm_node: {reply.text}")
        case _:
            click.echo(ctx.get_help())
            raise ToolError(Exit.USAGE)


def _report(run_dir: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(ask(run_dir, Query("status")).text)
    return report


def _ids(run_dir: Path) -> dict[str, str]:
    """Return id -> name of the nodes in the CIB."""
    configuration = LiveSource(run_dir).read().child("configuration")
    section = configuration.child("nodes") if configuration is not None else None
    children = section.children if section is not None else ()
    return {node.id: node.get("uname") or node.id for node in children}


def _id_of(run_dir: Path, name: str) -> str:
    return next((number for number, known in _ids(run_dir).items() if known == name), name)


def _name_of(run_dir: Path, number: str) -> str:
    known = _ids(run_dir)
    if number not in known:
        listed = ", ".join(known) or "no node has one"
        raise ToolError(
            Exit.NO_HOST, f"crm_node: no node has id {number}; expected one of {listed}"
        )
    return known[number]


def _list(run_dir: Path) -> None:
    numbers = {name: number for number, name in _ids(run_dir).items()}
    for node in _report(run_dir)["nodes"]:
        state = "lost" if node["status"] == "offline" else "member"
        click.echo(f"{numbers.get(node['name'], node['name'])} {node['name']} {state}")
