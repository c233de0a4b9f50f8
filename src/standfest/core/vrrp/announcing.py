"""When an Active tells its neighbours again where the addresses are.

One set at once is the instance's; this is the second one, the refreshing, and what follows a
lower-priority router. Source: facts/KEEPALIVED.md section 4, keepalived.conf(5) garp_*.
"""

from dataclasses import dataclass, field

from standfest.model.time import Instant, earliest
from standfest.model.vrrp import GarpSettings


@dataclass(slots=True)
class Announcements:
    """The timers of one Active; None: not armed."""

    garp: GarpSettings
    second_at: Instant | None = field(default=None)
    lower_at: Instant | None = field(default=None)
    refresh_at: Instant | None = field(default=None)
    extra_at: Instant | None = field(default=None)

    def start(self, now: Instant) -> None:
        """Arm all timers: we have just become Active."""
        garp = self.garp
        self.second_at = now + garp.delay if garp.delay and garp.repeat else None
        self.refresh_at = now + garp.refresh if garp.refresh else None
        self.extra_at = now + garp.extra_interface if garp.extra_interface else None
        self.lower_at = None

    def stop(self) -> None:
        """Disarm all timers."""
        self.second_at = self.lower_at = self.refresh_at = self.extra_at = None

    def after_lower_priority(self, now: Instant) -> int:
        """Return how many to send at once after a lower-priority router; arm the second set."""
        garp = self.garp
        if garp.lower_priority_repeat and garp.lower_priority_delay and self.lower_at is None:
            self.lower_at = now + garp.lower_priority_delay
        return garp.lower_priority_repeat

    def due(self, now: Instant) -> int:
        """Return how many announcements of everything are due; one set is enough for all."""
        garp = self.garp
        counts = [0]
        if self.second_at is not None and self.second_at <= now:
            self.second_at = None
            counts.append(garp.repeat)
        if self.lower_at is not None and self.lower_at <= now:
            self.lower_at = None
            counts.append(garp.lower_priority_repeat)
        if self.refresh_at is not None and self.refresh_at <= now:
            self.refresh_at = now + garp.refresh
            counts.append(garp.refresh_repeat)
        return max(counts)

    def extra_due(self, now: Instant) -> bool:
        """Return whether addresses on other interfaces are due (`garp_extra_if`)."""
        if self.extra_at is None or self.extra_at > now:
            return False
        self.extra_at = now + self.garp.extra_interface
        return True

    def deadline(self) -> Instant | None:
        """Return when the next set is due."""
        return earliest(self.second_at, self.lower_at, self.refresh_at, self.extra_at)
