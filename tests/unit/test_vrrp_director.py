"""All virtual routers of a node: groups, what is tracked, reload, guard, one deadline."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from tests.unit.routers import (
    BOB,
    CAROL,
    OWN,
    VIP,
    VIP2,
    added,
    announced,
    director,
    dropped,
    heard,
    kinds,
    removed,
    sent,
    settings,
    told,
    until,
)

from standfest.core.vrrp.dependencies import InterfaceReport
from standfest.core.vrrp.director import Director
from standfest.core.vrrp.effects import Listen, RunScript, StopListening
from standfest.core.vrrp.timers import Timers
from standfest.model.director import (
    BfdInstance,
    DirectorSettings,
    GlobalSettings,
    InterfaceDelay,
    TrackProcess,
    TrackScript,
)
from standfest.model.time import milliseconds, seconds
from standfest.model.vrrp import (
    Command,
    Family,
    InitialState,
    InstanceSettings,
    NotifyCommands,
    SyncGroup,
    Track,
    TrackKind,
    UnicastPeer,
    VirtualAddress,
)

EXPIRY = 3_609_375_000
"""3 x 1 s + 156/256 s: priority 100."""


def one(**change: Any) -> InstanceSettings:
    return settings(source=None, **change)


INSIDE = one(name="inside", vrid=51)
OUTSIDE = one(name="outside", vrid=52, interface="eth1", addresses=(VIP2,))
PAIR = SyncGroup("nat", ("inside", "outside"))


def started(*instances: InstanceSettings, **change: Any) -> Director:
    made = director(*instances, **change)
    made.start(0)
    return made


def pair(**change: Any) -> Director:
    return started(INSIDE, OUTSIDE, **{"sync_groups": (PAIR,), **change})


def states(made: Director) -> list[str]:
    return [status.told.value for status in made.status()]


# --- life ---------------------------------------------------------------------------------------


def test_start_listens_then_tells() -> None:
    made = director(one())
    effects = made.start(0)
    assert effects[0] == Listen("gw")
    assert told(effects) == ["gw BACKUP"]


def test_groups_are_told_first_at_start_and_last_afterwards() -> None:
    """As keepalived 2.2.7 writes its pipe (samples/fifo.txt)."""
    made = director(INSIDE, OUTSIDE, sync_groups=(PAIR,))
    assert told(made.start(0)) == ["nat BACKUP", "inside BACKUP", "outside BACKUP"]
    found = [told(effects) for _, effects in until(made, EXPIRY) if told(effects)]
    assert found == [["inside MASTER", "outside MASTER", "nat MASTER"]]
    assert told(made.stop(EXPIRY + 1)) == ["inside STOP", "outside STOP", "nat STOP"]


def test_startup_delay_comes_before_everything() -> None:
    made = director(one(), globals=GlobalSettings(startup_delay=seconds(5)))
    assert kinds(made.start(0)) == ["Listen"]
    assert made.deadline() == seconds(5)
    assert dropped(made.on_advertisement(1, heard(200))) == ["stopped"]
    assert told(made.on_timer(seconds(5))) == ["gw BACKUP"]
    assert made.deadline() == seconds(5) + EXPIRY


def test_stop_lets_go_resigns_tells_and_closes() -> None:
    made = started(one())
    until(made, EXPIRY)
    effects = made.stop(EXPIRY + 1)
    assert kinds(effects) == ["RemoveAddresses", "SendAdvertisement", "Notify", "StopListening"]
    assert sent(effects) == [0]
    assert made.deadline() is None


def test_our_vrid_on_our_interface_is_taken() -> None:
    """9568-7.1-6, 3768-7.1-5."""
    assert dropped(started(one()).on_advertisement(1, heard(200))) == []


def test_an_unknown_vrid_an_unknown_interface_and_another_family_are_dropped() -> None:
    """9568-7.1-6, 3768-7.1-5."""
    made = started(one())
    for arrival in (
        heard(200, vrid=52),
        heard(200, interface="eth9"),
        heard(200, source=IPv6Address("fe80::9")),
    ):
        assert dropped(made.on_advertisement(1, arrival)) == ["unknown-vrid"]


def test_one_vrid_in_two_unicast_instances_is_told_apart_by_its_peers() -> None:
    left = one(name="left", unicast=True, unicast_peers=(UnicastPeer(BOB),))
    right = one(name="right", unicast=True, unicast_peers=(UnicastPeer(CAROL),))
    made = started(left, right)
    made.on_advertisement(seconds(1), heard(200, source=CAROL, destination="10.77.0.5"))
    until(made, seconds(4))
    assert states(made) == ["MASTER", "BACKUP"]


def test_a_unicast_instance_without_an_interface_hears_on_any() -> None:
    made = started(one(interface="", unicast=True, unicast_peers=(UnicastPeer(BOB),), name="any"))
    arrival = heard(200, destination="10.77.0.5", interface="eth7")
    assert made.on_advertisement(1, arrival) == []
    assert made.deadline() == EXPIRY + 1


# --- source addresses and interfaces ------------------------------------------------------------


def test_the_source_is_the_first_address_that_is_not_virtual() -> None:
    made = Director(DirectorSettings(instances=(one(),)))
    first = IPv4Address("10.77.0.100")
    made.on_interface(0, InterfaceReport("eth0", True, (first, OWN)))
    assert made.status()[0].source == OWN.packed


def test_ipv6_speaks_from_a_link_local_address() -> None:
    """9568-5.1.2.1-1: not from a wide one, nor from the virtual one."""
    vip = VirtualAddress(IPv6Address("fe80::100"), 64)
    made = Director(DirectorSettings(instances=(one(family=Family.IPV6, addresses=(vip,)),)))
    wide, local = IPv6Address("fd00::5"), IPv6Address("fe80::5")
    made.on_interface(0, InterfaceReport("eth0", True, (wide, vip.ip, local)))
    assert made.status()[0].source == local.packed


def test_a_wide_address_alone_is_no_source_for_ipv6() -> None:
    """9568-5.1.2.1-1."""
    vip = VirtualAddress(IPv6Address("fe80::100"), 64)
    made = Director(DirectorSettings(instances=(one(family=Family.IPV6, addresses=(vip,)),)))
    made.on_interface(0, InterfaceReport("eth0", True, (IPv6Address("fd00::5"),)))
    assert made.status()[0].faults == ("interface eth0 has no IPv6 address",)


def test_ipv4_speaks_from_the_primary_address() -> None:
    """9568-5.1.1.1-1, 3768-5.2.1-1."""
    assert started(one()).status()[0].source == OWN.packed


def test_without_an_ipv4_address_nothing_is_sent() -> None:
    """9568-5.1.1.1-1, 3768-5.2.1-1: it is a fault."""
    made = started(one())
    effects = made.on_interface(1, InterfaceReport("eth0", True, ()))
    assert told(effects) == ["gw FAULT"]
    assert made.status()[0].faults == ("interface eth0 has no IPv4 address",)


def test_a_dead_interface_is_a_fault_and_its_return_begins_anew() -> None:
    made = started(one())
    until(made, EXPIRY)
    down = made.on_interface(seconds(5), InterfaceReport("eth0", False, (OWN,)))
    # Nothing is sent: the interface could not carry it.
    assert kinds(down) == ["RemoveAddresses", "Notify"]
    assert told(down) == ["gw FAULT"]
    assert made.status()[0].faults == ("interface eth0 is down",)
    up = made.on_interface(seconds(9), InterfaceReport("eth0", True, (OWN,)))
    assert told(up) == ["gw BACKUP"]
    assert made.deadline() == seconds(9) + EXPIRY


def test_dont_track_primary_ignores_a_dead_interface() -> None:
    made = started(one(track_primary=False))
    assert made.on_interface(1, InterfaceReport("eth0", False, (OWN,))) == []


def test_track_src_ip_wants_the_source_to_be_there() -> None:
    made = started(settings(track_source=True))
    assert states(made) == ["BACKUP"]
    effects = made.on_interface(1, InterfaceReport("eth0", True, (BOB,)))
    assert told(effects) == ["gw FAULT"]


def test_an_interface_that_bounces_is_waited_for() -> None:
    delays = (InterfaceDelay("eth0", down=milliseconds(500), up=seconds(2)),)
    made = started(one(), interface_delays=delays)
    assert made.on_interface(1, InterfaceReport("eth0", False, (OWN,))) == []
    assert made.on_interface(2, InterfaceReport("eth0", True, (OWN,))) == []
    assert until(made, seconds(2)) == []
    made.on_interface(seconds(2), InterfaceReport("eth0", False, (OWN,)))
    found = [(at, told(effects)) for at, effects in until(made, seconds(3))]
    assert found == [(milliseconds(2500), ["gw FAULT"])]
    made.on_interface(seconds(3), InterfaceReport("eth0", True, (OWN,)))
    assert [at for at, effects in until(made, seconds(6)) if told(effects)] == [seconds(5)]


# --- groups -------------------------------------------------------------------------------------


def test_a_group_waits_until_each_member_would_be_active() -> None:
    made = pair()
    for n in range(1, 11):
        made.on_advertisement(seconds(n), heard(200, vrid=52, interface="eth1", vips=(VIP2,)))
        until(made, seconds(n) + milliseconds(999))
        assert states(made) == ["BACKUP", "BACKUP"]
    found = [(at, sent(effects)) for at, effects in until(made, seconds(14)) if sent(effects)]
    # The last one came at 10 s.
    assert found[0] == (seconds(10) + EXPIRY, [100, 100])


def test_a_group_leaves_together() -> None:
    made = pair()
    until(made, EXPIRY)
    assert states(made) == ["MASTER", "MASTER"]
    effects = made.on_advertisement(seconds(4), heard(200))
    assert removed(effects) == ["10.77.0.100", "10.77.0.101"]
    # The member whose peer cannot know resigns, so that the peer need not wait.
    assert sent(effects) == [0]
    assert told(effects) == ["inside BACKUP", "outside BACKUP", "nat BACKUP"]


def test_a_fault_of_one_is_a_fault_of_all() -> None:
    made = pair()
    until(made, EXPIRY)
    effects = made.on_interface(seconds(4), InterfaceReport("eth1", False, (OWN,)))
    assert removed(effects) == ["10.77.0.100", "10.77.0.101"]
    assert sent(effects) == [0]  # inside resigns; outside could not be heard
    assert told(effects) == ["inside FAULT", "outside FAULT", "nat FAULT"]


def test_an_owner_in_a_group_waits_for_the_others() -> None:
    owner = replace(INSIDE, priority=255, initial_state=InitialState.MASTER)
    made = started(owner, OUTSIDE, sync_groups=(PAIR,))
    assert states(made) == ["BACKUP", "BACKUP"]
    until(made, EXPIRY)
    assert states(made) == ["MASTER", "MASTER"]


def test_a_members_own_weights_count_as_faults_and_the_groups_count_for_all() -> None:
    low = Track(TrackKind.INTERFACE, "eth2", weight=-30)
    made = started(replace(INSIDE, tracks=(low,)), OUTSIDE, sync_groups=(PAIR,))
    assert states(made) == ["FAULT", "FAULT"]  # eth2 is not there
    made = pair(sync_groups=(replace(PAIR, tracks=(low,)),))
    assert [status.priority for status in made.status()] == [70, 70]
    own = replace(PAIR, tracking_weight=True)
    made = started(replace(INSIDE, tracks=(low,)), OUTSIDE, sync_groups=(own,))
    assert [status.priority for status in made.status()] == [70, 100]


# --- what is tracked ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight", "reverse", "up", "priority"),
    [
        (20, False, True, 120),
        (20, False, False, 100),
        (-20, False, True, 100),
        (-20, False, False, 80),
        (20, True, True, 80),
        (20, True, False, 100),
        (-20, True, True, 100),
        (-20, True, False, 120),
        (253, False, True, 254),  # 353 is more than there is
        (-253, False, False, 1),  # -153 is less
    ],
)
def test_a_weight_moves_the_priority(weight: int, reverse: bool, up: bool, priority: int) -> None:
    """9568-5.2.4-1, 3768-5.3.4-1: within 1..254."""
    made = started(one(tracks=(Track(TrackKind.BFD, "b", weight, reverse),)))
    made.on_bfd(1, "b", up=up)
    assert made.status()[0].priority == priority


@pytest.mark.parametrize(
    ("reverse", "up", "state"),
    [
        (False, True, "BACKUP"),
        (False, False, "FAULT"),
        (True, True, "FAULT"),
        (True, False, "BACKUP"),
    ],
)
def test_weight_0_is_a_matter_of_fault(reverse: bool, up: bool, state: str) -> None:
    made = started(one(tracks=(Track(TrackKind.BFD, "b", 0, reverse),)))
    made.on_bfd(1, "b", up=up)
    assert states(made) == [state]


@pytest.mark.parametrize(
    ("weight", "up", "priority", "state"),
    [
        (0, True, 100, "BACKUP"),
        (0, False, 100, "FAULT"),
        (-30, False, 70, "BACKUP"),
        (30, True, 130, "BACKUP"),
    ],
)
def test_a_tracked_interface_is_a_fault_or_a_weight(
    weight: int, up: bool, priority: int, state: str
) -> None:
    made = started(one(tracks=(Track(TrackKind.INTERFACE, "eth2", weight),)))
    made.on_interface(1, InterfaceReport("eth2", up))
    assert (made.status()[0].priority, states(made)) == (priority, [state])


def test_a_lost_neighbour_of_bfd_makes_its_director_let_go_at_once() -> None:
    """Sub-second: no interval passes between the session's end and the resignation."""
    made = started(one(tracks=(Track(TrackKind.BFD, "b"),)))
    made.on_bfd(1, "b", up=True)
    until(made, EXPIRY + 1)
    assert states(made) == ["MASTER"]
    effects = made.on_bfd(EXPIRY + 2, "b", up=False)
    assert kinds(effects) == ["RemoveAddresses", "SendAdvertisement", "Notify"]
    assert (sent(effects), told(effects)) == ([0], ["gw FAULT"])


@pytest.mark.parametrize(
    ("silent", "deadline"),
    [
        (True, 2_000_000_000 + 609_375_000),  # (256 - 100) / 256 of a second
        (False, 1_000_000_000 + 3_609_375_000),  # taken down on purpose: VRRP says goodbye itself
    ],
)
def test_whoever_tracks_the_session_with_its_active_follows_when_it_falls_silent(
    silent: bool, deadline: int
) -> None:
    made = director(one(tracks=(Track(TrackKind.BFD, "b", -10),)), bfd=(BfdInstance("b", BOB),))
    made.start(0)
    made.on_bfd(1, "b", up=True)
    made.on_advertisement(seconds(1), heard(200))
    made.on_bfd(seconds(2), "b", up=False, silent=silent)
    slower = 10 * 1_000_000_000 // 256  # the weight: priority 90 waits longer
    assert made.deadline() == deadline + slower


def test_an_owners_priority_cannot_be_moved() -> None:
    """9568-5.2.4-1, 3768-5.3.4-1."""
    made = started(one(priority=255, tracks=(Track(TrackKind.BFD, "b", -20),)))
    assert made.status()[0].priority == 255


@pytest.mark.parametrize(
    ("weight", "reverse", "value", "priority", "state"),
    [
        (1, False, 5, 105, "BACKUP"),
        (2, False, -10, 80, "BACKUP"),
        (1, True, 5, 95, "BACKUP"),
        (1, False, -253, 1, "BACKUP"),
        (1, False, -254, 100, "FAULT"),
        (1, False, 1000, 254, "BACKUP"),
        (0, False, 1, 100, "FAULT"),
        (0, False, 0, 100, "BACKUP"),
    ],
)
def test_a_files_value_times_its_weight_moves_the_priority(
    weight: int, reverse: bool, value: int, priority: int, state: str
) -> None:
    made = started(one(tracks=(Track(TrackKind.FILE, "f", weight, reverse),)))
    made.on_file(1, "f", value)
    assert (made.status()[0].priority, states(made)) == (priority, [state])


def scripted(weight: int = 0, **change: Any) -> Director:
    script = TrackScript("s", Command(("/bin/true",)), interval=seconds(2), **change)
    tracks = (Track(TrackKind.SCRIPT, "s", weight),)
    return started(one(tracks=tracks), scripts=(script,))


def test_a_script_runs_at_once_and_every_interval_but_never_twice_at_a_time() -> None:
    made = scripted()
    assert until(made, 0) == [(0, [RunScript("s")])]
    assert until(made, seconds(2)) == [(seconds(2), [])]  # still running
    made.on_script(seconds(3), "s", success=True)
    assert (seconds(4), [RunScript("s")]) in until(made, seconds(4))


def test_an_instance_waits_for_the_first_result_of_its_script() -> None:
    made = scripted()
    until(made, seconds(1))
    assert made.status()[0].since == 0
    assert told(made.on_script(seconds(1), "s", success=True)) == ["gw BACKUP"]
    made = scripted()
    assert told(made.on_script(seconds(1), "s", success=False)) == ["gw FAULT"]


def test_rise_and_fall_are_results_in_a_row() -> None:
    made = scripted(rise=2, fall=3)
    made.on_script(0, "s", success=True)
    results = [False, False, True, False, False, False, True, False, True, True]
    found = [told(made.on_script(n, "s", success=ok)) for n, ok in enumerate(results)]
    assert found == [[], [], [], [], [], ["gw FAULT"], [], [], [], ["gw BACKUP"]]


def test_init_fail_counts_from_the_start() -> None:
    made = scripted(init_fail=True, rise=2)
    assert states(made) == ["FAULT"]
    assert told(made.on_script(1, "s", success=True)) == []
    assert told(made.on_script(2, "s", success=True)) == ["gw BACKUP"]


def test_a_weighted_script_without_a_result_moves_nothing() -> None:
    """samples/fifo.txt: priority 90 at start with a script of weight -20."""
    made = scripted(weight=-20)
    assert states(made) == ["BACKUP"]
    assert made.status()[0].priority == 100
    made.on_script(1, "s", success=False)
    assert made.status()[0].priority == 80


def test_processes_are_counted_between_quorum_and_quorum_max() -> None:
    process = TrackProcess("p", ("httpd",), quorum=2, quorum_max=3, terminate_delay=seconds(1))
    tracks = (Track(TrackKind.PROCESS, "p", 10),)
    made = started(one(tracks=tracks), processes=(process,))
    priorities = []
    for n, count in enumerate((1, 2, 3, 4)):
        made.on_process(seconds(10 * n), "p", count)
        until(made, seconds(10 * n + 9))
        priorities.append(made.status()[0].priority)
    assert priorities == [100, 110, 110, 100]
    made.on_process(seconds(100), "p", 2)
    made.on_process(seconds(101), "p", 0)
    made.on_process(seconds(101) + milliseconds(500), "p", 2)  # back before a second has passed
    until(made, seconds(110))
    assert made.status()[0].priority == 110


# --- reload -------------------------------------------------------------------------------------


def test_a_reload_of_the_same_settings_does_nothing() -> None:
    made = pair()
    until(made, EXPIRY)
    before = made.deadline()
    assert made.reload(seconds(4), made.settings) == []
    assert made.deadline() == before
    assert states(made) == ["MASTER", "MASTER"]


def test_a_reload_that_adds_an_address_stays_active_and_sends_nothing_extra() -> None:
    made = started(one())
    until(made, EXPIRY)
    more = DirectorSettings(instances=(one(addresses=(VIP, VIP2)),))
    effects = made.reload(seconds(4), more)
    assert kinds(effects) == ["AddAddresses", "Announce"]
    assert (added(effects), announced(effects)) == (["10.77.0.101"], [5])
    assert states(made) == ["MASTER"]
    assert made.deadline() == EXPIRY + seconds(1)


def test_a_reload_that_changes_the_vrid_resigns_and_begins_anew() -> None:
    made = started(one())
    until(made, EXPIRY)
    effects = made.reload(seconds(4), DirectorSettings(instances=(one(vrid=52),)))
    assert kinds(effects) == [
        *("RemoveAddresses", "SendAdvertisement", "StopListening", "Listen", "Notify")
    ]
    assert states(made) == ["BACKUP"]
    assert dropped(made.on_advertisement(seconds(4), heard(200))) == ["unknown-vrid"]
    assert made.deadline() == seconds(4) + EXPIRY


def test_a_reload_that_removes_an_instance_says_fault_or_deleted() -> None:
    for notify, word in [
        (NotifyCommands(), "FAULT"),
        (NotifyCommands(deleted_state=True), "DELETED"),
        (NotifyCommands(deleted=Command(("/bin/true",))), "DELETED"),
    ]:
        made = started(one(name="gone", vrid=52, notify=notify), one())
        effects = made.reload(1, DirectorSettings(instances=(one(),)))
        assert told(effects) == [f"gone {word}"]
        assert effects[-1] == StopListening("gone")


def test_a_reload_that_adds_an_instance_starts_it_only() -> None:
    made = started(one())
    until(made, EXPIRY)
    new = one(name="new", vrid=52, addresses=(VIP2,))
    effects = made.reload(seconds(4), DirectorSettings(instances=(one(), new)))
    assert effects[0] == Listen("new")
    assert told(effects) == ["new BACKUP"]


def test_a_reload_that_changes_the_priority_moves_it() -> None:
    made = started(one())
    made.reload(1, DirectorSettings(instances=(one(priority=228),)))
    assert made.status()[0].priority == 228
    assert made.deadline() == 3_109_375_000  # 28/256 s instead of 156/256 s


def test_a_member_that_leaves_its_group_need_not_wait_for_it_any_more() -> None:
    made = pair()
    made.on_advertisement(seconds(3), heard(200, vrid=52, interface="eth1", vips=(VIP2,)))
    until(made, seconds(4))
    assert states(made) == ["BACKUP", "BACKUP"]
    effects = made.reload(seconds(4), DirectorSettings(instances=(INSIDE, OUTSIDE)))
    assert told(effects) == ["inside MASTER"]


def test_a_script_that_a_reload_adds_does_not_disturb_who_runs() -> None:
    made = started(one())
    until(made, EXPIRY)
    script = TrackScript("s", Command(("/bin/true",)))
    new = one(tracks=(Track(TrackKind.SCRIPT, "s"),))
    effects = made.reload(seconds(4), DirectorSettings(instances=(new,), scripts=(script,)))
    assert told(effects) == []
    assert states(made) == ["MASTER"]
    assert told(made.on_script(seconds(5), "s", success=False)) == ["gw FAULT"]


# --- guard --------------------------------------------------------------------------------------


def test_the_guard_knows_what_to_remove_and_what_to_send_for_each_active() -> None:
    made = started(one(), one(name="other", vrid=52, interface="eth1"))
    assert made.guard() == ()
    made.on_advertisement(seconds(1), heard(200, vrid=52, interface="eth1"))
    until(made, EXPIRY)
    (guard,) = made.guard()
    assert (guard.instance, guard.interface, guard.source) == ("gw", "eth0", OWN.packed)
    assert (guard.resignation.priority, guard.resignation.vrid) == (0, 51)
    assert guard.addresses == (VIP,)


# --- many ---------------------------------------------------------------------------------------


def test_the_first_of_many_deadlines_is_found_whatever_moves() -> None:
    timers = Timers()
    a, b = ("x", "a"), ("x", "b")
    timers.set(a, 10)
    timers.set(b, 20)
    timers.set(a, 30)
    assert timers.first() == 20
    timers.set(b, 5)
    assert timers.first() == 5
    timers.set(b, None)
    assert timers.first() == 30
    assert list(timers.due(29)) == []
    assert list(timers.due(30)) == [a]
    assert timers.first() is None
    timers.set(b, 7)
    timers.set(b, 3)
    assert list(timers.due(100)) == [b]
    assert timers.first() is None


def test_255_instances_become_active_each_at_its_time() -> None:
    instances = [one(name=f"v{vrid}", vrid=vrid, priority=min(vrid, 254)) for vrid in range(1, 256)]
    made = started(*instances)
    found = until(made, seconds(4))
    promoted = [line for _, effects in found for line in told(effects)]
    assert len(promoted) == 255
    assert promoted[:2] == ["v254 MASTER", "v255 MASTER"]
    assert promoted[-1] == "v1 MASTER"
