"""`standfest run`: check all files, then become the supervisor of cluster, director, or both."""

import os
import sys
from pathlib import Path

import click

from standfest.cli.places import run_dir_option
from standfest.daemons import places, reading, seed
from standfest.daemons.identity import node_name
from standfest.model.errors import ConfigError, Finding

EXIT_CONFIGURATION = 78  # EX_CONFIG, sysexits.h


@click.command(name="run")
@click.option(
    "--ha-dir",
    type=click.Path(path_type=Path),
    default=places.DEFAULT_HA_DIR,
    show_default=True,
    help="Directory with ha.cf, authkeys and ha_logd.cf.",
)
@click.option(
    "--cib",
    "cib_files",
    type=click.Path(path_type=Path),
    multiple=True,
    help="CIB, or a section of one, for the first start; may be given several times.",
)
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    default=places.DEFAULT_STATE_DIR,
    show_default=True,
    help="Directory for what outlives a restart, the replicated CIB among it.",
)
@click.option(
    "--keepalived",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Run the director of this keepalived.conf, too; alone when there is no ha.cf and neither"
    " --ha-dir nor --cib is given.",
)
@run_dir_option
@click.option("--check", is_flag=True, help="Only check the files.")
@click.pass_context
def command(
    context: click.Context,
    *,
    ha_dir: Path,
    cib_files: tuple[Path, ...],
    state_dir: Path,
    keepalived: Path | None,
    run_dir: Path,
    check: bool,
) -> None:
    """Run this node's daemons in the foreground, until SIGTERM; services are handed over then.

    SIGHUP opens log files anew, reads authkeys again, and lets a director read its file again.
    """
    if keepalived is not None and not _has_cluster(context, ha_dir):
        _run_director(keepalived, check=check)
        return
    where = places.Places(
        ha_dir.absolute(),
        state_dir.absolute(),
        run_dir.absolute(),
        tuple(path.absolute() for path in cib_files),
        None if keepalived is None else keepalived.absolute(),
    )
    try:
        warnings = examine(where, node_name())
    except ConfigError as error:
        for finding in error.findings:
            click.echo(str(finding), err=True)
        sys.exit(EXIT_CONFIGURATION)
    for finding in warnings:
        click.echo(str(finding), err=True)
    if check:
        return
    words = [sys.executable, "-m", "standfest.daemons.supervisor", *where.arguments()]
    os.execv(sys.executable, words)  # a fresh, small process: what checking imported is gone


def _has_cluster(context: click.Context, ha_dir: Path) -> bool:
    """Return whether somebody wants a cluster: by an option, or by the usual file."""
    said = {context.get_parameter_source(name) for name in ("ha_dir", "cib_files")}
    return click.core.ParameterSource.COMMANDLINE in said or (ha_dir / "ha.cf").exists()


def _run_director(file: Path, *, check: bool) -> None:
    """Do what `standfest director FILE` does."""
    from standfest.cli import director  # noqa: PLC0415  a cluster alone needs none of it

    if check:
        sys.exit(director.check_file(file))
    director.become(file)


def examine(where: places.Places, node: str) -> tuple[Finding, ...]:
    """Return the warnings of all files; raises ConfigError with every error of all of them."""
    errors: list[Finding] = []
    warnings: list[Finding] = []
    nodes: tuple[str, ...] = ()
    try:
        settings, found = reading.heartbeat_settings(where.ha_dir)
        warnings += found
        warnings += reading.log_settings(where.ha_dir, settings)[1]
        nodes = settings.nodes
        if node not in nodes:
            path = str(where.ha_dir / "ha.cf")
            errors.append(
                Finding(path, 0, f"no node {node}, which is `uname -n` here", " ".join(nodes))
            )
    except ConfigError as error:
        errors += error.findings
    try:
        warnings += reading.keyring(where.ha_dir)[1]
    except ConfigError as error:
        errors += error.findings
    try:
        warnings += seed.from_files(where.cib_files, nodes).findings
    except ConfigError as error:
        errors += error.findings
    if where.keepalived is not None:
        from standfest.daemons.director.settings import read_file  # noqa: PLC0415  see above

        try:
            warnings += read_file(str(where.keepalived))[1]
        except ConfigError as error:
            errors += error.findings
    if errors:
        raise ConfigError(*errors)
    return tuple(warnings)
