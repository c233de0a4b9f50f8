"""Agents as processes: real scripts, judged by their exit alone."""

import os
import select
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from standfest.adapters.linux import agentrunner
from standfest.adapters.linux.agentrunner import BuiltIn, LinuxAgentRunner
from standfest.adapters.linux.host import LinuxHost
from standfest.model.operations import Agent, Operation
from standfest.model.time import seconds
from standfest.ports.agents import RunEnded
from standfest.ports.host import Host

Runner = Callable[[str, str], Operation]


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Operation]:
    """Return a function that installs a script as ocf:test:Thing and asks it to start."""
    directory = tmp_path / "resource.d" / "test"
    directory.mkdir(parents=True)
    monkeypatch.setattr(agentrunner, "OCF_ROOT", tmp_path)

    def install(text: str) -> Operation:
        script = directory / "Thing"
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(stat.S_IRWXU)
        return Operation(
            "thing",
            Agent("ocf", "Thing", "test"),
            "start",
            0,
            seconds(20),
            parameters=(("ip", "10.0.0.1"), ("odd name", "a'b $(c)")),
            meta=(("interval", "0"), ("on_node", "n1")),
        )

    return install


def run(operation: Operation, built_in: BuiltIn | None = None) -> tuple[RunEnded, list[str]]:
    lines: list[str] = []
    runner = LinuxAgentRunner(
        lambda _name: built_in, LinuxHost, lambda _r, line: lines.append(line)
    )
    runner.start(1, operation)
    return wait(runner), lines


def wait(runner: LinuxAgentRunner, limit_s: float = 10) -> RunEnded:
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        for ended in runner.poll():
            return ended
        select.select([runner.fileno()], [], [], 0.5)
    raise AssertionError("the run did not end")


def test_an_agent_gets_its_parameters_and_nothing_is_expanded(
    agent: Callable[[str], Operation],
) -> None:
    ended, lines = run(agent('echo "$1 $OCF_RESKEY_ip $OCF_RESKEY_CRM_meta_on_node"; env'))
    assert ended == RunEnded(1, 0)
    assert lines[0] == "start 10.0.0.1 n1"
    assert "OCF_RESOURCE_INSTANCE=thing" in lines
    assert "LANG=C" in lines
    assert not any(line.startswith("PYTHONPATH=") for line in lines)


def test_the_exit_code_and_the_reason_come_back(agent: Callable[[str], Operation]) -> None:
    ended, _ = run(agent('echo "ocf-exit-reason:no disk" >&2; exit 5'))
    assert ended == RunEnded(1, 5, "no disk")


def test_a_daemon_that_keeps_the_output_open_holds_nobody_up(
    agent: Callable[[str], Operation], tmp_path: Path
) -> None:
    began = time.monotonic()
    ended, _ = run(agent(f"sleep 60 & echo $! > {tmp_path}/pid; exit 0"))
    os.kill(int((tmp_path / "pid").read_text()), 9)
    assert ended == RunEnded(1, 0)
    assert time.monotonic() - began < 30  # it did not wait for the 60 s


def test_killing_a_run_ends_its_whole_process_group(
    agent: Callable[[str], Operation], tmp_path: Path
) -> None:
    runner = LinuxAgentRunner(lambda _name: None, LinuxHost, lambda _r, _line: None)
    runner.start(1, agent(f"sleep 60 & echo $! > {tmp_path}/pid; wait"))
    child = tmp_path / "pid"
    until = time.monotonic() + 10
    while not (child.exists() and child.read_text().strip()) and time.monotonic() < until:
        time.sleep(0.01)
    runner.kill(1)
    assert wait(runner).killed
    pid = child.read_text().strip()
    while time.monotonic() < until:
        status = Path(f"/proc/{pid}/stat")
        if not status.exists() or status.read_text().split()[2] == "Z":
            return
        time.sleep(0.01)
    raise AssertionError("the agent's child lives on")


def test_an_agent_that_is_not_there_is_not_installed(agent: Callable[[str], Operation]) -> None:
    operation = agent("exit 0")
    missing = Operation("x", Agent("ocf", "Nothing", "test"), "start", 0, seconds(1))
    assert operation.agent.type == "Thing"
    ended, _ = run(missing)
    assert ended.exit_code == 5
    assert "Nothing" in ended.reason


def test_a_built_in_agent_runs_in_a_child_and_a_script_of_its_name_comes_first(
    agent: Callable[[str], Operation],
) -> None:
    parent = os.getpid()

    def built_in(action: str, values: Mapping[str, str], _host: Host) -> int:
        os.write(1, f"{action} {values['ip']} {os.getpid() != parent}\n".encode())
        return 7

    operation = agent("exit 3")
    assert run(operation, built_in)[0].exit_code == 3
    other = Operation(
        "x", Agent("ocf", "Other", "test"), "monitor", 0, seconds(1), (("ip", "10.0.0.2"),)
    )
    ended, lines = run(other, built_in)
    assert ended == RunEnded(1, 7)
    assert lines == ["monitor 10.0.0.2 True"]


def test_a_built_in_agent_that_fails_badly_is_a_failed_run() -> None:
    def built_in(_action: str, _values: Mapping[str, str], _host: Host) -> int:
        raise ValueError("surprise")

    operation = Operation("x", Agent("ocf", "Other", "none"), "start", 0, seconds(1))
    ended, _ = run(operation, built_in)
    assert ended == RunEnded(1, 1, "ValueError: surprise")
