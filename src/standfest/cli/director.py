"""`standfest director FILE`: a redundant director as keepalived.conf describes it."""

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from standfest.model.balancing import AUTO, BACKENDS
from standfest.model.errors import ConfigError

BACKEND = click.Choice([AUTO, *BACKENDS])
EXIT_CONFIGURATION = 78  # EX_CONFIG, sysexits.h


@click.command(name="director")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Only check the file.")
@click.option("--pid-file", type=click.Path(path_type=Path), help="Write the process id there.")
@click.option("--name", default="", help="Tell directors in one network namespace apart.")
@click.option("--backend", type=BACKEND, default="auto", help="What forwards packets.")
def command(file: Path, check: bool, pid_file: Path | None, name: str, backend: str) -> None:
    """Run virtual routers and virtual servers of a keepalived.conf until SIGTERM.

    SIGHUP reads the file again; SIGUSR1 and SIGUSR2 dump state and statistics as keepalived does.
    """
    if check:
        sys.exit(check_file(file))
    become(file, pid_file, name, backend)


def become(
    file: Path, pid_file: Path | None = None, name: str = "", backend: str = "auto"
) -> NoReturn:
    """Become the director's supervisor."""
    words = [sys.executable, "-m", "standfest.daemons.director.main", str(file)]
    if pid_file is not None:
        words += ["--pid-file", str(pid_file)]
    if name:
        words += ["--name", name]
    words += ["--backend", backend]
    os.execv(sys.executable, words)  # a fresh, small process: what this one imported is gone


def check_file(file: Path) -> int:
    """Print what is to be said of a file; return the exit status."""
    from standfest.daemons.director.settings import read_file  # noqa: PLC0415  not to run it

    try:
        _, findings = read_file(str(file))
    except ConfigError as error:
        for finding in error.findings:
            click.echo(str(finding), err=True)
        return EXIT_CONFIGURATION
    for finding in findings:
        click.echo(str(finding), err=True)
    return 0
