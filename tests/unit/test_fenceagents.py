"""Fence agents as processes: parameters by stdin or environment, never on the command line."""

import select
import stat
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from standfest.adapters.linux import fenceagents
from standfest.adapters.linux.agentrunner import LinuxAgentRunner
from standfest.adapters.linux.host import LinuxHost
from standfest.model.fencing import FenceCall
from standfest.model.operations import Agent, ExitCode, Operation
from standfest.model.time import seconds
from standfest.ports.agents import RunEnded

Install = Callable[[str, str], None]
SHOW = 'echo "args: $#" >&2; cat; echo "line with s3cr3t"; exit 1'
PARAMETERS = (("ipaddr", "192.0.2.1"), ("passwd", "s3cr3t"))
CALL = FenceCall("power", "fence_x", "reboot", "cycle", "alice", "7", seconds(60), PARAMETERS)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that installs an agent, or a plugin if its name says external/."""
    monkeypatch.setattr(fenceagents, "AGENTS", tmp_path / "agents")
    monkeypatch.setattr(fenceagents, "PLUGINS", tmp_path / "external")
    for folder in ("agents", "external"):
        (tmp_path / folder).mkdir()

    def put(name: str, text: str) -> None:
        path = tmp_path / (name if "/" in name else f"agents/{name}")
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(stat.S_IRWXU)

    return put


def run(operation: Operation) -> tuple[RunEnded, list[str]]:
    lines: list[str] = []
    runner = LinuxAgentRunner(lambda _name: None, LinuxHost, lambda _r, line: lines.append(line))
    runner.start(1, operation)
    until = time.monotonic() + 10
    while time.monotonic() < until:
        for ended in runner.poll():
            return ended, lines
        select.select([runner.fileno()], [], [], 0.5)
    raise AssertionError("the run did not end")


def test_an_agent_reads_its_parameters_and_what_it_says_holds_no_secret(install: Install) -> None:
    install("fence_x", SHOW)
    ended, lines = run(fenceagents.operation_of(CALL))
    assert ended == RunEnded(1, int(ExitCode.GENERIC), "line with ***")
    assert lines == [
        "args: 0",
        "action=cycle",
        "ipaddr=192.0.2.1",
        "nodename=alice",
        "passwd=***",
        "plug=7",
        "port=7",
        "line with ***",
    ]


@pytest.mark.parametrize(
    ("argument", "given", "expected"),
    [
        ("", (("plug", "3"),), {"nodename": "alice", "plug": "3", "port": "7"}),
        ("plug", (), {"nodename": "alice", "plug": "7"}),
        ("none", (), {"nodename": "alice"}),
        ("port", (("port", "dynamic"),), {"nodename": "alice", "port": "7"}),
    ],
)
def test_how_the_target_is_named(
    install: Install, argument: str, given: tuple[tuple[str, str], ...], expected: dict[str, str]
) -> None:
    install("fence_x", "cat; exit 1")
    call = replace(CALL, parameters=given, host_argument=argument)
    _, lines = run(fenceagents.operation_of(call))
    told = dict(line.split("=") for line in lines)
    assert told == expected | {"action": "cycle"}


@pytest.mark.parametrize(
    ("agent", "action", "word", "expected"),
    [
        ("external/box", "reboot", "reboot", "reset alice"),
        ("box", "off", "off", "off alice"),
        ("external/box", "on", "on", "on alice"),
        ("external/box", "reboot", "off", "off alice"),
    ],
)
def test_a_plugin_of_cluster_glue(
    install: Install, agent: str, action: str, word: str, expected: str
) -> None:
    install("external/box", 'echo "$*: $ipaddr $passwd"; exit 1')
    call = replace(CALL, agent=agent, action=action, word=word, port="alice")
    ended, _ = run(fenceagents.operation_of(call))
    assert ended.reason == f"{expected}: 192.0.2.1 ***"


def test_a_bare_name_may_be_a_fence_agent_without_its_prefix(install: Install) -> None:
    install("fence_x", "exit 0")
    ended, _ = run(fenceagents.operation_of(replace(CALL, agent="x")))
    assert ended == RunEnded(1, 0)


def operation(task: str, interval: int = 0, **more: str) -> Operation:
    agent = Agent("stonith", "fence_x")
    parameters = tuple(sorted({"pcmk_host_list": "alice", **more}.items()))
    return Operation("power", agent, task, interval, seconds(20), parameters)


def test_start_and_monitor_ask_the_agent_and_nothing_else_does(install: Install) -> None:
    install("fence_x", 'grep -q "^action=monitor$"')
    assert run(operation("start"))[0].exit_code == ExitCode.OK
    assert run(operation("monitor", seconds(10)))[0].exit_code == ExitCode.OK
    install("fence_x", 'grep -q "^action=status$" && ! grep -q pcmk')
    assert run(operation("start", pcmk_monitor_action="status"))[0].exit_code == ExitCode.OK
    install("fence_x", "exit 1")
    assert run(operation("start"))[0].exit_code == ExitCode.GENERIC
    assert run(operation("monitor"))[0].exit_code == ExitCode.NOT_RUNNING
    assert run(operation("stop"))[0].exit_code == ExitCode.OK


def test_what_cannot_be_called_says_why(install: Install, tmp_path: Path) -> None:
    ended, _ = run(fenceagents.operation_of(CALL))
    missing = f"no fence agent {tmp_path}/agents/fence_x"
    assert ended == RunEnded(1, int(ExitCode.NOT_INSTALLED), missing)
    install("fence_x", "exit 0")
    broken = replace(CALL, parameters=(("passwd", "a\naction=on"),))
    ended, _ = run(fenceagents.operation_of(broken))
    assert ended.exit_code != ExitCode.OK
    assert ended.reason == "parameter passwd of power has a line break"
