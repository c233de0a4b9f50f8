"""What virtual routers depend on, watched: files and processes. Only changes are reported."""

from collections.abc import Callable

from standfest.adapters.linux.filewatch import FileWatch, number_in, write_number
from standfest.adapters.linux.processes import count_processes
from standfest.daemons.director.words import Words
from standfest.model.director import DirectorSettings
from standfest.model.errors import OperationError
from standfest.model.time import Duration, Instant, seconds
from standfest.runtime.loop import Loop

PROCESS_INTERVAL: Duration = seconds(1)
"""How often the process table is read, when processes are tracked."""

Value = int
Reporter = Callable[[str, str, Value], None]


class Trackers:
    """All tracked files and processes of one director."""

    def __init__(
        self,
        settings: DirectorSettings,
        loop: Loop,
        words: Words,
        *,
        report: Reporter,
        known: dict[str, Value],
    ) -> None:
        self._settings, self._loop, self._words = settings, loop, words
        self._report = report
        self._values = dict(known)
        self._processes_at: Instant | None = None
        self._files: FileWatch | None = None

    def start(self, now: Instant) -> None:
        """Begin to watch; everything that is not known is reported as soon as it is."""
        if self._settings.processes:
            self._processes_at = now
        if self._settings.files:
            self._start_files()

    def stop(self) -> None:
        """Watch nothing any longer."""
        self._processes_at = None
        if self._files is not None:
            self._loop.forget(self._files.fileno())
            self._files.close()
            self._files = None

    def deadline(self) -> Instant | None:
        """Return when something is to be looked at."""
        return self._processes_at

    def on_timer(self, now: Instant) -> None:
        """Look at what is due."""
        if self._processes_at is not None and self._processes_at <= now:
            self._processes_at = now + PROCESS_INTERVAL
            self._count()

    def _count(self) -> None:
        processes = self._settings.processes
        for process, count in zip(processes, count_processes(processes), strict=True):
            self._tell("process", process.name, count)

    def _start_files(self) -> None:
        try:
            self._files = FileWatch()
        except OperationError as error:
            self._words.warn(str(error))
            return
        for file in self._settings.files:
            try:
                if file.initial is not None:
                    write_number(file.path, file.initial, overwrite=file.overwrite)
                self._files.add(file.path)
            except OperationError as error:
                self._words.warn(f"track_file {file.name}: {error}")
            self._tell("file", file.name, number_in(file.path))
        self._loop.watch(self._files.fileno(), lambda _events: self._on_files())

    def _on_files(self) -> None:
        assert self._files is not None
        changed = self._files.changed()
        for file in self._settings.files:
            if file.path in changed:
                self._tell("file", file.name, number_in(file.path))

    def _tell(self, kind: str, name: str, value: Value) -> None:
        key = _key(kind, name)
        if self._values.get(key) != value:
            self._values[key] = value
            self._report(kind, name, value)


def _key(kind: str, name: str) -> str:
    return f"{kind} {name}"
