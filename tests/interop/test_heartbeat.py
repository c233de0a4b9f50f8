"""heartbeat 3.0.6 and ours on two machines: each sees the other live, die and return.

Both read the very same ha.cf and authkeys; the evidence is what each product's own tool and log
say. Deadtimes are generous (10 missed heartbeats), so that a busy machine is no dead one.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import pytest
from tests.interop import heartbeat_lab
from tests.interop.heartbeat_lab import OURS, THEIRS, Lab, until
from tests.netns.vrrp_lab import why_not

SKIP = why_not("unshare", "nsenter", "cl_status", "nft", heartbeat_lab.HEARTBEAT)
pytestmark = [pytest.mark.skipif(bool(SKIP), reason=SKIP), pytest.mark.slow]

MEDIA = {
    "ucast": "ucast eth0 10.77.0.1\nucast eth0 10.77.0.2",
    "bcast": "bcast eth0",
    "mcast": "mcast eth0 225.0.0.1 694 1 0",
}
METHODS = {"crc": "crc", "md5": "md5 interopSecret", "sha1": "sha1 interopSecret"}
CONFIGURATION = """logfile /var/log/ha-log
logfacility none
keepalive 200ms
deadtime 2
warntime 1
initdead 60
auto_failback off
node n1 n2
"""
STEP_S = 15.0
"""The longest step: deadtime 2 s, 2 s more that heartbeat grants a fresh peer, its scripts."""
AT_ONCE = 3
"""Labs side by side: they mostly wait."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One way to run the two; `first` is started first."""

    medium: str
    method: str
    first: str

    def __str__(self) -> str:
        return f"{self.medium}-{self.method}-{self.first}-first"

    def files(self) -> dict[str, str]:
        """Return what stands in /etc/ha.d on both machines."""
        return {
            "ha.cf": CONFIGURATION + MEDIA[self.medium] + "\n",
            "authkeys": f"auth 1\n1 {METHODS[self.method]}\n",
            "haresources": heartbeat_lab.HARESOURCES,
        }


ALL = tuple(Pair(*words) for words in product(MEDIA, METHODS, (THEIRS, OURS)))
EACH_ONCE = (
    Pair("ucast", "sha1", THEIRS),
    Pair("bcast", "crc", OURS),
    Pair("mcast", "md5", THEIRS),
)


@dataclass
class Story:
    """What happened to a pair: seconds by step (None: not in time), logs, counters at the end."""

    steps: dict[str, float | None] = field(default_factory=dict)
    theirs: str = ""
    ours: str = ""
    refused: dict[str, str] = field(default_factory=dict)


def both(lab: Lab, status: str) -> Callable[[], bool]:
    first, second = lab.machines
    return lambda: first.sees("n2") == status and second.sees("n1") == status


def tell(directory: Path, pair: Pair) -> Story:
    """Let a pair go through everything; stops at the first step that does not happen in time."""
    story = Story()
    with heartbeat_lab.lab(directory, (THEIRS, OURS), pair.files()) as lab:
        theirs, ours = lab.machines
        first, second = (theirs, ours) if pair.first == THEIRS else (ours, theirs)

        def started() -> None:
            first.start()
            assert until(first.beats, STEP_S), first.log()
            time.sleep(0.5)
            second.start()

        def lossy() -> None:
            for machine in lab.machines:
                machine.lose(25)
            time.sleep(4)
            for machine in lab.machines:
                machine.lose(0)

        acts: tuple[tuple[str, Callable[[], None], Callable[[], bool]], ...] = (
            ("see", started, both(lab, "active")),
            ("loss", lossy, both(lab, "active")),
            ("ours killed", ours.kill, lambda: theirs.sees("n2") == "dead"),
            ("returns", ours.start, both(lab, "active")),
            ("ours stopped", ours.stop, lambda: theirs.sees("n2") == "dead"),
            ("again", ours.start, both(lab, "active")),
            ("cut", ours.cut, both(lab, "dead")),
            ("mended", lambda: ours.cut(cut=False), both(lab, "active")),
            ("theirs killed", theirs.kill, lambda: ours.sees("n1") == "dead"),
            ("returns ", theirs.start, both(lab, "active")),
        )
        for name, act, wanted in acts:
            began = time.monotonic()
            act()
            story.steps[name] = time.monotonic() - began if until(wanted, STEP_S) else None
            if story.steps[name] is None:
                break
        story.theirs, story.ours = theirs.log(), ours.log()
        story.refused = ours.links().get("refused", {})
    return story


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Pair, Story]]:
    """Tell the stories of all pairs in a hunt, else of three in which everything occurs once."""
    pairs = ALL if "STANDFEST_HUNT_SEED" in os.environ else EACH_ONCE
    directories = [tmp_path_factory.mktemp(f"i{number}") for number in range(len(pairs))]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield dict(zip(pairs, pool.map(tell, directories, pairs), strict=True))


def table(stories: dict[Pair, Story]) -> str:
    """Return all stories as lines, seconds by step."""
    names = list(next(iter(stories.values())).steps)
    lines = [f"{'':26}" + "".join(f"{name:>14}" for name in names)]
    for pair, story in stories.items():
        took = [story.steps.get(name) for name in names]
        lines.append(f"{pair!s:26}" + "".join(f"{t:14.1f}" if t else f"{'-':>14}" for t in took))
    return "\n".join(lines)


@pytest.mark.hunt
def test_both_see_each_other_live_die_and_return(
    stories: dict[Pair, Story], capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print("\n" + table(stories))
    late = [
        (str(pair), name)
        for pair, story in stories.items()
        for name, took in story.steps.items()
        if took is None
    ]
    assert late == []


@pytest.mark.hunt
def test_heartbeat_takes_our_silence_our_restart_and_our_goodbye_for_what_they_are(
    stories: dict[Pair, Story],
) -> None:
    for pair, story in stories.items():
        said = story.theirs
        # Killed, stopped (it falls silent afterwards), cut; the last is seen once more on return.
        assert said.count("node n2: is dead") >= 3, pair
        assert said.count("Heartbeat restart on node n2") == 2, pair  # killed, stopped
        assert said.count("Received shutdown notice from 'n2'") == 1, pair
        assert "node n2 returning after partition" in said, pair
        assert "attempted replay attack" not in said, pair
        assert not re.search("(?i)bad.*auth|not authenticated|string2msg.*error", said), pair


@pytest.mark.hunt
def test_losses_are_repaired_in_both_directions(stories: dict[Pair, Story]) -> None:
    for pair, story in stories.items():
        # 20 heartbeats each way: none is lost with probability 0.75 ** 20 = 0.3 %.
        assert "lost packet(s) for [n2]" in story.theirs, pair
        assert "No pkts missing from n2" in story.theirs, pair
        assert "stream-reset node=n1" not in story.ours.partition("healed")[0], pair


@pytest.mark.hunt
def test_we_take_their_silence_and_their_return_for_what_they_are(
    stories: dict[Pair, Story],
) -> None:
    for pair, story in stories.items():
        heard = re.findall(r"pulse\[\d+\]: \w+: node-status node=n1 (.*)", story.ours)
        assert heard.count("status=dead reason=silent") == 2, (pair, heard)  # cut, killed
        assert "status=active reason=healed" in heard, pair
        assert heard[-1] == "status=active reason=heard", (pair, heard)
        assert not set(story.refused) - {"departed"}, (pair, story.refused)
