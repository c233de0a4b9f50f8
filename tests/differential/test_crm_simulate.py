"""`crm_simulate -S`, ours and Debian's on the same file: the same summary, the same things done.

The files are those of the scheduler suite, made readable for 2.1.5 by the suite's own adapter.
Lines are compared as sets, section by section, without the reasons behind `due to`. Every file in
which they differ has a cause; docs/guide/tools.md says more.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from standfest.cli.tools import crm_simulate
from standfest.cli.tools.rehearsal import Asked, Rehearsal
from standfest.config.recorded import read
from standfest.core.scheduler import calendar
from standfest.model import xml

SUITE = next(
    (
        place
        for parent in Path(__file__).resolve().parents
        if (place := parent / "shared/suites/scheduler").is_dir()
    ),
    Path("absent"),
)
needs_both = pytest.mark.skipif(
    shutil.which("crm_simulate") is None or not (SUITE / "visible").is_dir(),
    reason="crm_simulate, or Pacemaker's scheduler cases, are not here",
)
SUMMARY, DONE = "Transition Summary", "Executing Cluster Transition"
OTHER_WORDS = {
    # Why a node is fenced, or may be used, is said in other words.
    "rec-node-13": "instance of a clone in the reason",
    "unfence-definition": "one reason for both kinds of a device's change",
    "unfence-parameters": "one reason for both kinds of a device's change",
    # A member that moves has no role before, as 2.1.5 sees it.
    "stonith-1": "role on the other side of the arrow",
}
OTHER_DECISIONS = {
    "bug-5014-CthenAthenB-C-stopped": "what waits for a blocked start is not shown as blocked",
    "bundle-replicas-change": "the inside of a bundle that is renamed",
    "notifs-for-unrunnable": "instances without a place are not shown as blocked",
    "ordered-set-natural": "which members of a set are shown as blocked",
    "promoted-9": "a promotion that a blocked start holds back",
    "stonith-4": "a start that waits for a node that cannot be fenced",
    "stop-unexpected-2": "a resource that runs elsewhere, too, is not shown as restarted",
    "utilization": "a node that is full by one resource more",
}
"""Of the summaries: file -> what differs."""
MOST = {
    "2.1.5 decides otherwise": 26,  # as the suite says
    "load_stopped": 16,  # a milestone for each node, where there is a placement strategy
    "milestones": 19,  # of bundles, and of clones of which nothing starts
    "cancels, clean-ups, guests": 17,
    "probes and monitors": 24,
    "names of instances": 5,
    "other": 11,
}
"""Of what is done: cause -> files at most."""
LIMIT_S = 30


@dataclass(frozen=True, slots=True)
class Pair:
    """One file's lines of both, by section."""

    name: str
    same_expected: bool
    ours: dict[str, set[str]]
    theirs: dict[str, set[str]]

    def differ(self, section: str) -> set[str]:
        """Return the lines that only one of them has."""
        return self.ours[section] ^ self.theirs[section]


def sections(text: str) -> dict[str, set[str]]:
    """Return the lines of the sections that are compared, blanks and reasons left out."""
    found: dict[str, set[str]] = {SUMMARY: set(), DONE: set()}
    current = ""
    for line in text.split("\n"):
        if line.endswith(":") and not line.startswith(" "):
            current = line[:-1]
        elif current in found and line.startswith("  * "):
            found[current].add(
                " ".join(re.sub(r"  (due to .*?|)( \(blocked\)|$)", r"\2", line).split())
            )
    return found


def pairs(folder: Path) -> Iterator[Pair]:
    """Yield all files of the suite, run by both."""
    spec = importlib.util.spec_from_file_location("adapter", SUITE / "crm_simulate_adapter.py")
    assert spec is not None
    assert spec.loader is not None
    adapter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(adapter)
    for case in json.loads((SUITE / "tests.json").read_text(encoding="utf-8")):
        place = SUITE / "visible" / f"{case['name']}.xml"
        if place.is_file():
            file = folder / place.name
            file.write_text(adapter.downgrade(place.read_text(encoding="utf-8")))
            moment = case["now"] if case["now"] not in (None, "-") else ""
            expected = bool(case["same_expectation_in_2_1_5"])
            yield Pair(case["name"], expected, ours(file, moment), theirs(file, moment))


def ours(file: Path, moment: str) -> dict[str, set[str]]:
    text = file.read_bytes()
    configuration, recorded = read(text, file.name)
    written = recorded.attributes.get("execution-date", "")
    now = calendar.parse(moment) if moment else int(written or time.time())
    assert now is not None
    asked = Asked(now=now, simulate=True)
    rehearsal = Rehearsal(asked, xml.parse(text, file.name), configuration, recorded)
    rehearsal.play()
    return sections(rehearsal.page.text)


def theirs(file: Path, moment: str) -> dict[str, set[str]]:
    at = ["-t", moment] if moment else []
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC", "CIB_shadow_dir": str(file.parent)}
    done = subprocess.run(
        ["crm_simulate", "-x", str(file), "-S", *at],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return sections(done.stdout)


def cause(pair: Pair) -> str:
    """Return why other things are done; one of MOST."""
    lines = pair.differ(DONE)
    if not pair.same_expected:
        return "2.1.5 decides otherwise"
    if all("load_stopped_" in line for line in lines):
        return "load_stopped"
    if all("Pseudo action" in line for line in lines):
        return "milestones"
    words = ("Pseudo action", "Fencing", "cancel=", "clear_failcount")
    if all(any(word in line for word in words) for line in lines):
        return "cancels, clean-ups, guests"
    if all(re.search(r" monitor(=\d+)? on |Pseudo action", line) for line in lines):
        return "probes and monitors"
    names = [
        {re.sub(r":\d+", "", line) for line in side[DONE]} for side in (pair.ours, pair.theirs)
    ]
    return "names of instances" if names[0] == names[1] else "other"


@needs_both
def test_summaries_and_what_is_done_are_those_of_2_1_5(tmp_path: Path) -> None:
    found = list(pairs(tmp_path))
    assert len(found) == 426
    summaries = {pair.name for pair in found if pair.differ(SUMMARY) and pair.same_expected}
    assert summaries == OTHER_WORDS.keys() | OTHER_DECISIONS.keys()
    others = [pair for pair in found if pair.differ(SUMMARY) and not pair.same_expected]
    assert len(others) <= 20, [pair.name for pair in others]
    causes = Counter(cause(pair) for pair in found if pair.differ(DONE))
    assert all(count <= MOST[why] for why, count in causes.items()), causes
    assert sum(not pair.differ(DONE) for pair in found) >= 308


@pytest.mark.skipif(shutil.which("crm_simulate") is None, reason="crm_simulate is not here")
@pytest.mark.parametrize("more", [(), ("-N", "3"), ("--output-as=xml",), ("-t", "2030-01-01")])
def test_a_directory_is_timed_in_the_same_words(
    more: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d" / "dir.xml").mkdir(parents=True)
    (tmp_path / "none").mkdir()
    cib = '<cib validate-with="pacemaker-3.9" admin_epoch="0" epoch="1" num_updates="0">'
    inside = "<configuration><crm_config/><nodes/><resources/><constraints/></configuration>"
    for name in ("a.xml", "b.xml", "B.xml", "_.xml", "c10.xml", "c9.xml", ".h.xml", "x.XML"):
        (tmp_path / "d" / name).write_text(f"{cib}{inside}<status/></cib>")
    for folder in ("d", "d/", "none"):
        words = ["-P", folder, *more]
        done = subprocess.run(
            ["crm_simulate", *words],
            env={**os.environ, "CIB_shadow_dir": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        found = CliRunner().invoke(crm_simulate.command, words)
        assert found.exit_code == done.returncode == 0
        assert masked(found.stdout) == masked(done.stdout)


def masked(text: str) -> str:
    """Leave out how long it took."""
    return re.sub(r"\d+\.\d+( secs)|(duration=)\S+", r"T\1\2", text)
