"""Keys on real machines: changed while heartbeat 3.0.6 or ours listens, and traffic that is hidden.

No step of a change may cost a heartbeat more than the deadtime lets pass: each lasts longer.
"""

import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.interop import heartbeat_lab
from tests.interop.heartbeat_lab import OURS, THEIRS, Lab, Machine, until
from tests.netns.vrrp_lab import why_not

SKIP = why_not("unshare", "nsenter", "cl_status", heartbeat_lab.HEARTBEAT)
pytestmark = [pytest.mark.skipif(bool(SKIP), reason=SKIP), pytest.mark.slow]

CONFIGURATION = """logfile /var/log/ha-log
logfacility none
keepalive 200ms
deadtime 2
warntime 1
initdead 60
bcast eth0
auto_failback off
node n1 n2
"""
LONGER_THAN_DEADTIME_S = 2.6
STEP_S = 15.0
SECRETS = ("firstSecret", "secondSecret", "thirdSecret")
SHA1 = tuple(f"{n} sha1 {secret}\n" for n, secret in enumerate(SECRETS, 1))
AES = tuple(f"{n} aes256-gcm {secret}{'.' * 16}\n" for n, secret in enumerate(SECRETS, 1))


def files(authkeys: str) -> dict[str, str]:
    return {
        "ha.cf": CONFIGURATION,
        "authkeys": authkeys,
        "haresources": heartbeat_lab.HARESOURCES,
    }


def see_each_other(lab: Lab) -> bool:
    first, second = lab.machines
    return first.sees("n2") == "active" and second.sees("n1") == "active"


def started(lab: Lab) -> tuple[Machine, Machine]:
    for machine in lab.machines:
        machine.start()
    assert until(lambda: see_each_other(lab), STEP_S), [machine.log() for machine in lab.machines]
    return lab.machines[0], lab.machines[1]


def deaths(machine: Machine) -> list[str]:
    return re.findall(
        "node n.: is dead|status=dead.*|stream-reset.*|attempted replay.*", machine.log()
    )


def heartbeat_and_ours(tmp_path: Path) -> None:
    first, second, third = SHA1
    with heartbeat_lab.lab(tmp_path, (THEIRS, OURS), files("auth 1\n" + first)) as lab:
        theirs, ours = started(lab)
        both_know = (first + second, second + third)
        for number, (keys, pair) in enumerate(
            zip(both_know, ((theirs, ours), (ours, theirs)), strict=True), 1
        ):
            for machine in pair:
                machine.give_keys(f"auth {number}\n{keys}")
            for machine in pair:  # one sends with the new key, the other still with the old one
                machine.give_keys(f"auth {number + 1}\n{keys}")
                time.sleep(LONGER_THAN_DEADTIME_S)
        for machine in (theirs, ours):
            machine.give_keys("auth 3\n" + third)
        time.sleep(LONGER_THAN_DEADTIME_S)
        assert see_each_other(lab)
        assert [deaths(machine) for machine in lab.machines] == [[], []]
        assert ours.log().count("keys-changed") == 5
        assert re.search(r"n1 +active, sends with key 3\n", ours.ask("status", "--links"))
        assert "active=3 method=sha1 keys=3" in ours.log()


def two_of_ours(tmp_path: Path) -> None:
    first, second, _ = AES
    with heartbeat_lab.lab(tmp_path, (OURS, OURS), files("auth 1\n" + first)) as lab:
        pair = started(lab)
        frames = lab.record(1.5)
        assert len([frame for frame in frames if frame[42:46] == b"SFe1"]) >= 8
        told = b"".join(frames)
        # Words too long to occur in 10 KB of noise: 10,000 / 2 ** 48.
        assert not [word for word in (b"status", b"srcuuid", b"active") if word in told]
        for authkeys in (
            f"auth 1\n{first}{second}",
            f"auth 2\n{first}{second}",
            f"auth 2\n{second}",
        ):
            for machine in pair:
                machine.give_keys(authkeys)
                time.sleep(LONGER_THAN_DEADTIME_S / 2)
        pair[0].give_keys("auth 2\n2 aes256-gcm thirdSecret\n")  # 11 bytes: too short
        assert until(lambda: "keys-refused" in pair[0].log(), STEP_S)
        time.sleep(LONGER_THAN_DEADTIME_S)
        assert see_each_other(lab)
        for machine in pair:
            assert deaths(machine) == []
            assert machine.links()["refused"].keys() <= {"seal-unproved"}
            shown = machine.log() + machine.run("ps", "-eo", "args")
            shown += (machine.directory / "log" / "console").read_text(encoding="utf-8")
            shown += machine.ask("status", "--links") + machine.ask("status", "--links", "--json")
            assert "Keys: 2 (aes256-gcm) sends\n" in shown
            assert "active, sends with key 2\n" in shown
            assert not [secret for secret in SECRETS if secret in shown]


def recording(tmp_path: Path) -> None:
    with heartbeat_lab.lab(tmp_path, (OURS, OURS), files("auth 1\n" + AES[0])) as lab:
        living, dead = started(lab)
        # Without the UDP checksum, which virtual cables leave to hardware that is not there.
        recorded = [frame for frame in lab.record(3) if frame[42:46] == b"SFe1"]
        frames = [frame[:40] + bytes(2) + frame[42:] for frame in recorded]
        dead.halt()
        lab.replay(frames, living, 0.1)  # 30 frames, 3 s: longer than the deadtime
        assert living.sees("n2") == "dead"
        assert int(living.links()["refused"]["seal-replayed"]) > 8
        living.kill()
        living.start()
        assert until(living.beats, STEP_S)
        lab.replay(frames, living, 0.1)
        # It remembers nothing, and nobody repeats its new session's name to it.
        assert living.sees("n2") == "dead"
        assert int(living.links()["refused"]["seal-unproved"]) > 8


CASES = (heartbeat_and_ours, two_of_ours, recording)
Running = dict[str, Future[None]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Let all cases run at once: they mostly wait."""
    with ThreadPoolExecutor(len(CASES)) as pool:
        yield {
            case.__name__: pool.submit(case, tmp_path_factory.mktemp(f"k{number}"))
            for number, case in enumerate(CASES)
        }


def test_heartbeat_and_ours_change_keys_whoever_goes_first(running: Running) -> None:
    running["heartbeat_and_ours"].result()


def test_two_of_ours_hide_everything_and_change_keys(running: Running) -> None:
    running["two_of_ours"].result()


def test_a_recording_keeps_no_dead_node_alive(running: Running) -> None:
    running["recording"].result()
