"""`standfest install-tools`: links that run the tools, and nobody else's files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from standfest.cli import installtools
from standfest.cli.main import TOOLS

SOURCE = Path(__file__).parents[2] / "src"
PROGRAM = f"""#!{sys.executable}
import sys
sys.path.insert(0, {str(SOURCE)!r})
from standfest.cli.main import main
main()
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a `standfest` as pip installs it, which counts as the one that runs."""
    path = tmp_path / "venv" / "standfest"
    path.parent.mkdir()
    path.write_text(PROGRAM, encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(path), "install-tools"])
    return path


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(installtools.command, list(words))
    return result.exit_code, result.output


def test_a_link_runs_the_tool_that_it_is_named_after(program: Path, tmp_path: Path) -> None:
    place = tmp_path / "bin"
    place.mkdir()
    code, _ = run(str(place))
    assert code == 0
    assert {path.name for path in place.iterdir()} == set(TOOLS)
    assert (place / "crm_verify").readlink() == program
    done = subprocess.run(
        [place / "crm_verify", "-X", "words"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (
        1,
        "crm_verify: Couldn't parse input string: words\n",
    )
    help_ = subprocess.run([place / "cl_status"], capture_output=True, text=True, check=False)
    assert help_.stdout.startswith("Usage: cl_status SUBCOMMAND")


def test_nothing_is_done_where_a_name_is_taken(program: Path, tmp_path: Path) -> None:
    assert program.exists()
    taken = tmp_path / "crm_verify"
    taken.write_text("Debian's", encoding="utf-8")
    (tmp_path / "crm_mon").symlink_to("/usr/sbin/crm_mon")
    code, output = run(str(tmp_path))
    assert code == 1
    assert f"{taken} belongs to another package" in output
    assert f"{tmp_path}/crm_mon belongs to another package" in output
    assert "Nothing was done" in output
    assert taken.read_text(encoding="utf-8") == "Debian's"
    assert not (tmp_path / "crm_node").exists()
    # Nor is anything removed there.
    assert run("--remove", str(tmp_path))[0] == 1
    assert taken.exists()


def test_what_was_made_can_be_made_again_and_removed(program: Path, tmp_path: Path) -> None:
    place = tmp_path / "bin"
    place.mkdir()
    (place / "crm_node").symlink_to("/opt/older/standfest")  # an earlier installation of ours
    assert f"{len(TOOLS)} links made" in run(str(place))[1]
    assert (place / "crm_node").readlink() == program
    assert f"0 links made, {len(TOOLS)} were there already" in run(str(place))[1]
    (place / "mine").write_text("", encoding="utf-8")
    assert f"{len(TOOLS)} links removed" in run("--remove", str(place))[1]
    assert [path.name for path in place.iterdir()] == ["mine"]


def test_it_says_when_the_links_will_not_be_found(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert program.exists()
    early, place = tmp_path / "sbin", tmp_path / "bin"
    early.mkdir()
    place.mkdir()
    monkeypatch.setenv("PATH", str(early))
    assert f"{place} is not in PATH" in run(str(place))[1]
    other = early / "crm_mon"
    other.write_text("", encoding="utf-8")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", f"{early}{os.pathsep}{place}")
    output = run(str(place))[1]
    assert f"crm_mon: {other} comes before {place} in PATH and will be run" in output
    assert "crm_node:" not in output


def test_a_directory_that_is_not_there_is_one_line(program: Path, tmp_path: Path) -> None:
    assert program.exists()
    code, output = run(str(tmp_path / "none"))
    assert code == 1
    assert output == (f"Error: {tmp_path}/none: no such directory; expected one to make links in\n")
