"""What one run of a tool says: lines as it goes, or one XML document at its end with all errors.

In XML, what is said on the way is left out, as with Pacemaker's tools; errors are in the status.
"""

import sys

import click

from standfest.cli.tools.codes import MESSAGES, Exit
from standfest.cli.tools.tool import API_VERSION, Output
from standfest.model import xml
from standfest.model.element import Element


class Saying:
    """Lines to standard output or a file, errors to standard error; quiet: no remarks."""

    def __init__(self, tool: str, output: Output, *, quiet: bool = False) -> None:
        self.tool = tool
        self.quiet = quiet
        self._output = output
        self._kept: list[str] = []
        self._errors: list[str] = []
        self._elements: list[Element] = []

    @property
    def as_xml(self) -> bool:
        """Return whether elements are wanted, not lines."""
        return self._output.as_xml

    def line(self, text: str) -> None:
        """Say a line of the result."""
        if self.as_xml:
            return
        if self._output.to in ("", "-"):
            click.echo(text)
            sys.stdout.flush()
        else:
            self._kept.append(text)

    def lines(self, texts: list[str] | tuple[str, ...]) -> None:
        """Say several lines."""
        for text in texts:
            self.line(text)

    def remark(self, text: str) -> None:
        """Say what is left out when the tool is to be quiet."""
        if not self.quiet:
            self.line(text)

    def error(self, text: str) -> None:
        """Say what is wrong."""
        if not text:
            return
        if self.as_xml:
            self._errors.append(text)
        else:
            click.echo(text, err=True)

    def element(self, element: Element) -> None:
        """Add an element of the result."""
        self._elements.append(element)

    def end(self, code: int) -> int:
        """Write what has not been written; returns the exit code."""
        if not self.as_xml:
            if self._output.to not in ("", "-"):
                self._output.text("\n".join(self._kept) or "\n")
            return code
        errors = tuple(Element("error", text=text) for text in self._errors)
        status = Element(
            "status",
            (("code", str(int(code))), ("message", message(code))),
            (Element("errors", (), errors),) if errors else (),
        )
        around = (("api-version", API_VERSION), ("request", self._output.request))
        children = (*self._elements, status)
        self._output.text(xml.serialise(Element("pacemaker-result", around, children)))
        return code


def message(code: int) -> str:
    """Return the words for an exit code; an agent's may be any."""
    try:
        return MESSAGES[Exit(code)]
    except ValueError:
        return "Unknown exit status"
