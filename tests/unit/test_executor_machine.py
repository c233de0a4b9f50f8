"""Operations on one node, in time that the test holds."""

from dataclasses import replace

from standfest.core.executor.effects import KillRun, Report, StartRun
from standfest.core.executor.machine import Executor
from standfest.model.operations import Agent, Operation, OperationStatus
from standfest.model.time import milliseconds, seconds

WALL = 1_000_000
AGENT = Agent("ocf", "Dummy", "x")


def operation(task: str, interval: int = 0, key: str = "", timeout: int = 20) -> Operation:
    expected = 7 if task == "monitor" and not interval else 0
    return Operation(
        "r", AGENT, task, seconds(interval), seconds(timeout), key=key, expected=expected
    )


def end(executor: Executor, now: int, run: int, code: int = 0) -> list[object]:
    return list(executor.on_run_ended(now, WALL, run, code, "", False))


def test_operations_of_one_resource_run_one_after_the_other() -> None:
    executor = Executor()
    start, stop = operation("start", key="1"), operation("stop", key="2")
    assert executor.execute(0, WALL, start) == [StartRun(1, start)]
    assert executor.execute(1, WALL, stop) == []
    first, second = end(executor, 2, 1)
    assert isinstance(first, Report)
    assert first.result.succeeded
    assert second == StartRun(2, stop)


def test_a_run_that_takes_longer_than_its_timeout_is_killed_and_failed() -> None:
    executor = Executor()
    executor.execute(0, WALL, operation("start", timeout=3))
    assert executor.deadline() == seconds(3)
    killed, report = executor.on_timer(seconds(3), WALL)
    assert killed == KillRun(1)
    assert isinstance(report, Report)
    assert (report.result.status, report.result.exit_code) == (OperationStatus.TIMEOUT, 1)
    assert end(executor, seconds(4), 1) == []  # its process ends later: no second news


def test_a_monitor_runs_200_ms_after_it_is_asked_for_and_then_by_its_interval() -> None:
    executor = Executor()
    monitor = operation("monitor", 5)
    assert executor.execute(0, WALL, monitor) == []
    assert executor.deadline() == milliseconds(200)
    assert executor.on_timer(milliseconds(200), WALL) == [StartRun(1, monitor)]
    assert [type(e) for e in end(executor, milliseconds(230), 1)] == [Report]
    assert executor.deadline() == milliseconds(5_200)
    executor.on_timer(milliseconds(5_200), WALL)
    assert end(executor, milliseconds(5_230), 2) == []  # nothing new
    executor.on_timer(milliseconds(10_200), WALL)
    (report,) = end(executor, milliseconds(10_230), 3, code=7)
    assert isinstance(report, Report)
    assert report.result.exit_code == 7


def test_a_slow_monitor_is_not_hurried_to_make_up_for_lost_runs() -> None:
    executor = Executor()
    executor.execute(0, WALL, operation("monitor", 1))
    executor.on_timer(milliseconds(200), WALL)
    end(executor, milliseconds(3_900), 1)  # runs at 1.2, 2.2 and 3.2 s are missed: one is made
    assert executor.deadline() == milliseconds(4_200) or executor.deadline() is not None
    started = executor.on_timer(milliseconds(4_200), WALL)
    assert len([e for e in started if isinstance(e, StartRun)]) <= 1


def test_a_stop_ends_the_monitors() -> None:
    executor = Executor()
    executor.execute(0, WALL, operation("monitor", 5))
    executor.execute(1, WALL, operation("stop"))
    end(executor, 2, 1)
    assert executor.deadline() is None


def test_what_runs_can_be_said_to_have_failed_and_nothing_else() -> None:
    executor = Executor()
    assert executor.fail(WALL, "r", "why") == []
    started = replace(
        operation("start", key="7:1:0:x"), parameters=(("ip", "1"),), meta=(("on_node", "a"),)
    )
    executor.execute(0, WALL, started)
    assert executor.fail(WALL, "r", "why") == []  # it has not been started yet
    end(executor, 1, 1)
    executor.execute(2, WALL, operation("monitor", 5))
    executor.on_timer(milliseconds(300), WALL)
    end(executor, milliseconds(310), 2)
    (report,) = executor.fail(WALL + 9, "r", "why")
    assert isinstance(report, Report)
    failed = report.result
    assert (failed.status, failed.exit_code, failed.call_id) == (OperationStatus.DONE, 1, 3)
    assert (failed.exit_reason, failed.last_change) == ("why", WALL + 9)
    asked = failed.operation
    assert (asked.task, asked.interval, asked.expected) == ("asyncmon", 0, 0)
    assert asked.key == "3:-1:0:xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
    assert (asked.agent, asked.parameters, asked.meta) == (AGENT, (("ip", "1"),), ())
    (again,) = executor.fail(WALL, "r", "why")
    assert isinstance(again, Report)
    assert again.result.call_id == 4
    [(_, entries)] = executor.history()
    assert [(e.operation.task, e.call_id) for e in entries] == [("monitor", 2), ("asyncmon", 4)]
    executor.execute(4, WALL, operation("stop"))
    end(executor, 5, 3)
    assert executor.fail(WALL, "r", "why") == []  # it was stopped


def test_the_same_request_again_is_reported_again_and_not_run_again() -> None:
    executor = Executor()
    start = operation("start", key="7:1:0:x")
    executor.execute(0, WALL, start)
    assert executor.execute(1, WALL, start) == []  # it runs
    end(executor, 2, 1)
    (report,) = executor.execute(3, WALL, start)
    assert isinstance(report, Report)
    assert report.result.call_id == 1


def test_the_history_tells_a_new_coordinator_what_runs_and_what_is_under_way() -> None:
    executor = Executor()
    executor.execute(0, WALL, operation("start", key="1"))
    end(executor, 1, 1)
    executor.execute(2, WALL, operation("stop", key="2"))
    ((name, entries),) = executor.history()
    assert name == "r"
    assert [(e.operation.task, e.status.name) for e in entries] == [
        ("start", "DONE"),
        ("stop", "PENDING"),
    ]
    executor.forget("r")
    assert [e.status.name for _, found in executor.history() for e in found] == ["PENDING"]


def test_a_cancelled_monitor_says_nothing_more() -> None:
    executor = Executor()
    executor.execute(0, WALL, operation("monitor", 5))
    executor.on_timer(milliseconds(200), WALL)
    executor.cancel(milliseconds(210), WALL, "r", "monitor", seconds(5))
    assert end(executor, milliseconds(220), 1) == []
    assert executor.deadline() is None


def test_a_promotion_ends_the_monitors_here_and_in_what_is_told() -> None:
    executor = Executor()
    executor.execute(0, WALL, operation("start", key="1"))
    end(executor, 1, 1)
    executor.execute(2, WALL, operation("monitor", 5, key="2"))
    executor.on_timer(milliseconds(300), WALL)
    end(executor, milliseconds(310), 2)
    executor.execute(milliseconds(400), WALL, operation("promote", key="3"))
    end(executor, milliseconds(410), 3)
    assert executor.deadline() is None
    ((_, entries),) = executor.history()
    assert [entry.operation.task for entry in entries] == ["promote"]


def test_what_waits_is_forgotten_when_whoever_asked_for_it_may_no_longer_be_obeyed() -> None:
    executor = Executor()
    monitor, start = operation("monitor", key="1"), operation("start", key="2")
    assert executor.execute(0, WALL, monitor) == [StartRun(1, monitor)]
    assert executor.execute(1, WALL, start) == []
    executor.drop_waiting()
    assert [type(effect) for effect in end(executor, 2, 1, code=7)] == [Report]


def test_a_stop_gets_the_parameters_of_what_was_started() -> None:
    """The address that is there goes, not the one that is to come; nor one without parameters."""
    executor = Executor()
    old, new = (("ip", "192.0.2.1"),), (("ip", "192.0.2.2"),)
    executor.execute(0, WALL, replace(operation("start", key="1"), parameters=old))
    end(executor, 1, 1)
    begun = executor.execute(2, WALL, replace(operation("stop", key="2"), parameters=new))
    assert begun == [StartRun(2, replace(operation("stop", key="2"), parameters=old))]
    end(executor, 3, 2, 1)
    again = executor.execute(4, WALL, operation("stop", key="3"))
    assert again == [StartRun(3, replace(operation("stop", key="3"), parameters=old))]
