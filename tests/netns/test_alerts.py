"""Alerts for real: who tells what of a cluster of two nodes, and an agent that hangs."""

from typing import Any

import pytest
from tests.netns.cases import run_case

TIMEOUT_S = 300

pytestmark = pytest.mark.slow

BY = "recipient=everybody, who=AGENT, colour=pale-green"


def line(kind: str, **fields: str) -> str:
    """Return what the agent writes: every variable, empty where it has no value."""
    operation = ("node", "rsc", "task", "interval", "rc", "status", "target_rc", "desc")
    names = (*operation, "attribute_name", "attribute_value")
    said = " ".join(f"{name}={fields.get(name, '')}," for name in names)
    return f"{kind} {said} {BY}"


def operation(node: str, task: str) -> str:
    """Return what is told of an operation of postfix that ended well."""
    ended = {"interval": "0", "rc": "0", "status": "0", "target_rc": "0", "desc": "ok"}
    return line("resource", node=node, rsc="postfix", task=task, **ended)


def test_each_event_is_told_once_where_it_belongs_and_a_hung_agent_holds_up_nothing() -> None:
    found: dict[str, Any] = run_case("alerts_case", "events", TIMEOUT_S)
    sample = found.pop("sample", [True, True]), found.pop("sample resource", True)
    assert sample == ([True, True], True)
    assert found == {
        "configured": 0,
        "nothing yet": [[], []],
        "attributes": [  # one of the nodes, and not the attribute that is not selected
            [
                line("attribute", node="OTHER", attribute_name="load", attribute_value="7"),
                line("attribute", node="FIRST", attribute_name="standby", attribute_value="on"),
                line("attribute", node="FIRST", attribute_name="standby"),
            ]
        ],
        "stop": [[operation("FIRST", "stop")], []],
        "start": [[], [operation("OTHER", "start")]],
        "confirmed": 0,
        "fencing": [
            "fencing node=FIRST, rsc=, task=off, interval=, rc=0, status=, target_rc=, "
            "desc=Operation off of FIRST by an administrator for standfest@OTHER: OK"
        ],
        "nodes": [
            line("node", node="FIRST", desc="lost"),
            line("node", node="FIRST", desc="member"),
        ],
        "returned": [],
        "hung": [True, True],
        "unusable": 1,
        "secrets": False,
        "left over": False,
    }
