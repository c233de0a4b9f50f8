"""A process of its own in which one bug is seeded: simulates orders until an invariant breaks.

Reads `{"bug": NAME or null, "orders": [...]}` from standard input and writes what it found.
"""

import importlib.abc
import importlib.machinery
import json
import sys
import types
from collections.abc import Sequence
from typing import Any

from tests.simulation.bugs.bug import Bug
from tests.simulation.bugs.catalogue import BUGS


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads the changed source; neither reads nor writes compiled files."""

    def __init__(self, bug: Bug) -> None:
        super().__init__(bug.module, str(bug.path))
        self._source = bug.patched()

    def get_code(self, fullname: str) -> types.CodeType:
        """Return the changed module's code."""
        del fullname
        code: types.CodeType = compile(self._source, self.path, "exec", dont_inherit=True)
        return code


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, bug: Bug) -> None:
        self._bug = bug
        self._loader = _Loader(bug)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Answer for the one module."""
        del path, target
        if fullname != self._bug.module:
            return None
        return importlib.util.spec_from_file_location(
            fullname, str(self._bug.path), loader=self._loader
        )


def _simulate(orders: list[dict[str, Any]]) -> dict[str, Any] | None:
    from standfest.sim.run import Order, run

    for order in orders:
        outcome = run(Order(**order))
        if outcome.violation is not None:
            violation = outcome.violation
            return {"order": order, "checker": violation.name, "what": violation.what}
    return None


def main() -> None:
    """Seed the bug, simulate."""
    asked = json.load(sys.stdin)
    if asked["bug"] is not None:
        sys.meta_path.insert(0, _Finder(BUGS[asked["bug"]]))
    json.dump(_simulate(asked["orders"]), sys.stdout)


if __name__ == "__main__":
    main()
