"""`crm_shadow`: named copies of the CIB that all tools work on while CIB_shadow names one.

Source: facts/formats/TOOLS.md section 7; crm_shadow 2.1.5 by experiment.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click

from standfest.cli.tools.codes import Exit, ToolError
from standfest.cli.tools.filesource import FileSource, write
from standfest.cli.tools.source import SHADOW, Source, chosen, shadow_path
from standfest.cli.tools.tool import Callback, tool
from standfest.core.cib import diffxml, objects
from standfest.core.cib.counting import rank_of
from standfest.core.cib.printed import formatted
from standfest.model.element import Element
from standfest.monitor import cibdiff

MODE = 0o640
_NAME = re.compile(r"[\w][\w.@+-]{0,100}", re.ASCII)
FORCE = (
    "To prevent accidental destruction of the cluster, the --force flag is required in order to "
    "proceed."
)
DANGEROUS = f"The supplied command is considered dangerous.  {FORCE}"
SHELLS = ("/bin/bash", "/bin/sh")
QUERIES = {
    "which": (("-w", "--which"), "Show which copy is used."),
    "display": (("-p", "--display"), "Show the copy."),
    "edit": (("-E", "--edit"), "Edit the copy with $EDITOR."),
    "diff": (("-d", "--diff"), "Show what differs between the cluster and the copy."),
    "file": (("-F", "--file"), "Show the copy's file."),
}


def queries(callback: Callback) -> Callback:
    """Add an option for each question about the copy in use."""
    for name, (options, text) in reversed(QUERIES.items()):
        callback = click.option(*options, "query", flag_value=name, help=text)(callback)
    return callback


@tool("crm_shadow")
@queries
@click.option("-c", "--create", metavar="NAME", help="Make a copy of the cluster's CIB.")
@click.option("-e", "--create-empty", metavar="NAME", help="Make an empty one.")
@click.option("-C", "--commit", metavar="NAME", help="Make the cluster's CIB what the copy is.")
@click.option("-D", "--delete", metavar="NAME", help="Delete a copy.")
@click.option("-r", "--reset", metavar="NAME", help="Copy the cluster's CIB anew.")
@click.option("-s", "--switch", metavar="NAME", help="Use a copy.")
@click.option("-f", "--force", is_flag=True, help="Do what is dangerous.")
@click.option("-b", "--batch", is_flag=True, help="Start no shell.")
@click.option("-a", "--all", "whole", is_flag=True, help="Commit the status, too.")
@click.option(
    "-v", "--validate-with", default=objects.SCHEMA, metavar="SCHEMA", help="Of a new one."
)
def command(
    *,
    query: str | None,
    create: str | None,
    create_empty: str | None,
    commit: str | None,
    delete: str | None,
    reset: str | None,
    switch: str | None,
    force: bool,
    batch: bool,
    whole: bool,
    validate_with: str,
    verbose: int,
) -> int:
    """Work on a copy of the CIB, and commit it."""
    del verbose
    if query is not None:
        return _answer(query)
    if create is not None:
        _check_new(create, force=force)
        _keep(create, cluster().read())
        return _use(create, batch=batch, made=True)
    if create_empty is not None:
        _check_new(create_empty, force=force)
        _keep(create_empty, objects.empty(validate_with, epoch=0))
        click.echo(f"Created new {validate_with} configuration")
        return _use(create_empty, batch=batch, made=True)
    if reset is not None:
        _check_active(reset, force=force)
        _check_there(reset)
        _keep(reset, cluster().read())
        return _use(reset, batch=batch, made=True)
    if switch is not None:
        _check_there(switch)
        return _use(switch, batch=batch, made=False)
    if commit is not None:
        _check_active(commit, force=force)
        _check_forced(force=force)
        _check_there(commit)
        _commit(commit, whole=whole)
        return _forget()
    if delete is not None:
        _check_active(delete, force=force)
        _check_forced(force=force)
        _delete(delete)
        return _forget()
    raise click.UsageError("nothing to do; expected --which, --create NAME, --commit NAME ...")


def cluster() -> Source:
    """Return what the copies are copies of: CIB_file, or the running cluster."""
    return chosen({name: value for name, value in os.environ.items() if name != SHADOW})


def _file(name: str) -> Path:
    """Return a copy's file; raises ToolError for a name that is none."""
    if not _NAME.fullmatch(name):
        text = f"crm_shadow: name {name!r}; expected letters, digits, and . _ @ + -"
        raise ToolError(Exit.USAGE, text)
    return shadow_path(name)


def _active() -> str:
    name = os.environ.get(SHADOW, "")
    if not name:
        raise ToolError(Exit.NO_SUCH, "No active shadow configuration defined")
    return name


def _check_new(name: str, *, force: bool) -> None:
    _check_active(name, force=force)
    if _file(name).exists() and not force:
        text = f"A shadow instance '{name}' already exists.\n  {FORCE}"
        raise ToolError(Exit.CANNOT_CREATE, text)


def _check_active(name: str, *, force: bool) -> None:
    active = os.environ.get(SHADOW)
    if active and active != name and not force:
        text = (
            f"The supplied shadow instance ({name}) is not the same as the active one "
            f"({active}).\n  {FORCE}"
        )
        raise ToolError(Exit.USAGE, text)


def _check_forced(*, force: bool) -> None:
    if not force:
        raise ToolError(Exit.USAGE, DANGEROUS)


def _check_there(name: str) -> Path:
    file = _file(name)
    if not file.is_file():
        text = f"Could not access shadow instance '{name}': No such file or directory"
        raise ToolError(Exit.NO_SUCH, text)
    return file


def _keep(name: str, cib: Element) -> None:
    file = _file(name)
    write(file, cib, MODE)


def _answer(query: str) -> int:
    name = _active()
    if query == "which":
        click.echo(name)
        return Exit.OK
    if query == "file":
        click.echo(_file(name))
        return Exit.OK
    file = _check_there(name)
    if query == "edit":
        return _edit(file)
    copy = FileSource(str(file)).read()
    if query == "display":
        click.echo(formatted(copy), nl=False)
        return Exit.OK
    try:
        patch = diffxml.diff(cluster().read(), copy)
    except diffxml.DiffError as error:
        raise ToolError(Exit.ERROR, f"crm_shadow: {error}") from error
    if patch is None:
        return Exit.OK
    click.echo("\n".join(cibdiff.lines(patch)))
    return Exit.ERROR


def _edit(file: Path) -> int:
    editor = os.environ.get("EDITOR")
    if not editor:
        raise ToolError(Exit.UNAVAILABLE, "No value for EDITOR defined")
    try:
        done = subprocess.run([*shlex.split(editor), str(file)], check=False)
    except (OSError, ValueError) as error:
        raise ToolError(Exit.OS_FILE, f"crm_shadow: {editor}: {error}") from error
    return Exit.OK if done.returncode == 0 else Exit.ERROR


def _commit(name: str, *, whole: bool) -> None:
    """Make the cluster's configuration the copy's; its version goes on from the newer one."""
    copy = FileSource(str(_check_there(name))).read()
    target = cluster()
    before = target.read()
    after = before
    for section in ("configuration", "status") if whole else ("configuration",):
        new = copy.child(section)
        if new is not None:
            kept = [child for child in after.children if child.tag != section]
            kept.insert(0 if section == "configuration" else len(kept), new)
            after = after.with_children(tuple(kept))
    if rank_of(copy) > rank_of(before):
        for attribute in ("admin_epoch", "epoch"):
            after = after.with_attribute(attribute, copy.get(attribute) or "0")
    after = after.with_attribute("validate-with", copy.get("validate-with"))
    target.change(before, after)


def _delete(name: str) -> None:
    try:
        _file(name).unlink(missing_ok=True)
    except OSError as error:
        text = f"Could not remove shadow instance '{name}': {error.strerror}"
        raise ToolError(Exit.IO_ERROR, text) from error


def _forget() -> int:
    click.echo(
        "Please remember to unset the CIB_shadow variable by pasting the following into your "
        "shell:\n  unset CIB_shadow"
    )
    return Exit.OK


def _use(name: str, *, batch: bool, made: bool) -> int:
    """Say how to use a copy, or start a shell that does."""
    if not batch and os.environ.get(SHADOW) != name:
        return _shell(name)
    begin = (
        "A new shadow instance was created.  To begin using it paste the following into your shell:"
        if made
        else "To switch to the named shadow instance, paste the following into your shell:"
    )
    click.echo("Setting up shadow instance")
    click.echo(f"{begin}\n  CIB_shadow={name} ; export CIB_shadow")
    return Exit.OK


def _shell(name: str) -> int:
    wanted = [os.environ.get("SHELL", ""), *SHELLS]
    shell = next((one for one in wanted if one and os.access(one, os.X_OK)), None)
    if shell is None:
        raise ToolError(Exit.OS_FILE, "crm_shadow: no shell; expected SHELL to name one")
    click.echo("Setting up shadow instance")
    click.echo("Type Ctrl-D to exit the crm_shadow shell")
    sys.stdout.flush()
    environment = {**os.environ, SHADOW: name, "PS1": f"shadow[{name}] # "}
    options = ["--norc", "--noprofile"] if shell.endswith("bash") else []
    os.execve(shell, [shell, *options], environment)
