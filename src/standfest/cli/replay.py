"""`standfest replay JOURNAL`: what a daemon was told and what it decided, decided once more."""

import json
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from standfest import __version__
from standfest.model.errors import OperationError, WireError
from standfest.model.time import NANOSECONDS_PER_SECOND
from standfest.runtime.recording import describe
from standfest.runtime.recording.places import PROCESSES, ring_path
from standfest.runtime.recording.replayer import (
    Damage,
    Recording,
    Step,
    Verdict,
    load,
    replay,
    starts,
)

EXIT_DIVERGED, EXIT_UNUSABLE, EXIT_DAMAGED = 1, 2, 3

PATIENCE_S = 60
"""For one input; the longest that a machine of ours takes, scheduling, is seconds."""
MOST_MEMORY_BYTES = 2 * 1024**3
"""What a foreign file can make us take."""


@click.command(name="replay")
@click.argument("journal", type=click.Path(path_type=Path))
@click.option(
    "--process", type=click.Choice(PROCESSES), help="Which one, when JOURNAL is a directory."
)
@click.option(
    "--until", default="", metavar="TIME", help="Stop there: ISO 8601, or HH:MM:SS (UTC)."
)
@click.option("--quiet", "-q", is_flag=True, help="Only say what it came to.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(journal: Path, process: str | None, until: str, quiet: bool, as_json: bool) -> None:
    """Feed what a daemon recorded into the same machines again, and print what they decide.

    JOURNAL is a recording (/run/standfest/pulse.ring, cluster.ring, or a copy), or the directory
    with both. Nothing is sent, started or written; parameters of resources are never printed.

    Exit status: 0 everything was decided as it was recorded; 1 something was not; 2 JOURNAL cannot
    be read or replayed at all; 3 what can be read was decided as recorded, but a part is damaged.
    """
    chosen = (process,) if process else PROCESSES
    paths = [ring_path(journal, one) for one in chosen] if journal.is_dir() else [journal]
    status = 0
    for path in [path for path in paths if process or len(paths) == 1 or path.exists()] or paths:
        try:
            recording = _load(path)
            limit = _moment(until, starts(recording)) if until else None
        except (WireError, OperationError) as error:
            click.echo(f"Error: {path}: {error}", err=True)
            sys.exit(EXIT_UNUSABLE)
        shown = _Shown(recording, path, quiet=quiet, as_json=as_json)
        with _bounded():
            status = max(status, shown.show(limit), key=SEVERITY.index)
    sys.exit(status)


SEVERITY = (0, EXIT_DAMAGED, EXIT_UNUSABLE, EXIT_DIVERGED)


def _load(path: Path) -> Recording:
    try:
        return load(path)
    except OSError as error:
        raise OperationError(f"{error.strerror}; expected a recording") from error


class _Shown:
    """Prints one recording's replay."""

    def __init__(self, recording: Recording, path: Path, *, quiet: bool, as_json: bool) -> None:
        self._recording = recording
        self._path = path
        self._quiet = quiet
        self._as_json = as_json
        self._inputs = self._effects = 0
        self._status = 0

    def show(self, limit: int | None) -> int:
        """Print everything up to a time (ns since 1970); return the exit status."""
        recording = self._recording
        self._say(
            f"{self._path}: {recording.process} of {recording.node}, Standfest {recording.version}",
            recording=str(self._path), process=recording.process, node=recording.node,
            version=recording.version,
        )  # fmt: skip
        if recording.version != __version__:
            self._say(f"recorded by {recording.version}, replayed by {__version__}")
        for found in self._until(limit):
            if isinstance(found, Damage):
                self._status = self._status or EXIT_DAMAGED
                self._say(f"damaged: {found.why}", damage=found.why)
            else:
                self._step(found)
        if not self._inputs and self._status != EXIT_DIVERGED:
            self._status = EXIT_UNUSABLE
        self._say(
            f"{self._inputs} inputs, {self._effects} effects: {_OUTCOMES[self._status]}",
            inputs=self._inputs, effects=self._effects, status=self._status,
            outcome=_OUTCOMES[self._status],
        )  # fmt: skip
        return self._status

    def _until(self, limit: int | None) -> Iterator[Step | Damage]:
        for found in replay(self._recording):
            if limit is not None and isinstance(found, Step) and found.when_ns > limit:
                return
            yield found
            signal.alarm(PATIENCE_S)

    def _step(self, step: Step) -> None:
        self._inputs += 1
        self._effects += len(step.effects)
        bad = step.verdict in (Verdict.DIVERGED, Verdict.UNREADABLE)
        if step.verdict is Verdict.DIVERGED:
            self._status = EXIT_DIVERGED
        elif step.verdict is Verdict.UNREADABLE:
            self._status = self._status or EXIT_DAMAGED
        if self._as_json and not self._quiet:
            click.echo(json.dumps(_as_object(step)))
        elif not self._as_json and (bad or not self._quiet):
            self._lines(step)

    def _lines(self, step: Step) -> None:
        words = " ".join(describe.words(step.arguments))
        call = f"{step.machine}.{step.method}"
        click.echo(f"{_time(step.when_ns)} #{step.number} {call} {words}".rstrip())
        for effect in step.effects:
            click.echo(f"{' ' * 27} -> {' '.join(describe.effect_words(effect))}")
        if step.verdict is not Verdict.AS_RECORDED:
            click.echo(f"input {step.number}: {step.verdict.value}: {step.why}")

    def _say(self, line: str, **fields: object) -> None:
        if not self._as_json:
            click.echo(line)
        elif fields:
            click.echo(json.dumps(fields))


_OUTCOMES = {
    0: "decided as recorded",
    EXIT_DIVERGED: "not decided as recorded",
    EXIT_UNUSABLE: "nothing could be replayed",
    EXIT_DAMAGED: "decided as recorded as far as it can be read",
}


@contextmanager
def _bounded() -> Iterator[None]:
    """Let a foreign file take neither all memory nor all time: its machine raises instead."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, _give_up)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, hard))
    signal.alarm(PATIENCE_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _give_up(_number: int, _frame: object) -> None:
    raise TimeoutError(f"takes longer than {PATIENCE_S} s")


def _as_object(step: Step) -> dict[str, object]:
    found: dict[str, object] = {
        "number": step.number,
        "time": _time(step.when_ns),
        "input": f"{step.machine}.{step.method}",
        "arguments": describe.words(step.arguments),
        "effects": [describe.effect_words(effect) for effect in step.effects],
        "verdict": step.verdict.value,
    }
    return found | ({"why": step.why} if step.why else {})


def _time(when_ns: int) -> str:
    try:
        whole = datetime.fromtimestamp(when_ns // NANOSECONDS_PER_SECOND, UTC)
    except (OverflowError, ValueError, OSError):
        return "?".ljust(26)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{when_ns // 1000 % 1_000_000:06d}"


def _moment(text: str, began_ns: int) -> int:
    """Return a time (ns since 1970): a date with time, or a time of the day of `began_ns`."""
    day = _time(began_ns)[:10]
    try:
        moment = datetime.fromisoformat(text if "-" in text else f"{day}T{text}")
    except ValueError as error:
        raise OperationError(
            f"time {text}; expected ISO 8601, e.g. 2026-11-26T12:00:00, or 12:00:00"
        ) from error
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1_000_000) * 1000
