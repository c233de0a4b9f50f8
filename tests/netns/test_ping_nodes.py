"""Real daemons and a gateway that answers pings, or not: what runs goes where it is reached."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.netns import balancing_lab, quorum_lab
from tests.netns.balancing_lab import SOURCE, run
from tests.netns.cases import run_case
from tests.netns.quorum_lab import STANDFEST, Host, Lab, until

SKIP = balancing_lab.why_not("unshare", "hostname", "sysctl")
pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(SKIP), reason=SKIP),
]
QUORUM = 'tiebreaker = "none"\n'
IPFAIL = "respawn hacluster /usr/lib/heartbeat/ipfail\n"
GATEWAY, NEAR, FAR = "10.9.0.3", "10.9.0.4", "10.9.0.5"
FOUR = f"ping {GATEWAY}\nping_group beyond {NEAR} {FAR}\ndeadping 1\n" + IPFAIL
FORGER = """import socket, struct, time
packets = socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)
for number in range(300):
    bare = struct.pack("!BBHHH", 0, 0, 0, number * 7 % 65536, number) + bytes(16)
    total = sum(struct.unpack("!12H", bare))
    total = (total & 65535) + (total >> 16)
    packet = bare[:2] + struct.pack("!H", ~total & 65535) + bare[4:]
    for node in ("10.9.0.1", "10.9.0.2"):
        packets.sendto(packet, (node, 0))
    time.sleep(0.01)
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with quorum_lab.lab(tmp_path) as built:
        for address in (NEAR, FAR):
            run("ip", "-n", built.third.space, "addr", "add", f"{address}/24", "dev", "eth0")
        for number, host in enumerate((*built.nodes.values(), built.third), 1):
            six = (f"fd09::{number}/64", "nodad", "dev", "eth0")
            run("ip", "-n", host.space, "addr", "add", *six)
        yield built


def shown(host: Host, *words: str) -> str:
    """Return what `standfest WORDS` prints on a node; nothing while no daemon answers."""
    done = subprocess.run(
        [*STANDFEST, *words, "--run-dir", host.run_dir()],
        env={**os.environ, "PYTHONPATH": SOURCE},
        check=False,
        capture_output=True,
        text=True,
    )
    return done.stdout if done.returncode == 0 else ""


def numbers(lab: Lab) -> list[dict[str, str | None]]:
    """Return each node's pingd as each node says."""
    found = []
    for host in lab.nodes.values():
        text = shown(host, "status", "--json")
        nodes = json.loads(text)["nodes"] if text else []
        found.append({node["name"]: node["attributes"].get("pingd") for node in nodes})
    return found


def both(lab: Lab, first: str, second: str) -> bool:
    """Return whether both nodes say so."""
    return numbers(lab) == [{"node-1": first, "node-2": second}] * 2


def answer(lab: Lab, *, pings: bool) -> None:
    """Let the gateway answer pings, or not; it is there all the same."""
    ignore = "0" if pings else "1"
    for name in ("net.ipv4.icmp_echo_ignore_all", "net.ipv6.icmp.echo_ignore_all"):
        run("ip", "netns", "exec", lab.third.space, "sysctl", "-q", "-w", f"{name}={ignore}")


def way(lab: Lab, node: str, *, lost: bool) -> None:
    """Take a node's port of the service network off the switch; its cable keeps its carrier."""
    port = f"sv{node[-1]}"
    words = ("nomaster",) if lost else ("master", "br0")
    run("ip", "-n", lab.switch, "link", "set", port, *words)


def begin(lab: Lab, ha_cf: str, number: str) -> tuple[str, str]:
    """Start both nodes; return who serves and who does not."""
    lab.start(QUORUM, ha_cf)
    until(lambda: both(lab, number, number) and len(lab.owners()) == 1, 40)
    (owner,) = lab.owners()
    (other,) = set(lab.nodes) - {owner}
    return owner, other


def test_the_service_goes_where_the_gateway_is_reached(lab: Lab) -> None:
    owner, other = begin(lab, FOUR, "200")
    status = shown(lab.nodes[owner], "status")
    assert f"  {GATEWAY:<20} ping, reached from here\n" in status
    assert "  beyond               ping, reached from here\n" in status
    links = shown(lab.nodes[owner], "status", "--links")
    assert f"  beyond               ping, reached from here, one of {NEAR} {FAR}\n" in links
    report = json.loads(shown(lab.nodes[owner], "status", "--links", "--json"))
    assert sorted(report["nodes"]) == ["node-1", "node-2"]  # ping nodes are no members
    assert [(p["name"], p["type"], p["status"]) for p in report["pings"]] == [
        (GATEWAY, "ping", "ping"),
        ("beyond", "ping", "ping"),
    ]
    quorum = lab.nodes[owner].quorum()
    assert (quorum["votes"], quorum["expected"]) == (2, 2)

    way(lab, owner, lost=True)
    # Deadping 1 s, dampening 0.3 s, and a second for the agents and the looking.
    until(lambda: lab.owners() == [other], 6)
    lost = {owner: "0", other: "200"}
    until(lambda: both(lab, lost["node-1"], lost["node-2"]), 3)
    for name in lab.nodes:
        line = f"  {name:<20} online  (pingd {lost[name]})\n"
        assert line in shown(lab.nodes[other], "status")
    gone = "ping, NOT REACHED from here"
    assert f"  {GATEWAY:<20} {gone}\n" in shown(lab.nodes[owner], "status")

    way(lab, owner, lost=False)
    until(lambda: both(lab, "200", "200"), 6)
    assert lab.watch(3) == [[other]]  # a tie moves nothing

    # One host of the group is enough for it.
    run("ip", "-n", lab.third.space, "addr", "del", f"{NEAR}/24", "dev", "eth0")
    assert lab.watch(3) == [[other]]
    assert both(lab, "200", "200")


def test_a_gateway_that_is_dead_for_both_moves_nothing_and_forged_answers_wake_it_not(
    lab: Lab,
) -> None:
    owner, _other = begin(lab, FOUR, "200")
    answer(lab, pings=False)
    seen = lab.watch(4)
    assert seen == [[owner]]
    assert both(lab, "0", "0")
    forger = ("ip", "netns", "exec", lab.third.space, sys.executable, "-c", FORGER)
    with subprocess.Popen(forger) as forging:  # for 3 s
        assert lab.watch(3) == [[owner]]
        assert forging.wait(10) == 0
    assert both(lab, "0", "0")
    answer(lab, pings=True)
    until(lambda: both(lab, "200", "200"), 6)
    assert lab.watch(2) == [[owner]]


def pulse_of(host: Host) -> int:
    """Return the process id of a node's pulse, 0 while there is none."""
    for supervisor in host.processes:
        children = Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children")
        for child in children.read_text(encoding="ascii").split():
            try:
                words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"standfest.daemons.pulse" in words:
                return int(child)
    return 0


def test_daemons_that_are_killed_move_nothing_and_their_recordings_decide_the_same(
    lab: Lab,
) -> None:
    owner, other = begin(lab, FOUR, "200")
    way(lab, owner, lost=True)
    until(lambda: lab.owners() == [other], 6)
    for host in lab.nodes.values():
        old = pulse_of(host)
        os.kill(old, signal.SIGKILL)
        until(lambda h=host, o=old: pulse_of(h) not in (0, o), 10)  # type: ignore[misc]
        assert lab.watch(4) == [[other]]
    lost = {owner: "0", other: "200"}
    until(lambda: both(lab, lost["node-1"], lost["node-2"]), 10)
    for name, host in lab.nodes.items():
        copies = host.place / "copies"
        copies.mkdir()
        for ring in Path(host.run_dir()).glob("*.ring"):
            (copies / ring.name).write_bytes(ring.read_bytes())
        told = replayed(copies)
        assert "pings.on_timer" in told
        assert ("pings.on_reply" in told) == (name == other)
        assert "member.pinged" in told
        assert "decided as recorded" in told


def replayed(copies: Path) -> str:
    """Return what `standfest replay` prints of a node's recordings; all must be as recorded."""
    done = subprocess.run(
        [*STANDFEST, "replay", str(copies)],
        env={**os.environ, "PYTHONPATH": SOURCE},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return done.stdout


def link_local(host: Host, device: str) -> str:
    """Return a device's link-local address."""
    listed = run("ip", "-n", host.space, "-6", "addr", "show", "dev", device, "scope", "link")
    return listed.split("inet6 ")[1].partition("/")[0]


def test_over_ipv6_also_with_link_local_addresses(lab: Lab) -> None:
    near = " ".join(f"{link_local(lab.third, device)}%{device}" for device in ("eth0", "eth1"))
    ha_cf = f"ping6 fd09::3 {near}\ndeadping 1\nrespawn hacluster pingd -m 10\n" + IPFAIL
    owner, other = begin(lab, ha_cf, "30")
    way(lab, owner, lost=True)
    until(lambda: lab.owners() == [other], 6)
    lost = {owner: "10", other: "30"}  # over the heartbeats' network it is still reached
    until(lambda: both(lab, lost["node-1"], lost["node-2"]), 3)
    way(lab, owner, lost=False)
    until(lambda: both(lab, "30", "30"), 6)
    assert lab.watch(2) == [[other]]


def test_only_answers_to_what_was_asked_of_their_sender_count() -> None:
    assert run_case("ping_case", "", 60) == {
        "answers": [[["127.0.0.1", 7]], [["::1", 8]]],
        "good": [["127.0.0.1", 9]],
        "other sender": [],
        "other identifier": [],
        "other token": [],
        "longer": [],
        "damaged": [],
        "short": [],
        "at once": [64, 10],  # MAX_READS, and the rest in the next turn
    }
