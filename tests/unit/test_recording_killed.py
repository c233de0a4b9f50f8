"""A process that is killed while it records leaves a recording that can be replayed."""

import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from standfest.core.membership.machine import Membership
from standfest.model.message import Message
from standfest.model.settings import HeartbeatSettings
from standfest.model.time import milliseconds
from standfest.runtime.recording.recorder import Recorder, about
from standfest.runtime.recording.replayer import Damage, Verdict, parse, replay
from standfest.runtime.recording.ring import Ring

KILLS = 12
SIZE = 4096 + 2 * 24_000
BUSY = """
import random, sys
from pathlib import Path
from standfest.core.membership.machine import Membership
from standfest.model.message import Message
from standfest.model.settings import HeartbeatSettings
from standfest.runtime.recording.recorder import Recorder, about
from standfest.runtime.recording.ring import create

ring = create(Path(sys.argv[1]), int(sys.argv[2]), about("a", "pulse"))
machine = Recorder(ring, sys.exit, hides=True).attach("membership", Membership(
    name="a", uuid=b"a" * 16, generation=1, settings=HeartbeatSettings(("a", "b"), ()),
    random=random.Random(1), links=()))
machine.start(0, 1)
number = 0
while True:
    number += 1
    fields = (("t", "status"), ("st", "up"), ("src", "b"), ("seq", f"{number:x}"))
    message = Message((*fields, ("hg", "5"), ("ts", "65f2a1b3"), ("ld", "x" * 500)))
    machine.on_message(number * 1_000, 1, "eth1", message)
"""


class KilledError(Exception):
    """The process is no more."""


class Dying(bytearray):
    """Memory of a process that dies at one of its stores."""

    stores_left = 10**9

    def __setitem__(self, place: Any, value: Any) -> None:
        """Store, as long as the process lives."""
        if self.stores_left == 0:
            raise KilledError
        self.stores_left -= 1
        super().__setitem__(place, value)


def live_until(stores: int) -> tuple[bytes, int]:
    """Live for so many stores, at most 200 inputs; return the memory and the inputs taken."""
    buffer, inputs = Dying(4096 + 2 * 11_000), 0
    try:
        ring = Ring(buffer, about("a", "pulse"))
        buffer.stores_left = stores
        settings = HeartbeatSettings(("a", "b"), ())
        membership = Membership(
            name="a", uuid=b"a" * 16, generation=1, settings=settings, random=random.Random(1),
            links=(),
        )  # fmt: skip
        machine = Recorder(ring, sys.exit, hides=True).attach("membership", membership)
        machine.start(0, 1)
        inputs = 1
        for number in range(1, 200):
            fields = (("t", "status"), ("st", "up"), ("src", "b"), ("seq", f"{number:x}"))
            message = Message((*fields, ("hg", "5"), ("ts", "65f2a1b3")))
            machine.on_message(milliseconds(100 * number), 1, "eth1", message)
            inputs += 1
    except KilledError:
        pass
    return bytes(buffer), inputs


def test_at_whichever_store_it_dies_nothing_is_damaged_and_nothing_lost() -> None:
    # An input is three stores: text, length, progress. A turn of the halves is six more.
    kept, last = [], 0
    for stores in range(400):
        data, inputs = live_until(stores)
        steps = list(replay(parse(data)))
        assert not [step for step in steps if isinstance(step, Damage)], stores
        found = [step for step in steps if not isinstance(step, Damage)]
        if not found:
            assert inputs == 0
            continue
        assert {step.verdict for step in found[:-1]} <= {Verdict.AS_RECORDED}
        # All that were taken, and perhaps the one in which it died.
        assert found[-1].number - inputs in (0, 1), stores
        kept.append(len(found))
        last = found[-1].number
    assert max(kept) < last  # the halves were turned: the beginning is overwritten


def test_whenever_it_is_killed_the_last_inputs_are_there(tmp_path: Path) -> None:
    source, inputs = random.Random(5), 0
    for number in range(KILLS):
        path = tmp_path / f"{number}.ring"
        words = (sys.executable, "-c", BUSY, str(path), str(SIZE))
        with subprocess.Popen(words) as process:
            while not path.exists():
                time.sleep(0.002)
            time.sleep(source.uniform(0.0, 0.05))
            process.kill()
        steps = list(replay(parse(path.read_bytes())))
        assert not [step for step in steps if isinstance(step, Damage)]
        verdicts = [step.verdict for step in steps if not isinstance(step, Damage)]
        assert set(verdicts[:-1]) <= {Verdict.AS_RECORDED}
        inputs += len(verdicts)
    assert inputs > KILLS * 10
