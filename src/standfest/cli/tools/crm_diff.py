"""`crm_diff`: what differs between two CIBs, as a patch, and a patch applied to a file.

Source: facts/formats/TOOLS.md section 7; crm_diff 2.1.5 by experiment.
"""

import sys

import click

from standfest.cli.tools.codes import Exit, ToolError
from standfest.cli.tools.tool import tool
from standfest.config.compressed import read_file
from standfest.core.cib import diffxml
from standfest.core.cib.printed import formatted
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.errors import ConfigError, OperationError


@tool("crm_diff")
@click.option("-o", "--original", metavar="FILE", help="The XML to begin with.")
@click.option("-O", "--original-string", metavar="XML", help="The same as text.")
@click.option("-n", "--new", metavar="FILE", help="What to compare it with.")
@click.option("-N", "--new-string", metavar="XML", help="The same as text.")
@click.option("-p", "--patch", metavar="FILE", help="Apply this patch to the original.")
@click.option("-c", "--cib", "as_cib", is_flag=True, help="Say the digest of what comes out, too.")
@click.option("-s", "--stdin", is_flag=True, help="Read what is not given from standard input.")
@click.option("-u", "--no-version", is_flag=True, help="Leave versions out.")
def command(
    *,
    original: str | None,
    original_string: str | None,
    new: str | None,
    new_string: str | None,
    patch: str | None,
    as_cib: bool,
    stdin: bool,
    no_version: bool,
    verbose: int,
) -> int:
    """Compare two CIBs, or apply a patch; ends with 1 when they differ."""
    del verbose
    if no_version and as_cib:
        raise click.UsageError("-u/--no-version incompatible with -c/--cib")
    if patch is not None and no_version:
        click.echo("warning: -u/--no-version ignored with -p/--patch", err=True)
    first = _read("first", original, original_string, stdin)
    second_is_stdin = stdin and not (original is None and original_string is None)
    second = _read("second", patch if patch is not None else new, new_string, second_is_stdin)
    try:
        if patch is not None:
            click.echo(formatted(diffxml.apply(first, second)), nl=False)
            return Exit.OK
        found = diffxml.diff(first, second, versions=not no_version, digest=as_cib)
    except diffxml.DiffError as error:
        code = Exit.OLD if error.stale else Exit.ERROR
        text = "Could not apply patch" if patch is not None else "crm_diff"
        raise ToolError(code, f"{text}: {error}") from error
    if found is None:
        return Exit.OK
    click.echo(formatted(found), nl=False)
    return Exit.ERROR


def _read(which: str, file: str | None, text: str | None, stdin: bool) -> Element:
    """Return an input; raises ToolError."""
    where = file if file is not None else f"the {which} XML"
    try:
        if text is not None:
            return xml.parse(text, where)
        if file is not None:
            return xml.parse(read_file(file), where)
        if stdin:
            return xml.parse(sys.stdin.buffer.read(xml.MAX_BYTES + 1), "standard input")
    except (ConfigError, OperationError) as error:
        text = f"Could not parse the {which} XML fragment: {error}"
        raise ToolError(Exit.BAD_DATA, text) from error
    raise ToolError(Exit.BAD_DATA, f"Could not parse the {which} XML fragment: none is given")
