"""`crm_node`: names, ids and quorum from the running cluster."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from standfest.cli.tools import crm_node
from standfest.model.errors import OperationError
from standfest.runtime import channel
from standfest.runtime.frames import Command, Query, Reply

REPORT: dict[str, Any] = {
    "node": "n2",
    "quorum": True,
    "nodes": [
        {"name": "n1", "status": "online"},
        {"name": "n2", "status": "standby"},
        {"name": "n3", "status": "offline"},
    ],
}
CIB = """<cib><configuration><nodes><node id="1" uname="n1"/><node id="2" uname="n2"/>
<node id="9f" uname="n3"/></nodes></configuration></cib>"""


class Daemon:
    """A cluster daemon that answers; commands: what it was asked to do."""

    def __init__(self) -> None:
        self.there = True
        self.accepts = True
        self.commands: list[Command] = []

    def request(self, path: Path, value: Query | Command) -> Reply:
        if not self.there:
            raise OperationError(f"{path}: No such file or directory; expected a running daemon")
        if isinstance(value, Command):
            self.commands.append(value)
            return Reply(self.accepts, "n3 is taken away" if self.accepts else "n3 still runs")
        return Reply(True, CIB if value.what == "cib-xml" else json.dumps(REPORT))


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    found = Daemon()
    monkeypatch.setattr(channel, "request", found.request)
    monkeypatch.delenv("OCF_RESKEY_CRM_meta_on_node", raising=False)
    return found


def said(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(crm_node.command, list(words))
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("-n", "n2\n"),
        ("--name", "n2\n"),
        ("-i", "2\n"),
        ("--cluster-id", "2\n"),
        ("-l", "1 n1 member\n2 n2 member\n9f n3 lost\n"),
        ("-p", "n1 n2 \n"),
        ("-q", "1\n"),
        ("-N 9f", "n3\n"),
        ("--name-for-id=1", "n1\n"),
        ("-n -q", "1\n"),  # the last one counts
        ("-q -n", "n2\n"),
    ],
)
def test_it_shows_one_thing(daemon: Daemon, words: str, text: str) -> None:
    assert daemon.there
    assert said(*words.split()) == (0, text)


def test_an_agent_is_told_the_node_that_it_works_for(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.there = False
    monkeypatch.setenv("OCF_RESKEY_CRM_meta_on_node", "guest1")
    assert said("-n") == (0, "guest1\n")


def test_a_node_is_taken_away_only_by_force(daemon: Daemon) -> None:
    code, output = said("-R", "n3")
    assert code == 64
    assert output.startswith("The supplied command is considered dangerous.")
    assert not daemon.commands
    assert said("-R", "n3", "--force") == (0, "")
    assert daemon.commands == [Command("node-remove", node="n3")]
    daemon.accepts = False
    assert said("-R", "n3", "--force") == (1, "crm_node: n3 still runs\n")


def test_what_it_cannot_do_has_pacemakers_exit_codes(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, output = said("-N", "7")
    assert (code, output) == (68, "crm_node: no node has id 7; expected one of 1, 2, 9f\n")
    code, output = said()
    assert code == 64
    assert output.startswith("Usage: crm_node")
    assert said("--bogus")[0] == 64
    daemon.there = False
    monkeypatch.setenv("CIB_file", "/nonexistent")  # does not count, as in Pacemaker's
    code, output = said("-l")
    assert code == 102
    assert output.startswith("Could not connect to the cluster: ")
