"""The tables of docs/rfc and the tests agree: each requirement has a test and its opposite."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLES = ("vrrp.md", "bfd.md")
NUMBERS = {"vrrp.md": ("3768", "9568"), "bfd.md": ("5880", "5881", "5883")}
REQUIREMENT = re.compile(r"\b(?:3768|9568|5880|5881|5883)-[0-9.]+-[0-9]+\b")
TEST = re.compile(r"`(test_\w+)`")

Row = tuple[str, str, set[str], set[str]]
"""Requirement, module, tests that hold it, tests of its opposite."""


def rows_of(text: str) -> Iterator[Row]:
    """Return the rows of the table that names tests."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 5 and REQUIREMENT.fullmatch(cells[0]):
            yield cells[0], cells[2], set(TEST.findall(cells[3])), set(TEST.findall(cells[4]))


def citations_in(sources: list[str]) -> dict[str, set[str]]:
    """Return which tests cite a requirement in their docstring."""
    found: dict[str, set[str]] = defaultdict(set)
    for source in sources:
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for requirement in REQUIREMENT.findall(ast.get_docstring(node) or ""):
                    found[requirement].add(node.name)
    return dict(found)


def disagreements(rows: list[Row], cited: dict[str, set[str]]) -> list[str]:
    """Return one line for each way in which a table and the tests differ."""
    listed = [requirement for requirement, *_ in rows]
    findings = [f"{one}: twice in the table" for one in set(listed) if listed.count(one) > 1]
    findings += [f"{one}: cited by tests, not in the table" for one in set(cited) - set(listed)]
    for requirement, _, holds, opposite in rows:
        tests = cited.get(requirement, set())
        if not holds or not opposite:
            findings.append(f"{requirement}: needs a test and its opposite")
        findings += [f"{requirement}: {one} is both" for one in holds & opposite]
        findings += [f"{requirement}: {one} does not cite it" for one in (holds | opposite) - tests]
        findings += [f"{requirement}: {one} is not listed" for one in tests - holds - opposite]
    return sorted(findings)


@pytest.mark.parametrize("table", TABLES)
def test_the_table_and_the_tests_agree(table: str) -> None:
    rows = list(rows_of((ROOT / "docs/rfc" / table).read_text("utf-8")))
    sources = [path.read_text("utf-8") for path in sorted((ROOT / "tests/unit").glob("test_*.py"))]
    assert len(rows) > 20, "nothing was looked at"
    cited = {
        one: tests for one, tests in citations_in(sources).items() if one[:4] in NUMBERS[table]
    }
    assert disagreements(rows, cited) == []


@pytest.mark.parametrize("table", TABLES)
def test_the_modules_of_the_table_exist(table: str) -> None:
    for _, modules, _, _ in rows_of((ROOT / "docs/rfc" / table).read_text("utf-8")):
        for module in re.findall(r"`([\w/]+)`", modules):
            assert (ROOT / "src/standfest" / f"{module}.py").is_file(), module


SAMPLE = "| 9568-1.1-1 | it asks | `wire/vrrp` | `test_a` | `test_b` |"


@pytest.mark.parametrize(
    ("row", "cited", "finding"),
    [
        (SAMPLE, {"9568-1.1-1": {"test_a", "test_b"}}, ""),
        (SAMPLE, {"9568-1.1-1": {"test_a"}}, "9568-1.1-1: test_b does not cite it"),
        (
            SAMPLE,
            {"9568-1.1-1": {"test_a", "test_b", "test_c"}},
            "9568-1.1-1: test_c is not listed",
        ),
        (
            SAMPLE.replace("`test_b`", "none"),
            {"9568-1.1-1": {"test_a"}},
            "9568-1.1-1: needs a test",
        ),
        (SAMPLE.replace("_b", "_a"), {"9568-1.1-1": {"test_a"}}, "9568-1.1-1: test_a is both"),
        ("", {"9568-1.1-1": {"test_a"}}, "9568-1.1-1: cited by tests, not in the table"),
    ],
)
def test_each_disagreement_is_found(row: str, cited: dict[str, set[str]], finding: str) -> None:
    found = disagreements(list(rows_of(row)), cited)
    assert len(found) == (1 if finding else 0)
    assert not found or found[0].startswith(finding)
