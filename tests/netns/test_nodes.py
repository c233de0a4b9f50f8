"""The real daemons: a third node comes and goes while two serve."""

from typing import Any

import pytest
from tests.netns.cases import run_case

TIMEOUT_S = 180

pytestmark = pytest.mark.slow


def run(case: str) -> Any:
    return run_case("nodes_case", case, TIMEOUT_S)


def test_a_node_is_added_and_removed_by_commands_while_two_serve() -> None:
    assert run("commands") == {
        "added": [0, "node-3 is a node now\n"],
        # Two of three as soon as it is added, three when it is there; without it two of two.
        "votes": [[2, 3], [3, 3], [2, 2]],
        "refused": [1, "node-3 is active; stop it first\n"],
        "removed": [0, "node-3 is no node any more\n"],
        "left": ["node-1", "node-2"],
        "strangers": ["node-3"],  # started again it hears itself only, and nobody hears it
        "untouched": True,
    }


def test_a_node_that_nobody_named_joins_and_is_remembered() -> None:
    assert run("joins") == {"remembered": [True, True, True], "untouched": True}
