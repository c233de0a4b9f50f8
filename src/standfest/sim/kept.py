"""What is kept of a decision leads to the same one again."""

from standfest.config.recorded import read
from standfest.core.scheduler.schedule import schedule
from standfest.runtime.cluster import inputs
from standfest.runtime.cluster.effects import KeepInput


def replay(kept: KeepInput) -> None:
    """Decide a kept input again, from its text; fails when something else comes of it."""
    again = schedule(*read(inputs.document(kept), "kept input"), kept.wall)
    assert again.steps == kept.result, "a kept input replays as it was decided"
