"""A pulse that is started again is believed before its deadtime, however short that is.

Two nodes in virtual time, as `pulse` joins their machines; datagrams take 1 ms.
"""

import contextlib
import heapq
import itertools
import random
from dataclasses import dataclass, field

import pytest

from standfest.core.membership.effects import NodeChanged, NodeStatus, Reason, Transmit
from standfest.core.membership.machine import Effects, Membership
from standfest.daemons.pulse import GREET_EVERY
from standfest.daemons.sealing import Sealing
from standfest.model.errors import WireError
from standfest.model.keys import Key, Keyring, SignatureMethod
from standfest.model.settings import Bcast, HeartbeatSettings
from standfest.model.time import Instant, milliseconds, seconds
from standfest.wire.heartbeat import read_inner, write_inner

KEYS = Keyring(1, (Key(1, SignatureMethod.AES256_GCM, b"a long passphrase"),))
SETTINGS = HeartbeatSettings(
    nodes=("a", "b"),
    media=(Bcast("eth0"),),
    keepalive=seconds(1),
    deadtime=milliseconds(2_100),  # ha.cf asks for more than two heartbeats
    warntime=seconds(2),
    initdead=seconds(30),
)
DELAY = milliseconds(1)
WALL = 1_795_000_000


@dataclass
class Node:
    """One `pulse`."""

    name: str
    generation: int
    membership: Membership = field(init=False)
    sealing: Sealing = field(init=False)
    greet_at: Instant = 0

    def __post_init__(self) -> None:
        rng = random.Random(f"{self.name} {self.generation}")
        self.sealing = Sealing(KEYS, rng.randbytes)
        self.membership = Membership(
            name=self.name,
            uuid=self.name.encode() * 16,
            generation=self.generation,
            settings=SETTINGS,
            random=rng,
            links=("eth0",),
        )

    def hear(self, now: Instant, datagram: bytes) -> Effects:
        """Do what pulse does with a datagram."""
        effects: Effects = []
        with contextlib.suppress(WireError):
            opened = self.sealing.open(datagram)
            assert opened is not None
            message = read_inner(opened[1])
            effects += self.membership.on_message(now, WALL, "eth0", message)
        if self.sealing.newcomer() and now >= self.greet_at:
            self.greet_at = now + GREET_EVERY
            effects += self.membership.greet(now, WALL)
        return effects


class Pair:
    """Both nodes, what is under way, and what each has seen of the other."""

    def __init__(self) -> None:
        self.nodes = {name: Node(name, 1) for name in ("a", "b")}
        self.dead = {"a", "b"}
        self.under_way: list[tuple[Instant, int, str, bytes]] = []
        self.order = itertools.count()
        self.seen: list[tuple[Instant, str, NodeChanged]] = []
        self.sent = 0

    def perform(self, now: Instant, name: str, effects: Effects) -> None:
        other = "b" if name == "a" else "a"
        for effect in effects:
            match effect:
                case Transmit(message):
                    self.sent += 1
                    datagram = self.nodes[name].sealing.close(write_inner(message))
                    heapq.heappush(self.under_way, (now + DELAY, next(self.order), other, datagram))
                case NodeChanged():
                    self.seen.append((now, name, effect))
                case _:
                    pass

    def start(self, now: Instant, name: str) -> None:
        self.dead.discard(name)
        self.perform(now, name, self.nodes[name].membership.start(now, WALL))

    def run(self, now: Instant, until: Instant) -> None:
        while now < until:
            living = [node for name, node in self.nodes.items() if name not in self.dead]
            times = [due for node in living if (due := node.membership.deadline()) is not None]
            times += [self.under_way[0][0]] if self.under_way else []
            now = max(now, min(times))
            if now >= until:
                return
            while self.under_way and self.under_way[0][0] <= now:
                _, _, name, datagram = heapq.heappop(self.under_way)
                if name not in self.dead:
                    self.perform(now, name, self.nodes[name].hear(now, datagram))
            for node in living:
                due = node.membership.deadline()
                if due is not None and due <= now:
                    effects = node.membership.on_timer(now, WALL, "0 0 0 1/1 1")
                    self.perform(now, node.name, effects)


@pytest.mark.parametrize("phase_ms", range(0, 1_000, 50))
def test_a_restart_at_any_moment_is_no_death_with_the_shortest_deadtime(phase_ms: int) -> None:
    pair = Pair()
    pair.start(0, "a")
    pair.run(0, milliseconds(500))
    pair.start(milliseconds(500), "b")  # the two beat half a keepalive apart
    crash = seconds(10) + milliseconds(phase_ms)
    pair.run(milliseconds(500), crash)
    latest = {name: change.state for _, name, change in pair.seen}
    assert latest == {"a": NodeStatus.ACTIVE, "b": NodeStatus.ACTIVE}
    pair.seen.clear()
    pair.dead.add("b")
    pair.run(crash, crash + milliseconds(300))  # Python starts within this
    pair.nodes["b"] = Node("b", 2)
    pair.start(crash + milliseconds(300), "b")
    pair.run(crash + milliseconds(300), crash + seconds(8))
    changes = [change for _, name, change in pair.seen if name == "a"]
    assert NodeStatus.DEAD not in {change.state for change in changes}
    assert changes[0].reason is Reason.RESTARTED
    # Hello, a greeting back, a greeting with the proof: 3 ms after the start.
    assert pair.seen[0][0] <= crash + milliseconds(303)


def test_a_greeting_answers_news_only() -> None:
    pair = Pair()
    pair.start(0, "a")
    pair.start(0, "b")
    pair.run(0, milliseconds(900))
    # Two beats at the start, at most a greeting for each of: heard, believed; then the reqnodes'
    # answer is not asked for, and nobody beats before 1 s.
    assert 4 <= pair.sent <= 8
    sent = pair.sent
    pair.run(milliseconds(900), milliseconds(9_900))
    assert pair.sent - sent <= 9 * 2 + 2  # nine heartbeats each, and an acknowledgement each
