"""heartbeat 3.0.6 and ours read the same ping nodes, and say the same of them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop import heartbeat_lab
from tests.interop.heartbeat_lab import OURS, THEIRS, Lab, Machine, until
from tests.netns.vrrp_lab import ip, why_not

SKIP = why_not("unshare", "nsenter", "cl_status", heartbeat_lab.HEARTBEAT)
pytestmark = [pytest.mark.skipif(bool(SKIP), reason=SKIP), pytest.mark.slow]

GATEWAY, NEAR, FAR = "10.77.0.9", "10.77.0.8", "10.77.0.7"
IPFAIL = shutil.which("ipfail", path="/usr/libexec/heartbeat:/usr/lib/heartbeat")
CONFIGURATION = f"""logfile /var/log/ha-log
logfacility none
keepalive 200ms
deadtime 2
warntime 1
deadping 2
initdead 60
auto_failback off
ucast eth0 10.77.0.1
ucast eth0 10.77.0.2
ping {GATEWAY}
ping_group beyond {NEAR} {FAR}
node n1 n2
"""
FILES = {
    "ha.cf": CONFIGURATION + (f"respawn hacluster {IPFAIL}\n" if IPFAIL else ""),
    "authkeys": "auth 1\n1 sha1 interopSecret\n",
    "haresources": heartbeat_lab.HARESOURCES,
}
STEP_S = 15.0


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with heartbeat_lab.lab(tmp_path, (THEIRS, OURS), FILES) as made:
        ip("-n", made.switch, "address", "add", "10.77.0.254/24", "dev", "br0")
        for address in (GATEWAY, NEAR, FAR):
            ip("-n", made.switch, "address", "add", f"{address}/32", "dev", "br0")
        yield made


def of_ping_node(machine: Machine, name: str) -> str:
    """Return the status of a ping node as the machine's own tool tells it."""
    if machine.product == THEIRS:
        return machine.run("cl_status", "nodestatus", name, check=False).strip()
    pings: list[dict[str, str]] = machine.links().get("pings", [])  # type: ignore[assignment]
    return next((one["status"] for one in pings if one["name"] == name), "")


def say(lab: Lab, gateway: str, beyond: str) -> bool:
    """Return whether both products say so of the two ping nodes."""
    wanted = {GATEWAY: gateway, "beyond": beyond}
    return all(
        of_ping_node(machine, name) == status
        for machine in lab.machines
        for name, status in wanted.items()
    )


def see_each_other(lab: Lab) -> bool:
    """Return whether each takes the other for active."""
    theirs, ours = lab.machines
    return theirs.sees("n2") == "active" and ours.sees("n1") == "active"


def test_both_say_the_same_of_ping_nodes_that_live_die_and_return(lab: Lab) -> None:
    theirs, ours = lab.machines
    theirs.start()
    assert until(theirs.beats, STEP_S), theirs.log()
    ours.start()
    assert until(lambda: see_each_other(lab), STEP_S), theirs.log()
    assert until(lambda: say(lab, "ping", "ping"), STEP_S)

    for address in (GATEWAY, NEAR):  # FAR still stands for its group
        ip("-n", lab.switch, "address", "del", f"{address}/32", "dev", "br0")
    assert until(lambda: say(lab, "dead", "ping"), STEP_S), [
        of_ping_node(m, n) for m in lab.machines for n in (GATEWAY, "beyond")
    ]
    assert see_each_other(lab)
    assert f"ping-node node={GATEWAY} status=dead" in ours.log()

    ip("-n", lab.switch, "address", "add", f"{GATEWAY}/32", "dev", "br0")
    assert until(lambda: say(lab, "ping", "ping"), STEP_S)
    # Ping nodes are nodes for cl_status, of a type of their own, and members for nobody.
    assert theirs.run("cl_status", "nodetype", GATEWAY).strip() == "ping"
    assert theirs.run("cl_status", "nodetype", "n2").strip() == "normal"
    assert sorted(ours.links()["nodes"]) == ["n1", "n2"]
    assert see_each_other(lab)
    assert not ours.links()["refused"]
