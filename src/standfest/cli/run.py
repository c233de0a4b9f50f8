"""`standfest run`: check all files, then become the supervisor of cluster, director, or both."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import click

from standfest.cli.places import run_dir_option
from standfest.config import quorum
from standfest.daemons import places, reading, seed
from standfest.daemons.identity import node_name
from standfest.model.errors import ConfigError, Finding, OperationError
from standfest.model.settings import Autojoin

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
    "--stack",
    type=click.Choice(places.STACKS),
    default=places.HEARTBEAT,
    show_default=True,
    help="What carries messages and says who is there: heartbeat as in ha.cf, or the corosync that"
    " runs here; then the nodes are those of corosync.conf, and ha.cf and authkeys are not read.",
)
@click.option(
    "--corosync-conf",
    type=click.Path(dir_okay=False, path_type=Path),
    default=places.DEFAULT_COROSYNC_CONF,
    show_default=True,
    help="corosync's file, for --stack corosync.",
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
    stack: str,
    corosync_conf: Path,
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
        stack,
        corosync_conf.absolute(),
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
    where = replace(where, arbiter=_asks(where))
    words = [sys.executable, "-m", "standfest.daemons.supervisor", *where.arguments()]
    os.execv(sys.executable, words)  # a fresh, small process: what checking imported is gone


def _asks(where: places.Places) -> bool:
    """Return whether a tiebreaker has to be asked."""
    if where.stack == places.COROSYNC:
        return False
    heartbeat, _ = reading.heartbeat_settings(where.ha_dir)
    return reading.quorum_settings(where.ha_dir, heartbeat).device is not None


def _has_cluster(context: click.Context, ha_dir: Path) -> bool:
    """Return whether somebody wants a cluster: by an option, or by the usual file."""
    said = {context.get_parameter_source(name) for name in ("ha_dir", "cib_files", "stack")}
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
    on_corosync = where.stack == places.COROSYNC
    for look in (_corosync,) if on_corosync else (_heartbeat, _keys):
        try:
            found = look(where, node)
            nodes = found.nodes or nodes
            warnings += found.warnings
        except ConfigError as error:
            errors += error.findings
    try:
        seeded = seed.from_files(where.cib_files, nodes, votes=on_corosync)
        warnings += seeded.findings
        if not on_corosync and where.cib_files:
            warnings += _quorum(where, seeded)
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


def _heartbeat(where: places.Places, node: str) -> reading.Installation:
    """Return what ha.cf and the log daemon's file say; raises ConfigError."""
    settings, warnings = reading.heartbeat_settings(where.ha_dir)
    warnings += reading.log_settings(where.ha_dir, settings)[1]
    reading.quorum_settings(where.ha_dir, settings)
    if node not in settings.nodes and settings.autojoin is not Autojoin.ANY:
        path, here = str(where.ha_dir / "ha.cf"), f"no node {node}, which is `uname -n` here"
        raise ConfigError(Finding(path, 0, here, " ".join(settings.nodes)))
    deadtime = settings.deadtime
    return reading.Installation(settings.nodes, settings.initdead, deadtime, warnings)


def _quorum(where: places.Places, seeded: seed.Seed) -> list[Finding]:
    """Return what nothing decides; of files that are refused for something else, nothing."""
    try:
        settings = reading.quorum_settings(
            where.ha_dir, reading.heartbeat_settings(where.ha_dir)[0]
        )
    except ConfigError:
        return []
    stated = seed.configuration_of(seeded)
    return quorum.warnings(settings, stated, str(where.ha_dir / quorum.FILE))


def _keys(where: places.Places, _node: str) -> reading.Installation:
    """Return what is weak about authkeys; raises ConfigError."""
    return reading.Installation((), 0, None, reading.keyring(where.ha_dir)[1])


def _corosync(where: places.Places, node: str) -> reading.Installation:
    """Return what corosync's file says; raises ConfigError without corosync's libraries, too."""
    from standfest.adapters.linux.corosync.library import Libraries  # noqa: PLC0415  only with it

    try:
        Libraries()
    except OperationError as error:
        raise ConfigError(Finding("--stack corosync", 0, str(error))) from error
    found = reading.installation(where, node)
    logs = reading.log_settings(where.ha_dir, None)[1]
    return reading.Installation(found.nodes, found.initdead, None, (*found.warnings, *logs))
