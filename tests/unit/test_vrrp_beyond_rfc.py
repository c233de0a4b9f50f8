"""What keepalived adds to VRRP, and where Standfest differs so that two owners never stay."""

from dataclasses import replace

import pytest
from tests.unit.routers import (
    ALIEN,
    BOB,
    CAROL,
    VIP,
    VIP2,
    active,
    added,
    alerts,
    announced,
    backup,
    dropped,
    heard,
    kinds,
    removed,
    sent,
    settings,
    told,
    until,
)

from standfest.core.vrrp.effects import AddRoutes, AddRules, Alert, SendAdvertisement, Warned
from standfest.core.vrrp.states import Active, Backup
from standfest.model.time import milliseconds, seconds
from standfest.model.vrrp import (
    Authentication,
    AuthenticationType,
    Command,
    GarpSettings,
    NotifyCommands,
    Route,
    Rule,
    UnicastPeer,
)

BOTH = (VIP, VIP2)
AH = Authentication(AuthenticationType.AH, b"s3cret")


# --- another address list (docs/adr/0014) -------------------------------------------------------


@pytest.mark.parametrize("version", [2, 3])
def test_a_higher_priority_with_one_address_more_is_obeyed_with_a_warning(version: int) -> None:
    """keepalived discards it, and after 3.6 s there are two owners (measured, 7 of 7)."""
    instance = backup(version=version)
    effects = instance.on_advertisement(seconds(1), heard(200, vips=BOTH, version=version))
    assert effects == [Alert("gw", Warned.ADDRESS_LIST, "10.77.0.9")]
    assert instance.deadline() == 4_609_375_000


def test_the_warning_comes_once_and_again_after_a_reload() -> None:
    instance = backup()
    assert alerts(instance.on_advertisement(1, heard(200, vips=BOTH))) == ["address-list"]
    assert instance.on_advertisement(2, heard(200, vips=BOTH)) == []
    instance.change(settings(garp=GarpSettings(repeat=1)), grouped=False)
    assert alerts(instance.on_advertisement(3, heard(200, vips=BOTH))) == ["address-list"]


def test_an_active_yields_to_a_higher_priority_with_another_list() -> None:
    instance = active()
    effects = instance.on_advertisement(1, heard(200, vips=BOTH))
    assert alerts(effects) == ["address-list"]
    assert told(effects) == ["gw BACKUP"]


def test_a_list_that_shares_nothing_is_another_cluster_with_our_vrid() -> None:
    """Obeying it would cost us an address that nobody else has."""
    instance = active()
    effects = instance.on_advertisement(1, heard(200, vips=(ALIEN,)))
    assert kinds(effects) == ["Dropped", "Alert"]
    assert dropped(effects) == ["addresses"]
    assert instance.is_active


def test_the_order_of_the_list_does_not_matter() -> None:
    instance = backup(addresses=BOTH)
    assert instance.on_advertisement(1, heard(200, vips=(VIP2, VIP))) == []


def test_skip_check_adv_addr_compares_the_first_list_of_a_router_only() -> None:
    instance = backup(skip_check_address_list=True)
    assert instance.on_advertisement(1, heard(200)) == []
    assert instance.on_advertisement(2, heard(200, vips=(ALIEN,))) == []
    other = heard(200, vips=(ALIEN,), source=CAROL)
    assert dropped(instance.on_advertisement(3, other)) == ["addresses"]


def test_we_yield_to_a_lower_priority_that_will_not_hear_us() -> None:
    """A keepalived whose list differs discards ours for ever, so one of us has to go."""
    instance = active()
    for at in (1, 2):
        assert sent(instance.on_advertisement(at, heard(50, vips=BOTH))) == [100]
    effects = instance.on_advertisement(3, heard(50, vips=BOTH))
    assert removed(effects) == ["10.77.0.100"]
    assert alerts(effects) == ["yielded"]
    # As long as it goes on, it stays the one owner, although its priority is lower.
    for n in range(1, 20):
        instance.on_advertisement(seconds(n), heard(50, vips=BOTH))
        assert until(instance, seconds(n + 1)) == []
    # When its list is ours again, priorities count again: we take over when our timer has run out.
    instance.on_advertisement(seconds(20), heard(50))
    assert instance.deadline() == 22_609_375_000  # 19 s and 3.609375 s
    assert sent(instance.on_timer(22_609_375_000)) == [100]


def test_three_lower_advertisements_with_our_list_make_nobody_yield() -> None:
    instance = active()
    for at in range(1, 10):
        instance.on_advertisement(at, heard(50))
    assert instance.is_active


def test_an_owner_never_yields_to_a_stubborn_router() -> None:
    instance = active(priority=255)
    for at in range(1, 10):
        instance.on_advertisement(at, heard(50, vips=BOTH))
    assert instance.is_active


def test_version_2_adopts_a_longer_interval_with_a_warning() -> None:
    """keepalived discards it: two owners. 3 x 3 s + 156/256 s; a shorter one changes nothing."""
    instance = backup(version=2)
    effects = instance.on_advertisement(0, heard(200, version=2, interval=seconds(3)))
    assert alerts(effects) == ["interval"]
    assert instance.deadline() == 9_609_375_000
    slow = backup(version=2, advert_interval=seconds(3))
    slow.on_advertisement(0, heard(200, version=2, interval=seconds(1)))
    assert slow.deadline() == 9_609_375_000


# --- pause --------------------------------------------------------------------------------------


def test_a_paused_active_lets_go_before_it_says_anything() -> None:
    """The quickest Backup waits 3 s + 2/256 s after our last advertisement."""
    instance = active()
    effects = instance.on_timer(3_007_812_500)
    assert kinds(effects) == ["RemoveAddresses", "Alert", "Notify"]
    assert alerts(effects) == ["paused"]
    assert instance.state == Backup(seconds(1), 3_007_812_500 + 3_609_375_000)


def test_a_shorter_pause_is_only_a_late_advertisement() -> None:
    instance = active()
    assert sent(instance.on_timer(3_007_812_499)) == [100]


def test_a_paused_active_that_hears_a_lower_router_does_not_answer_as_active() -> None:
    instance = active()
    effects = instance.on_advertisement(seconds(60), heard(50))
    assert kinds(effects) == ["RemoveAddresses", "Alert", "Notify"]
    assert isinstance(instance.state, Backup)


def test_a_paused_backup_listens_once_more_before_it_takes_over() -> None:
    """1 s + 156/256 s: an Active that is alive has spoken by then."""
    instance = backup()
    assert instance.on_timer(seconds(60)) == []
    assert instance.deadline() == 61_609_375_000
    assert sent(instance.on_timer(61_609_375_000)) == [100]


def test_a_backup_that_is_a_little_late_takes_over_at_once() -> None:
    assert sent(backup().on_timer(seconds(5))) == [100]


# --- preempt_delay ------------------------------------------------------------------------------


def test_preempt_delay_leaves_a_lower_router_alone_for_so_long() -> None:
    instance = backup(preempt_delay=seconds(10))
    for n in range(1, 14):
        instance.on_advertisement(seconds(n), heard(50))
        # From 1 s to 11 s it is left alone: the last one that counts comes at 10 s.
        assert instance.deadline() == seconds(min(n, 10)) + 3_609_375_000
    assert sent(instance.on_timer(13_609_375_000)) == [100]


def test_preempt_delay_is_no_delay_when_nobody_is_there() -> None:
    """keepalived 2.2.7 alone with preempt_delay 5 is master after 3.6 s, too (measured)."""
    assert sent(backup(preempt_delay=seconds(5)).on_timer(3_609_375_000)) == [100]


# --- unicast ------------------------------------------------------------------------------------


def test_unicast_takes_packets_of_its_peers_only() -> None:
    """keepalived takes them from strangers, too (measured)."""
    instance = backup(unicast=True, unicast_peers=(UnicastPeer(BOB),))
    assert instance.on_advertisement(1, heard(200, destination="10.77.0.5", ttl=64)) == []
    stranger = heard(200, source=CAROL, destination="10.77.0.5")
    assert dropped(instance.on_advertisement(2, stranger)) == ["stranger"]


def test_unicast_can_limit_the_ttl_of_a_peer() -> None:
    instance = backup(unicast=True, unicast_peers=(UnicastPeer(BOB, 254, 255),))
    assert instance.on_advertisement(1, heard(200, destination="10.77.0.5", ttl=254)) == []
    far = heard(200, destination="10.77.0.5", ttl=253)
    assert dropped(instance.on_advertisement(2, far)) == ["peer-ttl"]


def test_a_unicast_packet_is_not_for_a_multicast_instance() -> None:
    arrival = heard(200, destination="10.77.0.5")
    assert dropped(backup().on_advertisement(1, arrival)) == ["mode"]


def test_our_own_packets_are_not_somebody_elses() -> None:
    instance = active()
    own = heard(100, source=settings().source)  # type: ignore[arg-type]
    assert dropped(instance.on_advertisement(1, own)) == ["own"]


# --- authentication header ----------------------------------------------------------------------


def test_a_replayed_sequence_is_refused_until_its_sender_may_have_restarted() -> None:
    instance = backup(version=2, authentication=AH)
    packet = heard(200, version=2, authentication_type=2, sequence=7)
    assert instance.on_advertisement(seconds(1), packet) == []
    assert dropped(instance.on_advertisement(seconds(2), packet)) == ["sequence"]
    higher = replace(packet, advertisement=replace(packet.advertisement, sequence=8))
    assert instance.on_advertisement(seconds(2), higher) == []
    # 3.609375 s of silence: a router that has started again counts from 1.
    first = replace(packet, advertisement=replace(packet.advertisement, sequence=1))
    assert instance.on_advertisement(seconds(6), first) == []


def test_a_new_active_continues_the_sequence_of_the_one_before() -> None:
    instance = backup(version=2, authentication=AH)
    packet = heard(200, version=2, authentication_type=2, sequence=7)
    instance.on_advertisement(0, packet)
    numbers = [
        effect.advertisement.sequence
        for _, effects in until(instance, seconds(5))
        for effect in effects
        if isinstance(effect, SendAdvertisement)
    ]
    assert numbers == [8, 9]
    assert instance.resignation(100).sequence == 109


# --- announcements ------------------------------------------------------------------------------


def test_announcements_come_at_once_and_again_after_5_seconds() -> None:
    instance = backup()
    found = [(at, announced(effects)) for at, effects in until(instance, seconds(30))]
    assert [entry for entry in found if entry[1]] == [(3_609_375_000, [5]), (8_609_375_000, [5])]


def test_refresh_comes_every_so_often() -> None:
    garp = GarpSettings(delay=0, repeat=2, refresh=seconds(10), refresh_repeat=3)
    instance = active(garp=garp)
    found = [(at, announced(effects)) for at, effects in until(instance, seconds(35))]
    assert [entry for entry in found if entry[1]] == [(seconds(n), [3]) for n in (10, 20, 30)]


def test_a_lower_router_makes_us_announce_at_once_and_once_more() -> None:
    garp = GarpSettings(delay=0, lower_priority_delay=seconds(2), lower_priority_repeat=4)
    instance = active(garp=garp)
    assert announced(instance.on_advertisement(1, heard(50))) == [4]
    found = [(at, announced(effects)) for at, effects in until(instance, seconds(10))]
    assert [entry for entry in found if entry[1]] == [(seconds(2) + 1, [4])]


def test_addresses_on_other_interfaces_are_refreshed_by_garp_extra_if() -> None:
    garp = GarpSettings(delay=0, extra_interface=seconds(10))
    elsewhere = replace(VIP2, interface="eth1", use_vmac=True)
    instance = active(garp=garp, addresses=(VIP, elsewhere))
    found = [(at, announced(effects)) for at, effects in until(instance, seconds(15))]
    assert [entry for entry in found if entry[1]] == [(seconds(10), [1])]


def test_a_backup_announces_nothing_although_timers_were_armed() -> None:
    instance = active()
    instance.on_advertisement(1, heard(200))
    assert until(instance, 3_609_375_000) == []


# --- notifications ------------------------------------------------------------------------------


def test_higher_prio_send_advert_says_goodbye_first() -> None:
    effects = active(higher_priority_send_advert=True).on_advertisement(1, heard(200))
    assert kinds(effects) == ["SendAdvertisement", "RemoveAddresses", "Notify"]


def test_master_rx_lower_pri_is_told_when_somebody_asked() -> None:
    notify = NotifyCommands(master_rx_lower_priority=Command(("/bin/true",)))
    effects = active(notify=notify).on_advertisement(1, heard(50))
    assert told(effects) == ["gw MASTER_RX_LOWER_PRI"]
    assert told(active().on_advertisement(1, heard(50))) == []


def test_priority_changes_are_told_when_somebody_asked() -> None:
    notify = NotifyCommands(priority_changes=True)
    assert told(active(notify=notify).set_priority(1, 90)) == ["gw MASTER_PRIORITY"]
    assert told(backup(notify=notify).set_priority(1, 90)) == ["gw BACKUP_PRIORITY"]
    assert told(active().set_priority(1, 90)) == []


def test_a_new_priority_moves_the_down_timer_by_the_difference_of_the_skews() -> None:
    instance = backup()
    instance.set_priority(1, 228)  # 28/256 s instead of 156/256 s
    assert instance.deadline() == 3_109_375_000
    assert sent(instance.on_timer(3_109_375_000)) == [228]


# --- addresses ----------------------------------------------------------------------------------


def test_what_moves_comes_in_an_order_that_works_and_goes_in_the_other() -> None:
    route, rule = Route(("192.0.2.0/24", "via", "10.77.0.1")), Rule(("from", "10.77.0.100"))
    instance = backup(routes=(route,), rules=(rule,))
    effects = instance.on_timer(3_609_375_000)
    assert kinds(effects)[1:4] == ["AddAddresses", "AddRoutes", "AddRules"]
    assert AddRoutes("gw", (route,)) in effects
    assert AddRules("gw", (rule,)) in effects
    assert kinds(instance.stop(3_609_375_001)) == [
        *("RemoveRules", "RemoveRoutes", "RemoveAddresses", "SendAdvertisement")
    ]


def test_an_address_that_somebody_removed_is_put_back_but_at_most_once_a_second() -> None:
    instance = active()
    effects = instance.on_address_removed(10, VIP.ip)
    assert kinds(effects) == ["Alert", "AddAddresses", "Announce"]
    assert alerts(effects) == ["address-removed"]
    again = instance.on_address_removed(20, VIP.ip)
    assert kinds(again) == ["Alert"]
    assert [at for at, found in until(instance, seconds(2)) if added(found)] == [seconds(1) + 10]


def test_an_address_that_is_not_tracked_or_not_ours_is_not_put_back() -> None:
    assert active(addresses=(replace(VIP, track=False),)).on_address_removed(1, VIP.ip) == []
    assert active().on_address_removed(1, VIP2.ip) == []
    assert backup().on_address_removed(1, VIP.ip) == []


def test_new_addresses_of_an_active_come_without_leaving_active() -> None:
    instance = active()
    effects = instance.change(settings(addresses=(VIP2,)), grouped=False)
    assert kinds(effects) == ["RemoveAddresses", "AddAddresses", "Announce"]
    assert (removed(effects), added(effects)) == (["10.77.0.100"], ["10.77.0.101"])
    assert instance.state == Active(0, seconds(1))


def test_an_advertisement_object_is_the_same_until_something_changes() -> None:
    instance = active(garp=GarpSettings(delay=0))
    first, second = (
        effects[0].advertisement
        for _, effects in until(instance, seconds(2))
        if isinstance(effects[0], SendAdvertisement)
    )
    assert first is second
    instance.set_priority(seconds(2), 90)
    (effect,) = instance.on_timer(seconds(3))
    assert isinstance(effect, SendAdvertisement)
    assert effect.advertisement.priority == 90


def test_down_timer_adverts_is_the_number_of_intervals() -> None:
    """10 x 1 s + 156/256 s."""
    assert backup(down_timer_adverts=10).deadline() == 10_609_375_000


def test_counters_count() -> None:
    instance = backup()
    instance.on_advertisement(1, heard(200))
    instance.on_advertisement(2, heard(0))
    instance.on_advertisement(3, heard(200, version=2))
    until(instance, seconds(2))
    instance.stop(seconds(2))
    counters = instance.counters
    assert (counters.received, counters.priority_zero_received) == (2, 1)
    assert (counters.became_active, counters.released_active) == (1, 1)
    assert (counters.sent, counters.priority_zero_sent) == (3, 1)
    assert counters.refused == {"version": 1}


def test_milliseconds_count_like_seconds() -> None:
    """0.01 s: 30 ms + 156/256 of 10 ms."""
    assert backup(advert_interval=milliseconds(10)).deadline() == 36_093_750


# --- BFD speaks for the Active that we obey (docs/adr/0017) --------------------------------------


def test_a_lost_active_is_succeeded_after_the_skew() -> None:
    """3 s + 0.609 s of silence would be borne; priority 100 at 1 s: (256 - 100) / 256 s."""
    instance = backup()
    instance.on_advertisement(seconds(1), heard(200))
    assert instance.on_active_lost(seconds(2), BOB.packed) == []
    assert instance.deadline() == seconds(2) + 609_375_000


def test_another_lost_router_than_the_active_changes_nothing() -> None:
    instance = backup()
    instance.on_advertisement(seconds(1), heard(200))
    assert instance.on_active_lost(seconds(2), CAROL.packed) == []
    assert instance.deadline() == seconds(1) + 3_609_375_000


def test_a_lost_active_that_is_silent_anyway_is_not_waited_for_longer() -> None:
    instance = backup()
    instance.on_advertisement(0, heard(200))
    instance.on_active_lost(milliseconds(3_500), BOB.packed)
    assert instance.deadline() == 3_609_375_000


def test_an_active_that_speaks_again_before_the_skew_is_obeyed_as_before() -> None:
    instance = backup()
    instance.on_advertisement(0, heard(200))
    instance.on_active_lost(seconds(1), BOB.packed)
    instance.on_advertisement(milliseconds(1_500), heard(200))
    assert instance.deadline() == milliseconds(1_500) + 3_609_375_000


def test_an_active_does_not_mind_a_lost_backup() -> None:
    instance = active()
    before = instance.deadline()
    assert instance.on_active_lost(milliseconds(500), BOB.packed) == []
    assert instance.deadline() == before
