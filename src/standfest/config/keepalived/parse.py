"""Text of keepalived.conf -> checked entries: the stages one after the other."""

from dataclasses import dataclass

from standfest.config.keepalived.check import Entry, check
from standfest.config.keepalived.expand import Expander
from standfest.config.keepalived.source import Files, NoFiles, Report, Setting
from standfest.config.keepalived.tree import Statement, build
from standfest.config.keepalived.vocabulary import COMMANDS, OUTERMOST


@dataclass(frozen=True, slots=True)
class Parsed:
    """A configuration: what is written, what that means, and what is wrong with it.

    path: of the file that includes the others.
    """

    path: str
    statements: tuple[Statement, ...]
    root: Entry
    report: Report


def parse(text: str, path: str, setting: Setting, files: Files | None = None) -> Parsed:
    """Return what a file and what it includes say; mistakes are in the report."""
    report = Report(setting.limits.findings)
    expander = Expander(report, files or NoFiles(), setting)
    lines = expander.expand(path, text)
    statements = build(lines, report, setting.limits, commands=COMMANDS, outermost=OUTERMOST)
    return Parsed(path, tuple(statements), check(statements, report), report)
