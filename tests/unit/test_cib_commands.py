"""`standfest plan`, `apply` and `cib ...` on a file, as programs."""

import bz2
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.unit.test_cib_change import CIB

from standfest.model import xml

ROOT = Path(__file__).parents[2]
NEW = '<resources><primitive id="files" class="ocf" provider="heartbeat" type="Dummy"/></resources>'


@pytest.fixture
def cib(tmp_path: Path) -> Path:
    path = tmp_path / "cib.xml"
    path.write_text(xml.serialise(CIB), encoding="utf-8")
    return path


def environment(cib: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "CIB_file": str(cib), "PYTHONPATH": str(ROOT / "src"), **more}


def run(cib: Path, *words: str, given: str = "", editor: str = "") -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "standfest.cli.main", *words],
        check=False,
        env=environment(cib, EDITOR=editor, VISUAL=""),
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def on_terminal(cib: Path, editor: str, typed: str, *words: str) -> tuple[int, str]:
    """Run with a terminal, type something; return the exit status and what was shown."""
    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, "-m", "standfest.cli.main", *words],
        env=environment(cib, EDITOR=editor, VISUAL=""),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    os.write(ours, typed.encode())
    shown, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other end is closed: it has ended
            break
        if not part:
            break
        shown += part
    os.close(ours)
    return program.wait(60), shown.decode().replace("\r\n", "\n")


def test_a_plan_is_shown_and_nothing_is_changed(cib: Path) -> None:
    before = cib.read_text()
    code, said, _ = run(cib, "plan", "-", given=NEW)
    assert code == 0
    assert "- resources > primitive web ocf:heartbeat:Dummy" in said
    assert "Interrupted meanwhile: web\n" in said
    assert cib.read_text() == before


def test_a_file_is_applied_when_that_is_agreed_to(cib: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.xml"
    new.write_text(NEW)
    before = cib.read_text()
    code, _, complaint = run(cib, "apply", str(new))
    assert (code, complaint) == (1, "Error: nobody to ask: not a terminal; expected --yes\n")
    assert cib.read_text() == before
    code, shown = on_terminal(cib, "", "n\n", "apply", str(new))
    assert code == 1
    assert shown.endswith("Nothing was changed.\n")
    assert cib.read_text() == before
    assert run(cib, "apply", "--yes", str(new))[0] == 0
    after = xml.parse(cib.read_text(), "cib")
    assert after.get("epoch") == "5"  # it was 4
    assert [e.id for e in after.walk() if e.tag == "primitive"] == ["files"]
    code, said, _ = run(cib, "apply", "--yes", str(new))
    assert (code, said) == (0, "Nothing changes.\n")


def test_only_a_running_cluster_takes_anything_back(cib: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.xml"
    new.write_text(NEW)
    before = cib.read_text()
    code, _, complaint = run(cib, "apply", "--yes", "--rollback-after", "5m", str(new))
    assert code == 1
    assert "expected a running cluster" in complaint
    assert cib.read_text() == before
    code, _, complaint = run(cib, "apply", "--yes", "--rollback-after", "soon", str(new))
    assert code == 2
    assert "soon; expected 1s to 7d, e.g. 5m" in complaint


def test_an_edited_configuration_is_shown_and_made(cib: Path) -> None:
    editor = 'sed -i s/value=\\"80\\"/value=\\"8080\\"/'
    code, shown = on_terminal(cib, editor, "y\n", "cib", "edit")
    assert code == 0
    assert "nvpair i2 (port): value 80 -> 8080" in shown
    assert 'value="8080"' in cib.read_text()


def test_what_cannot_be_used_is_edited_again_or_dropped(cib: Path) -> None:
    before = cib.read_text()
    code, shown = on_terminal(cib, "sed -i s/<nodes>/<node>/", "n\n", "cib", "edit")
    assert code == 0
    assert "configuration.xml:" in shown
    assert "Edit it again?" in shown
    assert shown.endswith("Nothing was changed.\n")
    assert cib.read_text() == before
    code, _, complaint = run(cib, "cib", "edit", editor="false")
    assert (code, complaint) == (1, "Error: false ended with 1; nothing is changed\n")
    code, _, complaint = run(cib, "cib", "edit", editor="/no/editor")
    assert code == 1
    assert "expected an editor in $VISUAL or $EDITOR" in complaint
    assert cib.read_text() == before


def keep(folder: Path, number: int, text: str) -> None:
    history = folder / "history"
    history.mkdir(exist_ok=True)
    (history / f"cib-{number}.bz2").write_bytes(bz2.compress(text.encode()))


def test_history_is_listed_compared_and_restored(cib: Path, tmp_path: Path) -> None:
    text = cib.read_text()
    keep(tmp_path, 1, text.replace('epoch="4"', 'epoch="3"').replace('value="80"', 'value="79"'))
    signed = 'update-user="root" update-client="cibadmin" update-origin="a" standfest-changed="60"'
    keep(tmp_path, 2, text.replace('have-quorum="1"', f'have-quorum="1" {signed}'))
    place = ("--state-dir", str(tmp_path))
    code, said, _ = run(cib, "cib", "log", *place)
    assert code == 0
    lines = said.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["0.4", "0.3"]
    assert lines[1].endswith("1 line        root cibadmin a")
    assert run(cib, "cib", "diff", *place, "0.3")[1] == (
        "~ resources > primitive web > instance_attributes i > nvpair i2 (port): value 79 -> 80\n"
    )
    assert run(cib, "cib", "diff", *place, "0.4")[1] == "No difference.\n"
    code, _, complaint = run(cib, "cib", "diff", *place, "9.9")
    assert (code, complaint) == (1, "Error: no version 9.9 here; expected one of: 0.4, 0.3, ...\n")
    assert run(cib, "cib", "restore", "--yes", *place, "0.3")[0] == 0
    assert 'value="79"' in cib.read_text()


def test_nothing_waits_to_be_confirmed(cib: Path) -> None:
    code, _, complaint = run(cib, "cib", "confirm")
    assert (code, complaint) == (1, "Error: no change waits to be confirmed\n")
