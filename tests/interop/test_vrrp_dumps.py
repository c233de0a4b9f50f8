"""The dumps that exporters and scripts read: the same keys and lines as keepalived's."""

import json
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.netns import vrrp_lab

SKIP = vrrp_lab.why_not("keepalived")
pytestmark = pytest.mark.skipif(bool(SKIP), reason=SKIP)

DUMPS = {
    "data": (Path("/tmp/keepalived.data"), signal.SIGUSR1),
    "stats": (Path("/tmp/keepalived.stats"), signal.SIGUSR2),
    "json": (Path("/tmp/keepalived.json"), signal.SIGRTMIN + 2),
}
VOLATILE = {"last_transition", "advert_rcvd", "advert_sent"}
OTHERWISE = {"vroutes", "vrules"}
"""The same things in other words: keepalived prints routes as it understood them."""
SECRET = "auth_data"
UNTOLD = (
    "Number of track scripts init",
    "Read timeout",
    "Password",
    "fd_in",
    "Unicast checksum compatibility",
)
"""Lines of keepalived.data that we leave out: its own descriptors and timers, and a secret."""
ELECTED_S = 8.0
MOST_BYTES = 800
"""Less is a dump that is still being written."""


def configuration(own: int, directory: Path) -> str:
    return f"""global_defs {{
script_user root
vrrp_notify_priority_changes true
}}
vrrp_script chk {{
script "/usr/bin/test ! -e {directory}/nothere"
interval 1
weight -20
}}
track_file tf {{
file {directory}/tf
weight 1
init_file 0
}}
vrrp_sync_group VG1 {{
group {{
VI_1
}}
notify /usr/bin/true
}}
vrrp_instance VI_1 {{
interface eth0
virtual_router_id 51
priority {200 - 50 * own}
advert_int 1
authentication {{
auth_type PASS
auth_pass s3cret
}}
virtual_ipaddress {{
10.77.0.100/24
}}
virtual_ipaddress_excluded {{
10.77.0.103/24
}}
virtual_routes {{
10.89.0.0/24 via 10.77.0.9 dev eth0
}}
track_interface {{
eth0 weight 5
}}
}}
vrrp_instance VI_2 {{
interface eth0
version 3
virtual_router_id 52
priority {50 * own}
advert_int 0.2
preempt_delay 2
virtual_ipaddress {{
10.77.0.101/24 label eth0:v
}}
track_script {{
chk
}}
track_file {{
tf
}}
notify_master "/usr/bin/true a b"
notify_master_rx_lower_pri /usr/bin/true
smtp_alert
}}
vrrp_instance VI_3 {{
interface eth0
version 3
virtual_router_id 53
priority {30 + own}
nopreempt
advert_int 0.2
unicast_src_ip 10.77.0.{own}
unicast_peer {{
10.77.0.{3 - own}
}}
virtual_ipaddress {{
10.77.0.102/24
}}
}}
"""


@pytest.fixture
def lan(tmp_path: Path) -> Iterator[vrrp_lab.Lan]:
    with vrrp_lab.lan(tmp_path) as made:
        yield made


def dumped(lan: vrrp_lab.Lan, product: str, directory: Path) -> dict[str, str]:
    """Return the dumps of node 1, which is MASTER, BACKUP and BACKUP; node 2 is a keepalived."""
    lan.second.start("keepalived", configuration(2, directory))
    vrrp_lab.until(lambda: lan.second.holds("10.77.0.101"), ELECTED_S)
    lan.first.start(product, configuration(1, directory))
    assert vrrp_lab.until(lambda: lan.first.holds("10.77.0.100"), ELECTED_S), lan.first.log()
    assert vrrp_lab.until(lambda: "(VI_3) Entering BACKUP" in lan.first.log(), ELECTED_S)
    found = {}
    for kind, (path, number) in DUMPS.items():
        path.unlink(missing_ok=True)
        lan.first.signal(number)
        assert vrrp_lab.until(partial(is_whole, path), 5), kind
        found[kind] = path.read_text(encoding="utf-8")
    for node in lan.nodes:
        node.stop()
    return found


def is_whole(path: Path) -> bool:
    """Return whether a dump is there and grows no more: keepalived writes as it goes."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    ends = text.rstrip().endswith("]") if path.suffix == ".json" else text.endswith("\n")
    return ends and len(text) > MOST_BYTES


def compared(text: str) -> list[dict[str, Any]]:
    """Return the JSON without what differs by nature; routes and rules: how many."""
    return [
        {
            part: {
                key: len(value) if key in OTHERWISE else value
                for key, value in one[part].items()
                if key not in VOLATILE | {SECRET}
            }
            for part in ("data", "stats")
        }
        for one in json.loads(text)
    ]


def titles(text: str) -> list[str]:
    """Return what stands before `=` or `:` in the lines of all virtual routers."""
    topology = text.split("------< VRRP Topology >------")[1].split("------<", maxsplit=1)[0]
    lines = (line.partition(" = ")[0].partition(" :")[0] for line in topology.splitlines())
    return [line.rstrip() for line in lines if not line.strip().startswith(UNTOLD)]


def test_exporters_find_what_keepalived_would_have_told_them(
    lan: vrrp_lab.Lan, tmp_path: Path
) -> None:
    theirs, ours = (dumped(lan, product, tmp_path) for product in ("keepalived", "standfest"))
    assert compared(ours["json"]) == compared(theirs["json"])
    names = [
        [line.partition(":")[0] for line in one["stats"].splitlines()] for one in (ours, theirs)
    ]
    assert names[0] == names[1]
    theirs_said = [line for line in titles(theirs["data"]) if not line.startswith("     10.89")]
    said = [line for line in titles(ours["data"]) if not line.startswith("     10.89")]
    assert said == [line for line in theirs_said if "prepend" not in line]
    assert "s3cret" not in "".join(ours.values())
