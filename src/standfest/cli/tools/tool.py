"""What all of Pacemaker's tools have in common: how options are written, help, XML around results.

Options are getopt's: long ones may be cut short while they are unique, and the report writes some
with one dash (`-obj_type`). Source: facts/formats/TOOLS.md.
"""

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from standfest import __version__
from standfest.cli.tools.codes import MESSAGES, Exit, ToolError
from standfest.model import xml
from standfest.model.element import Element

API_VERSION = "2.25"
FORMATS = ("text", "xml")
Callback = Callable[..., Any]


class ToolCommand(click.Command):
    """A click command with getopt's long options, and Pacemaker's exit codes."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; long options in full, whatever way they were written."""
        ctx.meta["words"] = list(args)
        return super().parse_args(ctx, self._in_full(ctx, args))

    def _in_full(self, ctx: click.Context, args: Sequence[str]) -> list[str]:
        known = {
            name
            for parameter in self.get_params(ctx)
            for name in (*parameter.opts, *parameter.secondary_opts)
            if name.startswith("--")
        }
        words: list[str] = []
        for at, word in enumerate(args):
            if word == "--":
                return [*words, *args[at:]]
            name, equals, value = word.partition("=")
            if len(name) > 2 and name[0] == "-" and name[1] != "-" and f"-{name}" in known:
                name = f"-{name}"
            if name.startswith("--") and name not in known:
                matching = sorted(long for long in known if long.startswith(name))
                if len(matching) == 1:
                    name = matching[0]
            words.append(f"{name}{equals}{value}")
        return words

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run as a program of its own; a function that returns a number ends with that code."""
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except click.ClickException as error:
            sys.exit(usage(self.name or "", error))
        except ToolError as error:
            sys.exit(failed(error))
        sys.exit(code or Exit.OK)

    def invoke(self, ctx: click.Context) -> Any:
        """Run; a ToolError ends the program, as `standfest TOOL`, too."""
        try:
            return super().invoke(ctx)
        except ToolError as error:
            ctx.exit(failed(error))


def usage(name: str, error: click.ClickException) -> int:
    """Print a mistake in the command line; return the exit code for it."""
    if isinstance(error, click.NoSuchOption):
        click.echo(f"{name}: unrecognized option '{error.option_name}'", err=True)
    else:
        click.echo(f"{name}: {error.format_message()}", err=True)
    click.echo(f"Try '{name} --help'.", err=True)
    return Exit.USAGE


def failed(error: ToolError) -> int:
    """Print why a tool ends; return its exit code."""
    if error.text:
        click.echo(error.text, err=True)
    return error.code


def tool(name: str, **attributes: Any) -> Callable[[Callback], ToolCommand]:
    """Make a function a tool: `-?`, `--help`, `-$`, `--version`, `-V` (counted, as `verbose`)."""

    def decorate(callback: Callback) -> ToolCommand:
        verbose = click.option("-V", "--verbose", count=True, help="Say more; may be repeated.")
        version = click.option(
            *("-$", "--version", "show_version"),
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_version,
            help="Show the version and exit.",
        )
        command = click.command(
            name,
            cls=ToolCommand,
            context_settings={"help_option_names": ["-?", "--help", "--help-all"]},
            **attributes,
        )
        return command(version(verbose(callback)))

    return decorate


def _version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"Standfest {__version__}")
        ctx.exit()


@dataclass(frozen=True, slots=True)
class Output:
    """Where a result goes and in which form; kind: text, xml, and html where a tool has it."""

    kind: str
    to: str
    request: str

    @property
    def as_xml(self) -> bool:
        """Return whether elements are wanted, not lines."""
        return self.kind == "xml"

    def text(self, content: str) -> None:
        """Write lines."""
        if not content:
            return
        if self.to in ("", "-"):
            click.echo(content, nl=not content.endswith("\n"))
            return
        try:
            with open(self.to, "w", encoding="utf-8") as file:
                file.write(content if content.endswith("\n") else content + "\n")
        except OSError as error:
            raise ToolError(
                Exit.CANNOT_CREATE, f"{self.to}: {error.strerror}; expected a file to write"
            ) from error

    def xml(self, *children: Element, code: Exit = Exit.OK) -> None:
        """Write elements in a <pacemaker-result>."""
        status = Element("status", (("code", str(int(code))), ("message", MESSAGES[code])))
        around = (("api-version", API_VERSION), ("request", self.request))
        self.text(xml.serialise(Element("pacemaker-result", around, (*children, status))))


def output_options(*kinds: str) -> Callable[[Callback], Callback]:
    """Add --output-as and --output-to; the function gets `output`, an Output."""
    formats = kinds or FORMATS

    def decorate(callback: Callback) -> Callback:
        def outer(*args: Any, output_as: str, output_to: str, **named: Any) -> Any:
            ctx = click.get_current_context()
            request = " ".join([ctx.info_name or "", *map(shlex.quote, ctx.meta["words"])])
            return callback(*args, output=Output(output_as, output_to, request), **named)

        outer.__doc__, outer.__name__ = callback.__doc__, callback.__name__
        outer.__click_params__ = getattr(callback, "__click_params__", [])  # type: ignore[attr-defined]
        form = click.option(
            "--output-as",
            type=click.Choice(formats),
            default=formats[0],
            help="Form of the result.",
        )
        place = click.option(
            "--output-to", default="-", metavar="DEST", help="File to write, - for here."
        )
        return form(place(outer))

    return decorate
