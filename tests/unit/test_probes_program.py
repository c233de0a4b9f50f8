"""MISC_CHECK: exit codes, weights, and programs that nobody waits for any more."""

import os
import time
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from tests.unit.probing import Site, site

from standfest.model.balancing import MiscCheck
from standfest.model.time import milliseconds, seconds
from standfest.model.vrrp import Command
from standfest.ports.probes import Target


def program(path: Path, text: str) -> MiscCheck:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return MiscCheck(Command((str(path),), str(os.geteuid())))


def check(path: Path, text: str, *, dynamic: bool = False) -> tuple[bool, str, int | None]:
    made = program(path / "check", text)
    with site() as bench:
        outcome = bench.probe(MiscCheck(made.command, dynamic=dynamic), 0)
        reason = outcome.reason.replace(str(path), "")
        return outcome.succeeded, reason, outcome.weight


def test_exit_status_0_is_good_and_any_other_bad(tmp_path: Path) -> None:
    assert check(tmp_path, "exit 0") == (True, "/check: exit status 0", None)
    assert check(tmp_path, "exit 1") == (False, "/check: exit status 1; expected 0", None)
    assert check(tmp_path, "exit 9") == (False, "/check: exit status 9; expected 0", None)


def test_a_dynamic_program_sets_the_weight_to_two_less_than_its_status(tmp_path: Path) -> None:
    assert check(tmp_path, "exit 0", dynamic=True) == (True, "/check: exit status 0", None)
    assert check(tmp_path, "exit 1", dynamic=True)[0] is False
    assert check(tmp_path, "exit 2", dynamic=True)[2] == 0
    good, reason, weight = check(tmp_path, "exit 255", dynamic=True)
    assert (good, reason, weight) == (True, "/check: exit status 255, so weight 253", 253)


def test_a_program_that_a_signal_ends_is_bad(tmp_path: Path) -> None:
    assert check(tmp_path, "kill -SEGV $$") == (False, "/check: ended by SIGSEGV", None)


def test_a_program_that_is_not_there_or_may_not_run_is_one_clear_line(tmp_path: Path) -> None:
    with site() as bench:
        path = f"{tmp_path}/none"
        missing = MiscCheck(Command((path,), str(os.geteuid())))
        assert bench.probe(missing, 0).reason == f"{path}: No such file or directory"
        stranger = MiscCheck(Command(("/bin/true",), "no-such-user"))
        assert bench.probe(stranger, 0).reason == "no user or group no-such-user"


def test_words_are_given_as_they_are_without_a_shell(tmp_path: Path) -> None:
    made = program(tmp_path / "check", f'printf %s "$1" >{tmp_path}/word')
    command = Command((*made.command.words, "$(id); *"), made.command.user)
    with site() as bench:
        assert bench.probe(MiscCheck(command), 0).succeeded
    assert (tmp_path / "word").read_text() == "$(id); *"


def begin(bench: Site, checker: MiscCheck, number: int) -> None:
    bench.probes.begin("p", number, Target(checker, IPv4Address(0), 0))


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_program_that_is_given_up_ends_with_all_that_it_started(
    tmp_path: Path, stubborn: bool
) -> None:
    trap = "trap '' TERM" if stubborn else ":"
    pids = tmp_path / "pids"
    made = program(
        tmp_path / "check", f"{trap}; sleep 60 & echo $$ $! >{pids}.new; mv {pids}.new {pids}; wait"
    )
    with site() as bench:
        begin(bench, made, 1)
        until = time.monotonic() + 5
        while not pids.exists() and time.monotonic() < until:
            time.sleep(0.01)
        running = [int(word) for word in pids.read_text().split()]
        assert all(is_alive(pid) for pid in running)
        bench.probes.abandon("p", 1)
        # One that ignores SIGTERM has 2 s.
        bench.run(at_most=seconds(3) if stubborn else milliseconds(500))
        assert not any(is_alive(pid) for pid in running)
        assert bench.reports == []


def test_the_end_of_the_prober_is_the_end_of_its_programs(tmp_path: Path) -> None:
    made = program(tmp_path / "check", "trap '' TERM; sleep 60 & wait")
    with site() as bench:
        begin(bench, made, 1)
        process = next(iter(bench.probes._programs))._process
        assert process is not None
        time.sleep(0.1)
    assert not is_alive(process.pid)
