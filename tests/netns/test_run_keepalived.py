"""`standfest run --keepalived`: a director alone, and one beside a cluster's daemons."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.netns import vrrp_lab
from tests.netns.test_director_daemon import configuration

SKIP = vrrp_lab.why_not()
pytestmark = pytest.mark.skipif(bool(SKIP), reason=SKIP)

VIP, NEW = "10.77.0.100", "10.77.0.101"
START_S = 8.0


@pytest.fixture
def lan(tmp_path: Path) -> Iterator[vrrp_lab.Lan]:
    with vrrp_lab.lan(tmp_path) as made:
        yield made


def run(lan: vrrp_lab.Lan, *options: str) -> Path:
    """Start `standfest run` on node 1; return the director's file."""
    node = lan.first
    node.directory.mkdir(exist_ok=True)
    path = node.directory / "director.conf"
    path.write_text(configuration(150, VIP), encoding="utf-8")
    command = [sys.executable, "-m", "standfest.cli.main", "run", "--keepalived", str(path)]
    with (node.directory / "log").open("ab") as log:
        node.process = subprocess.Popen(
            ["ip", "netns", "exec", node.namespace, *command, *options],
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": vrrp_lab.SOURCE},
        )
    return path


def commands(node: vrrp_lab.Node) -> list[str]:
    """Return the command line of each of the node's processes."""
    lines = (Path(f"/proc/{pid}/cmdline").read_bytes() for pid in node.pids())
    return [line.replace(b"\0", b" ").decode() for line in lines]


def test_without_a_cluster_only_a_director_runs(lan: vrrp_lab.Lan, tmp_path: Path) -> None:
    if Path("/etc/ha.d/ha.cf").exists():
        pytest.skip("this machine has a cluster of its own")
    run(lan)
    assert vrrp_lab.until(lambda: lan.owners(VIP) == [1], START_S), lan.first.log()
    assert all("standfest.daemons.director.main" in line for line in commands(lan.first))
    lan.first.stop()
    assert lan.owners(VIP) == []


def test_beside_a_cluster_the_director_is_supervised_and_told(
    lan: vrrp_lab.Lan, tmp_path: Path
) -> None:
    ha_dir = tmp_path / "ha.d"
    ha_dir.mkdir()
    ha_dir.joinpath("ha.cf").write_text(
        f"bcast eth0\nnode {os.uname().nodename}\ncrm on\nuse_logd no\n", encoding="ascii"
    )
    ha_dir.joinpath("authkeys").write_text("auth 1\n1 sha1 labSecret\n", encoding="ascii")
    ha_dir.joinpath("authkeys").chmod(0o600)
    places = (f"--ha-dir={ha_dir}", f"--state-dir={tmp_path}/state", f"--run-dir={tmp_path}/run")
    path = run(lan, *places)
    assert vrrp_lab.until(lambda: lan.owners(VIP) == [1], START_S), lan.first.log()
    names = ("log", "pulse", "cluster", "director.main")
    running = " ".join(commands(lan.first))
    assert [name for name in names if f"standfest.daemons.{name}" not in running] == []

    path.write_text(configuration(150, VIP, NEW), encoding="utf-8")
    lan.first.signal(signal.SIGHUP)
    assert vrrp_lab.until(lambda: lan.owners(NEW) == [1], START_S), lan.first.log()

    os.kill(lan.first.pid_named("sf-supervisor"), signal.SIGKILL)
    gone = vrrp_lab.until(lambda: lan.owners(VIP) == [], START_S)
    back = vrrp_lab.until(lambda: lan.owners(VIP) == [1], START_S)
    assert (gone, back) == (True, True), lan.first.log()

    lan.first.stop()
    assert (lan.owners(VIP), commands(lan.first)) == ([], [])


def test_a_file_that_cannot_be_used_is_named_before_anything_starts(
    lan: vrrp_lab.Lan, tmp_path: Path
) -> None:
    path = tmp_path / "broken.conf"
    path.write_text("vrrp_instance VI_1 {\ninterfcae eth0\n}\n", encoding="utf-8")
    words = ["run", "--keepalived", str(path), "--check"]
    done = subprocess.run(
        [sys.executable, "-m", "standfest.cli.main", *words],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": vrrp_lab.SOURCE},
    )
    assert (done.returncode, f"{path}:2:" in done.stderr) == (78, True)
