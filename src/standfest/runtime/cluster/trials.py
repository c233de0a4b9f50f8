"""Takes back a change that was on trial and that nobody has confirmed in time."""

from standfest.core.cib import provisional
from standfest.core.cib.changes import EditConfiguration, Sign
from standfest.core.cib.document import Author
from standfest.core.cib.patch import ConflictError, applied, difference
from standfest.model.errors import WireError
from standfest.model.time import Instant, seconds
from standfest.runtime.cluster.effects import Level, note
from standfest.runtime.cluster.ledger import Effects, Ledger
from standfest.runtime.cluster.undoing import patch_of


class Trials:
    """The coordinator's clock for the change on trial; decides by its own wall clock."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._due: Instant | None = None

    def deadline(self) -> Instant | None:
        """Return when `on_timer` is due."""
        return self._due

    def look(self, now: Instant, wall: int) -> None:
        """Set the clock by what the configuration says now."""
        trial = provisional.read(self._ledger.replica.cib.configuration)
        left = 0 if trial is None else max(0, min(trial.until - wall, 10**9))
        self._due = None if trial is None else now + seconds(left)

    def on_timer(self, now: Instant, wall: int) -> Effects:
        """Take it back when its time is over, and this partition may change anything."""
        if self._due is None or self._due > now:
            return []
        ledger = self._ledger
        self.look(now, wall)
        configuration = ledger.replica.cib.configuration
        trial = provisional.read(configuration)
        if trial is None or (self._due is not None and self._due > now):
            return []
        if not ledger.serving or not ledger.keepers().suffice:
            self._due = now + seconds(1)
            return []
        self._due = None
        kept = provisional.without(configuration)
        effects: Effects = [note("change-taken-back", Level.WARNING)]
        try:
            after = applied(patch_of(trial.undo), kept)
        except (ConflictError, WireError) as error:
            # What others have made of it since is not ours to undo: it counts as confirmed.
            effects = [note("change-not-taken-back", Level.ERROR, why=str(error))]
            after = kept
        patch = difference(configuration, after)
        assert patch is not None, "the mark at least goes"
        author = Author(wall, "hacluster", "standfest-rollback", ledger.settings.name)
        return effects + ledger.apply((EditConfiguration(patch), Sign(author)))
