"""The fencing machine: devices in order, tries, pauses, executors, and whom it believes."""

from dataclasses import replace

import pytest

from standfest.core.fencing.effects import (
    Begun,
    Call,
    Confirmed,
    Failed,
    FencingEffect,
    Withdrawn,
)
from standfest.core.fencing.hand import Begin, End, Hand, Tell
from standfest.core.fencing.machine import Fencing
from standfest.core.fencing.plan import Scene
from standfest.model.fencing import FenceCall, FenceDevice, FencingLevel, FencingPlan
from standfest.model.time import Duration, milliseconds, seconds

NODES = ("a", "b", "c")
MEMBERS = frozenset(NODES)


def device(name: str, *hosts: str, **more: object) -> FenceDevice:
    made = FenceDevice(name, "fence_x", hosts=hosts, tries=(("reboot", 1), ("off", 1), ("on", 1)))
    return replace(made, **more)  # type: ignore[arg-type]


def machine(
    *devices: FenceDevice,
    levels: tuple[FencingLevel, ...] = (),
    active: dict[str, str] | None = None,
    members: frozenset[str] = MEMBERS,
    most: int = 3,
) -> Fencing:
    plan = FencingPlan(devices, levels, seconds(60), most)
    where = {name: frozenset({node}) for name, node in (active or {}).items()}
    return Fencing(Scene("a", members, plan, where))


def ask(fencing: Fencing, target: str = "c", action: str = "reboot") -> list[FencingEffect]:
    return fencing.request(0, target, action, draw=0.0)


def calls(effects: list[FencingEffect]) -> list[str]:
    return [
        f"{e.call.device} {e.call.word} {e.call.port} by {e.executor}"
        for e in effects
        if isinstance(e, Call)
    ]


def end(
    fencing: Fencing, effects: list[FencingEffect], *, ok: bool, now: int = 0
) -> list[FencingEffect]:
    [run] = [e.run for e in effects if isinstance(e, Call)]
    return fencing.on_ended(now, run, succeeded=ok, reason="" if ok else "off line")


def test_the_device_is_called_where_it_runs_by_its_own_names() -> None:
    power = device("power", "b", "c", ports=(("c", "7"),), words=(("reboot", "cycle"),))
    fencing = machine(power, active={"power": "b"})
    effects = ask(fencing)
    assert effects[0] == Begun("c", "reboot")
    assert calls(effects) == ["power cycle 7 by b"]
    assert end(fencing, effects, ok=True) == [Confirmed("c", "reboot", "b", ("power",))]
    assert fencing.deadline() is None


def test_the_target_never_calls_and_the_coordinator_only_if_nobody_else_can() -> None:
    power = device("power")
    assert calls(ask(machine(power, active={"power": "c"}))) == ["power reboot c by b"]
    alone = machine(power, active={"power": "c"}, members=frozenset({"a", "c"}))
    assert calls(ask(alone)) == ["power reboot c by a"]
    nobody = machine(power, members=frozenset({"a"}))
    assert ask(nobody, "a") == [
        Begun("a", "reboot"),
        Failed("a", "reboot", "power: nobody is there to call it", 1, seconds(2)),
    ]


@pytest.mark.parametrize(
    ("devices", "active", "first"),
    [
        ((device("x", "b"), device("y", "c")), {}, "y"),
        ((device("x"), device("y", priority=5)), {}, "y"),
        ((device("x"), device("y", priority=5)), {"x": "b"}, "x"),
        ((device("y"), device("x")), {}, "x"),
    ],
)
def test_without_a_topology_the_running_then_the_important_ones_come_first(
    devices: tuple[FenceDevice, ...], active: dict[str, str], first: str
) -> None:
    assert calls(ask(machine(*devices, active=active)))[0].split()[0] == first


def test_no_device_for_the_node_waits_for_news() -> None:
    fencing = machine(device("x", "b"))
    assert ask(fencing) == [
        Begun("c", "reboot"),
        Failed("c", "reboot", "no device can fence c", 0, None),
    ]
    assert ask(fencing) == []
    assert fencing.deadline() is None
    fencing.scene = replace(fencing.scene, plan=FencingPlan((device("x", "c"),)))
    assert calls(fencing.news(seconds(1))) == ["x reboot c by b"]


def test_a_level_needs_all_its_devices_and_the_next_one_follows_a_failure() -> None:
    levels = (
        FencingLevel(2, ("third",), target="c"),
        FencingLevel(1, ("one", "two"), target="c"),
        FencingLevel(1, ("other",), target="b"),
    )
    devices = tuple(device(name) for name in ("one", "two", "third", "other"))
    fencing = machine(*devices, levels=levels)
    effects = ask(fencing, action="off")
    assert calls(effects) == ["one off c by b"]
    effects = end(fencing, effects, ok=True)
    assert calls(effects) == ["two off c by b"]
    effects = end(fencing, effects, ok=False)
    assert calls(effects) == ["third off c by b"]
    assert end(fencing, effects, ok=True) == [Confirmed("c", "off", "b", ("third",))]


def test_a_reboot_by_several_devices_is_all_off_and_then_all_on() -> None:
    levels = (FencingLevel(1, ("one", "two"), pattern="^c$"),)
    fencing = machine(device("one"), device("two"), levels=levels)
    seen, effects = [], ask(fencing)
    for ok in (True, True, False, False):  # that it is on again is nobody's condition
        seen += calls(effects)
        effects = end(fencing, effects, ok=ok)
    assert seen == ["one off c by b", "two off c by b", "one on c by b", "two on c by b"]
    assert effects == [Confirmed("c", "reboot", "b", ("one", "two"))]


def test_a_call_is_tried_as_often_as_the_device_says_while_its_time_lasts() -> None:
    twice = device("x", tries=(("reboot", 2),), timeouts=(("reboot", seconds(10)),))
    fencing = machine(twice)
    first = ask(fencing)
    [call] = [e.call for e in first if isinstance(e, Call)]
    assert call.timeout == seconds(10)
    again = end(fencing, first, ok=False, now=seconds(4))
    [call] = [e.call for e in again if isinstance(e, Call)]
    assert call.timeout == seconds(6)
    [failed] = end(fencing, again, ok=False, now=seconds(5))
    assert isinstance(failed, Failed)
    slow = machine(twice)
    [failed] = end(slow, ask(slow), ok=False, now=seconds(10))
    assert isinstance(failed, Failed)


def test_attempts_are_repeated_with_growing_pauses_and_then_not_at_all() -> None:
    fencing = machine(device("x"))
    first = end(fencing, ask(fencing), ok=False)
    assert first == [Failed("c", "reboot", "x by b: off line", 1, seconds(2))]
    assert ask(fencing) == []
    assert not fencing.busy("c", "reboot")
    assert fencing.on_timer(seconds(2) - 1) == []
    effects = fencing.on_timer(seconds(2))
    assert calls(effects) == ["x reboot c by a"]  # somebody else may reach the device
    now = seconds(3)
    [failed] = end(fencing, effects, ok=False, now=now)
    assert isinstance(failed, Failed)
    assert failed.again == seconds(4)
    effects = fencing.on_timer(now + seconds(4))
    [failed] = end(fencing, effects, ok=False, now=seconds(8))
    assert isinstance(failed, Failed)
    assert (failed.attempts, failed.again) == (3, None)
    assert fencing.deadline() is None
    assert ask(fencing) == []
    assert calls(fencing.news(seconds(100))) == ["x reboot c by b"]


def test_a_second_request_joins_the_first_whether_it_says_off_or_reboot() -> None:
    fencing = machine(device("x"))
    effects = ask(fencing)
    assert ask(fencing) == ask(fencing, action="off") == []
    assert end(fencing, effects, ok=True) == [Confirmed("c", "reboot", "b", ("x",))]
    assert calls(ask(fencing, action="on")) == ["x on c by b"]


def test_a_lost_executor_costs_no_try_and_another_member_is_asked() -> None:
    fencing = machine(device("x"))
    ask(fencing)
    fencing.scene = replace(fencing.scene, members=frozenset({"a", "c"}))
    assert calls(fencing.on_member_lost(0, "b")) == ["x reboot c by a"]


def test_an_executor_that_does_not_answer_is_given_up_after_the_calls_timeout() -> None:
    fencing = machine(device("x"))
    first = ask(fencing)
    assert fencing.deadline() == seconds(65)  # 60 s for the agent, 5 s for its answer
    assert calls(fencing.on_timer(seconds(65))) == ["x reboot c by a"]
    assert end(fencing, first, ok=True, now=seconds(66)) == []  # nobody waits for it any more
    [failed] = fencing.on_timer(seconds(130))
    assert isinstance(failed, Failed)
    assert (
        failed.reason == "x: no answer from b; x: no answer from a; x: nobody is there to call it"
    )


def test_one_call_at_a_time_for_each_device() -> None:
    fencing = machine(device("x"))
    first = ask(fencing)
    assert ask(fencing, "b") == [Begun("b", "reboot")]
    confirmed, *rest = end(fencing, first, ok=True)
    assert confirmed == Confirmed("c", "reboot", "b", ("x",))
    assert calls(rest) == ["x reboot b by c"]
    several = machine(device("x", limit=0))
    assert calls(ask(several) + ask(several, "b")) == ["x reboot c by b", "x reboot b by c"]


@pytest.mark.parametrize(
    ("node", "draw", "expected"),
    [("c", 0.5, seconds(6)), ("b", 0.5, milliseconds(5500)), ("b", 0.0, seconds(1))],
)
def test_delays_by_node_and_by_chance(node: str, draw: float, expected: Duration) -> None:
    # 2 s + half of 10 s - 2 s for c, 1 s + half of 10 s - 1 s for all others.
    slow = device("x", delays=(("c", seconds(2)), ("", seconds(1))), delay_max=seconds(10))
    fencing = machine(slow)
    assert fencing.request(0, node, "reboot", draw=draw) == [Begun(node, "reboot")]
    assert fencing.deadline() == expected
    assert len(calls(fencing.on_timer(expected))) == 1


def test_who_loses_quorum_while_it_waits_fences_nobody() -> None:
    fencing = machine(device("x"))
    fencing.request(0, "c", "reboot", draw=0.0, settle=seconds(1))
    assert fencing.want({("c", "reboot")}) == []
    assert fencing.stand_down() == [Withdrawn("c", "reboot")]
    assert fencing.deadline() is None
    begun = ask(fencing)
    assert fencing.stand_down() == []  # an agent is at work: its answer counts
    assert end(fencing, begun, ok=True) == [Confirmed("c", "reboot", "b", ("x",))]


def test_what_nobody_wants_any_more_is_not_repeated_but_ended() -> None:
    fencing = machine(device("x"))
    effects = ask(fencing)
    assert fencing.want(()) == []
    end(fencing, effects, ok=False)
    assert fencing.want({("c", "off")}) == []
    assert fencing.want(()) == [Withdrawn("c", "reboot")]


def test_who_comes_back_before_an_agent_was_called_is_not_fenced() -> None:
    fencing = machine(device("x"))
    fencing.request(0, "c", "reboot", draw=0.0, settle=seconds(1))
    assert fencing.want(()) == [Withdrawn("c", "reboot")]
    assert fencing.deadline() is None


def test_an_administrators_wish_waits_for_nothing_and_stays() -> None:
    fencing = machine(device("x", delay_max=seconds(10)))
    effects = fencing.request(0, "c", "off", draw=0.9, settle=seconds(9), asked=True)
    assert calls(effects) == ["x off c by b"]
    end(fencing, effects, ok=False)
    assert fencing.want(()) == []
    assert fencing.stand_down() == []
    again = fencing.request(seconds(1), "c", "off", draw=0.9, asked=True)
    assert calls(again) == ["x off c by b"]


def test_a_wish_that_was_given_up_is_not_fulfilled_by_surprise() -> None:
    fencing = machine(device("x"), most=1)
    effects = fencing.request(0, "c", "off", draw=0.0, asked=True)
    end(fencing, effects, ok=False)
    assert fencing.want(()) == [Withdrawn("c", "off")]
    assert fencing.news(seconds(9)) == []


def test_an_administrators_word_counts_and_a_late_answer_does_not_count_twice() -> None:
    fencing = machine(device("x"))
    effects = ask(fencing)
    assert fencing.confirm("c") == [Confirmed("c", "reboot")]
    assert end(fencing, effects, ok=True) == []
    assert fencing.confirm("b") == [Confirmed("b", "off")]


def test_whoever_fenced_itself_and_is_still_here_was_not_fenced() -> None:
    fencing = machine(device("x"))
    [failed] = end(fencing, ask(fencing, "a"), ok=True)
    assert failed == Failed("a", "reboot", "a was fenced, and is still here", 1, seconds(2))


def test_a_node_that_is_let_in_is_asked_itself() -> None:
    fencing = machine(device("x"), device("y", unfences=True), device("z", unfences=True))
    effects = ask(fencing, action="on")
    assert calls(effects) == ["y on c by c"]
    effects = end(fencing, effects, ok=True)
    assert calls(effects) == ["z on c by c"]
    assert end(fencing, effects, ok=True) == [Confirmed("c", "on", "c", ("y", "z"))]


# --- the member's hand ---------------------------------------------------------------------------

CALL = FenceCall("x", "fence_x", "reboot", "reboot", "c", "c", seconds(60))


def test_a_member_calls_once_and_tells_how_it_ended() -> None:
    hand = Hand()
    assert hand.begin(0, 4, 1, CALL) == [Begin(1, CALL)]
    assert hand.begin(1, 4, 1, CALL) == []
    assert hand.begin(1, 5, 1, CALL) == [Begin(2, CALL)]
    assert hand.on_ended(1, succeeded=True, reason="") == [Tell(4, 1, True, "")]
    assert hand.on_ended(1, succeeded=True, reason="") == []


def test_a_member_ends_an_agent_that_takes_too_long() -> None:
    hand = Hand()
    hand.begin(0, 4, 1, CALL)
    assert hand.deadline() == seconds(60)
    assert hand.on_timer(seconds(60) - 1) == []
    assert hand.on_timer(seconds(60)) == [End(1), Tell(4, 1, False, "timeout")]
    assert hand.on_ended(1, succeeded=True, reason="") == []
    assert hand.deadline() is None
