"""heartbeat 3.0.6's cl_status and ours, each on its own node of one cluster, say the same."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop import heartbeat_lab
from tests.interop.heartbeat_lab import OURS, THEIRS, Lab, Machine, until
from tests.interop.test_heartbeat_ping import FAR, FILES, GATEWAY, NEAR, STEP_S, see_each_other
from tests.netns.vrrp_lab import SOURCE, ip, why_not

SKIP = why_not("unshare", "nsenter", "cl_status", heartbeat_lab.HEARTBEAT)
pytestmark = [pytest.mark.skipif(bool(SKIP), reason=SKIP), pytest.mark.slow]

PARAMETERS = (
    *("auto_failback", "baud", "crm", "deadping", "deadtime", "debug", "hopfudge", "initdead"),
    *("keepalive", "logfacility", "logfile", "msgfmt", "udpport", "warntime", "node", "bogus"),
)
QUESTIONS = (
    *("hbstatus", "hbstatus -m", "listnodes", "listnodes -p", "listnodes -n", "listnodes -p -n"),
    *("nodestatus n1", "nodestatus -m n2", "nodestatus beyond", "nodestatus nope", "nodestatus"),
    *("nodetype n2", "nodetype -m n1", "nodetype beyond", "nodetype nope"),
    *("nodeweight n1", "nodeweight -m n2", "nodeweight nope", "nodesite n1", "nodesite -m n1"),
    *("listhblinks n1", "listhblinks -v n2", "listhblinks -m n2", "listhblinks beyond"),
    *("listhblinks nope", "hblinkstatus n1 eth0", "hblinkstatus -m n2 eth0"),
    *("hblinkstatus n2 eth9", "hblinkstatus nope eth0", "hblinkstatus n2", "bogus"),
    *("hbparameter", "hbparameter -m -p deadtime", "listnodes -x"),
    *(f"hbparameter -p {name}" for name in PARAMETERS),
)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with heartbeat_lab.lab(tmp_path, (THEIRS, OURS), FILES) as made:
        ip("-n", made.switch, "address", "add", "10.77.0.254/24", "dev", "br0")
        for address in (GATEWAY, NEAR, FAR):
            ip("-n", made.switch, "address", "add", f"{address}/32", "dev", "br0")
        yield made


def said(machine: Machine, question: str) -> tuple[int, list[str]]:
    """Return the exit status and the lines, in alphabetical order: heartbeat has an own one."""
    words = ["cl_status", *question.split()]
    if machine.product == OURS:
        program = [sys.executable, "-m", "standfest.cli.main"]
        words = ["env", f"PYTHONPATH={SOURCE}", *program, *words]
    inside = ["nsenter", "-t", str(machine.inside), "-a", *words]
    done = subprocess.run(inside, check=False, capture_output=True, text=True, timeout=STEP_S)
    return done.returncode, sorted(done.stdout.splitlines())


def test_both_answer_alike(lab: Lab) -> None:
    theirs, ours = lab.machines
    assert said(ours, "hbstatus") == said(theirs, "hbstatus")  # stopped
    theirs.start()
    assert until(theirs.beats, STEP_S), theirs.log()
    ours.start()
    assert until(lambda: see_each_other(lab), STEP_S), theirs.log()
    assert until(lambda: all(said(m, "nodestatus beyond")[0] == 0 for m in lab.machines), STEP_S)
    answers = {question: (said(theirs, question), said(ours, question)) for question in QUESTIONS}
    assert [(q, both) for q, both in answers.items() if both[0] != both[1]] == []

    theirs.kill()  # ours is alone, and says so as heartbeat does: "dead", exit status 1
    assert until(lambda: said(ours, "nodestatus n1") == (1, ["dead"]), STEP_S)
    assert said(ours, "hblinkstatus n1 eth0") == (1, ["dead"])
    assert said(ours, "listhblinks -v n1") == (0, ["\teth0\tdead"])
