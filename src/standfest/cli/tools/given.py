"""XML that a command line gives, and what becomes of an error in a change: lines, exit codes."""

import sys

import click

from standfest.cli.tools.codes import Exit, ToolError
from standfest.config.cib import legacy
from standfest.config.compressed import read_file
from standfest.core.cib.objects import ChangeError, Refusal
from standfest.core.cib.printed import formatted
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.errors import ConfigError, OperationError

MAX_BYTES = xml.MAX_BYTES
CODES = {
    Refusal.NO_SUCH: Exit.NO_SUCH,
    Refusal.EXISTS: Exit.EXISTS,
    Refusal.INVALID: Exit.SOFTWARE,
    Refusal.OLDER: Exit.OLD,
}
LEGACY_DIALECT = "Heartbeat 2's dialect"


def element(text: str | None, file: str | None, pipe: bool) -> Element | None:
    """Return the element given as text, in a file or on standard input; None if none is.

    Raises ToolError with CONFIG for what is no XML, as Pacemaker's tools end.
    """
    if pipe:
        return _parsed(sys.stdin.buffer.read(MAX_BYTES + 1), "standard input")
    if file is not None:
        try:
            return _parsed(read_file(file), file)
        except OperationError as error:
            raise ToolError(Exit.CONFIG, str(error)) from error
    return None if text is None else _parsed(text, "the XML given")


def _parsed(content: bytes | str, path: str) -> Element:
    try:
        return xml.parse(content, path)
    except ConfigError as error:
        raise ToolError(Exit.CONFIG, str(error)) from error


def current(data: Element, cib: Element) -> Element:
    """Return the data in the dialect of the CIB that it goes into; says on stderr what is lost.

    A CIB that names its schema is in today's; data in Heartbeat 2's is upgraded for it.
    """
    if cib.get("validate-with") is None or not legacy.is_legacy(data):
        return data
    if data.tag == "cib" and data.get("validate-with") is not None:
        return data
    click.echo(f"warning: the data given is in {LEGACY_DIALECT} and is upgraded", err=True)
    for loss in legacy.losses(data, "the data given"):
        click.echo(str(loss), err=True)
    return legacy.upgrade(data)


def refused(error: ChangeError, operation: str) -> ToolError:
    """Return how a tool ends because of a change that cannot be; prints what failed."""
    text = f"Call failed: {error.refusal.value}"
    if error.failed is not None:
        click.echo(text, err=True)
        click.echo(formatted(_failed(error, operation, error.failed)), nl=False)
        text = ""
    return ToolError(CODES[error.refusal], text)


def _failed(error: ChangeError, operation: str, failed: Element) -> Element:
    attributes = [
        ("object_type", failed.tag),
        ("operation", f"cib_{operation}"),
        ("reason", error.refusal.value),
    ]
    if failed.get("id") is not None:
        attributes.insert(0, ("id", failed.id))
    update = Element("failed_update", tuple(attributes), (failed,))
    return Element("failed", (), (update,))
