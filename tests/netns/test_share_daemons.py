"""`standfest share` on a real network: each flow answered once, whoever dies, returns or leaves."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.netns import share_lab
from tests.netns.balancing_lab import why_not
from tests.netns.share_lab import DEADTIME_S, Browser, Lab, Member, flows, gap_after, until

reason = why_not("nft")
pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(reason), reason=reason)]
HUNT = (
    pytest.mark.hunt,
    pytest.mark.skipif("STANDFEST_HUNT_SEED" not in os.environ, reason="runs in ./dev hunt only"),
)
TAKEOVER_S = DEADTIME_S + 0.3
"""So soon after a member's death all its buckets must be answered again."""

# Weights, and what the file says besides: of two members neither is a majority alone.
TWO: tuple[Sequence[int], dict[str, Any]] = ((1, 1), {"no_quorum": "ignore"})
THREE: tuple[Sequence[int], dict[str, Any]] = ((1, 2, 1), {})
FIVE: tuple[Sequence[int], dict[str, Any]] = ((1, 1, 1, 1, 2), {})


def broken(browsers: Sequence[Browser]) -> Counter[str]:
    """Return how many connections have ended, by the member that they began with."""
    found: Counter[str] = Counter()
    for browser in browsers:
        if not browser.is_alive():
            found[browser.server] += 1
    return found


@pytest.mark.parametrize("installation", [TWO, THREE, FIVE], ids=["two", "three", "five"])
def test_20_000_flows_are_answered_once_each_by_the_weights(
    tmp_path: Path, installation: tuple[Sequence[int], dict[str, Any]]
) -> None:
    weights, keys = installation
    with share_lab.lab(tmp_path, weights, **keys) as lab:
        lab.start()
        wanted = flows(20_000)
        assert len(set(wanted)) == 20_000
        assert len({address for address, _ in wanted}) > 15_000
        assert len({port for _, port in wanted}) > 15_000
        lab.wire.open_all(wanted)
        by, unanswered, doubled = lab.wire.counted(wanted)
        assert (unanswered, doubled) == (0, 0)
        # A share within 3 % of what its weight says: of all flows, not of the share.
        for member, weight in zip(lab.members, weights, strict=True):
            share = by[member.member] / 20_000
            assert abs(share - weight / sum(weights)) < 0.03, by
        # `status` says who serves whom.
        holds = {one["name"]: int(one["holds"], 16) for one in lab.members[0].status()["members"]}
        for flow in wanted[:500]:
            number = share_lab.bucket(lab.layout, flow)
            servers = [name for name, some in holds.items() if some >> number & 1]
            assert lab.wire.answers[flow] == servers
        browsers = lab.connect(30)
        assert sum(browser.is_alive() for browser in browsers) == 30


def test_both_versions_by_a_mac_of_nobody_and_beats_to_each_address(tmp_path: Path) -> None:
    # The bridge floods a MAC that it has not learned; no member ever sends from it.
    with share_lab.lab(tmp_path, (1, 1, 1), heartbeats=True, mac="02:00:00:00:01:00") as lab:
        lab.start()
        wanted = flows(1_000)
        lab.wire.open_all(wanted)
        by, unanswered, doubled = lab.wire.counted(wanted)
        assert (unanswered, doubled, len(by)) == (0, 0, 3)
        six = lab.connect(40, version=6)
        assert {browser.server for browser in six} == {"web1", "web2", "web3"}
        assert lab.members[0].command("drain").accepted
        assert until(lambda: lab.members[0].holds() == 0, 5)
        assert broken(six) == Counter()


def test_members_need_no_address_of_their_own(tmp_path: Path) -> None:
    with share_lab.lab(tmp_path, (1, 1, 1)) as lab:
        for member in lab.members:
            member.ip("address", "flush", "dev", "eth0", "scope", "global")
        lab.start()
        browsers = lab.connect(30)
        assert {browser.server for browser in browsers} == {"web1", "web2", "web3"}


def killed(lab: Lab, victim: Member) -> None:
    """Kill a member's daemon only: its machine and its web server go on."""
    victim.stop(signal.SIGKILL)  # the member itself dies with its supervisor


def died(lab: Lab, victim: Member) -> None:
    """Kill everything that a member is, and its link."""
    lab.cut(victim)
    victim.die()


@pytest.mark.parametrize("weights", [(1, 2, 1), pytest.param((1, 1, 1, 1, 2), marks=HUNT)])
def test_a_daemon_that_hangs_stops_answering_by_itself(
    tmp_path: Path, weights: Sequence[int]
) -> None:
    with share_lab.lab(tmp_path, weights) as lab:
        lab.start()
        victim, *others = reversed(lab.members)
        held, pid = victim.holds(), victim.member_pid()
        gap = gap_after(lab, held, lambda: os.kill(pid, signal.SIGSTOP), TAKEOVER_S + 0.7)
        assert gap.longest_s < TAKEOVER_S, gap
        assert gap.doubled == 0
        lab.settle(*others)
        # When it goes on it finds that its time is over, and gets its buckets in good order.
        browsers = lab.connect(40)
        gap = gap_after(lab, held, lambda: os.kill(pid, signal.SIGCONT), 2.0)
        assert gap.doubled == 0
        lab.settle()
        assert victim.holds() == held
        assert broken(browsers) == Counter()


@pytest.mark.parametrize(
    ("installation", "fault"),
    [
        pytest.param(TWO, killed, id="two-killed"),
        pytest.param(TWO, died, marks=HUNT, id="two-died"),
        pytest.param(THREE, killed, marks=HUNT, id="three-killed"),
        pytest.param(THREE, died, id="three-died"),
        pytest.param(FIVE, killed, marks=HUNT, id="five-killed"),
        pytest.param(FIVE, died, marks=HUNT, id="five-died"),
    ],
)
def test_a_death_breaks_its_own_flows_only_and_its_return_none(
    tmp_path: Path,
    installation: tuple[Sequence[int], dict[str, Any]],
    fault: Callable[[Lab, Member], None],
) -> None:
    weights, keys = installation
    with share_lab.lab(tmp_path, weights, **keys) as lab:
        lab.start()
        victim, *others = reversed(lab.members)
        held = victim.holds()
        before = lab.connect(60)
        assert all(count > 3 for count in Counter(one.server for one in before).values())

        gap = gap_after(lab, held, lambda: fault(lab, victim), TAKEOVER_S + 0.7)
        assert gap.doubled == 0
        assert gap.longest_s < TAKEOVER_S, gap
        # Where only the daemon dies the kernel answers for the rest of the lease: hardly a gap.
        assert fault is killed or gap.longest_s > 0
        assert set(broken(_of_others(before, victim))) == set()
        assert broken(_of(before, victim))[victim.member] == len(_of(before, victim))
        lab.settle(*others)

        after = lab.connect(60, 31_000)
        if victim.process is None:
            lab.cut(victim, cut=False)
            victim.serve()
        gap = gap_after(lab, held, lambda: victim.start(lab.file), 2.5)
        assert gap.doubled == 0
        lab.settle()
        assert victim.holds() == held
        assert broken(after) == Counter()


def _of(browsers: Sequence[Browser], member: Member) -> list[Browser]:
    return [browser for browser in browsers if browser.server == member.member]


def _of_others(browsers: Sequence[Browser], member: Member) -> list[Browser]:
    return [browser for browser in browsers if browser.server != member.member]


@pytest.mark.parametrize(
    "installation",
    [pytest.param(TWO, marks=HUNT), THREE, pytest.param(FIVE, marks=HUNT)],
    ids=["two", "three", "five"],
)
def test_a_drain_breaks_no_flow(
    tmp_path: Path, installation: tuple[Sequence[int], dict[str, Any]]
) -> None:
    weights, keys = installation
    with share_lab.lab(tmp_path, weights, **keys) as lab:
        lab.start()
        victim, *others = reversed(lab.members)
        held = victim.holds()
        browsers = lab.connect(60)
        # Asked from another member, through the network.
        gap = gap_after(lab, held, lambda: lab.members[0].command("drain", victim.member), 0.5)
        assert gap.doubled == 0
        assert until(lambda: victim.holds() == 0, 5)
        lab.settle(*others)
        fresh = lab.connect(30, 31_000)
        assert victim.member not in {browser.server for browser in fresh}
        assert broken(browsers + fresh) == Counter()

        assert lab.members[0].command("undrain", victim.member).accepted
        lab.settle()
        assert victim.holds() == held
        assert broken(browsers + fresh) == Counter()

        # It leaves in good order: the others answer before it is gone.
        victim.stop()
        lab.settle(*others)
        assert broken(_of_others(browsers + fresh, victim)) == Counter()
        assert "10.8.0.100" not in victim.ip("-o", "address")
        assert "standfest" not in victim.execute("nft", "list", "tables")
