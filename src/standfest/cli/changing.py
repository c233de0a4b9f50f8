"""Showing a change of the configuration before it is made, and making it."""

import sys
import time

import click

from standfest.analysis import cibchange
from standfest.analysis.cibchange import Plan
from standfest.cli.tools.codes import ToolError
from standfest.cli.tools.live import LiveSource, submit
from standfest.cli.tools.source import chosen
from standfest.config.compressed import read_file
from standfest.model.element import Element
from standfest.model.errors import ConfigError, OperationError

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Seconds(click.ParamType[int]):
    """A duration such as 90, 90s, 5m, 2h, 1d; in seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the number of seconds."""
        text = str(value).strip()
        number, unit = (text[:-1], UNITS[text[-1]]) if text[-1:] in UNITS else (text, 1)
        if not (number.isascii() and number.isdigit() and 0 < int(number) * unit <= 7 * 86400):
            self.fail(f"{value}; expected 1s to 7d, e.g. 5m", param, ctx)
        return int(number) * unit


rollback_option = click.option(
    "--rollback-after",
    type=Seconds(),
    default=None,
    metavar="5m",
    help="Take it back then, unless `standfest cib confirm` comes first.",
)


def read_cib() -> Element:
    """Return the CIB as it is now; ends with one line when there is none."""
    try:
        return chosen().read()
    except ToolError as error:
        raise click.ClickException(error.text) from error


def wanted(cib: Element, path: str) -> Element:
    """Return the configuration that a file means; ends with its errors."""
    try:
        return cibchange.proposed(cib, read_file(path), path)
    except (ConfigError, OperationError) as error:
        raise click.ClickException(str(error)) from error


def show(cib: Element, configuration: Element) -> Plan:
    """Print what changes and what comes of it."""
    try:
        plan = cibchange.plan(cib, configuration, int(time.time()))
    except (ConfigError, OperationError) as error:
        raise click.ClickException(str(error)) from error
    if not plan.differences:
        click.echo("Nothing changes.")
        return plan
    click.echo("Changes:")
    for line in plan.differences:
        click.echo(f"  {line}")
    click.echo()
    click.echo("\n".join(plan.transition))
    click.echo()
    services = ", ".join(plan.interrupted) or "none"
    click.echo(f"Interrupted meanwhile: {services}")
    return plan


def confirm(*, yes: bool) -> None:
    """Ask; ends when the answer is no, or when nobody is there to answer."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.ClickException("nobody to ask: not a terminal; expected --yes")
    if not click.confirm("Make this change?"):
        click.echo("Nothing was changed.")
        sys.exit(1)


def make(cib: Element, configuration: Element, client: str, trial: int = 0) -> None:
    """Make the change; ends with one line when it is refused."""
    children = tuple(configuration if e.tag == "configuration" else e for e in cib.children)
    after = cib.with_children(children)
    where = chosen()
    try:
        if isinstance(where, LiveSource):
            click.echo(submit(where.run_dir, cib, after, client, trial))
        elif trial:
            raise click.ClickException("--rollback-after; expected a running cluster, not a file")
        else:
            where.change(cib, after)
    except ToolError as error:
        raise click.ClickException(error.text) from error
    if trial:
        click.echo(f"It is taken back in {trial} s unless you say `standfest cib confirm`.")
