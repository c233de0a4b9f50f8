"""`standfest check FILE...`: whether files can be used, and what is wrong with them."""

import json
import os
import platform
import sys
from pathlib import Path

import click

from standfest.analysis.filecheck import Checked, check
from standfest.config.keepalived.load import settings_of
from standfest.config.keepalived.parse import Parsed
from standfest.config.keepalived.source import Setting
from standfest.config.keepalived.write import write
from standfest.core.setup import advice
from standfest.daemons.included import DiskFiles, text_of
from standfest.daemons.live import look
from standfest.model.errors import ConfigError, Finding, OperationError, Severity


@click.command(name="check")
@click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option(
    "--print",
    "as_text",
    is_flag=True,
    help="Print keepalived.conf with everything expanded, passwords too; findings go to stderr.",
)
@click.option(
    "-i",
    "--config-id",
    default="",
    metavar="ID",
    help="What @ID lines of keepalived.conf are for; the host's name by default.",
)
@click.option(
    "--live",
    is_flag=True,
    help="On a director: ask the network about the services and servers of one keepalived.conf.",
)
def command(
    paths: tuple[str, ...], config_id: str, *, as_json: bool, as_text: bool, live: bool
) -> None:
    """Check configuration files; several keepalived.conf are directors of one service.

    Exit status 0: all are usable, perhaps with warnings and tolerated errors; 1: one is refused,
    or the network is not as it says.
    """
    texts: list[tuple[str, str]] = []
    unread: list[Finding] = []
    for path in paths:
        try:
            texts.append((path, text_of(Path(path))))
        except ConfigError as error:
            unread += error.findings
    identity = config_id or platform.node().partition(".")[0]
    setting = Setting(identity, dict(os.environ))
    checked = check(texts, setting, DiskFiles())
    findings = (*unread, *checked.findings)
    usable = checked.usable and not unread
    asked = _live(checked.directors) if live and usable else ()
    right = not any(one.error for one in asked)
    if as_json:
        told = {"live": [one.as_json() for one in asked]} if live else {}
        click.echo(json.dumps({**document(checked, findings, usable=usable), **told}, indent=2))
    else:
        for finding in findings:
            click.echo(finding, err=as_text)
        click.echo(summary(len(paths), findings), err=as_text)
        for one in asked:
            click.echo(one, err=as_text)
        if live and usable:
            click.echo(f"the network: {advice.summary(asked)}", err=as_text)
    if as_text:
        click.echo("\n".join(write(parsed.statements) for parsed in checked.directors), nl=False)
    sys.exit(0 if usable and right else 1)


def _live(directors: tuple[Parsed, ...]) -> tuple[advice.Advice, ...]:
    """Return what the network says of the one director whose file it is."""
    if len(directors) != 1:
        raise click.UsageError("--live expects one keepalived.conf, that of this director")
    try:
        return look(settings_of(directors[0]).balancer)
    except OperationError as error:
        return (advice.Advice(str(error), "nothing could be asked"),)


def document(checked: Checked, findings: tuple[Finding, ...], *, usable: bool) -> dict[str, object]:
    """Return what `--json` prints."""
    return {
        "usable": usable,
        "files": [{"file": path, "kind": kind.value} for path, kind in checked.kinds],
        "findings": [
            {
                "file": found.path,
                "line": found.line,
                "severity": found.severity.value,
                "tolerated": found.tolerated,
                "problem": found.problem,
                "expected": found.expected,
            }
            for found in findings
        ],
    }


def summary(files: int, findings: tuple[Finding, ...]) -> str:
    """Return the last line: how many findings, and what they come to."""
    errors = sum(found.severity is Severity.ERROR for found in findings)
    warnings = len(findings) - errors
    verdict = "not usable" if any(found.refuses for found in findings) else "usable"
    counts = [(files, "file"), (errors, "error"), (warnings, "warning")]
    words = [f"{count} {what}{'' if count == 1 else 's'}" for count, what in counts]
    return f"{words[0]}: {words[1]}, {words[2]}: {verdict}"
