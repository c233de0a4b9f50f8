"""The report's chapter 5.3 on a kernel that has IPVS: NAT, direct routing, tunnels."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from standfest.lab import uml

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
PROGRAMS = ("dovecot", "nginx", "openssl", "postfix")
missing = [program for program in PROGRAMS if shutil.which(program) is None]

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(uml.missing()), reason=uml.missing() or "there"),
    pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}"),
]


APART = (
    pytest.mark.hunt,
    pytest.mark.skipif("STANDFEST_HUNT_SEED" not in os.environ, reason="runs in ./dev hunt only"),
)
"""Minutes each: a full run has to end within 25."""


def apart(test: Callable[[], None]) -> Callable[[], None]:
    for mark in APART:
        test = mark(test)
    return test


@pytest.mark.parametrize(
    "kind", ["NAT", pytest.param("DR", marks=APART), pytest.param("TUN", marks=APART)]
)
def test_two_directors_carry_mail_and_web_and_each_other(kind: str) -> None:
    result = uml.run(
        [sys.executable, str(HERE / "lvs_case.py"), kind, "ipvs"],
        modules=uml.IPVS_MODULES,
        memory_mb=768,
        environment={"PYTHONPATH": f"{SOURCE}:{HERE.parents[1]}"},
        timeout_s=240,
    )
    assert result.status == 0, result.output[-6000:]
    found = json.loads(result.output.strip().splitlines()[-1])
    assert found["outage_s"] < 4.5, found  # three adverts, the skew, and the client's next try
    assert found["dialogues_survived"] == "20 of 20", found
    print(found)


@apart
def test_no_open_connection_breaks_while_the_balancer_comes_and_goes() -> None:
    result = uml.run(
        [sys.executable, str(HERE / "open_case.py"), "2000"],
        modules=uml.IPVS_MODULES,
        memory_mb=1024,
        environment={"PYTHONPATH": f"{SOURCE}:{HERE.parents[1]}"},
        timeout_s=300,
    )
    assert result.status == 0, result.output[-6000:]
    found = json.loads(result.output.strip().splitlines()[-1])
    assert found.pop("open") == 2000
    assert found == dict.fromkeys(found, 0), found


@apart
@pytest.mark.skipif(shutil.which("keepalived") is None, reason="keepalived is not installed")
def test_table_pipe_and_scripts_are_those_of_keepalived() -> None:
    result = uml.run(
        [sys.executable, str(HERE / "telling_case.py")],
        modules=uml.IPVS_MODULES,
        environment={"PYTHONPATH": f"{SOURCE}:{HERE.parents[1]}"},
        timeout_s=300,
    )
    assert result.status == 0, result.output[-6000:]
