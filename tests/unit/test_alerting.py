"""Calls of alert agents: real programs, in order, killed in time, bounded."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from standfest.adapters.linux import alertagents
from standfest.daemons.alerting import Alerting
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.time import earliest, milliseconds
from standfest.runtime.cluster import events
from standfest.runtime.cluster.effects import Note
from standfest.runtime.loop import Loop

SAMPLE = Path("/usr/share/pacemaker/alerts/alert_file.sh.sample")
WRITES = '#!/bin/sh\necho "$CRM_alert_node_sequence $CRM_alert_desc" >> "$CRM_alert_recipient"\n'


class Desk:
    """Agents in a folder, what they wrote, what was noted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: list[tuple[str, dict[str, str]]] = []
        self.configuration = Element("configuration")
        self.loop = Loop(self._deadline, self._on_timer)
        self.alerting = Alerting(self.loop, lambda: self.configuration, self._say)
        self._until = 0
        self._done: Callable[[], bool] = lambda: False

    def _say(self, said: Note) -> None:
        self.notes.append((said.event, dict(said.fields)))

    def _deadline(self) -> int | None:
        return earliest(self.alerting.deadline(), self.loop.now() + milliseconds(10))

    def _on_timer(self) -> None:
        now = self.loop.now()
        self.alerting.end_late()
        if self._done() or now >= self._until:
            self.loop.stop()

    def agent(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)
        return str(path)

    def configure(self, alerts: str) -> None:
        text = f"<configuration><alerts>{alerts}</alerts></configuration>"
        self.configuration = xml.parse(text, "cib.xml")

    def alert(self, name: str, path: str, *recipients: str, more: str = "") -> str:
        inside = "".join(
            f'<recipient id="{name}-{one}" value="{self.folder}/{one}"/>' for one in recipients
        )
        return f'<alert id="{name}" path="{path}">{more}{inside}</alert>'

    def tell(self, count: int = 1) -> None:
        for number in range(count):
            self.alerting.tell(events.membership(f"n{number}", str(number), there=True))
        self.alerting.go_on()

    def run(self, done: Callable[[], bool], within_s: float = 5) -> None:
        self._done, self._until = done, self.loop.now() + milliseconds(int(within_s * 1000))
        self.loop._running = True
        self.loop.run()
        assert done(), (self.notes, self.read("one"))

    def read(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def desk() -> Iterator[Desk]:
    """Return agents in a folder that everybody may write to: they may run as another user."""
    folder = Path(tempfile.mkdtemp(prefix="standfest-alerts-"))
    folder.chmod(0o777)
    found = Desk(folder)
    yield found
    found.alerting.farewell()
    shutil.rmtree(folder)


def test_every_recipient_is_told_in_order(desk: Desk) -> None:
    path = desk.agent("agent", WRITES)
    desk.configure(desk.alert("a", path, "one", "two"))
    desk.tell(3)
    desk.run(lambda: len(desk.read("one")) == 3 and len(desk.read("two")) == 3)
    assert desk.read("one") == ["1 member", "3 member", "5 member"]
    assert desk.read("two") == ["2 member", "4 member", "6 member"]
    assert desk.notes == []


def test_agents_run_as_hacluster_without_anything_of_the_daemons(desk: Desk) -> None:
    os.environ["OURS_ALONE"] = "1"
    path = desk.agent(
        "agent", '#!/bin/sh\n{ id -un; id -Gn; env; pwd; } > "$CRM_alert_recipient"\n'
    )
    more = (
        '<instance_attributes id="i"><nvpair id="i1" name="password" value="s3cret"/>'
        "</instance_attributes>"
    )
    desk.configure(desk.alert("a", path, "one", more=more))
    desk.tell()
    desk.run(lambda: len(desk.read("one")) > 8 and desk.read("one")[-1] == "/")
    del os.environ["OURS_ALONE"]
    user, groups, *rest = desk.read("one")
    who = alertagents.runs_as()
    if who is not None:
        assert (user, groups) == ("hacluster", "haclient")
    names = {line.partition("=")[0] for line in rest if "=" in line}
    shell = {"PWD", "SHLVL", "_", "OLDPWD"}
    plain = {name for name in names if not name.startswith(("CRM_alert_", "CRM_notify_"))} - shell
    assert plain - {"HOME", "USER"} == {"PATH", "LANG", "password"}


def test_an_agent_that_hangs_is_ended_with_all_it_started_and_others_go_on(desk: Desk) -> None:
    hangs = desk.agent(
        "hangs", '#!/bin/sh\nsleep 1000 &\necho "$! $$" >> "$CRM_alert_recipient"\nwait\n'
    )
    path = desk.agent("agent", WRITES)
    more = (
        '<meta_attributes id="m"><nvpair id="m1" name="timeout" value="300ms"/></meta_attributes>'
    )
    desk.configure(desk.alert("a", hangs, "one", more=more) + desk.alert("b", path, "two"))
    began = time.monotonic()
    desk.tell(2)
    assert time.monotonic() - began < 0.25  # nothing waits for it
    desk.run(lambda: len(desk.read("two")) == 2)
    assert len(desk.read("one")) == 1
    desk.run(lambda: len(desk.notes) == 2 and desk.alerting.deadline() is None)
    who = {"alert": "a", "recipient": "a-one", "ms": "300"}
    assert desk.notes == [
        ("alert-timed-out", {"number": "1", **who}),
        ("alert-timed-out", {"number": "3", **who}),
    ]
    processes = [int(word) for line in desk.read("one") for word in line.split()]
    assert len(processes) == 4
    desk.run(lambda: not any(map(alive, processes)))


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_waits_is_bounded_and_what_is_dropped_is_named(desk: Desk) -> None:
    slow = desk.agent("slow", f"{WRITES}sleep 0.01\n")
    desk.configure(desk.alert("a", slow, "one"))
    desk.tell(102)  # none is started before all are told: 100 may wait
    assert desk.notes == [
        (
            "alert-dropped",
            {"number": number, "alert": "a", "recipient": "a-one", "waiting": "100"},
        )
        for number in ("1", "2")
    ]
    desk.run(lambda: len(desk.read("one")) == 100, within_s=20)
    assert desk.read("one")[0] == "3 member"
    assert desk.read("one")[-1] == "102 member"


def test_only_so_many_run_at_once(desk: Desk) -> None:
    slow = desk.agent("slow", '#!/bin/sh\necho begun >> "$CRM_alert_recipient"\nsleep 0.3\n')
    names = [f"r{number}" for number in range(10)]
    desk.configure(desk.alert("a", slow, *names))
    desk.tell()
    time.sleep(0.15)
    assert sum(bool(desk.read(name)) for name in names) == 8
    desk.run(lambda: all(desk.read(name) for name in names))


def test_one_that_is_not_there_is_noted_once(desk: Desk) -> None:
    gone, plain = str(desk.folder / "gone"), str(desk.folder / "plain")
    Path(plain).write_text(WRITES)
    desk.configure(desk.alert("a", gone, "one", "two") + desk.alert("b", plain))
    desk.tell(3)
    desk.configure(desk.alert("a", gone, "one"))
    desk.tell()
    assert desk.notes == [
        ("alert-agent-unusable", {"path": gone, "why": "is not there"}),
        ("alert-agent-unusable", {"path": plain, "why": "is not executable"}),
    ]
    desk.agent("gone", WRITES)  # and is called as soon as it can be
    desk.tell()
    desk.run(lambda: len(desk.read("one")) == 1)


def test_one_that_fails_is_noted_without_its_secrets(desk: Desk) -> None:
    path = desk.agent("agent", '#!/bin/sh\necho "$password" >&2\nexit 3\n')
    more = (
        '<instance_attributes id="i"><nvpair id="i1" name="password" value="s3cret"/>'
        "</instance_attributes>"
    )
    desk.configure(desk.alert("a", path, more=more))
    desk.tell()
    desk.run(lambda: bool(desk.notes))
    assert desk.notes == [
        ("alert-failed", {"number": "1", "alert": "a", "recipient": "-", "rc": "3"})
    ]


def test_a_change_of_the_configuration_counts_for_the_next_event(desk: Desk) -> None:
    path = desk.agent("agent", WRITES)
    desk.configure(desk.alert("a", path, "one"))
    desk.tell()
    desk.configure(desk.alert("a", path, "two"))
    desk.tell()
    desk.configure("")
    desk.tell()
    desk.run(lambda: len(desk.read("one")) == 1 and len(desk.read("two")) == 1)
    assert desk.alerting.deadline() is None


def test_the_last_calls_may_end_and_what_takes_longer_is_ended(desk: Desk) -> None:
    quick, slow = desk.agent("quick", WRITES), desk.agent("slow", "#!/bin/sh\nexec sleep 1000\n")
    desk.configure(desk.alert("a", quick, "one") + desk.alert("b", slow))
    desk.tell(2)
    began = time.monotonic()
    desk.alerting.farewell()
    assert 1.9 < time.monotonic() - began < 3
    assert desk.read("one") == ["1 member", "3 member"]
    assert [said["number"] for event, said in desk.notes if event == "alert-abandoned"] == [
        "2",
        "4",
    ]


@pytest.mark.skipif(not SAMPLE.exists(), reason="Debian's pacemaker-cli-utils is not here")
def test_debians_sample_agent_writes_what_it_writes_for_pacemaker(desk: Desk) -> None:
    path = desk.agent("alert_file.sh", SAMPLE.read_text())
    more = (
        '<meta_attributes id="m"><nvpair id="m1" name="timestamp-format" value="then"/>'
        "</meta_attributes>"
    )
    desk.configure(desk.alert("a", path, "one", more=more))
    desk.tell()
    desk.run(lambda: len(desk.read("one")) == 1)
    assert desk.read("one") == ["then: Node 'n0' is now 'member'"]
