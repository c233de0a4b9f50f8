"""Sessions with Debian's tools, captured line by line, replayed with ours on copies of the files.

`crm_resource` belongs to another test; the lines of daemons that are not there, too. Where we
differ on purpose the line below says what we print, and why.
"""

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.administering import SHARED, run

OURS = ("cibadmin", "crm_attribute", "crm_diff", "crm_failcount", "crm_shadow", "crm_standby")
TOOLS = frozenset((*OURS, "crm_ticket"))
PRIMITIVE = '<primitive id="extra" class="ocf" provider="pacemaker" type="Dummy"/>'
GRANTED_NOW = re.compile(r"last-granted='\w+ \w+ +\d+ [\d:]+ 20(?!25)\d\d'")


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a session, with what it printed and its exit code."""

    line: str
    output: str
    code: int


@dataclass(frozen=True, slots=True)
class Different:
    """What we print instead, and why; None: not run, because a command before it differed."""

    output: str | None
    code: int
    why: str


def session(name: str) -> list[Command]:
    file = SHARED / "outputs" / "commands" / name
    if not file.exists():
        pytest.skip("the captured sessions are not here: ../shared/facts/formats/samples")
    found = re.findall(
        r"^\$ (.*)\n((?:(?!\[exit \d+\]$).*\n)*?)\[exit (\d+)\]$", file.read_text(), re.MULTILINE
    )
    return [Command(line, output, int(code)) for line, output, code in found]


def sample(name: str, target: Path) -> Path:
    shutil.copy(SHARED / "cibs" / name, target)
    return target


def words_of(line: str) -> list[str]:
    """Return a line's words; the sessions were written down without quotation marks."""
    words = line.split(" ")
    for index, word in enumerate(words):
        if word == "-X":
            return [*words[: index + 1], " ".join(words[index + 1 :])]
    return line.replace("'", "\0").split(" ") if "'" in line else shlex.split(line)


def replayed(command: Command, environment: dict[str, str], folder: Path) -> tuple[str, int]:
    line = command.line.replace("/tmp/w", str(folder))
    words = [word.replace("\0", "'") for word in words_of(line)]
    environment = dict(environment)
    if words[0] == "env":
        name, _, value = words[1].partition("=")
        environment = {**environment, name: value}
        environment.pop("CIB_file", None)
        words = words[2:]
    ran = run(words, environment)
    return GRANTED_NOW.sub("last-granted=NOW", ran.text.replace(str(folder), "/tmp/w")), ran.code


def differences(
    commands: list[Command],
    environment: dict[str, str],
    folder: Path,
    expected: dict[str, Different],
) -> list[str]:
    """Replay what is ours in order; return what came out otherwise than it should."""
    wrong = []
    used = set()
    for command in commands:
        tool = command.line.removeprefix("env CIB_shadow=test1 ").split(" ")[0]
        if tool not in TOOLS:
            continue
        text, code = replayed(command, environment, folder)
        want, want_code = GRANTED_NOW.sub("last-granted=NOW", command.output), command.code
        different = expected.get(command.line)
        if different is not None:
            used.add(command.line)
            want, want_code = different.output or "", different.code
        if (text, code) != (want, want_code):
            wrong.append(f"$ {command.line}\n{text}[exit {code}]\ninstead of\n{want}[{want_code}]")
    assert used == set(expected), f"not in the session: {set(expected) - used}"
    return wrong


def before_crm_resource(commands: list[Command]) -> list[Command]:
    """Return the commands up to crm_resource's: what follows shows what that one did."""
    lines = [command.line.split(" ")[0] for command in commands]
    return commands[: lines.index("crm_resource")]


def between(commands: list[Command], first: str, last: str) -> list[Command]:
    lines = [command.line for command in commands]
    begin = lines.index(first)
    return commands[begin : lines.index(last, begin) + 1]


USAGE = "cibadmin: unrecognized option '--nosuch'\nTry 'cibadmin --help'.\n"
EXISTS = """\
Call failed: File exists
<failed>
  <failed_update id="extra" object_type="primitive" operation="cib_create" reason="File exists">
    <primitive id="extra" class="ocf" provider="pacemaker" type="Dummy"/>
  </failed_update>
</failed>
"""
BAD = """\
/tmp/w/c.xml:34: <primitive id=bad> without class and provider and type, or class and type, \
or template; expected class="..." provider="..." type="..."
Call failed: Update does not conform to the configured schema
"""
BROKEN = "the XML given:1: not XML: unclosed token; expected well-formed XML\n"
BASIC = {
    "cibadmin --create --obj_type resources --xml-file /tmp/w/p.xml": Different(
        EXISTS, 108, "Heartbeat 2's --obj_type works here: the object is there already"
    ),
    'cibadmin -C -o resources -X <primitive id="bad"/>': Different(
        BAD, 78, "what is wrong, by line, instead of a dump of the whole CIB"
    ),
    "cibadmin -C -o resources -X <broken": Different(
        BROKEN, 78, "2.1.5 repairs what is no XML and then refuses the result"
    ),
    "cibadmin --nosuch": Different(USAGE, 64, "the usage text is left out of the session"),
}


def test_the_basic_session_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "p.xml").write_text(PRIMITIVE)
    commands = before_crm_resource(session("basic-commands.txt"))
    by_old_name = "cibadmin --cib_query"  # shows the whole CIB here, and is looked at below
    same = [command for command in commands if command.line != by_old_name]
    assert (len(commands), len(same)) == (22, 21)
    cib = sample("web-running.xml", tmp_path / "c.xml")
    assert differences(same, {"CIB_file": str(cib)}, tmp_path, BASIC) == []
    whole = run(["cibadmin", "-Q"], {"CIB_file": str(cib)})
    assert run(["cibadmin", "--cib_query"], {"CIB_file": str(cib)}) == whole


DEFAULTS = """\
<{0}_defaults>
  <meta_attributes id="{0}-options">
    <nvpair id="{0}-options-{1}" name="{1}" value="{2}"/>
  </meta_attributes>
</{0}_defaults>
"""
ATTRIBUTES = {
    "crm_attribute -t rsc_defaults -n resource-stickiness -v 100": Different(
        "", 0, "2.1.5 asks for a node here, which a default has none of"
    ),
    "crm_attribute -t op_defaults -n timeout -v 30s": Different("", 0, "the same"),
    "cibadmin -Q -o rsc_defaults": Different(
        DEFAULTS.format("rsc", "resource-stickiness", "100"), 0, "so it is there"
    ),
    "cibadmin -Q -o op_defaults": Different(
        DEFAULTS.format("op", "timeout", "30s"), 0, "so it is there"
    ),
}


def test_the_session_with_attributes_and_tickets_is_the_same(tmp_path: Path) -> None:
    commands = session("more-commands.txt")
    first, last = "crm_attribute -t crm_config -n stonith-enabled -G", "crm_ticket -t ticketA -c"
    commands = [
        *between(commands, first, last),
        *between(commands, "crm_ticket -t ticketA -s", "crm_ticket -l"),
    ]
    assert len(commands) == 34
    cib = sample("standby-maint-ticket.xml", tmp_path / "c.xml")
    assert differences(commands, {"CIB_file": str(cib)}, tmp_path, ATTRIBUTES) == []


def test_failures_are_counted_the_same(tmp_path: Path) -> None:
    commands = session("more-commands.txt")
    commands = between(
        commands, "crm_failcount -G -r httpd -N node1", "crm_failcount -G -r httpd -N node1 -q"
    )
    assert len(commands) == 3
    cib = sample("web-monitor-failed.xml", tmp_path / "c.xml")
    assert differences(commands, {"CIB_file": str(cib)}, tmp_path, {}) == []


def test_two_files_differ_the_same(tmp_path: Path) -> None:
    commands = [one for one in session("more-commands.txt") if one.line.startswith("crm_diff")]
    assert len(commands) == 3
    old = sample("web-running.xml", tmp_path / "a.xml").read_text()
    new = old.replace(' epoch="12"', ' epoch="13"').replace("192.168.122.10", "192.168.122.20")
    (tmp_path / "b.xml").write_text(new)
    assert differences(commands, {}, tmp_path, {}) == []


def test_copies_are_the_same(tmp_path: Path) -> None:
    lines = session("more-commands.txt")
    commands = between(lines, "crm_shadow -w", "crm_shadow -b -D test1 --force")
    assert len(commands) == 8
    nowhere = {"CIB_shadow_dir": str(tmp_path), "STANDFEST_RUN_DIR": str(tmp_path / "run")}
    connected = run(["crm_shadow", "-b", "-c", "other"], nowhere)
    assert (connected.code, connected.text.count("\n")) == (102, 1)
    expected = {
        "env CIB_shadow=test1 crm_shadow -d": Different(
            connected.text.replace(str(tmp_path), "/tmp/w"), 102, "our daemon's socket is named"
        )
    }
    assert differences(commands, nowhere, tmp_path, expected) == []
