"""`standfest cib show|edit|log|diff|restore|confirm`: the configuration and its history."""

import os
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click

from standfest.adapters.linux.archive import CONFIGURATION, numbers
from standfest.analysis import cibchange
from standfest.analysis.cibchange import EMPTY
from standfest.cli import changing
from standfest.cli.changing import rollback_option
from standfest.config.cib import version_of
from standfest.config.compressed import read_file
from standfest.core.cib import provisional
from standfest.core.cib.patch import difference
from standfest.daemons.places import DEFAULT_STATE_DIR, Places
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.errors import ConfigError, OperationError

state_dir_option = click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    default=DEFAULT_STATE_DIR,
    show_default=True,
    help="Directory with what this node keeps.",
)


@click.group(name="cib")
def command() -> None:
    """Show, edit, compare and restore the configuration."""


@command.command()
def show() -> None:
    """Print the configuration."""
    cib = changing.read_cib()
    click.echo(xml.serialise(cib.child("configuration") or EMPTY), nl=False)


@command.command()
@rollback_option
def edit(rollback_after: int | None) -> None:
    """Edit the configuration with $VISUAL or $EDITOR.

    What you have written is checked, shown as a difference and as a predicted transition, and made
    the configuration when you agree.
    """
    cib = changing.read_cib()
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="standfest-") as folder:  # 0700: it may hold secrets
        path = Path(folder) / "configuration.xml"
        path.write_text(xml.serialise(cib.child("configuration") or EMPTY), encoding="utf-8")
        configuration = _edited(cib, path, editor)
    if configuration is None or not changing.show(cib, configuration).differences:
        click.echo("Nothing was changed.")
        return
    changing.confirm(yes=False)
    changing.make(cib, configuration, "standfest-cib-edit", rollback_after or 0)


def _edited(cib: Element, path: Path, editor: str) -> Element | None:
    """Have the file edited until it can be used; None when the administrator gives up."""
    while True:
        try:
            done = subprocess.run([*shlex.split(editor), str(path)], check=False)
        except OSError as error:
            raise click.ClickException(
                f"{editor}: {error.strerror}; expected an editor in $VISUAL or $EDITOR"
            ) from error
        if done.returncode:
            raise click.ClickException(f"{editor} ended with {done.returncode}; nothing is changed")
        try:
            return cibchange.proposed(cib, path.read_bytes(), "configuration.xml")
        except ConfigError as error:
            click.echo(str(error), err=True)
            if not sys.stdin.isatty() or not click.confirm("Edit it again?", default=True):
                return None


@command.command()
def confirm() -> None:
    """Keep the change that was made with --rollback-after."""
    cib = changing.read_cib()
    configuration = cib.child("configuration") or EMPTY
    if provisional.read(configuration) is None:
        raise click.ClickException("no change waits to be confirmed")
    changing.make(cib, provisional.without(configuration), "standfest-cib-confirm")


# --- history ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    """One configuration that this node has kept."""

    number: int
    cib: Element

    @property
    def version(self) -> str:
        """Return `admin_epoch.epoch`."""
        version = version_of(self.cib)
        return f"{version.admin_epoch}.{version.epoch}"

    def line(self, before: "Kept | None") -> str:
        """Return what `log` prints: version, time, who, how much."""
        at = self.cib.get("standfest-changed")
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(int(at))) if at else "as begun"
        who = " ".join(
            word
            for word in (
                self.cib.get("update-user"),
                self.cib.get("update-client"),
                self.cib.get("update-origin"),
            )
            if word
        )
        return f"{self.version:>10}  {when:<19}  {self._count(before):<12}  {who}"

    def _count(self, before: "Kept | None") -> str:
        if before is None:
            return ""
        one, two = (kept.cib.child("configuration") or EMPTY for kept in (before, self))
        patch = difference(one, two)
        lines = len(tuple(cibchange.differences(patch, one))) if patch is not None else 0
        return f"{lines} line{'s' if lines != 1 else ''}"


@command.command()
@click.option("-n", "count", type=click.IntRange(1), default=20, show_default=True)
@state_dir_option
def log(count: int, state_dir: Path) -> None:
    """List the last configurations that this node has kept, the newest first."""
    kept = _kept(state_dir, count + 1)
    if not kept:
        raise click.ClickException(f"{state_dir}: no configuration has been kept here yet")
    click.echo(f"{'version':>10}  {'changed':<19}  {'differences':<12}  by")
    pairs = zip(kept, [*kept[1:], None], strict=True)
    for newer, older in list(pairs)[:count]:
        click.echo(newer.line(older))


@command.command()
@click.argument("version")
@click.argument("other", default="")
@state_dir_option
def diff(version: str, other: str, state_dir: Path) -> None:
    """Show how VERSION (as `log` lists it) became OTHER, or the configuration of now."""
    one = _found(state_dir, version).cib
    two = _found(state_dir, other).cib if other else changing.read_cib()
    before, after = (provisional.without(cib.child("configuration") or EMPTY) for cib in (one, two))
    patch = difference(before, after)
    if patch is None:
        click.echo("No difference.")
        return
    for line in cibchange.differences(patch, before):
        click.echo(line)


@command.command()
@click.argument("version")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@rollback_option
@state_dir_option
def restore(version: str, yes: bool, rollback_after: int | None, state_dir: Path) -> None:
    """Make VERSION (as `log` lists it) the configuration again.

    Who is a node of the cluster stays as it is.
    """
    kept = _found(state_dir, version)
    cib = changing.read_cib()
    old = provisional.without(kept.cib.child("configuration") or EMPTY)
    try:
        configuration = cibchange.proposed(cib, xml.serialise(old).encode(), f"version {version}")
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    if not changing.show(cib, configuration).differences:
        return
    changing.confirm(yes=yes)
    changing.make(cib, configuration, "standfest-cib-restore", rollback_after or 0)


def _kept(state_dir: Path, most: int) -> list[Kept]:
    """Return the last configurations, the newest first."""
    directory = Places(state_dir=state_dir).history
    found = []
    for number in reversed(numbers(directory, CONFIGURATION)[-most:]):
        path = directory / f"{CONFIGURATION}-{number}.bz2"
        try:
            found.append(Kept(number, xml.parse(read_file(str(path)), str(path))))
        except OperationError:
            continue  # just removed, as the oldest
        except ConfigError as error:
            click.echo(f"{error}; left out", err=True)
    return found


def _found(state_dir: Path, version: str) -> Kept:
    kept = _kept(state_dir, 10**6)
    for one in kept:
        if version in (one.version, f"{one.version}.0"):
            return one
    known = ", ".join(one.version for one in kept[:8]) or "none"
    raise click.ClickException(f"no version {version} here; expected one of: {known}, ...")
