"""Every `crm_resource ...` block captured from Debian's crm_resource 2.1.5, line for line.

Those of a session are done in their order on one file; what other tools did in between is prepared.
`DIFFERENT` says what differs, and why.
"""

import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from standfest.adapters.linux import agentlist
from standfest.cli.tools.crm_resource import command
from standfest.model import xml

SAMPLES = next(
    (
        place
        for parent in Path(__file__).resolve().parents
        if (place := parent / "shared/facts/formats/samples").is_dir()
    ),
    Path("absent"),
)
NAMES = {
    "fresh-start": 24,
    "node-lost-fencing": 18,
    "promotable": 24,
    "standby-maint-ticket": 24,
    "web-monitor-failed": 18,
    "web-running": 18,
}
"""CIB -> number of blocks."""
IN_SESSION = 22
OTHERS = 8
PACEMAKER_AGENTS = Path("/usr/lib/ocf/resource.d/pacemaker/Dummy")
ONLY_MODERN = "crm_resource: Unknown option"
DIFFERENT = {
    "crm_resource --migrate -r web": (
        64,
        0,
        "2.1.5 has no --migrate; it is Heartbeat 2's word for --move, and scripts still use it",
    ),
    "crm_resource --un-migrate -r web": (
        64,
        0,
        "2.1.5 has no --un-migrate; it is Heartbeat 2's word for --clear",
    ),
}
"""Command -> Debian's exit code, ours, and the reason."""

needs_samples = pytest.mark.skipif(
    not (SAMPLES / "outputs").is_dir(), reason="the captured outputs are not here"
)
Block = tuple[str, str, int]


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def ran(words: str, capsys: pytest.CaptureFixture[str]) -> tuple[str, int]:
    """Run a command line; return what it wrote, errors last, and the exit code."""
    name, *arguments = shlex.split(words)
    with pytest.raises(SystemExit) as ended:
        command.main(arguments, prog_name=name)
    written = capsys.readouterr()
    return written.out + written.err, int(ended.value.code or 0)


def blocks(text: str, tools: str = "crm_resource") -> list[Block]:
    """Return (command, output, exit code) of each block of these tools."""
    found = re.findall(rf"^\$ ((?:{tools}).*)\n((?:.*\n)*?)\[exit (\d+)\]$", text, re.MULTILINE)
    return [(words, output, int(code)) for words, output, code in found]


@needs_samples
@pytest.mark.parametrize("name", NAMES)
def test_queries_say_what_pacemakers_say(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CIB_file", str(SAMPLES / f"cibs/{name}.xml"))
    found = blocks((SAMPLES / f"outputs/{name}.crm_resource.txt").read_text())
    assert len(found) == NAMES[name]
    for words, expected, code in found:
        assert (*ran(words, capsys), words) == (expected, code, words)


@needs_samples
def test_a_session_of_changes_says_and_does_what_pacemakers_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Moves, bans with a lifetime, options and deletion; the constraints are compared, too."""
    file = tmp_path / "cib.xml"
    text = (SAMPLES / "cibs/web-running.xml").read_text()
    # What the session did before with cibadmin: another address, no constraints.
    text = text.replace('name="ip" value="192.168.122.10"', 'name="ip" value="192.168.122.99"')
    text = re.sub(r"<constraints>.*</constraints>", "<constraints/>", text, flags=re.DOTALL)
    file.write_text(text)
    monkeypatch.setenv("CIB_file", str(file))
    whole = (SAMPLES / "outputs/commands/basic-commands.txt").read_text()
    session = whole[whole.index("$ crm_resource --move -r web") :]
    found = blocks(session, r"crm_resource|cibadmin -Q -o constraints")
    assert len(found) == IN_SESSION
    for words, expected, code in found:
        if words.startswith("cibadmin"):
            cib = xml.parse(file.read_text(), str(file))
            section = next(e for e in cib.walk() if e.tag == "constraints")
            assert without_times(xml.serialise(section)) == without_times(expected)
            continue
        theirs, ours, reason = DIFFERENT.get(words, (code, code, ""))
        output, ended = ran(words, capsys)
        assert code == theirs
        assert ended == ours, words
        if reason:
            assert expected.startswith(ONLY_MODERN)
            # One migration away from where it is, and back: said as --ban and --clear say it.
            assert "cli-ban-web-on-node1" in output
        else:
            assert without_times(output) == without_times(expected), words


@needs_samples
def test_other_queries_say_what_pacemakers_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CIB_file", str(SAMPLES / "cibs/web-monitor-failed.xml"))
    found = blocks((SAMPLES / "outputs/commands/more-commands.txt").read_text())
    assert len(found) == OTHERS
    for words, expected, code in found:
        if "--list" in words and not PACEMAKER_AGENTS.is_file():
            continue  # they name what is installed
        if "--list-standards" in words and agentlist.SYSTEMD.is_dir():
            continue  # where systemd runs there is one more
        if words == "crm_resource -L":  # there without a CIB, and without a cluster
            monkeypatch.delenv("CIB_file")
            monkeypatch.setenv("STANDFEST_RUN_DIR", str(tmp_path))
            output, ended = ran(words, capsys)
            # Which socket it was that nobody listens on is said, too.
            assert output.startswith("crm_resource: Could not connect to the cluster: ")
            assert output.splitlines()[-1] == expected.splitlines()[-1]
            assert (ended, code) == (102, 102)
            continue
        assert (*ran(words, capsys), words) == (expected, code, words)


def without_times(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", "TIME", text)
