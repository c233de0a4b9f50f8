"""`standfest drill` as an administrator runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCENARIOS = ["node-kill", "public-link-cut", "heartbeat-link-cut", "service-kill", "standby"]
KEYS = [
    "scenario",
    "service",
    "outage_ms",
    "detected_ms",
    "from",
    "to",
    "recovered",
    "duplicate_owner_ms",
]

pytestmark = pytest.mark.slow


def drill(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "standfest.cli.main", "drill", str(directory), *options],
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=280,
    )
    if "no namespaces here" in done.stderr:
        pytest.skip(done.stderr.strip())
    return done


@pytest.mark.parametrize(
    ("example", "services"), [("mail-server", ["postfix", "xinetd"]), ("nfs-server", ["nfs"])]
)
def test_every_scenario_recovers_and_nothing_is_owned_twice(
    example: str, services: list[str]
) -> None:
    done = drill(ROOT / "examples" / example, "--json")
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert [list(result) for result in results] == [KEYS] * len(results)
    seen = [(result["scenario"], result["service"]) for result in results]
    assert seen == [(scenario, service) for scenario in SCENARIOS for service in services]
    assert all(result["recovered"] for result in results)
    assert [result["duplicate_owner_ms"] for result in results] == [0.0] * len(results)
    moved = {r["scenario"] for r in results if r["from"] != r["to"]}
    assert {"node-kill", "public-link-cut", "standby"} <= moved
    assert "nobody is taken for dead" in done.stderr


def test_files_that_cannot_be_used_are_named_and_nothing_is_built(tmp_path: Path) -> None:
    (tmp_path / "ha.cf").write_text("node a b\nucast eth1 10.0.0.1\nkeepalve 1\n")
    done = drill(tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"{tmp_path}/ha.cf:3: ")
    assert "keepalive" in done.stderr
    assert len(done.stderr.splitlines()) == 1
