"""Every block captured from Debian's crm_mon 2.1.5 for the sample CIBs, line for line.

Left out is the time of the run ("Last updated"). `DIFFERENT` says what else differs, and why.
"""

import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from standfest.cli.tools.crm_mon import command
from standfest.model import xml
from standfest.monitor import crm

FORMATS = next(
    (
        place
        for parent in Path(__file__).resolve().parents
        if (place := parent / "shared/facts/formats").is_dir()
    ),
    Path("absent"),
)
SAMPLES = FORMATS / "samples"
SCHEMA = FORMATS / "schemas/pacemaker-2.1.5/api/api-result.rng"
NAMES = (
    "fresh-start",
    "node-lost-fencing",
    "promotable",
    "standby-maint-ticket",
    "web-monitor-failed",
    "web-running",
)
DIFFERENT = {
    ("node-lost-fencing", "crm_mon --simple-status"): (
        "Error outputting status info from the fencer or CIB\n",
        "",
        "a complaint on standard error about nothing: the line with the status follows it",
    ),
}
"""(CIB, command) -> what Debian's prints, what we print instead, and the reason."""
BLOCKS = 6
"""Blocks in each .txt."""
TIME = re.compile(r'(Last updated: </span><span>|Last updated: |<last_update time=")[^"<\n]*')

needs_samples = pytest.mark.skipif(
    not (SAMPLES / "outputs").is_dir(), reason="the captured outputs are not here"
)


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def ran(words: str, capsys: pytest.CaptureFixture[str]) -> tuple[str, int]:
    """Run a command line; return standard output and the exit code."""
    name, *arguments = shlex.split(words)
    with pytest.raises(SystemExit) as ended:
        command.main(arguments, prog_name=name)
    return capsys.readouterr().out, int(ended.value.code or 0)


def plain(text: str) -> list[str]:
    return TIME.sub(r"\1", text).rstrip("\n").split("\n")


def blocks(text: str) -> list[tuple[str, str, int]]:
    """Return (command, output, exit code) of each block."""
    found = re.findall(r"^\$ (crm_mon.*)\n((?:.*\n)*?)\[exit (\d+)\]$", text, re.MULTILINE)
    return [(words, output, int(code)) for words, output, code in found]


@needs_samples
@pytest.mark.parametrize("name", NAMES)
def test_the_lines_are_those_of_pacemakers_crm_mon(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CIB_file", str(SAMPLES / f"cibs/{name}.xml"))
    found = blocks((SAMPLES / f"outputs/{name}.crm_mon.txt").read_text())
    assert len(found) == BLOCKS
    for words, expected, code in found:
        theirs, ours, _ = DIFFERENT.get((name, words), ("", "", ""))
        assert theirs in expected
        output, ended = ran(words, capsys)
        assert plain(output) == plain(expected.replace(theirs, ours)), words
        assert ended == code


@needs_samples
@pytest.mark.parametrize("name", NAMES)
def test_the_xml_is_that_of_pacemakers_crm_mon(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CIB_file", str(SAMPLES / f"cibs/{name}.xml"))
    output, code = ran("crm_mon --output-as=xml", capsys)
    assert plain(output) == plain((SAMPLES / f"outputs/{name}.crm_mon.xml").read_text())
    assert code == 0


@needs_samples
@pytest.mark.parametrize("name", NAMES)
def test_the_page_is_that_of_pacemakers_crm_mon(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CIB_file", str(SAMPLES / f"cibs/{name}.xml"))
    output, code = ran("crm_mon --output-as=html", capsys)
    assert plain(output) == plain((SAMPLES / f"outputs/{name}.crm_mon.html").read_text())
    assert code == 0


@needs_samples
@pytest.mark.skipif(shutil.which("xmllint") is None, reason="xmllint is not installed")
def test_the_xml_of_every_case_is_what_the_schema_of_its_version_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`api-result` 2.25; all files in one run of xmllint, which says what is wrong in which."""
    cases = sorted([*SAMPLES.glob("cibs/*.xml"), *SAMPLES.glob("scheduler-vectors/*.xml")])
    files = []
    for number, case in enumerate(cases):
        monkeypatch.setenv("CIB_file", str(case))
        words = ("crm_mon --output-as=xml", "crm_mon --output-as=xml -n -R")[number % 2]
        files.append(tmp_path / case.name)
        files[-1].write_text(ran(words, capsys)[0])
    monkeypatch.delenv("CIB_file")
    files.append(tmp_path / "none.xml")  # no cluster to ask
    monkeypatch.setenv("STANDFEST_RUN_DIR", str(tmp_path))
    output, code = ran("crm_mon --output-as=xml", capsys)
    files[-1].write_text(output)
    assert code == 102
    assert len(files) > 200
    result = subprocess.run(
        ["xmllint", "--noout", "--relaxng", str(SCHEMA), *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
    )
    wrong = [line for line in result.stderr.splitlines() if not line.endswith(" validates")]
    assert wrong == []
    assert result.returncode == 0


@needs_samples
@pytest.mark.parametrize("name", NAMES)
def test_what_is_shared_is_also_what_crm_resource_and_crm_simulate_show(name: str) -> None:
    situation = crm.read(xml.parse((SAMPLES / f"cibs/{name}.xml").read_text(), name))
    text = (SAMPLES / f"outputs/{name}.crm_resource.txt").read_text()
    listed = re.search(r"\$ crm_resource --list\nFull[^\n]*\n(.*?)\n\[exit", text, re.DOTALL)
    elements = re.search(r"  <resources>.*</resources>\n", text, re.DOTALL)
    assert listed is not None
    assert elements is not None
    nowhere = crm.Show(inactive=True, place=False)
    assert crm.resources_text(situation, nowhere) == listed[1].split("\n")
    serialised = xml.serialise(crm.resources_xml(situation))
    assert [f"  {line}" for line in serialised.split("\n") if line] == elements[0].split("\n")[:-1]
    text = (SAMPLES / f"outputs/{name}.crm_simulate.txt").read_text()
    status = re.search(r"\* Node List:\n(.*?)\n\n  \* Full.*?\n(.*?)\n\n", text, re.DOTALL)
    assert status is not None
    assert [f"  {line}" for line in crm.nodes_text(situation)] == status[1].split("\n")
    assert [f"  {line}" for line in crm.resources_text(situation)] == status[2].split("\n")
