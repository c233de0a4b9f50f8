"""One virtual router as RFC 3768 and RFC 9568 want it: each requirement, and its opposite."""

from dataclasses import replace
from ipaddress import IPv6Address

import pytest
from tests.unit.routers import (
    BOB,
    CAROL,
    MAC,
    OWN,
    VIP,
    VIP2,
    active,
    added,
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

from standfest.core.vrrp.effects import AddAddresses, SendAdvertisement
from standfest.core.vrrp.instance import Instance
from standfest.core.vrrp.states import Active, Backup, Initialize
from standfest.core.vrrp.timing import down_interval, skew
from standfest.model.time import milliseconds, seconds
from standfest.model.vrrp import (
    Authentication,
    AuthenticationType,
    Family,
    InitialState,
    VirtualAddress,
)

PASS = Authentication(AuthenticationType.PASS, b"s3cret")
KEY = b"s3cret\0\0"


# --- the formulas (9568-6.1, 3768-6.1) ----------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "priority", "interval", "expected"),
    [
        (3, 100, seconds(1), 609_375_000),  # 156/256 s
        (3, 254, milliseconds(10), 78_125),  # 2/256 of 10 ms
        (3, 1, milliseconds(40_950), 40_790_039_062),  # 255/256 of 40.95 s, half a ns cut
        (2, 100, seconds(1), 609_375_000),
        (2, 100, seconds(3), 609_375_000),  # version 2 skews in seconds, not in intervals
        (2, 254, seconds(255), 7_812_500),
    ],
)
def test_the_skew_time(version: int, priority: int, interval: int, expected: int) -> None:
    """9568-6.1-1, 3768-6.1-1."""
    assert skew(version, priority, interval) == expected


@pytest.mark.parametrize(
    ("version", "priority", "interval", "expected"),
    [
        (3, 100, seconds(1), 3_609_375_000),
        (3, 100, milliseconds(100), 360_937_500),
        (3, 100, milliseconds(10), 36_093_750),
        (3, 95, milliseconds(200), 725_781_250),  # keepalived 2.2.7 shows 725781 usecs
        (2, 100, seconds(3), 9_609_375_000),  # keepalived 2.2.7: 9.6 s measured
    ],
)
def test_the_down_interval(version: int, priority: int, interval: int, expected: int) -> None:
    """9568-6.1-2, 3768-6.1-2."""
    assert down_interval(version, priority, interval) == expected


# --- Initialize (9568-6.4.1, 3768-6.4.1) --------------------------------------------------------


def test_an_owner_is_active_at_once() -> None:
    """9568-6.4.1-1, 9568-6.4.1-4, 3768-6.4.1-1."""
    instance = Instance(settings(priority=255, initial_state=InitialState.MASTER))
    effects = instance.start(0)
    assert kinds(effects) == ["SendAdvertisement", "AddAddresses", "Announce", "Notify"]
    assert instance.state == Active(0, seconds(1))


def test_everybody_else_listens_first() -> None:
    """9568-6.4.1-1, 9568-6.4.1-4, 3768-6.4.1-1: 3.609375 s, whatever `state` says."""
    instance = Instance(settings(priority=100, initial_state=InitialState.MASTER))
    assert sent(instance.start(0)) == []
    assert instance.state == Backup(seconds(1), 3_609_375_000)


def test_becoming_active_announces_every_address() -> None:
    """9568-6.4.1-2, 9568-6.4.1-3, 9568-6.4.2-6: gratuitous ARP or NA, excluded addresses too."""
    instance = backup(excluded=(VIP2,))
    effects = instance.on_timer(3_609_375_000)
    assert added(effects) == ["10.77.0.100", "10.77.0.101"]
    assert announced(effects) == [5]


def test_listening_announces_nothing() -> None:
    """9568-6.4.1-2, 9568-6.4.1-3."""
    assert announced(Instance(settings()).start(0)) == []


# --- Backup (9568-6.4.2, 3768-6.4.2) ------------------------------------------------------------


def test_a_backup_has_none_of_the_addresses() -> None:
    """What is not on an interface is neither answered for by ARP or ND nor accepted.

    9568-6.4.2-1, 9568-6.4.2-2, 9568-6.4.2-4, 9568-6.4.3-1, 3768-6.4.2-1, 3768-6.4.2-2,
    3768-6.4.3-1.
    """
    instance = active()
    effects = instance.on_advertisement(1, heard(200))
    assert removed(effects) == ["10.77.0.100"]
    assert isinstance(instance.state, Backup)


def test_an_active_has_all_of_the_addresses() -> None:
    """What is on an interface is answered for and accepted.

    9568-6.4.2-1, 9568-6.4.2-2, 9568-6.4.2-4, 9568-6.4.3-1, 3768-6.4.2-1, 3768-6.4.2-2,
    3768-6.4.3-1.
    """
    assert added(backup().on_timer(3_609_375_000)) == ["10.77.0.100"]


def test_a_stopped_backup_is_silent() -> None:
    """9568-6.4.2-5, 9568-6.4.3-3, 3768-6.4.2-4, 3768-6.4.3-4."""
    instance = backup()
    assert instance.stop(1) == []
    assert instance.state == Initialize()
    assert instance.deadline() is None


def test_the_down_timer_makes_it_active() -> None:
    """9568-6.4.2-6, 3768-6.4.2-5: advertisement first, then addresses, then announcements."""
    instance = backup()
    effects = instance.on_timer(3_609_375_000)
    assert kinds(effects) == ["SendAdvertisement", "AddAddresses", "Announce", "Notify"]
    assert sent(effects) == [100]
    assert instance.state == Active(3_609_375_000, 4_609_375_000)


def test_before_the_down_timer_nothing_happens() -> None:
    """9568-6.4.2-6, 9568-6.1-2, 3768-6.4.2-5, 3768-6.1-2."""
    instance = backup()
    assert instance.on_timer(3_609_374_999) == []
    assert isinstance(instance.state, Backup)


def test_a_resigning_active_leaves_the_skew_time() -> None:
    """9568-6.4.2-7, 9568-6.4.3-5, 3768-6.4.2-6, 3768-6.4.3-6: 156/256 s, and no answer."""
    instance = backup()
    assert instance.on_advertisement(seconds(1), heard(0)) == []
    assert instance.deadline() == 1_609_375_000


def test_before_the_skew_time_a_resignation_makes_nobody_active() -> None:
    """9568-6.1-1, 3768-6.1-1."""
    instance = backup()
    instance.on_advertisement(seconds(1), heard(0))
    assert instance.on_timer(1_609_374_999) == []
    assert sent(instance.on_timer(1_609_375_000)) == [100]


@pytest.mark.parametrize("priority", [100, 101, 255])
def test_an_equal_or_higher_priority_starts_the_timer_anew(priority: int) -> None:
    """9568-6.4.2-8, 9568-6.4.2-9, 3768-6.4.2-7, 3768-6.4.2-8: from 1 s on."""
    instance = backup()
    instance.on_advertisement(seconds(1), heard(priority))
    assert instance.deadline() == 4_609_375_000


def test_without_preemption_any_priority_does() -> None:
    """9568-6.4.2-8, 3768-6.4.2-7."""
    instance = backup(preempt=False)
    instance.on_advertisement(seconds(1), heard(1))
    assert instance.deadline() == 4_609_375_000


def test_a_lower_priority_is_discarded() -> None:
    """The timer keeps running, and its expiry preempts.

    9568-6.4.2-7, 9568-6.4.2-8, 9568-6.4.2-9, 3768-6.4.2-6, 3768-6.4.2-7, 3768-6.4.2-8.
    """
    instance = backup()
    instance.on_advertisement(seconds(1), heard(99, interval=seconds(2)))
    assert instance.state == Backup(seconds(1), 3_609_375_000)


def test_the_active_ones_interval_is_adopted() -> None:
    """9568-6.4.2-8: 3 x 2 s + 156/256 x 2 s, and the skew after a resignation."""
    instance = backup()
    instance.on_advertisement(0, heard(200, interval=seconds(2)))
    assert instance.deadline() == 7_218_750_000
    instance.on_advertisement(seconds(1), heard(0, interval=seconds(2)))
    assert instance.deadline() == 2_218_750_000


# --- Active (9568-6.4.3, 3768-6.4.3) ------------------------------------------------------------


def test_an_owner_accepts_packets_whatever_accept_mode_says() -> None:
    """9568-6.4.3-2, 3768-6.4.3-2, 3768-6.4.3-3."""
    effects = Instance(settings(priority=255, accept=False)).promote(0)
    assert [e.accept for e in effects if isinstance(e, AddAddresses)] == [True]


def test_accept_mode_decides_for_everybody_else() -> None:
    """9568-6.4.3-2, 3768-6.4.3-2, 3768-6.4.3-3: False drops packets to the addresses."""
    for accept in (True, False):
        effects = Instance(settings(accept=accept)).promote(0)
        assert [e.accept for e in effects if isinstance(e, AddAddresses)] == [accept]


def test_a_stopped_active_resigns() -> None:
    """9568-6.4.3-3, 9568-6.4.2-5, 3768-6.4.3-4, 3768-6.4.2-4: 0, after the addresses are gone."""
    instance = active()
    effects = instance.stop(1)
    assert kinds(effects) == ["RemoveAddresses", "SendAdvertisement"]
    assert sent(effects) == [0]
    assert instance.state == Initialize()


def test_an_active_advertises_every_interval() -> None:
    """9568-6.4.3-4, 3768-6.4.3-5."""
    instance = active(garp=replace(settings().garp, delay=0))
    assert [at for at, effects in until(instance, seconds(5)) if sent(effects)] == [
        seconds(n) for n in range(1, 6)
    ]


def test_an_active_does_not_advertise_before_its_interval_has_passed() -> None:
    """9568-6.4.3-4, 3768-6.4.3-5."""
    assert active().on_timer(seconds(1) - 1) == []


def test_a_resignation_is_answered_at_once() -> None:
    """9568-6.4.3-5, 3768-6.4.3-6: and the timer starts anew."""
    instance = active()
    assert sent(instance.on_advertisement(milliseconds(300), heard(0))) == [100]
    assert instance.state == Active(milliseconds(300), milliseconds(1300))


def test_a_higher_priority_is_yielded_to() -> None:
    """9568-6.4.3-6, 9568-6.4.3-7, 3768-6.4.3-7, 3768-6.4.3-8."""
    instance = active()
    effects = instance.on_advertisement(5, heard(101, interval=seconds(2)))
    assert kinds(effects) == ["RemoveAddresses", "Notify"]
    assert told(effects) == ["gw BACKUP"]
    heard_of = (BOB.packed, 101)
    assert isinstance(instance.state, Backup)
    assert (instance.state.heard_source, instance.state.heard_priority) == heard_of
    assert (instance.state.active_interval, instance.state.down_at) == (
        seconds(2),
        5 + 7_218_750_000,
    )


def test_an_equal_priority_is_yielded_to_when_its_address_is_higher() -> None:
    """9568-6.4.3-6, 3768-6.4.3-7: 10.77.0.9 over 10.77.0.5."""
    instance = active()
    assert told(instance.on_advertisement(5, heard(100, source=BOB))) == ["gw BACKUP"]


def test_an_equal_priority_with_a_lower_address_is_not() -> None:
    """9568-6.4.3-6, 9568-6.4.3-7, 3768-6.4.3-7, 3768-6.4.3-8: 10.77.0.2 under 10.77.0.5."""
    instance = active()
    assert sent(instance.on_advertisement(5, heard(100, source=CAROL))) == [100]
    assert instance.is_active


def test_a_lower_priority_is_told_who_is_active() -> None:
    """9568-6.4.3-6, 9568-6.4.3-7, 3768-6.4.3-7: at once, for the sender and for the switches."""
    instance = active()
    effects = instance.on_advertisement(5, heard(99))
    assert kinds(effects) == ["SendAdvertisement", "Announce"]
    assert instance.is_active


def test_a_lower_priority_is_only_discarded_when_the_operator_wants_it_so() -> None:
    """3768-6.4.3-8, 9568-6.4.3-7: lower_prio_no_advert, as RFC 3768 and RFC 5798 have it."""
    instance = active(lower_priority_no_advert=True)
    assert instance.on_advertisement(5, heard(99)) == []
    assert instance.is_active


# --- receiving (9568-7.1, 3768-7.1) -------------------------------------------------------------


@pytest.mark.parametrize(("ours", "theirs"), [(2, 3), (3, 2)])
def test_the_other_version_is_discarded(ours: int, theirs: int) -> None:
    """9568-7.1-2, 3768-7.1-2."""
    instance = backup(version=ours)
    assert dropped(instance.on_advertisement(1, heard(200, version=theirs))) == ["version"]
    assert instance.deadline() == 3_609_375_000


def test_our_own_version_is_accepted() -> None:
    """9568-7.1-2, 3768-7.1-2."""
    for version in (2, 3):
        instance = backup(version=version)
        assert dropped(instance.on_advertisement(1, heard(200, version=version))) == []


def test_a_strict_owner_discards_everything() -> None:
    """9568-7.1-7, 3768-7.1-6: also with owner_ignore_adverts."""
    for change in ({"strict": True}, {"owner_ignore_adverts": True}):
        instance = active(priority=255, **change)
        effects = instance.on_advertisement(1, heard(255, source=BOB))
        assert dropped(effects) == ["owner"]
        assert instance.is_active


def test_two_owners_do_not_stay_two_owners_unless_the_operator_insists() -> None:
    """9568-7.1-7, 3768-7.1-6: as keepalived, the higher address wins."""
    instance = active(priority=255)
    assert told(instance.on_advertisement(1, heard(255, source=BOB))) == ["gw BACKUP"]


def test_another_authentication_type_is_discarded() -> None:
    """3768-7.1-7, 3768-5.3.6-2."""
    instance = backup(version=2, authentication=PASS)
    effects = instance.on_advertisement(1, heard(200, version=2))
    assert dropped(effects) == ["authentication-type"]
    plain = backup(version=2)
    arrival = heard(200, version=2, authentication_type=1, authentication=KEY)
    assert dropped(plain.on_advertisement(1, arrival)) == ["authentication-type"]


def test_the_right_password_is_accepted_and_a_wrong_one_is_not() -> None:
    """3768-7.1-7, 3768-5.3.6-2: one bit of the password differs."""
    instance = backup(version=2, authentication=PASS)
    right = heard(200, version=2, authentication_type=1, authentication=KEY)
    assert instance.on_advertisement(1, right) == []
    wrong = heard(200, version=2, authentication_type=1, authentication=b"s3creT\0\0")
    assert dropped(instance.on_advertisement(2, wrong)) == ["authentication"]


def test_version_3_does_not_look_at_authentication() -> None:
    instance = backup(authentication=PASS)
    assert instance.on_advertisement(1, heard(200)) == []


def test_a_strict_version_2_discards_another_interval() -> None:
    """3768-7.1-8: 2 s where ours is 1 s."""
    instance = backup(version=2, strict=True)
    effects = instance.on_advertisement(1, heard(200, version=2, interval=seconds(2)))
    assert dropped(effects) == ["interval"]


def test_a_strict_version_2_accepts_its_own_interval() -> None:
    """3768-7.1-8."""
    instance = backup(version=2, strict=True)
    assert instance.on_advertisement(1, heard(200, version=2)) == []


@pytest.mark.parametrize("version", [2, 3])
def test_an_empty_address_list_is_ignored(version: int) -> None:
    """9568-5.2.5-1; in version 2 as keepalived does."""
    instance = backup(version=version)
    empty = heard(200, version=version, vips=())
    assert dropped(instance.on_advertisement(1, empty)) == ["addresses"]


def test_a_list_of_one_address_is_not_ignored() -> None:
    """9568-5.2.5-1."""
    instance = backup()
    assert instance.on_advertisement(1, heard(200)) == []
    assert instance.deadline() == 3_609_375_001


# --- sending (9568-5, 9568-7.2) -----------------------------------------------------------------


def said(instance: Instance) -> SendAdvertisement:
    (effect,) = [e for e in instance.promote(0) if isinstance(e, SendAdvertisement)]
    return effect


def test_what_is_sent_is_what_is_configured() -> None:
    """9568-7.2-1, 3768-7.2-1: VRID, priority, interval, the addresses in their order."""
    instance = backup(addresses=(VIP2, VIP), priority=77, advert_interval=milliseconds(250))
    own = said(instance).advertisement
    assert (own.vrid, own.priority, own.interval) == (51, 77, 250_000_000)
    assert own.addresses == bytes((10, 77, 0, 101, 10, 77, 0, 100))


def test_excluded_addresses_are_not_sent() -> None:
    """9568-7.2-1, 3768-7.2-1: virtual_ipaddress_excluded."""
    assert said(backup(excluded=(VIP2,))).advertisement.count == 1


def test_an_owner_says_255_and_tracking_cannot_make_anybody_else_say_it() -> None:
    """9568-5.2.4-1, 3768-5.3.4-1."""
    assert said(backup(priority=255)).advertisement.priority == 255
    assert said(backup(priority=254)).advertisement.priority == 254


def test_version_2_carries_its_password_and_version_3_none() -> None:
    """3768-5.3.6-1."""
    two = said(backup(version=2, authentication=PASS)).advertisement
    assert (two.authentication_type, two.authentication) == (1, KEY)
    three = said(backup(authentication=PASS)).advertisement
    assert (three.authentication_type, three.authentication) == (0, bytes(8))


def test_ipv6_lists_its_addresses_with_16_bytes_each() -> None:
    """9568-5.2.9-1: the link-local one first, as configured."""
    local = VirtualAddress(IPv6Address("fe80::100"), 64)
    wide = VirtualAddress(IPv6Address("fd00::100"), 64)
    own = said(backup(family=Family.IPV6, addresses=(local, wide), source=None)).advertisement
    assert own.count == 2
    assert own.address_list()[0] == IPv6Address("fe80::100")


def test_a_claim_of_a_neighbour_is_told_and_answered_once() -> None:
    instance = active()
    effects = instance.on_claim(VIP.ip, MAC)
    assert kinds(effects) == ["Alert", "Announce"]
    assert instance.on_claim(VIP.ip, MAC) == []
    assert backup().on_claim(VIP.ip, MAC) == []
    assert VIP.ip != OWN
