"""What a member knows of another one."""

from standfest.core.sharing.leases import Support
from standfest.model.sharing import Beat, Buckets
from standfest.model.time import Instant

UNHEARD = Beat("", 0, 0, 0)


class Peer:
    """Another member; `is_waited_for` until it has been silent for the deadtime.

    beat: what it says; nothing once it is silent.
    """

    __slots__ = ("alive", "beat", "heard_at", "is_waited_for", "name", "newest", "support", "told")

    def __init__(self, name: str) -> None:
        self.name = name
        self.beat = UNHEARD
        self.newest = (0, 0)
        self.heard_at: Instant = 0
        self.alive = False
        self.is_waited_for = True
        self.support = Support(0, 0)
        self.told: int | None = None

    @property
    def is_heard(self) -> bool:
        """Return whether it has been heard at all, and not found dead since."""
        return self.alive

    def take(self, now: Instant, beat: Beat) -> bool:
        """Take its word, unless there was a newer one."""
        newest = (beat.generation, beat.number)
        if newest <= self.newest:
            return False
        self.newest, self.beat = newest, beat
        self.heard_at = now
        self.is_waited_for = True
        return True

    def lose(self) -> None:
        """It has been silent for too long."""
        self.alive = self.is_waited_for = False
        self.beat = UNHEARD

    def forget(self, buckets: Buckets) -> None:
        """Forget its votes for buckets that we have let go: it may take them back from now on."""
        if self.support.buckets & buckets:
            self.support = Support(self.support.buckets & ~buckets, self.support.until)
