"""Real keepalived.conf files: what keepalived 2.2.7 takes is taken, what it complains of is found.

The files and their labels stay in ../shared; nothing here depends on a file's name. A label's
`valid` is an exit status: 6 (scripts and security) hides complaints that would be 5 alone, so a
file counts as valid here if keepalived had nothing to say of any of its lines.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from standfest.config.keepalived.load import read
from standfest.config.keepalived.parse import Parsed
from standfest.config.keepalived.source import Setting
from standfest.config.keepalived.write import write
from standfest.model.errors import Severity

CORPUS = next(
    (
        place
        for parent in Path(__file__).resolve().parents
        if (place := parent / "shared/suites/keepalived/visible").is_dir()
    ),
    Path("absent"),
)
needs_corpus = pytest.mark.skipif(
    not (CORPUS / "labels.json").is_file(), reason="the keepalived.conf corpus is not here"
)
MACHINE = re.compile(
    r"SECURITY|iptables not supp|own interface|interface .* doesn't exist|not found/accessible|"
    r"Non-existent|Config files missing|already exists and is not a private|"
    r"Error setting global script|Invalid (startup|shutdown) script"
)
LINE = re.compile(r"L(\d+): (.*)")
VALID_ACCEPTED, MISTAKES_FOUND, FOUND_AT_ALL = 0.99, 0.95, 1.0


@dataclass(frozen=True, slots=True)
class Case:
    """One file; lines: those that keepalived complains of."""

    name: str
    text: str
    label: dict[str, Any]
    lines: frozenset[int]

    @property
    def is_valid(self) -> bool:
        return self.label["verdict"] == "valid" and not self.lines

    @property
    def has_mistakes(self) -> bool:
        complained = self.label["verdict"] in ("errors_tolerated", "fatal") and bool(self.lines)
        return complained and not self.label["only_env_or_newer"]


def cases() -> list[Case]:
    found = []
    for label in json.loads((CORPUS / "labels.json").read_text()):
        text = (CORPUS / label["file"]).read_bytes().decode("utf-8", "replace")
        said = (LINE.match(message) for message in label["messages"])
        lines = {int(m[1]) for m in said if m is not None and not MACHINE.search(m[2])}
        found.append(Case(label["file"], text, label, frozenset(lines)))
    assert len(found) > 400
    return found


def parsed(case: Case) -> Parsed:
    return read(case.text, case.name, Setting("buildhost"))


@needs_corpus
def test_what_keepalived_takes_is_taken_and_its_mistakes_are_errors_on_their_lines() -> None:
    valid, accepted, wrong, on_line, noticed = 0, 0, 0, 0, 0
    for case in cases():
        if not (case.is_valid or case.has_mistakes):
            continue
        report = parsed(case).report
        if case.is_valid:
            valid += 1
            accepted += not report.errors
        else:
            wrong += 1
            named = {f.line for f in report.findings if f.severity is Severity.ERROR}
            on_line += bool(named & case.lines)
            noticed += bool({finding.line for finding in report.findings} & case.lines)
    print(f"\nvalid: {accepted} of {valid} accepted; mistakes: {on_line} of {wrong} are errors on")
    print(f"a line that keepalived names, {noticed} are errors or warnings there")
    assert valid > 170
    assert wrong > 160
    assert accepted >= VALID_ACCEPTED * valid
    assert on_line >= MISTAKES_FOUND * wrong
    assert noticed >= FOUND_AT_ALL * wrong


@needs_corpus
def test_every_file_prints_to_one_that_says_the_same() -> None:
    for case in cases():
        first = parsed(case)
        text = write(first.statements)
        again = read(text, case.name, Setting("buildhost"))
        assert write(again.statements) == text, case.name
