"""Collects what is wrong with a configuration, so that all of it is reported together."""

from collections.abc import Callable
from typing import TypeVar

from standfest.model.element import Element
from standfest.model.errors import Finding, Severity

T = TypeVar("T")


class Findings:
    """Errors and warnings about one file, or about elements whose file a function tells."""

    def __init__(self, path: str | Callable[[Element], str]) -> None:
        self._path = path
        self.errors: list[Finding] = []
        self.warnings: list[Finding] = []

    def error(self, element: Element, problem: str, expected: str) -> None:
        """Note an error at an element."""
        self._keep(self.errors, Finding(self._file(element), element.line, problem, expected))

    def warn(self, element: Element, problem: str, expected: str = "") -> None:
        """Note a warning at an element."""
        path = self._file(element)
        warning = Finding(path, element.line, problem, expected, Severity.WARNING)
        self._keep(self.warnings, warning)

    @staticmethod
    def _keep(found: list[Finding], finding: Finding) -> None:
        if finding not in found:  # a template or a reference is read wherever it is used
            found.append(finding)

    def _file(self, element: Element) -> str:
        return self._path if isinstance(self._path, str) else self._path(element)

    def value(
        self, element: Element, name: str, text: str, parse: Callable[[str], T], fallback: T
    ) -> T:
        """Return the parsed text, or the fallback after noting an error."""
        try:
            return parse(text)
        except ValueError as error:
            where = f" of {element.id}" if element.id else ""
            self.error(element, f"{name}{where} is {text!r}", str(error))
            return fallback
