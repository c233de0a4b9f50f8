"""The real daemons on links that work in one direction only."""

from typing import Any

import pytest
from tests.netns.cases import run_case

TIMEOUT_S = 180

pytestmark = pytest.mark.slow


def run(case: str) -> Any:
    return run_case("views_case", case, TIMEOUT_S)


def test_of_two_of_three_nodes_one_is_out_and_comes_back() -> None:
    assert run("one_link") == {
        "with": True,
        "agreed": True,
        "why": True,
        "lines": True,
        "served": True,
    }


def test_one_link_of_two_that_works_one_way_changes_nothing() -> None:
    assert run("two_links") == {
        "members": True,
        "links": [False, True],
        "owner": True,
        "untouched": True,
    }
