"""The report's two directors through every fault: who owns what, and sync groups never torn."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.netns import vrrp_lab

SHARED = next(
    (p / "shared" for p in Path(__file__).resolve().parents if (p / "shared/reference").is_dir()),
    Path("absent"),
)
FILES = [SHARED / f"reference/configs/keepalived-director{number}.conf" for number in (1, 2)]
SKIP = vrrp_lab.why_not()
if not all(path.exists() for path in FILES):
    SKIP = SKIP or "no configuration of the report beside the repository"
pytestmark = pytest.mark.skipif(bool(SKIP), reason=SKIP)

SEGMENTS = (("123.123.123.1@/24",), ("192.168.0.1@/24",))
MAIL = ("123.123.123.1", "192.168.0.1")
WEB = ("123.123.123.2", "192.168.0.2")
TORN_S = 0.25
"""How long a look may find a group torn or doubled: a look is four commands, on a busy machine."""
SKEW_S = (256 - 100) / 256  # priority 100, adverts every second
DOWN_S = 3 + SKEW_S
SLACK_S = 0.5
START_S = 1.5


class Watch:
    """Looks at both nodes again and again, and remembers how long anything was wrong."""

    def __init__(self, lan: vrrp_lab.Lan) -> None:
        self._lan = lan
        self._wrong_since: dict[str, float] = {}
        self.wrong: dict[str, float] = {}

    def look(self) -> tuple[list[int], list[int]]:
        """Return who owns the whole of the mail group and of the web group."""
        held = [{ip for ip in MAIL + WEB if node.holds(ip)} for node in self._lan.nodes]
        now = time.monotonic()
        for group in (MAIL, WEB):
            torn = any(0 < len(have & set(group)) < len(group) for have in held)
            doubled = bool(held[0] & held[1] & set(group))
            for name, bad in ((f"{group} torn", torn), (f"{group} doubled", doubled)):
                if not bad:
                    self._wrong_since.pop(name, None)
                    continue
                since = self._wrong_since.setdefault(name, now)
                if now - since > TORN_S:
                    self.wrong[name] = now - since
        mail, web = (
            [number for number, have in enumerate(held, 1) if have >= set(group)]
            for group in (MAIL, WEB)
        )
        return mail, web

    def until(self, mail: int, web: int, limit_s: float) -> bool:
        """Return whether the groups got to these nodes in time."""
        return vrrp_lab.until(lambda: self.look() == ([mail], [web]), limit_s)


@pytest.fixture(scope="module")
def lan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[vrrp_lab.Lan]:
    with vrrp_lab.lan(tmp_path_factory.mktemp("directors"), SEGMENTS) as made:
        yield made


@pytest.fixture
def watch(lan: vrrp_lab.Lan) -> Iterator[Watch]:
    """Both directors run, and each has its own group."""
    for node, path in zip(lan.nodes, FILES, strict=True):
        node.start("standfest", path.read_text(encoding="utf-8"))
    made = Watch(lan)
    assert made.until(mail=1, web=2, limit_s=START_S + DOWN_S + SLACK_S), lan.first.log()
    made.wrong.clear()  # who starts first has both groups until the other one is there
    yield made
    for node in lan.nodes:
        node.stop()
    assert made.wrong == {}, lan.first.log() + lan.second.log()


def test_a_planned_switch_and_the_way_back(lan: vrrp_lab.Lan, watch: Watch) -> None:
    lan.first.signal(signal.SIGTERM)
    assert watch.until(mail=2, web=2, limit_s=SKEW_S + SLACK_S), lan.second.log()
    lan.first.stop()
    lan.first.start("standfest", FILES[0].read_text(encoding="utf-8"))
    assert watch.until(mail=1, web=2, limit_s=START_S + DOWN_S + SLACK_S), lan.first.log()


def test_one_cut_cable_moves_the_whole_group(lan: vrrp_lab.Lan, watch: Watch) -> None:
    """The inner cable of director1 is cut: the outer address goes with the inner one."""
    lan.cut(lan.first, 1)
    assert watch.until(mail=2, web=2, limit_s=DOWN_S + SLACK_S), lan.second.log()
    lan.cut(lan.first, 1, cut=False)
    assert watch.until(mail=1, web=2, limit_s=START_S + DOWN_S + SLACK_S), lan.first.log()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_daemon_that_dies_or_freezes_leaves_nothing_behind(
    lan: vrrp_lab.Lan, watch: Watch, number: int
) -> None:
    """Killed: as fast as a planned switch. Frozen: after the time that its peer would bear."""
    os.kill(lan.first.pid_named("sf-director"), number)
    waits = SKEW_S if number == signal.SIGKILL else DOWN_S
    assert watch.until(mail=2, web=2, limit_s=waits + SLACK_S), lan.second.log()
    assert watch.until(mail=1, web=2, limit_s=START_S + DOWN_S + SLACK_S), lan.first.log()


def test_a_machine_that_dies_is_replaced(lan: vrrp_lab.Lan, watch: Watch) -> None:
    """All processes and both cables at once; its addresses end by themselves."""
    for segment in (0, 1):
        lan.cut(lan.first, segment)
    for pid in lan.first.pids():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert vrrp_lab.until(lambda: mail_moved(lan), DOWN_S + SLACK_S), lan.second.log()
    assert watch.until(mail=2, web=2, limit_s=60), "the kernel lets go of a dead director's leases"
    for segment in (0, 1):
        lan.cut(lan.first, segment, cut=False)


def mail_moved(lan: vrrp_lab.Lan) -> bool:
    return all(lan.second.holds(ip) for ip in MAIL)
