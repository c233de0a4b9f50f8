"""What a member must not forget when only its daemon dies: for whom it voted, and that it drains.

A file that is replaced as a whole, without waiting for a disk: it has to outlive the process, not
the machine. What was written before the last start of the machine does not count.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from standfest.model.sharing import Buckets

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
MAX_BYTES = 256 * 1024


class Ledger:
    """One member's memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._boot = BOOT_ID.read_text(encoding="ascii").strip()
        self._votes: dict[str, Buckets] = {}
        self._draining = False

    def read(self) -> tuple[Mapping[str, Buckets] | None, bool]:
        """Return (votes, or None when they are not known; whether it drained)."""
        try:
            with self._path.open("rb") as stream:
                found = json.loads(stream.read(MAX_BYTES))
            if found["boot"] != self._boot:
                return None, False
            votes = {str(name): int(some, 16) for name, some in found["votes"].items()}
            draining = found["draining"] is True
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None, False
        self._votes, self._draining = votes, draining
        return dict(votes), draining

    def vote(self, votes: Mapping[str, Buckets]) -> None:
        """Remember votes before they are said; raises OSError when even forgetting fails."""
        self._votes = dict(votes)
        self._write()

    def drain(self, *, on: bool) -> None:
        """Remember to drain, or not to."""
        self._draining = on
        self._write()

    def forget(self) -> None:
        """Leave nothing to a successor; raises OSError."""
        self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        votes = {name: f"{some:x}" for name, some in self._votes.items()}
        text = json.dumps({"boot": self._boot, "votes": votes, "draining": self._draining})
        temporary = self._path.with_name(self._path.name + ".new")
        try:
            temporary.write_text(text, encoding="ascii")
            os.replace(temporary, self._path)
        except OSError:
            # Old votes must not be taken for new ones: rather none.
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            self.forget()
