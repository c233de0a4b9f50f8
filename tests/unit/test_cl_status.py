"""`cl_status`: what heartbeat 3.0.6's says of the same nodes, from what our `pulse` reports.

The lines and exit codes were printed by heartbeat's own cl_status on node n1, beside ours on n2,
with two ping nodes (the lab of tests/interop/test_heartbeat_ping.py).
"""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from standfest.cli.tools import cl_status
from standfest.model.errors import OperationError
from standfest.runtime import channel
from standfest.runtime.frames import Query, Reply

HA_CF = """keepalive 200ms
deadtime 2
initdead 60 # seconds
ucast eth0 10.77.0.1
ping 10.77.0.9
node n1 n2
"""
LINK = {"link": "eth0", "up": True, "received": 55, "skipped": 0, "longest": 208, "last": 73}
PULSE: dict[str, Any] = {
    "node": "n1",
    "nodes": {"n1": "active", "n2": "active"},
    "pings": [
        {"name": "beyond", "type": "ping", "status": "ping", "hosts": ["10.77.0.8", "10.77.0.7"]},
        {"name": "10.77.0.9", "type": "ping", "status": "dead", "hosts": ["10.77.0.9"]},
    ],
    "carrier": {"eth0": True, "eth1": True},
    "steadiness": [{"node": "n2", "status": "active", "links": [LINK]}],
    "sent": [
        {"link": "eth0", "service_link": False, "sent": 67, "failed": 0},
        {"link": "eth1", "service_link": True, "sent": 67, "failed": 0},
    ],
}
CLUSTER: dict[str, Any] = {
    "node": "n1",
    "coordinator": "n1",
    "synchronised": True,
    "nodes": [{"name": "n1", "status": "online"}, {"name": "n2", "status": "pending"}],
    "resources": [
        {"id": "web", "group": [{"id": "ip", "nodes": ["n1"]}, {"id": "httpd", "nodes": ["n1"]}]},
        {"id": "db", "nodes": []},
    ],
}


class Daemons:
    """What answers on the sockets, by their names; None: nobody."""

    def __init__(self) -> None:
        self.pulse: dict[str, Any] | None = PULSE
        self.cluster: dict[str, Any] | None = CLUSTER

    def request(self, path: Path, value: Query) -> Reply:
        report = self.pulse if path.name == "pulse.sock" else self.cluster
        if report is None:
            raise OperationError(f"{path}: No such file or directory; expected a running daemon")
        assert value.what == ("links" if path.name == "pulse.sock" else "status")
        return Reply(True, json.dumps(report))


@pytest.fixture
def daemons(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Daemons:
    found = Daemons()
    monkeypatch.setattr(channel, "request", found.request)
    (tmp_path / "ha.cf").write_text(HA_CF, encoding="utf-8")
    monkeypatch.setenv("STANDFEST_HA_DIR", str(tmp_path))
    return found


def said(words: str) -> tuple[int, str]:
    result = CliRunner().invoke(cl_status.command, words.split())
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ("hbstatus", 0, "Heartbeat is running on this machine.\n"),
        ("hbstatus -m", 0, "Heartbeat is running on this machine.\n"),
        ("listnodes", 0, "n1\nn2\nbeyond\n10.77.0.9\n"),
        ("listnodes -m", 0, "The nodes are as follow:\nn1\nn2\nbeyond\n10.77.0.9\n"),
        ("listnodes -p", 0, "beyond\n10.77.0.9\n"),
        ("listnodes -n", 0, "n1\nn2\n"),
        ("listnodes -p -n", 0, "n1\nn2\nbeyond\n10.77.0.9\n"),
        ("nodestatus n2", 0, "active\n"),
        ("nodestatus -m n2", 0, "The cluster node n2 is active\n"),
        ("nodestatus n2 -m", 0, "The cluster node n2 is active\n"),
        ("nodestatus beyond", 0, "ping\n"),
        ("nodestatus 10.77.0.9", 1, "dead\n"),
        ("nodestatus nope", 11, "cl_status: Error. May be due to incorrect node name\n"),
        ("nodestatus", 11, "cl_status: Not enough parameters.\n"),
        ("nodetype n2", 0, "normal\n"),
        ("nodetype beyond", 0, "ping\n"),
        ("nodetype -m n2", 0, "The node n2's type: normal\n"),
        ("nodeweight n1", 0, "100\n"),
        ("nodeweight -m n1", 0, "The weight of the cluster node n1 is 100\n"),
        ("nodesite n1", 0, "\n"),
        ("listhblinks n2", 0, "\teth0\n"),
        ("listhblinks -v n2", 0, "\teth0\tup\n"),
        ("listhblinks -m n2", 0, "\tthis node has the following heartbeat links:\n\teth0\n"),
        ("listhblinks beyond", 0, "\tbeyond\n"),
        ("hblinkstatus n2 eth0", 0, "up\n"),
        ("hblinkstatus -m n2 eth0", 0, "The node n2's heartbeat link eth0 is up\n"),
        ("hblinkstatus n1 eth0", 0, "up\n"),
        ("hblinkstatus 10.77.0.9 10.77.0.9", 1, "dead\n"),
        ("hblinkstatus n2", 11, "cl_status: No enough parameter.\n"),
        ("clientstatus n1 ipfail", 0, "online\n"),
        ("clientstatus n1 ipfail 500", 0, "online\n"),
        ("clientstatus n1 nobody", 1, "offline\n"),
        ("clientstatus n1 crmd", 0, "online\n"),
        ("clientstatus n2 crmd", 1, "join\n"),
        ("rscstatus", 0, "all\n"),
        ("rscstatus -m", 0, "This node is holding all resources.\n"),
        ("hbparameter -p deadtime", 0, "2\n"),
        ("hbparameter -p keepalive", 0, "200ms\n"),
        ("hbparameter -p initdead", 0, "60\n"),
        ("hbparameter -p warntime", 0, "1000ms\n"),
        ("hbparameter -p udpport", 0, "694\n"),
        ("hbparameter -m -p deadtime", 0, "Heartbeat parameter deadtime's value: 2\n"),
        ("hbparameter", 11, "cl_status: parameter name required\n"),
    ],
)
def test_it_says_what_heartbeats_says(daemons: Daemons, words: str, code: int, text: str) -> None:
    assert daemons.pulse is PULSE
    assert said(words) == (code, text)


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ("hblinkstatus n2 eth9", 13, "Cannot get heartbeat link status"),
        ("hblinkstatus n2 eth1", 13, "no link eth1 of n2"),  # a service link is none of ha.cf's
        ("listhblinks nope", 13, "Cannot start heartbeat link interface walk"),
        ("clientstatus nope ipfail", 13, "Cannot get heartbeat client ipfail's status"),
        ("hbparameter -p node", 1, "Cannot get parameter node's value"),
        ("hbparameter -p bogus", 1, "Cannot get parameter bogus's value"),
        ("listnodes -x", 11, "listnodes: option -x not recognized"),
        ("bogus", 11, "bogus: invalid sub-command"),
    ],
)
def test_what_it_cannot_say_is_one_line(daemons: Daemons, words: str, code: int, text: str) -> None:
    assert daemons.pulse is PULSE
    got, output = said(words)
    assert got == code
    assert text in output
    assert output.count("\n") == 1


def test_verbose_lists_nodes_with_their_links(daemons: Daemons) -> None:
    assert daemons.pulse is PULSE
    _, output = said("listnodes -v")
    assert output == (
        "\nn1\tactive\t(nodetype: normal)\n\teth0\tup\n"
        "\nn2\tactive\t(nodetype: normal)\n\teth0\tup\n"
        "\nbeyond\tping\t(nodetype: ping)\n\tbeyond\tup\n"
        "\n10.77.0.9\tdead\t(nodetype: ping)\n\t10.77.0.9\tdead\n"
    )
    assert "managed by:\tstandfest run\n\nn1\tactive" in said("hbstatus -v")[1]


def test_a_dead_node_and_its_links_are_dead(daemons: Daemons) -> None:
    lost = {"node": "n2", "status": "dead", "links": [{**LINK, "up": False}]}
    daemons.pulse = {**PULSE, "nodes": {"n1": "active"}, "steadiness": [lost]}
    assert said("nodestatus n2") == (1, "dead\n")
    assert said("hblinkstatus n2 eth0") == (1, "dead\n")
    assert said("nodetype n2") == (0, "normal\n")


def test_a_stopped_machine_says_so(daemons: Daemons) -> None:
    daemons.pulse = None
    assert said("hbstatus") == (1, "Heartbeat is stopped on this machine.\n")
    code, output = said("nodestatus n1")
    assert code == 1
    assert output.startswith("cl_status: Cannot signon with heartbeat: ")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"resources": [{"id": "a", "nodes": ["n1"]}, {"id": "b", "nodes": ["n2"]}]}, "local"),
        ({"resources": [{"id": "b", "nodes": ["n2"]}]}, "foreign"),
        ({"resources": []}, "none"),
        ({"synchronised": False}, "transition"),
    ],
)
def test_it_knows_whose_the_resources_are(
    daemons: Daemons, change: dict[str, Any], word: str
) -> None:
    daemons.cluster = {**CLUSTER, **change}
    assert said("rscstatus") == (0, f"{word}\n")


def test_without_a_cluster_daemon_its_clients_are_offline(daemons: Daemons) -> None:
    daemons.cluster = None
    assert said("clientstatus n1 crmd") == (1, "offline\n")
    assert said("rscstatus") == (0, "transition\n")


def test_on_corosync_there_is_nothing_to_say(daemons: Daemons) -> None:
    daemons.pulse = {"stack": "corosync"}
    assert said("listnodes") == (13, "cl_status: no heartbeat layer: the stack is corosync\n")
