"""`standfest share`'s commands on a real network, and the traps that its check finds there."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.netns import share_lab
from tests.netns.balancing_lab import SOURCE, why_not
from tests.netns.share_lab import ROUTER, Lab, Member, until

reason = why_not("nft")
pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(reason), reason=reason)]
MAC = "01:00:5e:08:00:64"
REFUSING = (
    "add table arp t",
    "add chain arp t in { type filter hook input priority 0; }",
    "add rule arp t in arp operation reply arp saddr ether & 01:00:00:00:00:00 != 0 drop",
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Three members that share, and a router beside them that they ask others through."""
    with share_lab.lab(tmp_path_factory.mktemp("share"), (1, 2, 1)) as made:
        made.start()
        made.members[0].ip("route", "add", "default", "via", ROUTER)
        yield made


def run(member: Member, *words: str) -> tuple[int, str]:
    """Run `standfest share` on a member; return its status and all that it printed."""
    command = [sys.executable, "-m", "standfest.cli.main", "share", *words]
    done = subprocess.run(
        ["ip", "netns", "exec", member.name, *command, "--run-dir", str(member.directory / "run")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": SOURCE},
    )
    return done.returncode, done.stdout + done.stderr


def check(lab: Lab, *words: str) -> tuple[int, str]:
    member = lab.members[0]
    return run(member, "check", str(lab.file), "--name", member.member, "--live", *words)


def test_status_shows_members_and_who_serves_a_client(lab: Lab) -> None:
    status, text = run(lab.members[0], "status")
    assert status == 0
    lines = text.splitlines()
    assert lines[0] == f"web: 10.8.0.100/24, fd08::100/64 on eth0 at {MAC}"
    assert lines[1] == "sourceip-sourceport, 192 buckets, seed 0, by nftables"
    assert [line.split()[0] for line in lines[4:]] == ["web1", "web2", "web3"]
    assert "96   50.0 %     50.0 %" in lines[5]  # weight 2 of 4: 96 of 192 buckets
    # 10.9.0.7 port 5555: jhash of 0a090007 15b30000 with seed 0, x 192 >> 32.
    status, text = run(lab.members[2], "status", str(lab.file), "--client", "10.9.0.7:5555")
    assert (status, text) == (0, "10.9.0.7:5555: bucket 161, served by web3\n")
    status, text = run(lab.members[0], "status", "--client", "10.9.0.7:5555", "--json")
    assert json.loads(text)["client"]["served_by"] == ["web3"]


def test_what_cannot_be_asked_is_said_in_one_line(lab: Lab, tmp_path: Path) -> None:
    member = lab.members[0]
    assert run(member, "status", "--client", "10.9.0.7")[0] == 2
    assert run(member, "status", "--client", "10.9.0.7:99999")[0] == 2
    status, text = run(member, "drain", "web9")
    assert (status, text) == (
        1,
        'standfest: no member "web9"; expected one of web1, web2, web3\n',
    )
    nobody = Member("", directory=tmp_path)
    status, text = run(Member(member.name, directory=nobody.directory), "status")
    assert status == 69
    assert "expected a running daemon" in text


def test_another_member_of_the_same_name_and_directory_is_refused(lab: Lab) -> None:
    member = lab.members[0]
    state = str(member.directory / "state")
    status, text = run(member, str(lab.file), "--name", "web1", "--state-dir", state)
    assert status == 69
    assert "another standfest share has it; expected one" in text
    assert member.status()["quorum"]


def test_a_file_with_mistakes_is_refused_before_anything_is_done(lab: Lab) -> None:
    member = lab.members[0]
    bad = lab.directory / "bad.toml"
    bad.write_text(lab.file.read_text().replace("keepalive = 0.1", "keepalive = 10"))
    status, text = run(member, str(bad), "--name", "web7")
    assert status == 78
    assert "deadtime is 1 s, keepalive 10 s; expected at least 3 keepalives" in text
    status, text = run(member, str(lab.file), "--name", "web7")
    assert (status, text) == (
        78,
        f'{lab.file}: no member is called "web7"; expected --name with one of web1, web2, web3\n',
    )
    keys = lab.directory / "keys"
    keys.chmod(0o644)
    try:
        status, text = run(member, str(lab.file), "--name", "web1")
    finally:
        keys.chmod(0o600)
    assert (status, text) == (78, f"{keys}: mode is 0644; expected 0600: it holds secrets\n")


def test_check_finds_nothing_where_all_is_right(lab: Lab) -> None:
    status, text = check(lab)
    assert (status, text) == (
        0,
        "the file: usable\nthe network: 0 errors, 0 warnings: right\n",
    )


def test_check_finds_a_switch_that_does_not_flood_the_mac(lab: Lab) -> None:
    lab.switch.ip("link", "set", "port2", "type", "bridge_slave", "mcast_flood", "off")
    try:
        status, text = check(lab)
    finally:
        lab.switch.ip("link", "set", "port2", "type", "bridge_slave", "mcast_flood", "on")
    assert status == 1
    assert text.startswith(f"web2 does not hear {MAC} (a switch between us does not flood it)")
    assert "web3" not in text


def test_check_finds_a_router_that_refuses_the_mac(lab: Lab) -> None:
    lab.client.execute("nft", "; ".join(REFUSING))
    lab.client.ip("neigh", "flush", "dev", "eth0")
    try:
        status, text = check(lab)
    finally:
        lab.client.execute("nft", "delete", "table", "arp", "t")
    assert status == 1
    assert text.startswith(f"router {ROUTER} refuses {MAC}")


def test_check_finds_what_connection_tracking_and_services_lack(lab: Lab) -> None:
    member = lab.members[0]
    member.sysctl(net__netfilter__nf_conntrack_tcp_loose=1)
    try:
        status, text = check(lab, "--port", "80", "--port", "81")
    finally:
        member.sysctl(net__netfilter__nf_conntrack_tcp_loose=0)
    assert status == 1
    lines = text.splitlines()
    assert lines[0].startswith("nf_conntrack_tcp_loose is on")
    assert lines[1] == "nothing listens at 10.8.0.100 port 81 (clients are refused)"
    assert lines[2] == "nothing listens at fd08::100 port 81 (clients are refused)"
    assert lines[4] == "the network: 3 errors, 0 warnings: not right"


def test_check_finds_members_with_other_seeds_and_they_do_not_share(lab: Lab) -> None:
    odd = lab.members[2]
    odd.stop()
    other = lab.directory / "other.toml"
    other.write_text('seed = 7\nname = "web"\n' + lab.file.read_text())
    odd.start(other)
    try:
        assert until(lambda: "web3 shares by other settings" in lab.members[0].log(), 10)
        status, text = check(lab)
        assert status == 1
        assert text.startswith("web3 shares by other settings")
        # They were first: the odd one answers nothing.
        assert until(lambda: "we answer nothing" in odd.log(), 10)
        assert odd.holds() == 0
    finally:
        odd.stop()
        odd.start(lab.file)
    lab.settle()


def test_weights_change_at_sighup_and_a_mistake_changes_nothing(lab: Lab) -> None:
    before = lab.file.read_text()
    # Of weights 1 + 2 + 1 the second has half of 192 buckets; of 1 + 1 + 1 a third.
    lab.file.write_text(before.replace("weight = 2", "weight = 1"))
    for member in lab.members:
        assert member.daemon is not None
        member.daemon.send_signal(signal.SIGHUP)
    assert until(lambda: lab.members[1].holds().bit_count() == 64, 10)
    lab.settle()
    lab.file.write_text(before.replace("buckets = 192", "buckets = 100"))
    daemon = lab.members[0].daemon
    assert daemon is not None
    daemon.send_signal(signal.SIGHUP)
    assert until(lambda: "buckets would be 100" in lab.members[0].log(), 10)
    lab.file.write_text(before)
    for member in lab.members:
        assert member.daemon is not None
        member.daemon.send_signal(signal.SIGHUP)
    assert until(lambda: lab.members[1].holds().bit_count() == 96, 10)
    lab.settle()


def test_a_member_that_dies_is_started_again_and_goes_on_with_its_buckets(lab: Lab) -> None:
    member = lab.members[1]
    before = member.holds()
    browsers = lab.connect(40)
    pid = member.member_pid()
    gap = share_lab.gap_after(lab, before, lambda: os.kill(pid, signal.SIGKILL), 1.0)
    # The kernel has gone on, and nobody else has taken over.
    assert (gap.lost, gap.doubled) == (0, 0), (gap, member.log())
    assert "the member ended with SIGKILL: starting it again" in member.log()
    assert "adopting 96 buckets" in member.log()
    assert member.holds() == before
    assert all(browser.is_alive() for browser in browsers)
    assert "web2 has been silent" not in lab.members[0].log()
