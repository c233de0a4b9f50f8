"""Where the lines of a configuration come from: files, their names, and what was found in them.

Nothing here opens a file: a `Files` answers for the disk, so that tests and the fuzzer use memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from standfest.model.errors import ConfigError, Finding, Severity


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """The line of a file that something was written in, or was expanded by."""

    path: str
    line: int


@dataclass(frozen=True, slots=True)
class Line:
    """One line after expansion: text without its comment, and where it comes from."""

    text: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Limits:
    """What a configuration may grow to; a file that exceeds one of them is refused."""

    lines: int = 500_000
    """After expansion: the largest file of keepalived's own documentation stays below."""

    line: int = 65_536
    """Characters of one line after expansion."""

    replacements: int = 10_000
    """Of parameters in one line."""

    depth: int = 32
    """Of files in files, of definitions in definitions, and of blocks in blocks."""

    sequence: int = 100_000
    """Values of one ~SEQ."""

    findings: int = 1_000
    """Kept; a file with more of them is no keepalived.conf."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a configuration may depend on besides its text.

    identity: what `@id` is compared with and ${_INSTANCE} means, by default the first label of
    the host's name; environment: what ${_ENV NAME} may name.
    """

    identity: str
    environment: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = Limits()


class Files(Protocol):
    """The files that `include` may name."""

    def find(self, pattern: str, directory: str) -> Sequence[str]:
        """Return the paths that match a pattern with wildcards and braces, in order."""

    def read(self, path: str) -> str:
        """Return a file's text; raises ConfigError."""


class NoFiles:
    """A configuration that stands alone: every include names nothing."""

    def find(self, pattern: str, directory: str) -> Sequence[str]:
        """Return nothing."""
        del pattern, directory
        return ()

    def read(self, path: str) -> str:
        """Never called: `find` names no path."""
        raise ConfigError(Finding(path, 0, "no such file"))


@dataclass(slots=True)
class Report:
    """Collects findings in the order of discovery, each only once."""

    limit: int = 1_000
    found: dict[Finding, None] = field(default_factory=dict)

    def error(self, origin: Origin, problem: str, expected: str = "") -> None:
        """Note something that refuses the file."""
        self._add(Finding(origin.path, origin.line, problem, expected))

    def tolerate(self, origin: Origin, problem: str, expected: str = "") -> None:
        """Note a mistake that running installations have, and live with."""
        self._add(Finding(origin.path, origin.line, problem, expected, tolerated=True))

    def warn(self, origin: Origin, problem: str, expected: str = "") -> None:
        """Note something that the operator should know."""
        self._add(Finding(origin.path, origin.line, problem, expected, Severity.WARNING))

    def _add(self, finding: Finding) -> None:
        if len(self.found) < self.limit:
            self.found.setdefault(finding)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return what was found, by file and line."""
        return tuple(sorted(self.found, key=lambda finding: (finding.path, finding.line)))

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Return what makes the files unusable."""
        return tuple(found for found in self.findings if found.refuses)


class TooMuchError(Exception):
    """A limit is exceeded; the report has the finding, the rest of the file is not looked at."""
