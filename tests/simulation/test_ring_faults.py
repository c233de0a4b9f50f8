"""Ring machines over a model of corosync: rings split and merge, processes and corosync die, hang.

The model keeps what corosync promises and nothing more: within a ring all see one order; group and
ring come by one socket, the votes by another, and either may be behind. Messages wait for flow
control, across changes of the ring too. Checked after every step.
"""

import json
import os
import random
from collections import deque

import pytest
from tests.recorded import Recordings

from standfest.core.ring import effects as told
from standfest.core.ring.machine import Ring
from standfest.model.ring import (
    Absence,
    Farewell,
    Fragment,
    GroupChanged,
    GroupMessage,
    Process,
    QuorumChanged,
    RingChanged,
)
from standfest.model.time import Duration, Instant, milliseconds, seconds
from standfest.runtime.recording.replayer import Damage, Step, Verdict, parse, replay

SEEDS = 150
STEPS = 150
NAMES = {number: f"n{number}" for number in range(1, 6)}
PATIENCE: Duration = seconds(2)
Report = GroupChanged | RingChanged | tuple[Process, GroupMessage]


class Machine:
    """One node: its ring process, what corosync has for it, what its cluster daemon believes."""

    def __init__(self, world: "World", number: int) -> None:
        self.world, self.number = world, number
        self.pid = 0
        self.connected = False
        self.hangs = False
        self.group: deque[Report] = deque()
        self.votes: deque[QuorumChanged] = deque()
        self.outbox: deque[GroupMessage] = deque()
        self.ring: Ring
        self.ring_nodes: tuple[int, ...] = ()
        self.ring_number = 0
        self.members: tuple[Process, ...] = ()
        self.seen_by_others: tuple[Process, ...] = ()
        self.brought: dict[int, frozenset[Process]] = {}
        self.heard: set[str] = set()
        self.verdict: bool | None = None
        self.isolated = False
        self.lost_in: dict[str, int] = {}
        self.last: dict[str, tuple[int, int]] = {}
        self.sent = 0
        self.departed = False
        self.said_farewell: set[Process] = set()

    @property
    def process(self) -> Process:
        return Process(self.number, self.pid)

    def start(self) -> None:
        """Start the ring process anew; its cluster daemon begins anew with it."""
        self.pid += 1
        self.ring = Ring(self.world.now)
        if self.world.records:
            recorder = self.world.recordings.recorder("ring", hides=True)
            self.ring = recorder.attach("ring", self.ring)
        self.heard, self.verdict, self.isolated = set(), None, False
        self.lost_in, self.last, self.sent = {}, {}, 0
        self.ring_nodes, self.ring_number, self.members = (), 0, ()
        self.connected = self.departed = False

    def perform(self, wanted: told.Effects) -> None:
        for effect in wanted:
            match effect:
                case told.Multicast(message):
                    self.outbox.append(message)
                case told.Verdict(quorate, _):
                    self.verdict = quorate
                    if quorate:
                        self.may_act()
                case told.Isolated(isolated):
                    self.isolated = isolated
                case told.Heard(node):
                    assert node not in self.heard, f"{node} is heard twice"
                    self.heard.add(node)
                case told.Reset(node):
                    assert node in self.heard, f"{node} is reset, but was never heard"
                case told.Departed():
                    self.departed = True
                case told.Lost(node, left):
                    assert node in self.heard, f"{node} is lost, but was never heard"
                    self.heard.discard(node)
                    self.lost_in[node] = self.ring_number
                    if not self.isolated and not left:
                        self.may_take_over()
                case told.Deliver(node, payload):
                    self.deliver(node, payload)
                case _:
                    pass

    def may_act(self) -> None:
        """Check: quorum is told in a majority, with everybody of it who is there."""
        assert 2 * len(self.ring_nodes) > len(NAMES), "quorum is told in a minority"
        alive = {machine.process for machine in self.world.machines.values() if machine.connected}
        there = (alive & self.brought[self.ring_number]) - self.said_farewell
        missing = {NAMES[process.node] for process in there} - self.heard - {NAMES[self.number]}
        assert not missing, f"quorum is told before {missing} is heard"

    def may_take_over(self) -> None:
        """Check: whoever loses a node while it may act is in a majority without it."""
        minority = 2 * len(self.ring_nodes) <= len(NAMES)
        assert not (self.verdict and minority), "a minority with quorum gives a node up"

    def deliver(self, node: str, payload: bytes) -> None:
        assert node in self.heard, f"a payload of {node}, which is not heard"
        pid, number, ring = json.loads(payload)
        lost = self.lost_in.get(node, 0)
        assert ring >= lost, f"a payload from ring {ring} of {node}, lost in ring {lost}"
        before = self.last.get(node, (0, 0))
        assert (pid, number) > before, f"{node} said {number} after {before}"
        self.last[node] = (pid, number)

    def receive(self) -> None:
        """Take one report from one of both sockets."""
        now, chance = self.world.now, self.world.chance
        if self.votes and (not self.group or chance.random() < 0.5):
            self.perform(self.ring.quorum(now, self.votes.popleft()))
        elif self.group:
            match self.group.popleft():
                case GroupChanged() as change:
                    self.members = change.members
                    self.perform(self.ring.group(now, change))
                case RingChanged() as change:
                    self.ring_nodes, self.ring_number = change.nodes, change.sequence
                    self.perform(self.ring.ring(now, change))
                case (sender, message):
                    if isinstance(message, Farewell):
                        self.said_farewell.add(sender)
                    self.perform(self.ring.receive(now, sender, message))

    def drain(self) -> None:
        """Take everything, as the loop does before it looks at the clock."""
        while self.group or self.votes:
            self.receive()


class World:
    """All nodes, the rings they are in, and time."""

    def __init__(self, seed: int, *, records: bool = False) -> None:
        self.chance = random.Random(seed)
        self.now: Instant = 0
        self.records, self.recordings = records, Recordings()
        self.machines = {number: Machine(self, number) for number in NAMES}
        self.up: set[int] = set()
        self.sequences = dict.fromkeys(NAMES, 0)
        self.rings: dict[int, frozenset[int]] = {}

    def reform(self, cut: dict[int, int]) -> None:
        """Form the rings again: nodes with the same number in `cut` are together."""
        parts: dict[int, set[int]] = {}
        for number in self.up:
            parts.setdefault(cut[number], set()).add(number)
        for part in parts.values():
            nodes = frozenset(part)
            if any(self.rings.get(number) != nodes for number in part):
                sequence = max(self.sequences[number] for number in part) + 4
                for number in sorted(part):
                    self._enter(self.machines[number], nodes, sequence)
                for number in part:
                    self.rings[number], self.sequences[number] = nodes, sequence

    def _enter(self, machine: Machine, nodes: frozenset[int], sequence: int) -> None:
        before = machine.seen_by_others
        old = self.rings.get(machine.number, frozenset())
        gone = tuple(p for p in before if p.node not in nodes)
        kept = tuple(p for p in before if p.node in nodes)
        now = self.processes(nodes)
        assert set(old) >= {p.node for p in before}
        if machine.connected:
            if gone:
                absences = tuple((process, Absence.NODE_DOWN) for process in gone)
                machine.group.append(GroupChanged(kept, absences))
            new: list[Report] = [RingChanged(sequence, tuple(sorted(nodes)))]
            if now != kept:  # corosync says this before the ring; nothing promises it
                new.insert(self.chance.randrange(2), GroupChanged(now, ()))
            machine.group += new
            machine.brought[sequence] = frozenset(now)
            machine.votes.append(QuorumChanged(sequence, 2 * len(nodes) > len(NAMES)))
        machine.seen_by_others = now

    def processes(self, nodes: frozenset[int]) -> tuple[Process, ...]:
        machines = (self.machines[number] for number in sorted(nodes))
        return tuple(machine.process for machine in machines if machine.connected)

    def join(self, machine: Machine) -> None:
        """Its process connects and joins the group."""
        number = machine.number
        if number not in self.up or machine.connected:
            return
        machine.group.clear()
        machine.votes.clear()
        machine.outbox.clear()
        machine.connected = True
        machine.brought = {self.sequences[number]: frozenset()}
        nodes, sequence = self.rings[number], self.sequences[number]
        names = tuple(NAMES.items())
        connect = machine.ring.connect
        machine.perform(connect(self.now, number, names, patience=PATIENCE, has_votes=True))
        self.group_changed(nodes, ())
        machine.group.append(RingChanged(sequence, tuple(sorted(nodes))))
        machine.votes.append(QuorumChanged(sequence, 2 * len(nodes) > len(NAMES)))

    def group_changed(
        self, nodes: frozenset[int], gone: tuple[tuple[Process, Absence], ...]
    ) -> None:
        members = self.processes(nodes)
        for number in sorted(nodes):
            machine = self.machines[number]
            machine.seen_by_others = members
            if machine.connected:
                machine.group.append(GroupChanged(members, gone))

    def part(self, machine: Machine) -> None:
        """Its process is gone; corosync stays."""
        if machine.connected:
            machine.connected = False
            gone = ((machine.process, Absence.PROCESS_DOWN),)
            self.group_changed(self.rings[machine.number], gone)

    def carry(self, machine: Machine) -> None:
        """Corosync takes one waiting message and delivers it in the ring that there is."""
        if not machine.outbox or not machine.connected or machine.hangs:
            return
        message = machine.outbox.popleft()
        for number in sorted(self.rings[machine.number]):
            other = self.machines[number]
            if other.connected:
                other.group.append((machine.process, message))

    def tick(self, duration: Duration) -> None:
        """Let time pass; everything that is due is done, what was sent is carried."""
        end = self.now + duration
        while True:
            due = [m.ring.deadline() for m in self.machines.values()]
            at = min((max(d, self.now) for d in due if d is not None), default=end)
            if at >= end:
                break
            self.now = at
            for machine in self.machines.values():
                deadline = machine.ring.deadline()
                if deadline is not None and deadline <= at:
                    machine.drain()
                    machine.perform(machine.ring.on_timer(at))
                self.carry(machine)
                machine.receive()
        self.now = end

    def step(self) -> None:
        machine = self.machines[self.chance.choice(sorted(NAMES))]
        match self.chance.randrange(17):
            case 0 | 1:
                self.reform({number: self.chance.randrange(2) for number in NAMES})
            case 2:
                self.reform(dict.fromkeys(NAMES, 0))
            case 3:
                self.kill_process(machine)
            case 4:
                self.kill_corosync(machine)
            case 5:
                machine.perform(machine.ring.stall(self.now))
            case 6:
                self.start_corosync(machine)
            case 7 | 8:
                self.join(machine)
            case 9 | 10:
                self.submit(machine)
            case 11 | 12:
                self.carry(machine)
            case 13:
                self.tick(self.chance.choice([milliseconds(1), milliseconds(300), seconds(3)]))
            case 14:
                machine.perform(machine.ring.leave(self.now))
            case _:
                for _ in range(self.chance.randrange(6)):
                    machine.receive()
        for each in self.machines.values():
            if each.departed:
                self.kill_process(each)

    def submit(self, machine: Machine) -> None:
        to = self.chance.choice(["", *sorted(machine.heard)])
        machine.sent += 1
        said = machine.ring.submit(self.now, b"", to)
        for effect in said:
            assert isinstance(effect, told.Multicast)
            part = effect.message
            assert isinstance(part, Fragment)
            content = json.dumps([machine.pid, machine.sent, part.ring]).encode()
            again = machine.ring.submit(self.now, content, to)
            machine.perform(again)

    def kill_process(self, machine: Machine) -> None:
        self.part(machine)
        machine.start()

    def kill_corosync(self, machine: Machine) -> None:
        number = machine.number
        if number not in self.up:
            return
        cut = {other: 0 if other in self.rings[number] else 1 for other in NAMES}
        cut[number] = 2
        self.up.discard(number)
        if machine.connected:
            machine.connected = False
            machine.perform(machine.ring.disconnect(self.now, "corosync-gone"))
            assert not machine.heard
        machine.seen_by_others = ()
        self.rings.pop(number)
        self.reform(cut | {n: id(self.rings[n]) for n in self.up})

    def start_corosync(self, machine: Machine) -> None:
        if machine.number not in self.up:
            self.up.add(machine.number)
            self.rings[machine.number] = frozenset()
            machine.seen_by_others = ()
            self.reform({n: id(self.rings[n]) for n in self.up})

    def heal(self) -> None:
        for machine in self.machines.values():
            self.start_corosync(machine)
        self.reform(dict.fromkeys(NAMES, 0))
        for machine in self.machines.values():
            self.join(machine)
        for _ in range(40):
            self.tick(milliseconds(500))
            for machine in self.machines.values():
                if machine.departed:
                    self.kill_process(machine)
                    self.join(machine)
                machine.drain()
                for _ in range(len(machine.outbox)):
                    self.carry(machine)


def run(seed: int, *, records: bool = False) -> World:
    world = World(seed, records=records)
    for machine in world.machines.values():
        machine.start()
    for _ in range(STEPS):
        world.step()
    world.heal()
    return world


def test_what_ring_was_told_is_decided_again() -> None:
    recordings = run(7, records=True).recordings
    assert recordings.troubles == []
    steps = [step for _, ring in recordings.rings for step in replay(parse(bytes(ring)))]
    assert {step.verdict for step in steps if isinstance(step, Step)} == {Verdict.AS_RECORDED}
    assert not any(isinstance(step, Damage) for step in steps)
    assert len(steps) > 300


SEED = int(os.environ.get("STANDFEST_HUNT_SEED", "0"))


@pytest.mark.hunt
@pytest.mark.parametrize("block", range(5))
def test_nobody_acts_alone_and_after_the_faults_all_hear_each_other(block: int) -> None:
    for seed in range(SEEDS // 5):
        number = SEED * SEEDS + block * (SEEDS // 5) + seed
        try:
            world = run(number)
            for machine in world.machines.values():
                others = set(NAMES.values()) - {NAMES[machine.number]}
                assert machine.heard == others, f"n{machine.number} hears {machine.heard}"
                assert machine.verdict is True
                assert not machine.isolated
        except AssertionError as error:
            raise AssertionError(f"seed {number}: {error}") from error
