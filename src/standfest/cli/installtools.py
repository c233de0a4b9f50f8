"""`standfest install-tools DIR`: the tools that administrators already type, as links to us.

Nothing of another package is ever replaced: everything is looked at before anything is done.
"""

import os
import shutil
import sys
from pathlib import Path

import click

from standfest.cli.main import TOOLS
from standfest.model.errors import OperationError


@click.command(name="install-tools")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--remove", is_flag=True, help="Take our links away.")
def command(directory: Path, *, remove: bool) -> None:
    """Make links named crm_mon, cibadmin and so on in DIR; each runs `standfest` as that tool.

    Refuses if one of the names is taken by anything but our own link. Links that are there already
    are left as they are. Says which of them will not be found when a name is typed.
    """
    try:
        program = _program()
        if not directory.is_dir():
            raise OperationError(f"{directory}: no such directory; expected one to make links in")
        ours = _ours(directory, program)
        _act(directory, program, ours, remove=remove)
    except OperationError as error:
        raise click.ClickException(str(error)) from error
    if not remove:
        for line in _hidden(directory, os.environ.get("PATH", "")):
            click.echo(line)


def _program() -> Path:
    """Return the installed `standfest`, where links can point: the file that runs now."""
    started = Path(sys.argv[0])
    if started.name in TOOLS:
        started = started.resolve()
    if started.name == "standfest" and started.is_file():
        return started.resolve()
    beside = Path(sys.executable).with_name("standfest")
    found = str(beside) if beside.is_file() else shutil.which("standfest")
    if found is None:
        raise OperationError("no program named standfest; expected it installed (pip install .)")
    return Path(found).resolve()


def _ours(directory: Path, program: Path) -> set[str]:
    """Return the tools that are our links in a directory; raises OperationError for others."""
    ours, others = set(), []
    for name in sorted(TOOLS):
        path = directory / name
        if path.is_symlink() and (path.readlink().name == "standfest" or path.resolve() == program):
            ours.add(name)
        elif os.path.lexists(path):
            others.append(path)
    if others:
        raise OperationError("\n".join(_taken(path) for path in others))
    return ours


def _taken(path: Path) -> str:
    return (
        f"{path} belongs to another package; expected no such file: remove that package, or give "
        "a directory that comes before it in PATH. Nothing was done"
    )


def _act(directory: Path, program: Path, ours: set[str], *, remove: bool) -> None:
    """Make or remove the links; after an error those that were not there are taken away again."""
    right = {name for name in ours if (directory / name).readlink() == program}
    todo = sorted(ours) if remove else sorted(set(TOOLS) - right)
    made: list[Path] = []
    for name in todo:
        path = directory / name
        try:
            if name in ours:
                path.unlink()
            if not remove:
                path.symlink_to(program)
        except OSError as error:
            for new in made:
                new.unlink(missing_ok=True)
            raise OperationError(f"{path}: {error.strerror}; expected to write there") from error
        if name not in ours:
            made.append(path)
    deed = "removed" if remove else "made"
    stayed = f", {len(right)} were there already" if right and not remove else ""
    click.echo(f"{directory}: {len(todo)} links {deed}{stayed}")


def _hidden(directory: Path, path: str) -> list[str]:
    """Return what keeps the links from being found when their names are typed."""
    places = [Path(part) for part in path.split(os.pathsep) if part]
    real = directory.resolve()
    before: list[Path] = []
    for place in places:
        if place.resolve() == real:
            break
        before.append(place)
    else:
        return [f"{directory} is not in PATH: add it, or type the tools with their directory"]
    found = []
    for name in sorted(TOOLS):
        other = next((place / name for place in before if _runs(place / name)), None)
        if other is not None:
            found.append(f"{name}: {other} comes before {directory} in PATH and will be run")
    return found


def _runs(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
