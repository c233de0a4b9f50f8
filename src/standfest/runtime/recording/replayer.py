"""Feeds a recording into the machines that it was made of, and compares what comes of it.

Works anywhere: the machines have no I/O, and their state is in the recording. Bounded by the size
of the ring; a damaged record, or one of another version, ends in words and not in a traceback.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any
from zlib import crc32

from standfest.model.errors import OperationError, WireError
from standfest.model.time import Instant
from standfest.runtime.recording.codec import Writer, build, read
from standfest.runtime.recording.places import HIDING
from standfest.runtime.recording.recorder import REFUSED, inputs_of
from standfest.runtime.recording.ring import HALVES, HEADER_BYTES, MAX_HALF_BYTES, Half, read_ring

MAX_RING_BYTES = HEADER_BYTES + HALVES * MAX_HALF_BYTES


class Verdict(Enum):
    """What a replayed input says about the recording."""

    AS_RECORDED = "as recorded"
    DIVERGED = "diverged"
    UNFINISHED = "unfinished"  # the process ended while the machine was at it, or ran on
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Step:
    """One input and what came of it; number: counts from the start of the process.

    when_ns: wall clock; why: what is wrong, where something is; offset: of the record in the file.
    """

    number: int
    when_ns: int
    machine: str
    method: str
    arguments: tuple[tuple[str, Any], ...]
    effects: tuple[Any, ...]
    verdict: Verdict
    why: str
    offset: int


@dataclass(frozen=True, slots=True)
class Damage:
    """A part of the recording that cannot be used, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class Recording:
    """A ring's header and its halves, older one first."""

    version: str
    node: str
    process: str
    halves: tuple[Half, ...]
    damages: tuple[str, ...]


def load(path: Path) -> Recording:
    """Return what is in a ring file; raises OSError, and WireError when it is no ring."""
    with path.open("rb") as file:
        data = file.read(MAX_RING_BYTES)
    return parse(data)


def parse(data: bytes) -> Recording:
    """Return what is in a ring; raises WireError."""
    text = read_ring(data)
    try:
        about = json.loads(text.about)
        version, node, process = (str(about[key])[:80] for key in ("version", "node", "process"))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise WireError("damaged-header", "its text cannot be read") from error
    return Recording(version, node, process, text.halves, text.damages)


def replay(recording: Recording) -> Iterator[Step | Damage]:
    """Feed everything that can be fed, in order; ends with the half in which something diverges."""
    for why in recording.damages:
        yield Damage(why)
    writer = Writer(hides=recording.process in HIDING)
    for half in recording.halves:
        yield from _Half(writer, half).replay()


class _Half:
    """One half's machines and where they are."""

    def __init__(self, writer: Writer, half: Half) -> None:
        self._writer = writer
        self._half = half
        self._machines: dict[str, Any] = {}
        self._inputs: dict[str, tuple[str, ...]] = {}
        self._first = 1
        self._digest = 0

    def replay(self) -> Iterator[Step | Damage]:
        half = self._half
        try:
            self._restore()
        except WireError as error:
            yield Damage(f"half {half.sequence}: its state cannot be used: {error}")
            return
        for index in range(1, len(half.records)):
            step = self._step(index)
            yield step
            if step.verdict in (Verdict.DIVERGED, Verdict.UNREADABLE):
                return
        if half.damage:
            yield Damage(half.damage)

    def _restore(self) -> None:
        if not self._half.records:
            raise WireError("unreadable", self._half.damage or "there is none")
        state = read(self._half.records[0])
        if not isinstance(state, dict) or not isinstance(state.get("machines"), dict):
            raise WireError("unreadable", "it is no state")
        first = state.get("first")
        self._first = first if isinstance(first, int) else 1
        self._machines = {str(name): machine for name, machine in state["machines"].items()}
        kinds: dict[str, type] = {name: type(machine) for name, machine in self._machines.items()}
        self._inputs = {name: inputs_of(kind) for name, kind in kinds.items()}

    def _step(self, index: int) -> Step:
        number, offset = self._first + index - 1, self._half.offsets[index]
        try:
            machine, method, arguments, named = self._read(index)
        except WireError as error:
            why = f"byte {offset}: {error}"
            return Step(number, 0, "", "", (), (), Verdict.UNREADABLE, why, offset)
        when_ns = self._half.wall_ns + arguments[0] - self._half.now
        shown = _named(getattr(type(self._machines[machine]), method), arguments, named)
        effects, raised = self._feed(machine, method, arguments, named)
        verdict, why = self._judge(index, raised)
        return Step(number, when_ns, machine, method, shown, tuple(effects), verdict, why, offset)

    def _read(self, index: int) -> tuple[str, str, tuple[Any, ...], dict[str, Any]]:
        """Return one input; raises WireError."""
        try:
            entry = json.loads(self._half.records[index])
            _, machine, method, arguments, named = entry
        except (ValueError, TypeError, RecursionError) as error:
            raise WireError("unreadable", "no input") from error
        values = build(arguments)
        names = {str(key): build(value) for key, value in _mapping(named).items()}
        known = isinstance(machine, str) and machine in self._inputs
        if not known or method not in self._inputs[machine]:
            raise WireError("unreadable", f"no input {machine}.{method}"[:100])
        if not isinstance(values, tuple) or not values or not isinstance(values[0], int):
            raise WireError("unreadable", "an input without time")
        return machine, method, values, names

    def _feed(
        self, machine: str, method: str, arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[list[Any], str]:
        """Call the machine; return its effects and what it raised."""
        try:
            effects = getattr(self._machines[machine], method)(*arguments, **named)
            if effects:
                self._digest = crc32(self._writer.flat(effects), self._digest)
        except OperationError:
            self._digest = crc32(REFUSED, self._digest)
            return [], ""
        except Exception as error:
            return [], f"{type(error).__name__}: {error}"[:200]
        return list(effects), ""

    def _judge(self, index: int, raised: str) -> tuple[Verdict, str]:
        half = self._half
        last = index + 1 == len(half.records)
        recorded: object = None
        if not last:
            recorded = _digest_of(half.records[index + 1])
        elif half.done == index:
            recorded = half.digest
        if recorded is None:
            return Verdict.UNFINISHED, raised or "what came of it was not recorded"
        if raised:
            return Verdict.DIVERGED, f"raised {raised}"
        if recorded != self._digest:
            return Verdict.DIVERGED, "its effects are others than those recorded"
        return Verdict.AS_RECORDED, ""


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise WireError("unreadable", "no named arguments")
    return value


def _digest_of(record: bytes) -> object:
    """Return the digest that a record begins with; None where it cannot be read."""
    try:
        entry = json.loads(record)
    except (ValueError, RecursionError):
        return None
    return entry[0] if isinstance(entry, list) and entry else None


def _named(
    method: Any, arguments: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[str, Any], ...]:
    """Return an input's arguments with their names, without the times."""
    names = method.__code__.co_varnames[1 : method.__code__.co_argcount]
    pairs = [*zip(names, arguments, strict=False), *named.items()]
    return tuple((name, value) for name, value in pairs if name not in ("now", "wall"))


def starts(recording: Recording) -> Instant:
    """Return the wall clock (ns) at which what is left of the recording begins."""
    return recording.halves[0].wall_ns if recording.halves else 0
