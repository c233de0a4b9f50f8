"""Ping nodes without a network: who counts as reached, from when on, and until when."""

import random
from pathlib import Path

from standfest.core.membership.pings import Echo, PingChanged, PingEffect, Pings, Reached
from standfest.model.pinging import Pinging, PingNode
from standfest.model.time import Instant, milliseconds, seconds
from standfest.runtime.recording import replayer
from standfest.runtime.recording.recorder import Recorder, about
from standfest.runtime.recording.ring import create

GATE, OTHER, SIX = "10.0.0.1", "10.0.0.2", "fd00::1"


class World:
    """Hosts that answer at once, or do not; time that is held."""

    def __init__(self, *nodes: PingNode, interval_ms: int = 100, deadping_ms: int = 1000) -> None:
        settings = Pinging(nodes, milliseconds(interval_ms), milliseconds(deadping_ms))
        self.pings = Pings(settings)
        self.now: Instant = seconds(100)
        self.silent: set[str] = set()
        self.news: list[tuple[int, PingEffect]] = []
        self.asked: list[Echo] = []

    def start(self) -> None:
        self.take(self.pings.start(self.now))

    def take(self, effects: list[PingEffect]) -> None:
        for effect in effects:
            if isinstance(effect, Echo):
                self.asked.append(effect)
                if effect.host not in self.silent:
                    self.take(self.pings.on_reply(self.now, effect.host, effect.sequence))
            else:
                self.news.append(((self.now - seconds(100)) // milliseconds(1), effect))

    def run(self, ms: int) -> None:
        end = self.now + milliseconds(ms)
        while (at := self.pings.deadline()) is not None and at <= end:
            self.now = at
            self.take(self.pings.on_timer(at))
        self.now = end


def one(name: str = GATE) -> PingNode:
    return PingNode(name, (name,))


def test_without_ping_nodes_nothing_is_ever_due() -> None:
    world = World()
    world.start()
    assert world.asked == []
    assert world.pings.deadline() is None


def test_every_host_is_asked_once_an_interval_with_the_next_number() -> None:
    world = World(one(), PingNode("group", (OTHER, GATE)))
    world.start()
    world.run(250)
    # A host that two ping nodes name is asked once.
    assert world.asked == [Echo(h, n) for n in (1, 2, 3) for h in (GATE, OTHER)]


def test_one_answer_is_enough_at_first_and_the_picture_waits_for_all() -> None:
    world = World(one(), one(OTHER))
    world.silent = {OTHER}
    world.start()
    assert world.news == [(0, PingChanged(GATE, True))]
    assert world.pings.picture is None
    world.run(1500)
    # Asked at 0 and never heard: unknown until deadping has passed.
    assert world.news[1:] == [(1000, PingChanged(OTHER, False)), (1000, Reached((GATE,), (OTHER,)))]


def test_a_host_is_reached_until_deadping_after_the_last_request_that_it_answered() -> None:
    world = World(one())
    world.start()
    world.run(250)  # asked at 0, 100, 200
    world.silent = {GATE}
    world.run(2000)
    assert world.news[2:] == [(1200, PingChanged(GATE, False)), (1200, Reached((), (GATE,)))]


def test_a_lost_host_is_reached_again_after_three_answers_in_a_row() -> None:
    world = World(one())
    world.silent = {GATE}
    world.start()
    world.run(1050)
    assert [effect for _, effect in world.news] == [PingChanged(GATE, False), Reached((), (GATE,))]
    world.silent = set()
    world.run(200)  # answers at 1100 and 1200
    world.silent = {GATE}
    world.run(100)  # none at 1300
    world.silent = set()
    world.run(200)  # at 1400 and 1500
    assert world.news[2:] == []
    world.run(100)
    assert world.news[2:] == [(1600, PingChanged(GATE, True)), (1600, Reached((GATE,), ()))]


def test_a_group_is_reached_while_one_of_its_hosts_is() -> None:
    world = World(PingNode("group", (GATE, OTHER, SIX)))
    world.silent = {GATE, OTHER}
    world.start()
    world.run(1500)
    assert world.news == [(0, PingChanged("group", True)), (0, Reached(("group",), ()))]
    world.silent = {GATE, OTHER, SIX}
    world.run(1500)
    # SIX answered last at 1500.
    assert world.news[2:] == [(2500, PingChanged("group", False)), (2500, Reached((), ("group",)))]


def test_answers_that_nobody_asked_for_come_twice_or_late_do_not_count() -> None:
    world = World(one(), one(OTHER))
    world.silent = {GATE, OTHER}
    world.start()
    pings, now = world.pings, world.now
    assert pings.on_reply(now, GATE, 2) == []  # not asked yet
    assert pings.on_reply(now, SIX, 1) == []  # no host of ours
    assert pings.on_reply(now + seconds(1), GATE, 1) == []  # deadping old
    assert pings.on_reply(now + 1, GATE, 1) == [PingChanged(GATE, True)]
    world.run(1050)  # both are lost at 1000
    assert [effect for at, effect in world.news if at == 1000][-1] == Reached((), (GATE, OTHER))
    for _ in range(5):
        assert pings.on_reply(world.now, GATE, 11) == []  # one request, five answers
    assert pings.on_reply(world.now, GATE, 10) == []  # overtaken


def test_an_answer_that_comes_twice_does_not_begin_the_row_again() -> None:
    world = World(one())
    world.silent = {GATE}
    world.start()
    world.run(1050)
    for number in (12, 13, 14):  # asked at 1100, 1200, 1300
        world.run(100)
        world.take(world.pings.on_reply(world.now, GATE, number))
        world.take(world.pings.on_reply(world.now, GATE, number))
    assert world.news[2:] == [(1350, PingChanged(GATE, True)), (1350, Reached((GATE,), ()))]


def test_an_overtaken_answer_does_not_age_the_later_one() -> None:
    world = World(one())
    world.start()
    world.silent = {GATE}
    world.run(350)
    for number in (4, 2):  # asked at 300 and 100
        assert world.pings.on_reply(world.now, GATE, number) == []
    world.run(2000)
    assert world.news[2][0] == 1300


def test_what_came_during_a_pause_does_not_count() -> None:
    world = World(one())
    world.start()
    world.run(250)
    world.silent = {GATE}
    world.run(200)  # asked at 300 and 400
    world.now += milliseconds(550)  # 500 was due, now it is 1000
    world.take(world.pings.on_timer(world.now))
    assert world.pings.on_reply(world.now, GATE, 4) == []
    world.run(2000)
    # Answered last at 200; the pause of 500 and deadping on top of it.
    assert world.news[2][0] == 1700


def test_a_pause_of_this_node_is_no_silence_of_the_hosts() -> None:
    world = World(one())
    world.start()
    world.run(250)
    world.silent = {GATE}
    world.now += seconds(60)  # asked at 200 for the last time; due at 300
    world.take(world.pings.on_timer(world.now))
    assert world.news[2:] == []
    # What lay in the socket was asked for before the pause.
    assert world.pings.on_reply(world.now, GATE, 3) == []
    world.silent = set()
    world.run(5000)
    assert world.news[2:] == []


def test_sequence_numbers_begin_again_and_what_is_remembered_is_bounded() -> None:
    world = World(one(), interval_ms=1, deadping_ms=5000)
    world.silent = {GATE}
    world.start()
    world.run(70_000)
    assert {echo.sequence for echo in world.asked} == set(range(65_536))
    assert len(vars(world.pings)["_open"]) == 1024


def test_a_line_that_loses_nine_of_ten_moves_nothing_to_and_fro() -> None:
    world, source = World(one()), random.Random(34)
    world.silent = {GATE}
    world.start()
    world.run(1050)
    for _ in range(3_000):  # five minutes
        world.silent = set() if source.random() < 0.1 else {GATE}
        world.run(100)
    changes = sum(isinstance(effect, PingChanged) for _, effect in world.news)
    # Up takes three in a row, (1 - 0.1^3) / (0.9 x 0.1^3) = 1,110 intervals; down ten misses,
    # (1 - 0.9^10) / (0.1 x 0.9^10) = 19: 3,000 / 1,129 = 2.7 times up and down. If one answer were
    # enough, it would be 3,000 / (10 + 19) = 103 times.
    assert changes <= 20


def test_what_is_recorded_is_decided_again(tmp_path: Path) -> None:
    ring = create(tmp_path / "ring", 1024 * 1024, about("a", "pulse"))
    world = World(one(), PingNode("group", (OTHER, SIX)))
    world.pings = Recorder(ring, lambda why: None).attach("pings", world.pings)
    world.silent = {OTHER}
    world.start()
    world.run(1000)
    world.silent = {GATE, SIX}
    world.run(3000)
    steps = list(replayer.replay(replayer.load(tmp_path / "ring")))
    assert len(steps) > 60
    assert {getattr(step, "verdict", None) for step in steps[:-1]} == {replayer.Verdict.AS_RECORDED}
