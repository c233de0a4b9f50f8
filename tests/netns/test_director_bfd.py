"""BFD between two directors: who is cut off is succeeded within a second, at adverts of 1 s."""

import signal
import time
from collections.abc import Iterator

import pytest
from tests.netns import vrrp_lab
from tests.netns.test_director_daemon import ask, reload

SKIP = vrrp_lab.why_not()
pytestmark = pytest.mark.skipif(bool(SKIP), reason=SKIP)

VIP = "10.77.0.100"
ELECTED_S = 3.6 + 3
DETECTION_S = 3 * 0.05
SKEW_S = (256 - 110) / 256  # priority 100, and 10 while the session is up
DOWN_S = 3 + (256 - 100) / 256
SLACK_S = 0.5


def configuration(own: int, priority: int, track: str, *, multiplier: int = 3) -> str:
    return f"""bfd_instance peer {{
neighbor_ip 10.77.0.{3 - own}
source_ip 10.77.0.{own}
min_rx 50
min_tx 50
multiplier {multiplier}
}}
vrrp_instance VI_1 {{
interface eth0
version 3
virtual_router_id 51
priority {priority}
advert_int 1
virtual_ipaddress {{
{VIP}/24
}}
track_bfd {{
peer {track}
}}
}}
"""


@pytest.fixture(scope="module")
def wires(tmp_path_factory: pytest.TempPathFactory) -> Iterator[vrrp_lab.Lan]:
    with vrrp_lab.lan(tmp_path_factory.mktemp("bfd")) as made:
        yield made


def start(lan: vrrp_lab.Lan, track: str) -> None:
    """Start both; node 1 has the address and the session is up."""
    lan.second.start("standfest", configuration(2, 100, track))
    lan.first.start("standfest", configuration(1, 150, track))
    elected = vrrp_lab.until(lambda: lan.owners(VIP) == [1] and is_up(lan.second), ELECTED_S)
    assert elected, lan.first.log() + lan.second.log()


def is_up(node: vrrp_lab.Node) -> bool:
    said = [line for line in node.log().splitlines() if "(peer) Entering" in line]
    return bool(said) and "Entering Up state" in said[-1]


def test_a_director_that_is_cut_off_is_succeeded_before_an_advert_is_missed(
    wires: vrrp_lab.Lan,
) -> None:
    start(wires, "weight 10")
    began = time.monotonic()
    wires.cut(wires.first)
    seen = vrrp_lab.until(lambda: wires.second.holds(VIP), DETECTION_S + SKEW_S + SLACK_S)
    took = time.monotonic() - began
    assert seen, wires.second.log()
    assert took > SKEW_S
    wires.cut(wires.first, cut=False)
    back = vrrp_lab.until(lambda: wires.owners(VIP) == [1], DOWN_S + SLACK_S + 1)
    assert back, wires.first.log()
    stop(wires)


def test_a_lost_neighbour_without_a_weight_is_a_fault(wires: vrrp_lab.Lan) -> None:
    start(wires, "")
    wires.cut(wires.first)
    failed = vrrp_lab.until(lambda: "Entering FAULT STATE" in last_state(wires.second), 1)
    assert failed, wires.second.log()
    wires.cut(wires.first, cut=False)
    back = vrrp_lab.until(lambda: wires.owners(VIP) == [1], DOWN_S + 2 + SLACK_S)
    assert back, wires.first.log() + wires.second.log()
    stop(wires)


def test_a_session_that_a_reload_does_not_change_stays_up(wires: vrrp_lab.Lan) -> None:
    start(wires, "weight 10")
    before = wires.second.log().count("(peer) Entering")
    reload(wires.first, configuration(1, 140, "weight 10"))
    time.sleep(2 * DETECTION_S)
    assert wires.second.log().count("(peer) Entering") == before
    reload(wires.first, configuration(1, 140, "weight 10", multiplier=4))
    again = vrrp_lab.until(lambda: wires.second.log().count("(peer) Entering") > before, 2)
    assert again, wires.second.log()
    assert vrrp_lab.until(lambda: is_up(wires.first) and is_up(wires.second), 4)
    assert '"state": "UP"' in ask(wires.first, "status", "--json")
    stop(wires)


def stop(lan: vrrp_lab.Lan) -> None:
    for node in lan.nodes:
        node.stop()
        (node.directory / "log").write_text("", encoding="utf-8")


def last_state(node: vrrp_lab.Node) -> str:
    said = [line for line in node.log().splitlines() if "(VI_1) Entering" in line]
    return said[-1] if said else ""


def test_a_killed_director_takes_its_session_along(wires: vrrp_lab.Lan) -> None:
    """The guard says goodbye, BFD falls silent, and neither makes a second owner."""
    start(wires, "weight 10")
    wires.first.signal(signal.SIGKILL)  # its supervisor; director and guard follow
    assert vrrp_lab.until(lambda: wires.owners(VIP) == [2], SKEW_S + SLACK_S), wires.second.log()
    assert wires.first.process is not None
    wires.first.process.wait(10)
    wires.first.process = None
    stop(wires)
