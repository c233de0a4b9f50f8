"""The lab itself, in real namespaces: as whoever runs the tests, and as an ordinary user."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

ROOT = Path(__file__).parents[2]
SOURCE = os.environ.get("STANDFEST_TEST_SOURCE", str(ROOT / "src"))
SYSTEM_PYTHON = Path("/usr/bin/python3.11")
NOBODY = 65534
TIMEOUT_S = 60

Case = Callable[[str], Any]


def _probe(python: str, user: int | None) -> str:
    """Return why namespaces cannot be made that way; empty when they can."""
    code = "from standfest.lab import sandbox; raise SystemExit(sandbox.run(lambda: 0))"
    done = _run([python, "-c", code], user)
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]


def _run(words: list[str], user: int | None) -> subprocess.CompletedProcess[str]:
    site = Path(click.__file__).resolve().parents[1]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{SOURCE}:{site}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        words,
        check=False,
        cwd=ROOT,
        env=environment,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


@pytest.fixture(scope="module", params=["as we are", "as nobody"])
def case(request: pytest.FixtureRequest) -> Case:
    """Return a function that runs one case of `lab_case` and returns what it printed."""
    python, user = sys.executable, None
    if request.param == "as nobody":
        if os.geteuid() != 0:
            pytest.skip("only root can become an ordinary user; the other half ran as one")
        if not SYSTEM_PYTHON.exists() or sys.version_info[:2] != (3, 11):
            pytest.skip(f"nobody needs {SYSTEM_PYTHON} and libraries for it")
        python, user = str(SYSTEM_PYTHON), NOBODY
    why = _probe(python, user)
    if why:
        pytest.skip(f"no namespaces: {why}")

    def run(name: str) -> Any:
        done = _run([python, "-m", "tests.netns.lab_case", name], user)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.mark.userns
def test_a_node_boots_as_the_report_has_it_and_reaches_the_other(case: Case) -> None:
    found = case("boot")
    assert found["name"] == "node-1"
    assert found["authkeys"] == "0o600"
    # Process 1 and the one that counts: nothing of the host or of the other node.
    assert found["processes"] == 2
    # As in the report: eth0 only carries service addresses, so it is down and has none.
    expected = [["eth0", False, None], ["eth1", True, "192.168.0.50"], ["lo", True, "127.0.0.1"]]
    assert found["network"] == expected
    assert found["echo"] == "cba"


@pytest.mark.userns
def test_a_node_runs_our_interpreter_with_its_own_library(case: Case) -> None:
    # Empty: the interpreter has its library built in; otherwise not the system's other Python.
    assert case("interpreter") == "[]" or "/opt/standfest-lab/python/lib/" in case("interpreter")


@pytest.mark.userns
def test_the_watcher_does_not_teach_the_client_who_owns_an_address(case: Case) -> None:
    # An owner that does not announce itself is seen by the watcher and reaches no client:
    # an agent that forgets its gratuitous ARP must not pass the drill.
    assert case("silent") == {"seen on the wire": True, "served": False}


@pytest.mark.userns
def test_a_killed_node_takes_its_interfaces_along_and_can_come_back(case: Case) -> None:
    found = case("kill")
    both = ["p-node-1-eth0", "p-node-1-eth1", "p-node-2-eth0", "p-node-2-eth1"]
    assert found["before"] == both
    assert found["gone"]
    assert found["after"] == both[2:]
    assert found["again"] == both


@pytest.mark.userns
def test_the_watcher_sees_two_nodes_that_hold_one_address(case: Case) -> None:
    # Both hold it for 0.5 s; asked every 5 ms even a slow machine notices it for 50 ms of them.
    assert case("two_owners") > 0.05


@pytest.mark.userns
def test_the_watcher_is_silent_about_a_single_owner(case: Case) -> None:
    assert case("one_owner") == 0.0


@pytest.mark.userns
def test_nobody_answers_for_the_address_of_a_dead_node(case: Case) -> None:
    assert case("dead_owner") == {"before": True, "after": 0}


@pytest.mark.userns
def test_the_client_sees_a_server_that_was_away(case: Case) -> None:
    found = case("restart")
    assert found["outage"] >= found["at_least"]
    assert (found["before"], found["after"]) == ("node-1", "node-1")
