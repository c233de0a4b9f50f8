"""What the running director tracks: scripts, files, processes, links; and what it runs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.netns import vrrp_lab
from tests.netns.test_director_daemon import ask

SKIP = vrrp_lab.why_not()
pytestmark = pytest.mark.skipif(bool(SKIP), reason=SKIP)

PEER = ("peer", "name", "spare1")
START_S, CHANGE_S = 6.0, 3.5
INSTANCE = """vrrp_instance {name} {{
interface eth0
version 3
virtual_router_id {vrid}
priority 100
advert_int 0.2
virtual_ipaddress {{
10.77.0.{vrid}/24
}}
{lines}
}}
"""


@pytest.fixture(scope="module")
def wires(tmp_path_factory: pytest.TempPathFactory) -> Iterator[vrrp_lab.Lan]:
    with vrrp_lab.lan(tmp_path_factory.mktemp("tracking")) as made:
        yield made


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a directory that an ordinary user can reach."""
    made = Path(f"/tmp/sf-tracking-{os.getpid()}")
    made.mkdir()
    made.chmod(0o777)
    tmp_path.joinpath("place").symlink_to(made)
    return made


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    shutil.rmtree(f"/tmp/sf-tracking-{os.getpid()}", ignore_errors=True)


@pytest.fixture
def node(wires: vrrp_lab.Lan) -> Iterator[vrrp_lab.Node]:
    yield wires.first
    if wires.first.process is not None:
        wires.first.stop()
    (wires.first.directory / "log").unlink(missing_ok=True)


def instance(name: str, vrid: int, lines: str = "") -> str:
    return INSTANCE.format(name=name, vrid=vrid, lines=lines)


def seen(node: vrrp_lab.Node, name: str) -> dict[str, Any]:
    """Return what the director says of an instance."""
    report = json.loads(ask(node, "status", "--json"))
    found = next(one for one in report["instances"] if one["name"] == name)
    return {key: found[key] for key in ("state", "priority", "faults")}


def becomes(
    node: vrrp_lab.Node, name: str, state: str, priority: int, limit_s: float = CHANGE_S
) -> bool:
    def is_so() -> bool:
        found = seen(node, name)
        return (found["state"], found["priority"]) == (state, priority)

    return vrrp_lab.until(is_so, limit_s)


def start(node: vrrp_lab.Node, text: str, *, address: str = "10.77.0.51") -> None:
    node.start("standfest", text)
    assert vrrp_lab.until(lambda: node.holds(address), START_S), node.log()


def test_a_script_counts_after_rise_and_fall_and_runs_as_its_user(
    node: vrrp_lab.Node, place: Path
) -> None:
    """Every second: the second failure counts, and the second success."""
    check = place / "check.sh"
    check.write_text(
        f'#!/bin/sh\nid -un >> {place}/who\n[ -z "$WAIT" ] && test ! -e {place}/down\n',
        encoding="ascii",
    )
    check.chmod(0o755)
    text = (
        "global_defs {\nscript_user root\n}\n"
        f"vrrp_script chk {{\nscript {check}\ninterval 1\nfall 2\nrise 2\nweight -20\n"
        "user nobody\n}\n" + instance("VI_1", 51, "track_script {\nchk\n}")
    )
    start(node, text)
    (place / "down").touch()
    assert becomes(node, "VI_1", "MASTER", 80), node.log()
    (place / "down").unlink()
    assert becomes(node, "VI_1", "MASTER", 100), node.log()
    assert set((place / "who").read_text(encoding="ascii").split()) == {"nobody"}


def test_a_script_without_weight_is_a_fault_and_one_that_hangs_has_failed(
    node: vrrp_lab.Node, place: Path
) -> None:
    hang = place / "hang.sh"
    hang.write_text(f"#!/bin/sh\ntest ! -e {place}/hang || exec sleep 60\n", encoding="ascii")
    hang.chmod(0o755)
    text = (
        "global_defs {\nscript_user root\n}\n"
        f"vrrp_script hang {{\nscript {hang}\ninterval 1\ntimeout 1\nfall 1\n}}\n"
        f"vrrp_script slow {{\nscript {hang}\ninterval 1\nrise 3\ninit_fail\nweight 30\n}}\n"
        + instance("VI_1", 51, "track_script {\nhang\n}")
        + instance("VI_2", 52, "track_script {\nslow\n}")
    )
    start(node, text)
    assert seen(node, "VI_2")["priority"] == 100  # init_fail: 3 successes in a row are wanted
    assert becomes(node, "VI_2", "MASTER", 130, 5), node.log()
    (place / "hang").touch()
    assert becomes(node, "VI_1", "FAULT", 100, 5), node.log()
    assert seen(node, "VI_1")["faults"] == ["script hang is down"]
    assert "has not ended within 1 s: killed" in node.log()
    (place / "hang").unlink()
    assert becomes(node, "VI_1", "MASTER", 100, 5), node.log()


def test_a_files_number_moves_the_priority_and_takes_out_of_service(
    node: vrrp_lab.Node, place: Path
) -> None:
    text = (
        f"track_file level {{\nfile {place}/level\nweight 2\ninit_file 5\n}}\n"
        f"track_file out {{\nfile {place}/out\nweight 0\ninit_file 0\n}}\n"
        + instance("VI_1", 51, "track_file {\nlevel\n}")
        + instance("VI_2", 52, "track_file {\nout\n}")
    )
    start(node, text)
    assert becomes(node, "VI_1", "MASTER", 110)  # 100 + 2 x 5
    (place / "level").write_text("-10\n", encoding="ascii")
    assert becomes(node, "VI_1", "MASTER", 80)
    (place / "out").write_text("1\n", encoding="ascii")
    assert becomes(node, "VI_2", "FAULT", 100)
    (place / "out").unlink()  # a file that is not there says 0
    assert becomes(node, "VI_2", "MASTER", 100)


def test_processes_are_counted(node: vrrp_lab.Node, place: Path) -> None:
    program = place / "sftracked"
    shutil.copy("/bin/sleep", program)
    text = (
        "vrrp_track_process two {\nprocess sftracked\nquorum 2\nweight 10\n}\n"
        "vrrp_track_process one {\nprocess sftracked\nweight 0\n}\n"
        + instance("VI_1", 51, "track_process {\ntwo\n}")
        + instance("VI_2", 52, "track_process {\none\n}")
    )
    start(node, text)
    assert seen(node, "VI_2")["state"] == "FAULT"
    running = [subprocess.Popen([program, "60"]) for _ in range(2)]
    try:
        assert becomes(node, "VI_1", "MASTER", 110), node.log()
        assert becomes(node, "VI_2", "MASTER", 100), node.log()
        running[0].kill()
        running[0].wait()
        assert becomes(node, "VI_1", "MASTER", 100), node.log()
        assert seen(node, "VI_2")["state"] == "MASTER"
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert becomes(node, "VI_2", "FAULT", 100), node.log()


def test_interfaces_are_weights_and_the_primary_one_need_not_matter(
    wires: vrrp_lab.Lan, node: vrrp_lab.Node
) -> None:
    vrrp_lab.ip("-n", node.namespace, "link", "add", "spare0", "type", "veth", *PEER)
    for name in ("spare0", "spare1"):
        vrrp_lab.ip("-n", node.namespace, "link", "set", name, "up")
    text = (
        "linkbeat_interfaces {\neth0 ETHTOOL\n}\n"
        + instance("VI_1", 51, "track_interface {\nspare0 weight -30\n}")
        + instance("VI_2", 52, "dont_track_primary")
    )
    start(node, text)
    vrrp_lab.ip("-n", node.namespace, "link", "set", "spare0", "down")
    assert becomes(node, "VI_1", "MASTER", 70), node.log()
    wires.cut(node)
    assert becomes(node, "VI_1", "FAULT", 70), node.log()
    assert seen(node, "VI_2")["state"] == "MASTER"
    wires.cut(node, cut=False)
    assert becomes(node, "VI_1", "MASTER", 70), node.log()
    vrrp_lab.ip("-n", node.namespace, "link", "delete", "spare0")


def test_an_interface_is_asked_for_its_link(wires: vrrp_lab.Lan) -> None:
    """In a process inside the namespace: up, then with the cable out."""
    code = (
        "from standfest.adapters.linux.linkbeat import Linkbeat\n"
        "asked = Linkbeat()\n"
        "print(asked.is_up('eth0'), asked.is_up('lo'), asked.is_up('nothere'))"
    )

    def answer() -> str:
        command = ["ip", "netns", "exec", wires.first.namespace, sys.executable, "-c", code]
        environment = {**os.environ, "PYTHONPATH": vrrp_lab.SOURCE}
        return subprocess.run(
            command, check=True, capture_output=True, text=True, env=environment
        ).stdout.strip()

    assert answer() == "True True True"  # what is not there cannot say; the kernel knows
    wires.cut(wires.first)
    assert answer() == "False True True"
    wires.cut(wires.first, cut=False)


def test_one_script_before_the_first_start_and_one_after_the_end(
    node: vrrp_lab.Node, place: Path
) -> None:
    tell = place / "tell.sh"
    tell.write_text(
        f"#!/bin/sh\necho $1 $(ip -4 -o address show dev eth0 | wc -l) >> {place}/told\n",
        encoding="ascii",
    )
    tell.chmod(0o755)
    text = (
        f'global_defs {{\nscript_user root\nstartup_script "{tell} startup"\n'
        f'shutdown_script "{tell} shutdown"\n}}\n' + instance("VI_1", 51)
    )
    start(node, text)
    os.kill(node.pid_named("sf-director"), signal.SIGKILL)
    assert vrrp_lab.until(lambda: not node.holds("10.77.0.51"), START_S)
    assert vrrp_lab.until(lambda: node.holds("10.77.0.51"), START_S)
    node.stop()
    # One address before and after; the crash between them ran nothing.
    assert (place / "told").read_text(encoding="ascii").split("\n") == [
        "startup 1",
        "shutdown 1",
        "",
    ]


def test_a_script_that_never_ends_delays_the_start_by_its_limit(
    node: vrrp_lab.Node, place: Path
) -> None:
    text = (
        'global_defs {\nscript_user root\nstartup_script "/bin/sleep 60"\n'
        "startup_script_timeout 1\n}\n" + instance("VI_1", 51)
    )
    began = time.monotonic()
    start(node, text)
    assert time.monotonic() - began > 1
    assert "startup script has not ended in time: killed" in node.log()


def test_a_director_enters_the_network_namespace_that_its_file_names(
    wires: vrrp_lab.Lan, tmp_path: Path
) -> None:
    outside = vrrp_lab.Node(wires.switch, tmp_path / "outside")
    outside.start("standfest", f"net_namespace {wires.first.namespace}\n" + instance("VI_1", 51))
    try:
        assert vrrp_lab.until(lambda: wires.first.holds("10.77.0.51"), START_S), outside.log()
        assert seen(outside, "VI_1")["state"] == "MASTER"  # asked for where it was started
        os.kill(outside.pid_named("sf-supervisor"), signal.SIGKILL)
        assert vrrp_lab.until(lambda: not wires.first.holds("10.77.0.51"), 2), outside.log()
    finally:
        assert outside.process is not None
        outside.process.wait(10)
