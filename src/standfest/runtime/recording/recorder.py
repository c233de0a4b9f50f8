"""Records what a process feeds into its machines, so that it can be fed to them again.

`attach` gives a machine back that looks the same, but every input - every public method whose
first argument is `now` - is written into the ring before the machine is called, and what came of
it is added to a digest afterwards. Nothing here may ever disturb the machine: what cannot be
recorded ends the recording, and `on_trouble` hears why. Source: docs/adr/0032.
"""

import inspect
import json
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast
from zlib import crc32

from standfest import __version__
from standfest.model.errors import OperationError
from standfest.runtime.recording.codec import Writer
from standfest.runtime.recording.places import HIDING, SIZES, ring_path
from standfest.runtime.recording.ring import Ring, create

Machine = TypeVar("Machine")
Trouble = Callable[[str], None]

REFUSED = b"refused"
"""What an input comes to that the machine refused with an OperationError."""


@cache
def inputs_of(kind: type) -> tuple[str, ...]:
    """Return the names of a machine's inputs: public methods whose first argument is `now`."""
    found = []
    for name, method in inspect.getmembers(kind, inspect.isfunction):
        names = list(inspect.signature(method).parameters)
        if not name.startswith("_") and names[1:2] == ["now"]:
            found.append(name)
    return tuple(found)


def about(node: str, process: str) -> bytes:
    """Return the text of a ring's header."""
    return json.dumps({"version": __version__, "node": node, "process": process}).encode()


class Recorder:
    """One process's recording. Attach all machines before the first input."""

    def __init__(
        self,
        ring: Ring | None,
        on_trouble: Trouble,
        *,
        hides: bool = False,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Prepare; without a ring nothing is recorded; hides: see codec.Writer; clock: wall, ns."""
        self._ring = ring
        self._on_trouble = on_trouble
        self._writer = Writer(hides=hides)
        self._clock = clock
        self._machines: dict[str, object] = {}
        self._begun = False
        self._first = 1
        self._done = 0
        self._digest = 0

    def attach(self, name: str, machine: Machine) -> Machine:
        """Return the machine with its inputs recorded."""
        if self._ring is None:
            return machine
        assert not self._begun, "machines are attached before the first input"
        self._machines[name] = machine
        return cast("Machine", _Recorded(self, name, machine))

    def record(
        self, name: str, method: str, arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> None:
        """Write an input that is about to happen."""
        ring = self._ring
        if ring is None:
            return
        try:
            text = self._writer.flat((self._digest, name, method, arguments, named))
            if self._begun and ring.append(text):
                return
            if not self._turn(ring, arguments[0]):
                return
            text = self._writer.flat((0, name, method, arguments, named))
            if not ring.append(text):
                self._stop(f"{method} of {len(text)} bytes does not fit into half a ring")
        except (TypeError, ValueError, RecursionError) as error:
            self._stop(str(error))

    def conclude(self, effects: list[Any]) -> None:
        """Add what came of the input to the digest."""
        ring = self._ring
        if effects and ring is not None:
            try:
                self._digest = crc32(self._writer.flat(effects), self._digest)
            except (TypeError, ValueError, RecursionError) as error:
                self._stop(str(error))
        self._done += 1
        if ring is not None:
            ring.progress(self._done, self._digest)

    def refuse(self) -> None:
        """The machine refused the input."""
        self._digest = crc32(REFUSED, self._digest)
        self._done += 1
        if self._ring is not None:
            self._ring.progress(self._done, self._digest)

    def _turn(self, ring: Ring, now: int) -> bool:
        self._first += self._done
        self._done = self._digest = 0
        self._begun = True
        state = self._writer.state({"first": self._first, "machines": self._machines})
        if not ring.begin(now, self._clock(), state):
            self._stop(f"a state of {len(state)} bytes does not fit into half a ring")
            return False
        return True

    def _stop(self, why: str) -> None:
        self._ring = None
        self._on_trouble(why)


class _Recorded:
    """Stands for a machine: its inputs are recorded, everything else is its own."""

    def __init__(self, recorder: Recorder, name: str, machine: Any) -> None:
        own = vars(self)
        own["_machine"] = machine
        kind: type = type(machine)
        for method in inputs_of(kind):
            own[method] = _recorded(recorder, name, method, getattr(machine, method))
        if hasattr(machine, "deadline"):
            own["deadline"] = machine.deadline

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["_machine"], name)

    def __setattr__(self, name: str, value: object) -> None:
        raise AssertionError(f"{name} of a machine is set by its inputs only")


def _recorded(
    recorder: Recorder, name: str, method: str, call: Callable[..., list[Any]]
) -> Callable[..., list[Any]]:
    record, conclude = recorder.record, recorder.conclude

    def recorded(*arguments: Any, **named: Any) -> list[Any]:
        record(name, method, arguments, named)
        try:
            effects = call(*arguments, **named)
        except OperationError:
            recorder.refuse()
            raise
        conclude(effects)
        return effects

    return recorded


def begin(run_dir: Path, process: str, node: str, on_trouble: Trouble) -> Recorder:
    """Return the recorder of a daemon; without room for a ring, one that records nothing."""
    path = ring_path(run_dir, process)
    try:
        ring = create(path, SIZES[process], about(node, process))
    except OSError as error:
        on_trouble(f"{path}: {error.strerror}")
        return Recorder(None, on_trouble)
    return Recorder(ring, on_trouble, hides=process in HIDING)
