"""The built-in agents on a machine of their own, and under ocf-tester."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
OCF_TESTER = "/usr/sbin/ocf-tester"


def case(name: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "tests.netns.agents_case", name],
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    if "no namespaces here" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_an_address_comes_up_on_an_interface_that_was_down_and_had_none() -> None:
    result = case("address")
    # monitor 7, start 0 twice, monitor 0; its cable is pulled: 1; stop 0 twice, monitor 7.
    assert result["codes"] == [7, 0, 0, 0, 1, 0, 0, 7]
    assert ["eth0", "123.123.123.1", 24] in result["held"]
    assert result["route"] == ["123.123.123.254", "eth0"]
    assert result["announced"] == "123.123.123.1"
    assert result["sender"] is True
    assert (result["left"], result["route left"]) == ([], None)
    assert result["wrong"] == [6, 6, 6, 5]


def test_a_mount_that_a_stubborn_process_holds_is_given_up_by_force() -> None:
    # 137 is -9 to the shell's parent: SIGTERM was ignored, SIGKILL was not.
    assert case("mount") == {"codes": [7, 0, 0, 0, 0, 7, 0], "seen": "there", "holder": -9}


def test_an_init_script_that_is_not_lsbs_is_made_to_obey() -> None:
    assert case("service") == {
        "codes": [7, 0, 0, 0, 0, 0, 7],
        "liar": 1,
        "unknown": 5,
        "path": 6,
    }


@pytest.mark.skipif(not Path("/usr/sbin/nft").exists(), reason="nft is not installed")
def test_instances_of_a_shared_address_on_one_node_do_not_lose_each_other() -> None:
    # md5("123.123.123.1 24\n") begins 99225f63ab95: a multicast address, heard once.
    nothing: list[object] = [[], 0, 0]
    assert case("shared") == {
        "before": [7] * 6,
        "start": [0] * 6,
        "running": [[0] * 6, [["123.123.123.1"], 2, 1]],
        "one less": [[0], [7, 0, 0, 0, 0, 0]],
        # Somebody flushes the rules: the address answers everybody until it is stopped.
        "flushed": [[1], [0] * 6, nothing],
        "again": [[0] * 6, [0] * 6, nothing, [7] * 6],
    }


def test_a_bucket_is_taken_and_given_up_by_hand() -> None:
    address = "123.123.123.1"
    assert case("by hand") == [
        f"1 standfest: {address} is not shared here; expected an agent's address",
        0,
        f"0 {address}: answers 1, 2 of 2",
        f"1 standfest: bucket 2 of {address} is already answered here",
        f"0 {address}: answers 1 of 2",
        f"1 standfest: bucket 2 of {address} is not answered here",
        f"0 {address}: answers none of 2",
        f"0 {address}: answers 1 of 2",
        f"1 standfest: {address} has no bucket 3; expected 1..2",
        f"1 standfest: {address} has no bucket 0; expected 1..2",
        "2 Usage: standfest share answer [OPTIONS] +N|-N ADDRESS\n"
        "Try 'standfest share answer --help' for help.\n\n"
        "Error: 2; expected +N or -N, N from 1",
        *[0, 0],
        *[0, 0],
        ["ip_123.123.123.1.lock"],
    ]


@pytest.mark.skipif(not Path(OCF_TESTER).exists(), reason="ocf-tester is not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="ocf-tester needs root")
@pytest.mark.parametrize(
    ("agent", "parameters"),
    [
        ("IPaddr", {"ip": "10.9.9.9", "nic": "lo", "cidr_netmask": "32"}),
        ("IPaddr2", {"ip": "10.9.9.9", "nic": "lo", "cidr_netmask": "32"}),
        ("Filesystem", {"device": "{d}/a", "directory": "{d}/b", "options": "bind"}),
    ],
)
def test_ocf_tester_finds_nothing_wrong(
    agent: str, parameters: dict[str, str], tmp_path: Path
) -> None:
    # It asks for the metadata as nobody, too: an interpreter and a folder that nobody may read.
    python = "/usr/bin/python3.11" if Path("/usr/bin/python3.11").exists() else sys.executable
    for path in (tmp_path, *tmp_path.parents):
        if path == Path(tempfile.gettempdir()):
            break
        path.chmod(0o755)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    front = [python, "-m", "standfest.agents.front", "--install", str(tmp_path / "x")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    subprocess.run(front, check=True, env=environment)
    words = [OCF_TESTER, "-n", "test"]
    for name, value in parameters.items():
        words += ["-o", f"{name}={value.format(d=tmp_path)}"]
    inside = shutil.which("unshare")
    assert inside is not None, "util-linux is essential on Debian"
    # A network and mounts of its own: the tester starts and stops the agent for real.
    shell = f"ip link set lo up 2>/dev/null; exec {' '.join(words)} {tmp_path / 'x' / agent}"
    done = subprocess.run(
        [inside, "-n", "-m", "/bin/sh", "-c", shell],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed all tests" in done.stdout
