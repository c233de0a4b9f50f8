"""`crm_verify`: whether a CIB, or a part of one, can be used."""

import sys
from pathlib import Path

import click

from standfest.analysis.verify import Verdict, verify
from standfest.cli.tools.codes import Exit, ToolError
from standfest.cli.tools.source import chosen
from standfest.cli.tools.tool import Output, output_options, tool
from standfest.config.compressed import read_file
from standfest.model import xml
from standfest.model.errors import ConfigError, OperationError


@tool("crm_verify")
@click.option("-L", "--live-check", is_flag=True, help="Check the running cluster's.")
@click.option("-x", "--xml-file", metavar="FILE", help="Check this file.")
@click.option("-X", "--xml-text", metavar="XML", help="Check this text.")
@click.option("-p", "--xml-pipe", is_flag=True, help="Check standard input.")
@click.option("-S", "--save-xml", metavar="FILE", help="Write what was checked to a file.")
@click.argument("rest", nargs=-1, metavar="")
@output_options()
def command(
    *,
    live_check: bool,
    xml_file: str | None,
    xml_text: str | None,
    xml_pipe: bool,
    save_xml: str | None,
    rest: tuple[str, ...],
    verbose: int,
    output: Output,
) -> int:
    """Check a CIB, a section of one, or a single element, in today's or Heartbeat 2's dialect.

    Exit status 0: it can be used; 78: it cannot, or the cluster is not in order; 1: it could not
    be read.
    """
    del rest  # as Pacemaker's
    if live_check:
        path, text = "the cluster's CIB", xml.serialise(chosen().read())
    elif xml_file is not None:
        path, text = xml_file, _text(xml_file, f"input file: {xml_file}")
    elif xml_text is not None:
        path, text = "the given text", xml_text
        if "<" not in text:
            raise ToolError(Exit.ERROR, f"crm_verify: Couldn't parse input string: {text}")
    elif xml_pipe:
        path, text = "standard input", _text("-", "input from STDIN.")
    else:
        raise ToolError(
            Exit.ERROR,
            "crm_verify: No configuration source specified.  Use --help for usage information.",
        )
    verdict = verify(text, path)
    code = _report(verdict, path, verbose)
    if save_xml is not None:
        _save(save_xml, text)
    if output.as_xml:
        output.xml(code=code)
    return code


def _text(path: str, what: str) -> str:
    try:
        text = read_file(path).decode("utf-8", "replace")
    except (OperationError, ConfigError) as error:
        why = str(error).partition("; ")[0].removeprefix(f"{path}: ")
        raise ToolError(Exit.ERROR, f"crm_verify: Couldn't parse {what} ({why})") from error
    if "<" not in text:
        raise ToolError(Exit.ERROR, f"crm_verify: Couldn't parse {what}")
    return text


def _report(verdict: Verdict, path: str, verbose: int) -> Exit:
    if verbose:
        for kind, lines in (
            ("error", verdict.errors),
            ("warning", verdict.warnings),
            ("warning", verdict.notes),
        ):
            for line in lines:
                click.echo(f"{kind}: {line.replace(': warning: ', ': ')}", err=True)
    if verdict.errors:
        summary = "Errors found during check: config not valid"
    elif verdict.warnings:
        summary = "Warnings found during check: config may not be valid"
    else:
        if verdict.part and verbose:
            click.echo(f"{path}: <{verdict.part}> is valid", err=True)
        return Exit.OK
    click.echo(f"crm_verify: {summary}", err=True)
    if not verbose:
        click.echo("-V may provide more details", err=True)
    return Exit.CONFIG


def _save(path: str, text: str) -> None:
    try:
        if path == "-":
            sys.stdout.write(text)
        else:
            Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ToolError(
            Exit.CANNOT_CREATE, f"crm_verify: {path}: {error.strerror}; expected a file to write"
        ) from error
