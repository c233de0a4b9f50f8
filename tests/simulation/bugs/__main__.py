"""`python -m tests.simulation.bugs`: the table of seeded bugs; `--search [NAME...]`: look anew."""

import sys
import time

from tests.simulation.bugs import harness
from tests.simulation.bugs.catalogue import BUGS

SEARCH_S = 60.0
AT_ONCE = 4
"""Seeds for each process."""


def main() -> None:
    """Print the table, or search."""
    words = sys.argv[1:]
    if words[:1] == ["--search"]:
        for name in words[1:] or BUGS:
            _search(name)
    else:
        print("\n".join(table()))


def table() -> list[str]:
    """Return what is on record as the rows of a Markdown table."""
    rows = ["| bug | what is wrong | caught by | with `standfest sim run` |", "|---|---|---|---|"]
    rows += [
        f"| {name} | {BUGS[name].says} | {catch.checker} | `{catch.order}` |"
        for name, catch in harness.recorded().items()
    ]
    return rows


def _search(name: str) -> None:
    """Put on record which order catches a bug, if one does before long."""
    began, first = time.monotonic(), 0
    while time.monotonic() - began < SEARCH_S:
        orders = list(harness.candidates(name, range(first, first + AT_ONCE)))
        catch = harness.simulate(name, orders)
        if catch is not None and harness.simulate(None, [catch.order]) is None:
            harness.record({**harness.recorded(), name: catch})
            print(f"{name}: {catch.checker}, {catch.order}: {catch.what}", flush=True)
            return
        first += AT_ONCE
    print(f"{name}: not caught by {first} seeds", flush=True)


if __name__ == "__main__":
    main()
