"""The report's chapter 5.2 as a script, against a live cluster of real nodes."""

from typing import Any

import pytest
from tests.netns.cases import run_case

TIMEOUT_S = 300

pytestmark = pytest.mark.slow


def run(case: str) -> Any:
    return run_case("tools_case", case, TIMEOUT_S)


def test_every_command_line_of_chapter_5_2_does_what_the_report_says() -> None:
    assert run("chapter") == {
        "query": [0, "<cib", True],
        "verify file": 0,
        "create": 0,
        "create twice": 108,  # it exists
        "create as in 5.2.5": 0,
        "list": [0, True, True],
        "verify live": 0,
        "before": True,
        "migrate": 0,
        "stays away": True,
        "un-migrate": 0,
        "constraints after": False,
        "daemon": 0,
        "page": [True, True],
        "monitor": [0, True, True],
        "delete": 0,
        "erase": 107,  # today's guard: --force is asked for, and nothing is done
        "erase by force": 0,
        "erased": "<resources/>",
        "nodes after": True,
    }
