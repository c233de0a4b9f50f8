"""When checkers probe and when their findings count."""

from dataclasses import replace

from standfest.core.health.effects import (
    AbandonProbe,
    BeginProbe,
    CheckerChanged,
    HealthEffect,
    ProbeFailed,
    WeightFound,
)
from standfest.core.health.machine import Health, Plan
from standfest.model.time import Instant, milliseconds, seconds

PLAN = Plan(interval=seconds(6), limit=seconds(3), retry=1, retry_delay=seconds(1))


def machine(*names: str, plan: Plan = PLAN) -> Health:
    health = Health()
    assert health.configure(0, dict.fromkeys(names, plan)) == []
    return health


def run(health: Health, now: Instant) -> list[HealthEffect]:
    return health.on_timer(now)


def test_first_probes_are_spread_evenly_over_the_warmup() -> None:
    health = machine("a", "b", "c", plan=replace(PLAN, warmup=seconds(6)))
    # Three checkers over 6 s: at 0, 2 and 4 s.
    assert run(health, 0) == [BeginProbe("a", 1)]
    assert health.deadline() == seconds(2)
    assert run(health, seconds(2)) == [BeginProbe("b", 1)]
    health.on_result(seconds(2), "a", 1, succeeded=True)
    health.on_result(seconds(2), "b", 1, succeeded=True)
    assert run(health, seconds(4)) == [BeginProbe("c", 1)]


def test_slow_answers_do_not_thin_out_the_probes() -> None:
    health = machine("a")
    for turn in range(5):
        began = turn * seconds(6)  # from start to start, although each answer takes 2 s
        assert health.deadline() == began
        assert run(health, began) == [BeginProbe("a", turn + 1)]
        assert health.on_result(began + seconds(2), "a", turn + 1, succeeded=True) == []


def test_a_server_is_down_after_its_retries_and_not_before() -> None:
    health = machine("a")
    run(health, 0)
    first = health.on_result(milliseconds(10), "a", 1, succeeded=False, reason="refused")
    assert first == [ProbeFailed("a", "refused", 1)]
    assert health.is_up("a")
    assert health.deadline() == milliseconds(1010)  # a second after the failure
    assert run(health, milliseconds(1010)) == [BeginProbe("a", 2)]
    assert health.on_result(milliseconds(1020), "a", 2, succeeded=False, reason="refused") == [
        ProbeFailed("a", "refused", 0),
        CheckerChanged("a", False, "refused"),
    ]
    # The phase is the retry's now: 1.01 s + 6 s.
    assert health.deadline() == milliseconds(7010)


def test_a_failure_between_two_successes_is_forgotten() -> None:
    health = machine("a")
    run(health, 0)
    health.on_result(0, "a", 1, succeeded=False, reason="x")
    run(health, seconds(1))
    health.on_result(seconds(1), "a", 2, succeeded=True)
    run(health, seconds(7))
    assert health.on_result(seconds(7), "a", 3, succeeded=False, reason="x") == [
        ProbeFailed("a", "x", 1)
    ]


def test_a_server_that_is_down_is_not_retried_but_looked_at_every_interval() -> None:
    health = machine("a", plan=replace(PLAN, retry=0))
    run(health, 0)
    health.on_result(0, "a", 1, succeeded=False, reason="x")
    assert health.deadline() == seconds(6)
    run(health, seconds(6))
    assert health.on_result(seconds(6), "a", 2, succeeded=False, reason="x") == [
        ProbeFailed("a", "x", 0)
    ]
    run(health, seconds(12))
    assert health.on_result(seconds(12), "a", 3, succeeded=True, reason="ok") == [
        CheckerChanged("a", True, "ok")
    ]


def test_a_server_is_back_only_after_as_many_successes_as_it_must_rise() -> None:
    health = machine("a", plan=replace(PLAN, retry=0, rise=3, alpha=True))
    assert not health.is_up("a")
    for number, expected in ((1, []), (2, []), (3, [CheckerChanged("a", True, "answers")])):
        now = (number - 1) * seconds(6)
        run(health, now)
        assert health.on_result(now, "a", number, succeeded=True) == expected


def test_a_probe_without_any_answer_is_given_up_at_its_limit() -> None:
    health = machine("a", plan=replace(PLAN, retry=0))
    run(health, 0)
    assert health.deadline() == seconds(3)
    assert run(health, seconds(3)) == [
        AbandonProbe("a", 1),
        ProbeFailed("a", "no answer in time", 0),
        CheckerChanged("a", False, "no answer in time"),
    ]
    # What comes later is nobody's business, even if it is good.
    assert health.on_result(seconds(4), "a", 1, succeeded=True) == []
    assert health.deadline() == seconds(6)


def test_a_machine_that_slept_does_not_catch_up_on_what_it_missed() -> None:
    health = machine("a")
    run(health, 0)
    health.on_result(0, "a", 1, succeeded=True)
    assert run(health, seconds(61)) == [BeginProbe("a", 2)]
    health.on_result(seconds(61), "a", 2, succeeded=True)
    assert health.deadline() == seconds(67)


def test_a_dynamic_checker_tells_a_weight_with_its_verdict() -> None:
    health = machine("a")
    run(health, 0)
    assert health.on_result(0, "a", 1, succeeded=True, weight=7) == [WeightFound("a", 7)]


def test_what_did_not_change_goes_on_and_what_went_is_abandoned() -> None:
    health = machine("a", "b")
    run(health, 0)
    other = replace(PLAN, interval=seconds(2))
    assert health.configure(seconds(1), {"a": PLAN, "c": other}) == [AbandonProbe("b", 1)]
    assert health.on_result(seconds(1), "a", 1, succeeded=True) == []
    assert health.on_result(seconds(1), "b", 1, succeeded=False) == []
    assert run(health, seconds(1)) == [BeginProbe("c", 1)]
    assert health.deadline() == seconds(4)  # c's limit; a is due at 6 s


def test_servers_whose_address_is_elsewhere_are_left_in_peace() -> None:
    health = machine("a")
    run(health, 0)
    assert health.suspend(["a"]) == [AbandonProbe("a", 1)]
    assert health.deadline() is None
    health.resume(seconds(9), ["a"])
    assert run(health, seconds(9)) == [BeginProbe("a", 2)]


def test_an_administrator_may_ask_out_of_turn() -> None:
    health = machine("a")
    run(health, 0)
    health.on_result(0, "a", 1, succeeded=True)
    health.look_now(seconds(2), "a")
    assert run(health, seconds(2)) == [BeginProbe("a", 2)]


def test_what_is_due_within_a_tick_is_done_at_once_and_keeps_its_phase() -> None:
    # 2,000 checkers over 6 s: one is due every 3 ms; ticks are 10 ms apart.
    names = [str(number) for number in range(2000)]
    health = machine(*names, plan=replace(PLAN, warmup=seconds(6)))
    assert run(health, 0) == [BeginProbe("0", 1)]
    assert health.deadline() == milliseconds(10)
    begun = run(health, milliseconds(10))  # 3, 6 and 9 ms
    assert begun == [BeginProbe("1", 1), BeginProbe("2", 1), BeginProbe("3", 1)]
    for name in names[:4]:
        health.on_result(milliseconds(11), name, 1, succeeded=True)
    for at in range(20, 6000, 10):
        for effect in run(health, milliseconds(at)):
            assert isinstance(effect, BeginProbe)
            health.on_result(milliseconds(at), effect.checker, 1, succeeded=True)
    # Six seconds later they are due as they were: 0, then 3, 6 and 9 ms.
    last = [BeginProbe(name, 1) for name in ("1997", "1998", "1999")]
    assert run(health, seconds(6)) == [*last, BeginProbe("0", 2)]
    assert run(health, milliseconds(6010)) == [BeginProbe(name, 2) for name in ("1", "2", "3")]
