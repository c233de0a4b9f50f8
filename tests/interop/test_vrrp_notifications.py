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

    def wait_for_script(wanted: str, times: int = 1) -> None:
        # Nobody waits for a script: without this the next event's script may write before it.
        done = vrrp_lab.until(
            lambda: (directory / "told").read_text().count(wanted) >= times, STEP_S
        )
        assert done, (wanted, (directory / "told").read_text())

    lan.first.start(product, CONFIGURATION.format(directory=directory))
    for instance in ('GROUP "VG1" MASTER', 'INSTANCE "VI_2" MASTER'):
        expect(instance)
    wait_for_script("GROUP VG1 MASTER")
    (directory / "down").touch()
    expect('INSTANCE "VI_2" MASTER_PRIORITY 70')
    (directory / "down").unlink()
    expect('INSTANCE "VI_2" MASTER_PRIORITY 90')
    lan.cut(lan.first)
    for subject in ('GROUP "VG1" FAULT', 'INSTANCE "VI_2" FAULT'):
        expect(subject)
    wait_for_script("GROUP VG1 FAULT")
    lan.cut(lan.first, cut=False)
    for line in ('GROUP "VG1" MASTER 0', 'INSTANCE "VI_2" MASTER 90'):
        expect(line, times=2)
    wait_for_script("GROUP VG1 MASTER", times=2)
    lan.first.signal(signal.SIGTERM)
    expect('GROUP "VG1" STOP')
    wait_for_script("GROUP VG1 STOP")
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


RARE = """global_defs {{
script_user root
vrrp_notify_fifo {directory}/fifo
}}
vrrp_sync_group VG1 {{
group {{
VI_1
VI_3
}}
notify_master "{directory}/tell.sh group-master"
notify_backup "{directory}/tell.sh group-backup"
notify_fault "{directory}/tell.sh group-fault"
notify_stop "{directory}/tell.sh group-stop"
}}
{instances}"""
ONE = """vrrp_instance VI_{number} {{
interface eth0
version 3
virtual_router_id 5{number}
priority {priority}
advert_int 0.2
virtual_ipaddress {{
10.77.0.10{number}/24
}}
{lines}
}}
"""


def rare(directory: Path, *, deleted: bool) -> str:
    """Return node 1's configuration; deleted: without its second instance."""
    lines = (
        f'notify_master_rx_lower_pri "{directory}/tell.sh lower"',
        f'notify_deleted "{directory}/tell.sh deleted"',
        "",
    )
    instances = [
        ONE.format(number=number, priority=150, lines=text)
        for number, text in enumerate(lines, 1)
        if not (deleted and number == 2)
    ]
    return RARE.format(directory=directory, instances="".join(instances))


def told_of_rare_things(lan: vrrp_lab.Lan, product: str, directory: Path) -> dict[str, list[str]]:
    """Return FIFO lines and scripts: a lower router speaks, an instance is removed, the end."""
    directory.mkdir()
    script = directory / "tell.sh"
    script.write_text(SCRIPT.format(directory=directory), encoding="ascii")
    script.chmod(0o755)
    os.mkfifo(directory / "fifo", 0o600)
    reader = os.open(directory / "fifo", os.O_RDWR | os.O_NONBLOCK)
    lines: list[str] = []

    def is_there(wanted: str) -> bool:
        with suppress(BlockingIOError):
            lines.extend(os.read(reader, 65536).decode().splitlines())
        return any(line.startswith(wanted) for line in lines)

    def expect(wanted: str) -> None:
        seen = vrrp_lab.until(lambda: is_there(wanted), STEP_S)
        assert seen, (wanted, lines, lan.first.log())

    lan.first.start(product, rare(directory, deleted=False))
    for wanted in ('GROUP "VG1" MASTER', 'INSTANCE "VI_2" MASTER'):
        expect(wanted)
    port = ("-n", lan.switch, "link", "set", "port2-0")
    # Ten times as often as node 1, so that it is heard before it hears.
    lower = ONE.format(number=1, priority=50, lines="").replace("0.2", "0.02")
    lan.second.start("keepalived", lower)
    for _ in range(5):  # whoever speaks first when they meet again
        vrrp_lab.ip(*port, "nomaster")
        alone = vrrp_lab.until(lambda: lan.second.holds("10.77.0.101"), STEP_S)
        assert alone, lan.second.log()
        vrrp_lab.ip(*port, "master", "br0")
        if vrrp_lab.until(lambda: is_there('INSTANCE "VI_1" MASTER_RX_LOWER_PRI'), 1):
            break
    expect('INSTANCE "VI_1" MASTER_RX_LOWER_PRI')
    lan.second.stop()
    (lan.first.directory / "director.conf").write_text(rare(directory, deleted=True))
    lan.first.signal(signal.SIGHUP)
    expect('INSTANCE "VI_2" DELETED')
    lan.first.signal(signal.SIGTERM)
    expect('GROUP "VG1" STOP')
    lan.first.stop()
    os.close(reader)
    scripts = (directory / "told").read_text(encoding="ascii").splitlines()
    subjects = ('GROUP "VG1"', 'INSTANCE "VI_1"', 'INSTANCE "VI_2"', 'INSTANCE "VI_3"')
    found = {one: [line for line in lines if line.startswith(one)] for one in subjects}
    # How often the lower router speaks before it hears us is a matter of milliseconds.
    found = {one: list(dict.fromkeys(some)) for one, some in found.items()}
    return found | {"scripts": sorted(set(scripts))}


def test_what_is_rarely_told_is_keepaliveds_too(lan: vrrp_lab.Lan, tmp_path: Path) -> None:
    theirs = told_of_rare_things(lan, "keepalived", tmp_path / "keepalived")
    ours = told_of_rare_things(lan, "standfest", tmp_path / "standfest")
    assert ours == theirs
