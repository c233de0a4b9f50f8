"""Scripts and FIFO are told by ours what keepalived tells them, through the same events."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.netns import vrrp_lab

SKIP = vrrp_lab.why_not("keepalived")
pytestmark = pytest.mark.skipif(bool(SKIP), reason=SKIP)

CONFIGURATION = """global_defs {{
router_id sample
script_user root
vrrp_notify_fifo {directory}/fifo
vrrp_notify_priority_changes true
}}
vrrp_script chk {{
script "/usr/bin/test ! -e {directory}/down"
interval 1
fall 1
rise 1
weight -20
}}
vrrp_sync_group VG1 {{
group {{
VI_1
}}
notify {directory}/tell.sh
}}
vrrp_instance VI_1 {{
interface eth0
state BACKUP
version 3
virtual_router_id 51
priority 100
advert_int 0.2
virtual_ipaddress {{
10.77.0.100/24
}}
}}
vrrp_instance VI_2 {{
interface eth0
state BACKUP
version 3
virtual_router_id 52
priority 90
advert_int 0.2
virtual_ipaddress {{
10.77.0.101/24
}}
track_script {{
chk
}}
notify_master "{directory}/tell.sh master a b"
notify_backup "{directory}/tell.sh backup"
notify_fault "{directory}/tell.sh fault"
notify_stop "{directory}/tell.sh stop"
notify {directory}/tell.sh
}}
"""
SCRIPT = """#!/bin/sh
echo "$#: $*" >> {directory}/told
"""
STEP_S = 5.0


@pytest.fixture
def lan(tmp_path: Path) -> Iterator[vrrp_lab.Lan]:
    with vrrp_lab.lan(tmp_path) as made:
        yield made


def told(lan: vrrp_lab.Lan, product: str, directory: Path) -> dict[str, list[str]]:
    """Run the daemon through its events; return who was told what, in order, by subject."""
    directory.mkdir()
    script = directory / "tell.sh"
    script.write_text(SCRIPT.format(directory=directory), encoding="ascii")
    script.chmod(0o755)
    os.mkfifo(directory / "fifo", 0o600)
    reader = os.open(directory / "fifo", os.O_RDWR | os.O_NONBLOCK)
    lines: list[str] = []

    def read(wanted: str) -> int:
        with suppress(BlockingIOError):
            lines.extend(os.read(reader, 65536).decode().splitlines())
        return sum(line.startswith(wanted) for line in lines)

    def expect(wanted: str, times: int = 1) -> None:
        seen = vrrp_lab.until(lambda: read(wanted) >= times, STEP_S)
        assert seen, (wanted, lines, lan.first.log())

    lan.first.start(product, CONFIGURATION.format(directory=directory))
    for instance in ('GROUP "VG1" MASTER', 'INSTANCE "VI_2" MASTER'):
        expect(instance)
    (directory / "down").touch()
    expect('INSTANCE "VI_2" MASTER_PRIORITY 70')
    (directory / "down").unlink()
    expect('INSTANCE "VI_2" MASTER_PRIORITY 90')
    lan.cut(lan.first)
    for subject in ('GROUP "VG1" FAULT', 'INSTANCE "VI_2" FAULT'):
        expect(subject)
    lan.cut(lan.first, cut=False)
    for line in ('GROUP "VG1" MASTER 0', 'INSTANCE "VI_2" MASTER 90'):
        expect(line, times=2)
    lan.first.signal(signal.SIGTERM)
    expect('GROUP "VG1" STOP')
    lan.first.stop()
    os.close(reader)
    scripts = (directory / "told").read_text(encoding="ascii").splitlines()
    subjects = ('GROUP "VG1"', 'INSTANCE "VI_1"', 'INSTANCE "VI_2"')
    found = {one: [line for line in lines if line.startswith(one)] for one in subjects}
    found["group's script"] = [line for line in scripts if "GROUP" in line]
    # Scripts of one change run side by side: their order among themselves is nobody's promise.
    found["instance's scripts"] = sorted(line for line in scripts if "GROUP" not in line)
    return found


def test_every_line_and_argument_is_keepaliveds(lan: vrrp_lab.Lan, tmp_path: Path) -> None:
    theirs = told(lan, "keepalived", tmp_path / "keepalived")
    ours = told(lan, "standfest", tmp_path / "standfest")
    assert ours == theirs
