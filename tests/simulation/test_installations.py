"""Whole installations by a seed: what is promised holds, failures repeat, and become short."""

import json
import os
import random
from dataclasses import replace

import pytest
from click.testing import CliRunner

from standfest.cli.sim import command
from standfest.core.membership.machine import Membership
from standfest.runtime.cluster.coordinator import Coordinator
from standfest.sim.faults import KINDS, draw_plan
from standfest.sim.probes import names
from standfest.sim.run import INVARIANTS, Order, run
from standfest.sim.scene import draw
from standfest.sim.shrink import shrink

FEW = {2: range(3), 3: range(3), 5: range(1)}
"""Nodes -> seeds of an hour each."""
FIRST = int(os.environ.get("STANDFEST_HUNT_SEED", "0")) * 100


@pytest.mark.hunt
@pytest.mark.parametrize("nodes", FEW)
def test_every_promise_holds_in_an_hour_of_faults(nodes: int) -> None:
    for seed in FEW[nodes]:
        outcome = run(Order(FIRST + seed, nodes))
        assert outcome.violation is None, f"{nodes} nodes, seed {FIRST + seed}: {outcome.violation}"
        assert len(outcome.faults) == 30  # an hour, 30 faults an hour
        assert outcome.starts > 0


def test_the_same_order_gives_the_same_hour() -> None:
    order = Order(5, 3, 0.5)
    one, other = run(order), run(order)
    assert [str(fault) for fault in one.faults] == [str(fault) for fault in other.faults]
    assert (one.steps, one.starts) == (other.steps, other.starts)
    assert run(replace(order, seed=6)).steps != one.steps


def test_only_the_faults_that_are_asked_for_happen() -> None:
    every = run(Order(5, 3, 0.5)).faults
    some = run(Order(5, 3, 0.5, only=frozenset({1, 4}))).faults
    assert [str(fault) for fault in some] == [str(every[1]), str(every[4])]


def test_every_kind_of_fault_is_drawn() -> None:
    source = random.Random(1)
    scene = draw(source, 5, fencing=True, pings=True, roster=True)
    plan = draw_plan(source, scene, 3000, (0, 10**12), 0)
    assert {fault.kind for fault in plan} == set(KINDS)
    assert [fault.number for fault in plan] == list(range(3000))
    assert all(0 <= fault.at < fault.at + fault.lasts <= 10**12 for fault in plan)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node counts as dead a tenth too early."""

    def early(self: Membership, *arguments: object, **words: object) -> None:
        begin(self, *arguments, **words)  # type: ignore[arg-type]
        self._settings = replace(self._settings, deadtime=self._settings.deadtime * 9 // 10)

    begin = Membership.__init__
    monkeypatch.setattr(Membership, "__init__", early)


@pytest.mark.usefixtures("hasty")
def test_what_fails_repeats_with_few_faults_and_is_printed_with_its_command() -> None:
    found = next(o for o in (run(Order(s, 2, 0.4)) for s in range(20)) if o.violation is not None)
    assert found.violation is not None
    assert found.violation.name == "deadtime"
    short = shrink(found)
    assert 0 < len(short.faults) <= 2  # one node that falls silent is enough
    assert short.violation is not None
    assert short.violation.name == "deadtime"
    again = run(short.order)
    assert (again.violation is not None, again.faults) == (True, short.faults)

    words = ["run", "--seed", str(found.order.seed), "--nodes", "2", "--hours", "0.4"]
    printed = CliRunner().invoke(command, words)
    assert printed.exit_code == 1
    only = ",".join(str(fault.number) for fault in short.faults)
    assert f"standfest sim {' '.join(words)} --only {only}" in printed.output
    assert "commit " in printed.output
    told = CliRunner().invoke(command, [*words, "--only", only, "--json"])
    assert told.exit_code == 1
    assert json.loads(told.output)["violations"][0]["invariant"] == "deadtime"


def test_a_daemon_that_ends_by_an_error_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Coordinator, *arguments: object) -> None:
        raise KeyError("made")

    monkeypatch.setattr(Coordinator, "join", broken)
    outcome = run(Order(0, 2, 0.1))
    assert outcome.violation is not None
    assert outcome.violation.name == "no-crash"
    assert "KeyError" in outcome.violation.what


def test_the_command_lists_what_can_happen_and_what_must_hold() -> None:
    faults = CliRunner().invoke(command, ["faults"])
    promises = CliRunner().invoke(command, ["invariants"])
    assert [line.split()[0] for line in faults.output.splitlines()] == sorted(KINDS)
    names = sorted([*(kind.name for kind in INVARIANTS), "no-crash"])
    assert [line.split()[0] for line in promises.output.splitlines()] == names


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "--nodes", "4", "--roster"], "--roster needs 3, 5, 7 ... nodes, there are 4"),
        (["run", "--nodes", "2", "--roster"], "--roster needs 3, 5, 7 ... nodes, there are 2"),
        (["run", "--nodes", "2", "--autojoin"], "--autojoin needs 3, 5, 7 ... nodes, there are 2"),
        (["run", "--roster", "--autojoin"], "--roster and --autojoin; expected one of them"),
        (["run", "--only", "1,x"], '"1,x"; expected numbers with commas between them'),
        (["run", "--nodes", "1"], "2<=x<=64"),
        (["run", "--hours", "0"], "0<x<=10000"),
    ],
)
def test_what_cannot_be_simulated_is_one_line(words: list[str], says: str) -> None:
    refused = CliRunner().invoke(command, words)
    assert refused.exit_code == 2
    assert says in refused.output


def test_events_are_found_in_the_source_and_counted() -> None:
    known = names()
    # A literal; one of two, by what happened; one of a table; one in a call of several lines.
    assert {"elected", "member-left", "quorum-open", "operation-failed"} <= known
    assert {"WARNING", "event", ""}.isdisjoint(known)
    words = ["run", "--seed", "0", "--hours", "0.05", "--faults-per-hour", "0", "--probes"]
    told = CliRunner().invoke(command, words)
    lines = dict(line.split(None, 1) for line in told.output.splitlines()[1:])
    assert set(lines) == known
    assert lines["member-lost"] == "not reached"  # no fault, no loss
    assert int(lines["elected"]) >= 3  # three nodes, each says so


def test_a_run_without_faults_is_quiet() -> None:
    words = ["run", "--hours", "0.4", "--faults-per-hour", "0", "--json"]
    told = CliRunner().invoke(command, words)
    assert told.exit_code == 0
    document = json.loads(told.output)
    assert (document["faults"], document["violations"]) == (0, [])
    assert document["simulated_hours"] >= 0.4  # and until the last round is judged
