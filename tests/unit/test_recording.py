"""Recordings: what is written is read, halves turn, damage is found, machines are not disturbed."""

import json
import random
from collections import OrderedDict, deque
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from standfest.cli.replay import command
from standfest.core.cib.document import Cib
from standfest.core.membership.effects import Deliver, NodeStatus, Transmit
from standfest.core.membership.machine import Membership
from standfest.core.membership.peer import Link, Peer
from standfest.core.membership.receiver import Receiver
from standfest.core.membership.rhythm import Rhythm
from standfest.model.element import Element
from standfest.model.errors import OperationError, WireError
from standfest.model.keys import Key, SignatureMethod
from standfest.model.message import Message
from standfest.model.operations import Agent, Operation, OperationResult, OperationStatus
from standfest.model.settings import HeartbeatSettings
from standfest.model.status import Status, Version
from standfest.model.time import milliseconds, seconds
from standfest.ports.agents import RunEnded
from standfest.runtime.cluster.effects import Answer, KeepInput, Save, Send, StartRun, note
from standfest.runtime.cluster.protocol import Outcome
from standfest.runtime.recording import describe
from standfest.runtime.recording.codec import Writer, read
from standfest.runtime.recording.recorder import Recorder, about, inputs_of
from standfest.runtime.recording.replayer import Damage, Step, Verdict, parse, replay
from standfest.runtime.recording.ring import HEADER_BYTES, Ring, create, read_ring

SETTINGS = HeartbeatSettings(
    ("a", "b"), (), keepalive=milliseconds(100), deadtime=seconds(99), initdead=seconds(99)
)
WALL = 1_764_155_000
HALF = 20_000
SIZE = HEADER_BYTES + 2 * HALF


def beat(number: int) -> Message:
    return Message(
        (
            *(("t", "status"), ("st", "active"), ("dt", "3e8"), ("src", "b")),
            *(("srcuuid", b"b" * 16), ("seq", f"{number:x}"), ("hg", "5"), ("ts", "65f2a1b3")),
        )
    )


def membership() -> Membership:
    return Membership(
        name="a",
        uuid=b"a" * 16,
        generation=7,
        settings=SETTINGS,
        random=random.Random(5),
        links=("eth1",),
    )


def recorded(buffer: bytearray, **options: Any) -> tuple[Membership, list[str]]:
    troubles: list[str] = []
    ring = Ring(buffer, about("a", "pulse"))
    recorder = Recorder(ring, troubles.append, hides=True, clock=lambda: 10**18, **options)
    return recorder.attach("membership", membership()), troubles


def lived(beats: int) -> bytes:
    """A recording of a start (input 1) and so many heartbeats (2, 3, ...), one each 100 ms."""
    buffer = bytearray(SIZE)
    machine, troubles = recorded(buffer)
    machine.start(0, WALL)
    for number in range(1, beats + 1):
        machine.on_message(number * milliseconds(100), WALL, "eth1", beat(number))
    assert troubles == []
    return bytes(buffer)


def steps(data: bytes) -> list[Step | Damage]:
    return list(replay(parse(data)))


# --- values and states ----------------------------------------------------------------------------


def test_values_come_back_with_their_types() -> None:
    operation = Operation("web", Agent("ocf", "x"), "start", 0, seconds(20))
    value = Outcome(OperationResult(operation, OperationStatus.DONE, 0, 3))
    again = read(Writer().flat((value, b"\0\xff", None, NodeStatus.DEAD, ("x", 1), True)))
    assert again == (value, b"\0\xff", None, NodeStatus.DEAD, ("x", 1), True)
    assert again[0].result.status is OperationStatus.DONE  # an IntEnum: written as a number
    assert again[3] is NodeStatus.DEAD


def test_what_was_shared_is_shared_again() -> None:
    peer = Peer("b", seconds(1), Receiver(5), Rhythm(1, 2), 3, status=NodeStatus.UP)
    peer.links["eth1"] = Link(7)
    state = {"one": peer, "two": [peer], "sets": {3, 1, 2}, "queue": deque([1, 2])}
    again = read(Writer().state(state))
    assert again["one"] is again["two"][0]
    assert (again["one"].status, again["one"].links) == (NodeStatus.UP, {"eth1": Link(7)})
    assert again["one"].receiver.complete
    assert again["sets"] == {1, 2, 3}
    assert again["queue"] == deque([1, 2])
    assert isinstance(read(Writer().state(OrderedDict(a=1))), OrderedDict)


def test_chance_goes_on_where_it_was() -> None:
    source = random.Random(3)
    source.random()
    again = read(Writer().state(source))
    assert [again.randint(0, 9) for _ in range(5)] == [source.randint(0, 9) for _ in range(5)]


def test_what_counts_goes_on_where_it_was() -> None:
    numbers = count(5)
    assert next(numbers) == 5
    again = read(Writer().state([numbers, numbers]))
    assert again[0] is again[1]
    assert (next(again[0]), next(numbers)) == (6, 6)


def test_payloads_are_hidden_where_they_shall_be() -> None:
    payload = b"password=hunter2 and more"  # 25 bytes
    message = Message((("t", "standfest"), ("data", payload), ("srcuuid", b"u" * 16)))
    text = Writer(hides=True).flat(message)
    assert b"hunter2".hex().encode() not in text
    assert b"hunter2" not in text
    assert read(text) == Message((("t", "standfest"), ("data", bytes(25)), ("srcuuid", b"u" * 16)))


@pytest.mark.parametrize(
    "value", [Path("/"), Key(1, SignatureMethod.SHA1, b"secret"), object(), {1: len}]
)
def test_what_is_not_data_of_machines_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        Writer().state(value)


@pytest.mark.parametrize(
    "text",
    [
        '{"o":["os.system","x"]}',
        '{"n":["model.keys.subprocess",{}]}',
        '{"n":["core.membership.machine.Membership",{"start":5}]}',
        '{"n":["core.membership.machine.Membership",{"__class__":5}]}',
        '{"n":["core.nothing.Nothing",{}]}',
        '{"e":["core.membership.effects.NodeStatus","GONE"]}',
        '{"o":["core.membership.effects.StreamReset"]}',
        '{"o":["core.membership.effects.StreamReset","a","b"]}',
        '{"r":0}', '{"r":-1}', '{"z":99999999999}', '{"s":[{"l":[]}]}', '{"x":1}', '{"b":"zz"}',
        "[" * 100_000, "{", "", '{"R":[3,[1],null]}', '{"d":[[1]]}', '{"a":1,"b":2}',
    ],
)  # fmt: skip
def test_foreign_text_is_a_wire_error(text: str) -> None:
    with pytest.raises(WireError):
        read(text)


# --- the ring -------------------------------------------------------------------------------------


def test_at_least_half_of_the_ring_can_be_read_at_any_time() -> None:
    buffer = bytearray(HEADER_BYTES + 2 * 400)
    ring = Ring(buffer, b"{}")
    texts = [f"record {number:3}".encode() for number in range(200)]
    assert ring.begin(0, 0, b"state 0")
    for number, text in enumerate(texts):
        if not ring.append(text):
            assert ring.begin(number, 0, f"state {number}".encode())
            assert ring.append(text)
        halves = read_ring(bytes(buffer)).halves
        got = [record for half in halves for record in half.records]
        assert got[-1] == text
        kept = [record for record in got if record.startswith(b"record")]
        assert kept == texts[number + 1 - len(kept) : number + 1]
        # A half: 64 bytes of head, 16 of state and head, n x (8 + 10), 8 for the end: 17 records.
        assert len(kept) >= min(number + 1, 17)


def test_a_record_that_is_too_long_is_refused_and_harms_nothing() -> None:
    buffer = bytearray(HEADER_BYTES + 2 * 400)
    ring = Ring(buffer, b"{}")
    assert ring.begin(0, 0, b"state")
    assert not ring.append(bytes(400))
    assert ring.append(b"next")
    assert not ring.begin(0, 0, bytes(400))
    (half,) = read_ring(bytes(buffer)).halves
    assert half.records == (b"state", b"next")


def test_a_predecessors_ring_is_kept_once_and_only_the_owner_may_read(tmp_path: Path) -> None:
    path = tmp_path / "pulse.ring"
    for node in ("first", "second", "third"):
        create(path, SIZE, about(node, "pulse"))
    names = {p.name: parse(p.read_bytes()).node for p in tmp_path.iterdir()}
    assert names == {"pulse.ring": "third", "pulse.ring.before": "second"}
    assert path.stat().st_mode & 0o777 == 0o600


# --- recording ------------------------------------------------------------------------------------


def test_inputs_are_the_methods_that_are_told_the_time() -> None:
    assert {"start", "greet", "leave", "submit", "on_timer", "on_message"} <= set(
        inputs_of(Membership)
    )
    assert "deadline" not in inputs_of(Membership)


def test_a_machine_lives_the_same_life_when_it_is_recorded() -> None:
    machine, troubles = recorded(bytearray(SIZE))
    plain = membership()
    for one in (machine, plain):
        one.start(0, WALL)
    for number in range(1, 300):
        now = number * milliseconds(100)
        assert machine.on_message(now, WALL, "eth1", beat(number)) == plain.on_message(
            now, WALL, "eth1", beat(number)
        )
        assert machine.deadline() == plain.deadline()
    assert troubles == []


def test_a_refused_input_is_part_of_the_recording() -> None:
    buffer = bytearray(SIZE)
    machine, troubles = recorded(buffer)
    machine.start(0, WALL)
    with pytest.raises(OperationError):
        machine.submit(1, WALL, bytes(3_200_001), None)  # core.membership.sender: 3,200,000
    machine.greet(2, WALL)
    assert troubles == []
    assert [step.verdict for step in steps(bytes(buffer)) if isinstance(step, Step)] == [
        Verdict.AS_RECORDED
    ] * 3


class Odd:
    """A machine with a state that cannot be recorded."""

    def __init__(self) -> None:
        self.calls = 0

    def go(self, now: int, what: object) -> list[object]:
        """Count."""
        self.calls += 1
        return [now, what]


def test_what_cannot_be_recorded_ends_the_recording_and_not_the_machine() -> None:
    troubles: list[str] = []
    recorder = Recorder(Ring(bytearray(SIZE), about("a", "pulse")), troubles.append)
    odd = recorder.attach("odd", Odd())
    assert odd.go(1, object()) == odd.go(1, object()) or True
    assert odd.go(2, "x") == [2, "x"]
    assert odd.calls == 3
    assert len(troubles) == 1
    with pytest.raises(AssertionError):
        odd.calls = 5


def test_a_state_that_does_not_fit_ends_the_recording() -> None:
    buffer = bytearray(HEADER_BYTES + 2 * 1000)
    machine, troubles = recorded(buffer)
    assert machine.start(0, WALL)
    assert len(troubles) == 1
    assert "does not fit" in troubles[0]


# --- replaying ------------------------------------------------------------------------------------


def test_a_life_is_decided_again_input_by_input() -> None:
    found = steps(lived(30))
    assert all(isinstance(step, Step) for step in found)
    assert [step.number for step in found if isinstance(step, Step)] == list(range(1, 32))
    assert {step.verdict for step in found if isinstance(step, Step)} == {Verdict.AS_RECORDED}
    assert found[1].method == "on_message"  # type: ignore[union-attr]
    # The second input: a beat 100 ms after the start, whose wall clock was 10**18 ns.
    assert found[1].when_ns == 10**18 + milliseconds(100)  # type: ignore[union-attr]


def test_numbers_go_on_over_the_halves() -> None:
    found = steps(lived(300))
    numbers = [step.number for step in found if isinstance(step, Step)]
    assert numbers[0] > 1  # the beginning is overwritten
    assert numbers == list(range(numbers[0], 302))


def test_the_first_input_that_is_decided_otherwise_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = lived(30)
    before = Membership.on_message

    def other(self: Membership, now: int, wall: int, link: str, message: Message) -> Any:
        effects = before(self, now, wall, link, message)
        return effects if message.text("seq") != "c" else [*effects, *self.greet(now, wall)]

    monkeypatch.setattr(Membership, "on_message", other)
    last = steps(data)[-1]
    assert isinstance(last, Step)
    # Beat number 12 (c) is input 13: the start was the first.
    assert (last.number, last.verdict) == (13, Verdict.DIVERGED)


def test_the_very_last_input_is_compared_too(monkeypatch: pytest.MonkeyPatch) -> None:
    data = lived(0)
    monkeypatch.setattr(Membership, "_beat", lambda *_: [])
    assert [step.verdict for step in steps(data) if isinstance(step, Step)] == [Verdict.DIVERGED]


def test_an_input_in_which_the_process_died_is_the_last_and_unfinished() -> None:
    buffer = bytearray(SIZE)
    machine, _ = recorded(buffer)
    machine.start(0, WALL)
    with pytest.raises(AttributeError):
        machine.on_message(1, WALL, "eth1", "no message")  # type: ignore[arg-type]
    last = steps(bytes(buffer))[-1]
    assert isinstance(last, Step)
    assert (last.number, last.verdict) == (2, Verdict.UNFINISHED)
    assert "AttributeError" in last.why


def test_damage_is_said_with_its_place_and_what_is_before_is_replayed() -> None:
    data = bytearray(lived(30))
    (half,) = read_ring(bytes(data)).halves
    data[half.offsets[20] + 40] ^= 1
    found = steps(bytes(data))
    # Record 0 is the state, so record 20 is input 20; input 19 is the last one that can be read.
    assert [step.number for step in found if isinstance(step, Step)] == list(range(1, 20))
    assert found[-1] == Damage(
        f"byte {half.offsets[20]}: record 20 is damaged; nothing after it can be read"
    )


def test_one_damaged_half_does_not_harm_the_other() -> None:
    data = bytearray(lived(300))
    first, second = read_ring(bytes(data)).halves
    data[first.offsets[0] + 100] ^= 1
    found = steps(bytes(data))
    assert isinstance(found[0], Damage)
    assert len(found) == len(second.records)  # one damage, and all but the state of the second


# --- in words -------------------------------------------------------------------------------------


def test_what_may_be_secret_has_no_words() -> None:
    secret = (("password", "hunter2"),)
    operation = Operation("web", Agent("ocf", "x"), "start", 0, seconds(20), parameters=secret)
    result = OperationResult(operation, OperationStatus.ERROR, 1, 3, exit_reason="hunter2 is wrong")
    element = Element("nvpair", (("name", "password"), ("value", "hunter2")), text="hunter2")
    cib = Cib(Version(1, 2, 3), element, Status())
    payload = Message((("t", "standfest"), ("src", "b"), ("data", b"hunter2"), ("x", "hunter2")))
    effects = (
        Transmit(payload),
        Deliver("b", 5, b"hunter2"),
        StartRun(1, operation),
        Send(None, Outcome(result)),
        Save(cib),
        KeepInput(cib, 5, ("hunter2",)),
        Answer(1, True, "hunter2"),
        note("operation-ended", resource="web", reason="hunter2", value="hunter2"),
    )
    said = [" ".join(describe.effect_words(effect)) for effect in effects]
    assert said == [
        "Transmit Message t=standfest src=b",
        "Deliver sender=b incarnation=5 payload=7-bytes",
        "StartRun run=1 operation=web:start",
        "Send Outcome OperationResult operation=web:start status=error exit_code=1",
        "Save cib=1.2.3",
        "KeepInput cib=1.2.3",
        "Answer client=1 accepted=True",
        "Note info operation-ended resource=web",
    ]
    ended = RunEnded(1, 1, reason="hunter2")
    told = describe.words((("ended", ended), ("text", "hunter2"), ("request", element)))
    assert told == ["RunEnded", "run=1", "exit_code=1", "killed=False", "request=..."]


def test_an_answer_that_was_recorded_before_it_had_a_ground_is_read() -> None:
    text = Writer().flat(Answer(1, False, "no"))
    ground = b',{"e":["model.errors.Ground","NONE"]}'
    assert ground in text
    assert read(text.replace(ground, b"")) == Answer(1, False, "no")


# --- the command ----------------------------------------------------------------------------------


def run(path: Path, *words: str) -> tuple[int, list[str]]:
    result = CliRunner().invoke(command, [str(path), *words])
    return result.exit_code, result.output.splitlines()


def test_the_command_prints_inputs_and_effects(tmp_path: Path) -> None:
    path = tmp_path / "pulse.ring"
    path.write_bytes(lived(2))
    code, lines = run(path)
    assert code == 0
    # 10**18 ns are 2001-09-09 01:46:40 UTC.
    assert lines[1] == "2001-09-09T01:46:40.000000 #1 membership.start"
    assert lines[4] == (
        "2001-09-09T01:46:40.100000 #2 membership.on_message link=eth1 "
        "Message t=status st=active src=b seq=1"
    )
    assert lines[5].split() == ["->", "LinkChanged", "node=b", "link=eth1", "up=True"]
    assert lines[-1].endswith("decided as recorded")
    assert run(tmp_path, "--process", "pulse", "-q")[0] == 0


def test_until_ends_the_replay(tmp_path: Path) -> None:
    path = tmp_path / "pulse.ring"
    path.write_bytes(lived(20))
    _, lines = run(path, "--json", "--until", "01:46:40.55")
    # The start, and the beats after 100, 200, ... 500 ms.
    assert [json.loads(line)["number"] for line in lines[1:-1]] == [1, 2, 3, 4, 5, 6]
    assert json.loads(lines[-1])["status"] == 0
    assert run(path, "--until", "noon")[0] == 2


def test_exit_statuses_say_what_it_came_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pulse.ring"
    data = bytearray(lived(20))
    data[HEADER_BYTES + HALF - 1] = 1  # behind the last record: not read
    path.write_bytes(data)
    assert run(path)[0] == 0
    (half,) = read_ring(bytes(data)).halves
    data[half.offsets[5] + 30] ^= 1
    path.write_bytes(data)
    code, lines = run(path, "-q")
    assert code == 3
    assert lines[1].startswith(f"damaged: byte {half.offsets[5]}")
    path.write_bytes(b"SFRING\r\nnonsense")
    assert run(path)[0] == 2
    assert run(tmp_path / "nowhere")[0] == 2
    path.write_bytes(lived(20))
    monkeypatch.setattr(Membership, "_beat", lambda *_: [])
    code, lines = run(path, "-q")
    assert code == 1
    assert "input 1: diverged: its effects are others than those recorded" in lines


@pytest.mark.parametrize("event", ["fence-agent-ended", "fencing-failed"])
def test_what_fence_agents_say_is_not_printed(event: str) -> None:
    printed = describe.effect_words(note(event, node="alice", reason="wrong password hunter2"))
    assert printed == ["Note", "info", event, "node=alice"]
