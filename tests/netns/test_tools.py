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


def test_attributes_standby_and_failures_of_a_live_cluster() -> None:
    assert run("attributes") == {
        "set": [0, ""],
        "count": 0,
        "query": [0, "8\n"],  # 7, and one more
        "delete": 0,
        "gone": 105,
        "option": 0,
        "read": [0, "5\n"],
        "standby": 0,
        "back": 0,
        "failures": [0, "0\n"],
        "forgotten": 0,
        "device": [0, ""],
        "level": [0, ""],
        "needed": 78,  # a level names it
        "devices": ["power"],
        "levels off": [0, ""],
        "device off": [0, ""],
        "history off": [0, "cleaning up fencing-history for node *\n"],
        "no node": 105,
        "nobody": 105,
        "log": True,
    }


def test_debians_tools_read_our_live_cib_and_show_the_same() -> None:
    found = run("debian")
    if found is None:
        pytest.skip("Debian's crm_mon, crm_verify and crm_simulate are not here")
    assert found == {
        "exit": [0, 0, 0],
        "complaints": "",
        "nodes": True,
        "resources": True,
        "shown": [True, True, True],
        "would do": [],  # everything is where it is to be
    }


def test_a_ticket_is_granted_put_into_standby_and_revoked_in_a_live_cluster() -> None:
    found = run("tickets")
    assert found.pop("debian", [True, [], True]) == [True, [], True]
    assert found.pop("complaints", "") == ""
    assert found == {
        "constraint": 0,
        "unknown": 105,
        "not without force": 4,
        "grant": [0, ""],
        "query": [
            0,
            'State XML:\n\n<ticket_state id="T" granted="true" last-granted="TIME"/>\n',
        ],
        "dated": True,
        "standby": [0, ""],
        "listed": True,
        "activate": [0, ""],
        "not revoked without force": 4,
        "revoke": [0, ""],
        "attribute": [[0, ""], [0, "5\n"]],
        "no name": 64,
        "clean up": [0, "Cleaned up T\n"],
        "gone": [105, "crm_ticket: No such ticket 'T'\n"],
    }


def test_a_resource_that_is_said_to_have_failed_is_restarted_and_that_is_counted() -> None:
    found = run("failure")
    assert found.pop("debian", [True, []]) == [True, []]
    assert found == {
        "fail": [0, "Waiting for 1 reply from the controller\n... got reply (done)\n"],
        "counted": ["1", "0"],
        "page": ["* postfix asyncmon on NODE returned 'error' (Simulated failure)"],
        "elsewhere": 105,
        "unknown": [105, 105],
        "group": 70,
        "cleaned up": 0,
        "stays": True,
    }


def test_what_the_access_rules_let_another_user_see_and_change() -> None:
    found = run("access")
    if found is None:
        pytest.skip("no group haclient, or no other users in the lab's namespaces")
    assert found == {
        "before": True,
        "rules": 0,
        "enabled": 0,
        "sees": [True, False, False],
        "may": 0,
        "did": True,
        "may not": 77,
        "nor this": [1, True],
        "no ticket": [77, True],
        "no failure": True,
        "report": 1,
        "root sees": True,
    }
