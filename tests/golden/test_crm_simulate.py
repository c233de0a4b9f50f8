"""What Debian's crm_simulate and crm_verify 2.1.5 printed for the sample CIBs, printed by ours.

The samples stay in ../shared. Every difference is here, as a literal.
"""

import re
from difflib import ndiff
from pathlib import Path

import pytest
from click.testing import CliRunner

from standfest.cli.main import TOOLS, standfest

SAMPLES = next(
    (
        place
        for parent in Path(__file__).resolve().parents
        if (place := parent / "shared/facts/formats/samples").is_dir()
    ),
    Path("absent"),
)
FENCED = "warning: Cluster node node1 will be fenced: peer is no longer part of the cluster"
DIFFERENT = {
    # With one -V Pacemaker's says that there are warnings, and only with two which they are.
    "crm_verify -x node-lost-fencing.xml -V": [f"+ {FENCED}"],
}
"""Command -> lines that only ours has (+), and that only Pacemaker's has (-)."""


def blocks() -> list[tuple[str, str]]:
    """Return each command that was captured, with what it printed and its exit status."""
    found = []
    for path in sorted((SAMPLES / "outputs").glob("*.crm_*")):
        text = path.read_text(encoding="utf-8")
        if not re.search(r"\.crm_(simulate|verify)\.", path.name):
            continue
        if path.suffix == ".xml":
            request = re.search(r'request="([^"]*)"', text)
            assert request is not None, path
            found.append((request[1], f"{text.rstrip()}\n[exit 0]"))
        else:
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, _, printed = part.partition("\n")
                found.append((command, printed.rstrip("\n")))
    return found


needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the samples are not here")


@needs_samples
def test_all_samples_are_looked_at() -> None:
    # 6 CIBs: crm_simulate -S as text and XML, -R -s; crm_verify without and with -V.
    assert len(blocks()) == 30


@needs_samples
@pytest.mark.parametrize(("command", "printed"), blocks(), ids=[b[0] for b in blocks()])
def test_the_samples_are_printed_again(
    command: str, printed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(SAMPLES / "cibs")
    monkeypatch.setenv("TZ", "UTC")
    name, *words = command.split()
    assert name in TOOLS
    tool = standfest.get_command(standfest.make_context("standfest", [name]), name)
    assert tool is not None
    result = CliRunner().invoke(tool, words)
    ours = f"{result.output}[exit {result.exit_code}]"
    changed = [line for line in ndiff(printed.split("\n"), ours.split("\n")) if line[0] in "+-"]
    assert changed == DIFFERENT.get(command, [])
