"""When tracked scripts run, and when their results count (`rise`, `fall`)."""

from dataclasses import dataclass

from standfest.model.director import TrackScript
from standfest.model.time import Instant


@dataclass(slots=True)
class ScriptWatch:
    """One script; up None: it has not given a result yet."""

    settings: TrackScript
    up: bool | None = None
    streak: int = 0
    running: bool = False

    def __post_init__(self) -> None:
        """Count a script that fails initially as having failed."""
        if self.settings.init_fail:
            self.up = False

    def start_run(self, now: Instant) -> tuple[bool, Instant]:
        """Return whether to run it now, and when to ask again; never twice at a time."""
        run, self.running = not self.running, True
        return run, now + self.settings.interval

    def result(self, success: bool) -> bool:
        """Take the result of a run; return whether `up` has changed.

        The first result counts at once; later ones after `rise` or `fall` of them in a row.
        """
        self.running = False
        if self.up is None:
            self.up = success
            return True
        if success is self.up:
            self.streak = 0
            return False
        self.streak += 1
        if self.streak < (self.settings.rise if success else self.settings.fall):
            return False
        self.up, self.streak = success, 0
        return True
