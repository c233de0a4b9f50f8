"""BFD sessions: what RFC 5880 section 6.8 and RFC 5881 want, each with its opposite."""

import itertools
import random
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest

from standfest.core.bfd.effects import Dropped, Effects, Refusal, SendControl, SessionChanged
from standfest.core.bfd.session import Session
from standfest.core.bfd.sessions import Sessions
from standfest.model.bfd import BfdPacket, BfdState, Diagnostic
from standfest.model.director import BfdInstance
from standfest.model.time import Instant, microseconds, milliseconds, seconds

PEER = IPv4Address("10.77.0.2")
SETTINGS = BfdInstance("b", PEER, min_rx=milliseconds(10), min_tx=milliseconds(20), multiplier=5)
THEIRS = BfdPacket(
    state=BfdState.DOWN,
    diagnostic=Diagnostic.NONE,
    multiplier=3,
    my_discriminator=7,
    your_discriminator=0,
    desired_min_tx=milliseconds(30),
    required_min_rx=milliseconds(15),
)


def session(settings: BfdInstance = SETTINGS) -> Session:
    return Session(settings, 42, random.Random(5880))


def up(settings: BfdInstance = SETTINGS, **theirs: int) -> Session:
    """Return a session that is up since instant 2, its neighbour's packets changed by `theirs`."""
    made = session(settings)
    made.start(0)
    packet = replace(THEIRS, **theirs)  # type: ignore[arg-type]
    made.on_packet(1, 255, packet)
    made.on_packet(2, 255, replace(packet, state=BfdState.INIT, your_discriminator=42))
    assert made.state is BfdState.UP
    return made


def sent(effects: Effects) -> list[BfdPacket]:
    return [effect.packet for effect in effects if isinstance(effect, SendControl)]


def periods(made: Session, until: Instant) -> list[int]:
    """Return the times between packets sent by the timer alone, the neighbour kept alive."""
    at, times = made.deadline(), []
    while at is not None and at < until:
        if sent(made.on_timer(at)):
            times.append(at)
        made.on_packet(
            at, 255, replace(THEIRS, state=BfdState.UP, your_discriminator=42, final=True)
        )
        at = made.deadline()
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def test_the_three_way_handshake_comes_up() -> None:
    """5880-6.8.6-12: Down hears Down, Init hears Init."""
    made = session()
    assert [packet.state for packet in sent(made.start(0))] == [BfdState.DOWN]
    effects = made.on_packet(1, 255, THEIRS)
    assert SessionChanged("b", False, BfdState.INIT, Diagnostic.NONE) in effects
    effects = made.on_packet(2, 255, replace(THEIRS, state=BfdState.INIT, your_discriminator=42))
    assert SessionChanged("b", True, BfdState.UP, Diagnostic.NONE) in effects


def test_a_neighbour_that_says_up_while_we_are_down_changes_nothing() -> None:
    """5880-6.8.6-12."""
    made = session()
    made.start(0)
    assert made.on_packet(1, 255, replace(THEIRS, state=BfdState.UP, your_discriminator=42)) == []
    assert made.state is BfdState.DOWN


def test_nobody_sends_faster_than_a_second_before_the_session_is_up() -> None:
    """5880-6.8.3-1: although idle_tx says 1 ms."""
    made = session(replace(SETTINGS, idle_tx=milliseconds(1)))
    assert sent(made.start(0))[0].desired_min_tx == seconds(1)
    deadline = made.deadline()
    assert deadline is not None
    assert milliseconds(750) <= deadline <= seconds(1)


def test_a_session_that_is_up_sends_as_fast_as_both_want() -> None:
    """5880-6.8.3-1, 5880-6.8.7-3, 5880-6.8.7-4: max(20 ms, 15 ms), 75 to 100 % of it."""
    made = up()
    found = periods(made, seconds(5))
    assert len(found) > 200
    assert milliseconds(15) <= min(found) < milliseconds(16)
    assert milliseconds(19) < max(found) <= milliseconds(20)


def test_a_neighbour_that_cannot_take_more_gets_less() -> None:
    """5880-6.8.7-4: max(20 ms, 15 ms) never becomes 10 ms for a min_tx of 10 ms."""
    made = up(replace(SETTINGS, min_tx=milliseconds(10)))
    assert min(periods(made, seconds(5))) >= 11_250_000  # 75 % of 15 ms


def test_multiplier_1_leaves_a_tenth_for_the_way() -> None:
    """5880-6.8.7-3: 75 to 90 % of 20 ms."""
    made = up(replace(SETTINGS, multiplier=1))
    found = periods(made, seconds(5))
    assert max(found) <= milliseconds(18)
    assert min(found) >= milliseconds(15)


def test_silence_for_the_detection_time_is_down() -> None:
    """5880-6.8.4-1: 3 (theirs) x max(10 ms ours, 30 ms theirs) = 90 ms after the last packet."""
    made = up()
    effects = made.on_timer(2 + milliseconds(90))
    assert SessionChanged("b", False, BfdState.DOWN, Diagnostic.DETECTION_TIME_EXPIRED) in effects


def test_silence_for_less_than_the_detection_time_is_not() -> None:
    """5880-6.8.4-1: one nanosecond less."""
    effects = up().on_timer(2 + milliseconds(90) - 1)
    assert not any(isinstance(effect, SessionChanged) for effect in effects)


def test_the_neighbours_discriminator_is_said_while_it_is_heard() -> None:
    """5880-6.8.1-1."""
    assert sent(up().on_timer(milliseconds(25)))[0].your_discriminator == 7


def test_the_neighbours_discriminator_is_forgotten_with_it() -> None:
    """5880-6.8.1-1: 0 after the detection time."""
    made = up()
    made.on_timer(2 + milliseconds(90))
    assert made.remote_discriminator == 0


def test_a_neighbour_that_says_down_takes_us_down() -> None:
    """5880-6.8.6-12."""
    made = up()
    effects = made.on_packet(3, 255, replace(THEIRS, your_discriminator=42))
    assert SessionChanged("b", False, BfdState.DOWN, Diagnostic.NEIGHBOR_SIGNALED_DOWN) in effects
    assert sent(effects)[0].state is BfdState.DOWN


def test_a_neighbour_that_is_taken_down_takes_us_down() -> None:
    """5880-6.8.6-10."""
    made = up()
    packet = replace(THEIRS, state=BfdState.ADMIN_DOWN, your_discriminator=42)
    effects = made.on_packet(3, 255, packet)
    assert SessionChanged("b", False, BfdState.DOWN, Diagnostic.NEIGHBOR_SIGNALED_DOWN) in effects


def test_a_neighbour_that_is_taken_down_changes_nothing_when_we_are_down() -> None:
    """5880-6.8.6-10."""
    made = session()
    made.start(0)
    assert made.on_packet(3, 255, replace(THEIRS, state=BfdState.ADMIN_DOWN)) == []


def test_a_session_that_nobody_took_down_hears() -> None:
    """5880-6.8.6-9."""
    assert up().on_packet(4, 255, THEIRS) != [Dropped("b", Refusal.ADMIN_DOWN)]


def test_a_session_taken_down_discards_what_it_hears() -> None:
    """5880-6.8.6-9."""
    made = up()
    assert sent(made.stop(3))[0].diagnostic is Diagnostic.ADMINISTRATIVELY_DOWN
    assert made.on_packet(4, 255, THEIRS) == [Dropped("b", Refusal.ADMIN_DOWN)]
    assert made.deadline() is None
    assert made.stop(5) == []


def test_a_poll_is_answered_at_once_with_final() -> None:
    """5880-6.8.6-11."""
    made = up()
    effects = made.on_packet(
        3, 255, replace(THEIRS, state=BfdState.UP, your_discriminator=42, poll=True)
    )
    assert [(packet.final, packet.poll) for packet in sent(effects)] == [(True, False)]


def test_no_poll_is_not_answered() -> None:
    """5880-6.8.6-11."""
    made = up()
    assert made.on_packet(3, 255, replace(THEIRS, state=BfdState.UP, your_discriminator=42)) == []


def test_the_new_interval_is_polled() -> None:
    """5880-6.8.3-2."""
    assert sent(up().on_timer(milliseconds(21)))[0].poll


def test_nobody_polls_after_the_neighbour_has_said_final() -> None:
    """5880-6.8.3-2."""
    made = up()
    made.on_timer(milliseconds(21))
    made.on_packet(
        milliseconds(22), 255, replace(THEIRS, state=BfdState.UP, your_discriminator=42, final=True)
    )
    assert not sent(made.on_timer(milliseconds(42)))[0].poll


def test_a_passive_session_waits_to_be_spoken_to() -> None:
    """5880-6.8.7-1."""
    made = session(replace(SETTINGS, passive=True))
    assert made.start(0) == []
    assert made.deadline() is None
    assert sent(made.on_packet(1, 255, THEIRS))[0].state is BfdState.INIT


def test_an_active_session_speaks_first() -> None:
    """5880-6.8.7-1."""
    assert len(sent(session().start(0))) == 1


def test_a_neighbour_that_wants_no_packets_gets_none() -> None:
    """5880-6.8.7-2: Required Min RX Interval 0, once its final has ended our poll."""
    made = up(required_min_rx=0)
    final = replace(THEIRS, state=BfdState.UP, your_discriminator=42, final=True, required_min_rx=0)
    made.on_packet(3, 255, final)
    assert sent(made.on_timer(milliseconds(60))) == []


def test_a_neighbour_that_wants_packets_gets_them() -> None:
    """5880-6.8.7-2, 5880-6.8.7-5."""
    made = up()
    made.on_packet(3, 255, replace(THEIRS, state=BfdState.UP, your_discriminator=42, final=True))
    assert len(sent(made.on_timer(milliseconds(60)))) == 1


def test_a_neighbour_that_demands_silence_gets_it() -> None:
    """5880-6.8.7-5."""
    made = up()
    final = replace(THEIRS, state=BfdState.UP, your_discriminator=42, final=True, demand=True)
    made.on_packet(3, 255, final)
    assert sent(made.on_timer(milliseconds(60))) == []


@pytest.mark.parametrize("ttl", [0, 64, 254])
def test_a_packet_from_afar_is_dropped(ttl: int) -> None:
    """5881-5-1."""
    assert session().on_packet(1, ttl, THEIRS) == [Dropped("b", Refusal.TTL)]


def test_a_packet_from_the_next_hop_is_taken() -> None:
    """5881-5-1."""
    assert session().on_packet(1, 255, THEIRS) != [Dropped("b", Refusal.TTL)]


def test_more_hops_than_max_hops_are_too_many() -> None:
    """5883-2-1: 255 - 3 = 252 is the least."""
    far = replace(SETTINGS, max_hops=3)
    assert session(far).on_packet(1, 251, THEIRS) == [Dropped("b", Refusal.TTL)]


def test_max_hops_lets_packets_come_from_further_away() -> None:
    """5883-2-1: 255 - 3 = 252 is the least; 255 hops are not checked."""
    far = replace(SETTINGS, max_hops=3)
    assert session(far).on_packet(1, 252, THEIRS) != [Dropped("b", Refusal.TTL)]
    assert session(replace(SETTINGS, max_hops=255)).on_packet(1, 0, THEIRS)
    # keepalived sends IPv6 with hop limit 64.
    six = replace(SETTINGS, neighbor=IPv6Address("fe80::2"))
    assert session(six).on_packet(1, 63, THEIRS) == [Dropped("b", Refusal.TTL)]
    assert session(six).on_packet(1, 64, THEIRS) != [Dropped("b", Refusal.TTL)]


def test_a_packet_for_no_session_is_dropped() -> None:
    """5880-6.8.6-8: another discriminator, or a stranger."""
    sessions = Sessions([SETTINGS], random.Random(1))
    wrong = replace(THEIRS, your_discriminator=1)
    assert sessions.on_packet(1, PEER, 255, wrong) == [Dropped("", Refusal.NO_SESSION)]
    stranger = IPv4Address("10.77.0.9")
    assert sessions.on_packet(1, stranger, 255, THEIRS) == [Dropped("", Refusal.NO_SESSION)]


def test_a_packet_finds_its_session() -> None:
    """5880-6.8.6-8: by the source first, then by our discriminator."""
    sessions = Sessions([SETTINGS], random.Random(1))
    mine = sent(sessions.start(0))[0].my_discriminator
    assert mine != 0
    assert sent(sessions.on_packet(1, PEER, 255, THEIRS))[0].state is BfdState.INIT
    again = replace(THEIRS, state=BfdState.INIT, your_discriminator=mine)
    assert sent(sessions.on_packet(2, PEER, 255, again))[0].state is BfdState.UP


def test_a_reload_leaves_unchanged_sessions_alone() -> None:
    sessions = Sessions([SETTINGS], random.Random(1))
    sessions.start(0)
    other = replace(SETTINGS, name="c", neighbor=IPv4Address("10.77.0.3"))
    assert [
        packet.session
        for packet in sessions.reload(1, [SETTINGS, other])
        if isinstance(packet, SendControl)
    ] == ["c"]
    assert sessions.reload(2, [SETTINGS, other]) == []
    gone = sessions.reload(3, [SETTINGS])
    assert [effect.state for effect in gone if isinstance(effect, SessionChanged)] == [
        BfdState.ADMIN_DOWN
    ]


def test_two_sessions_find_each_other_and_lose_each_other() -> None:
    """Both with 10 ms and multiplier 3: down 30 ms after the last packet."""
    rng = random.Random(7)
    settings = replace(SETTINGS, min_rx=milliseconds(10), min_tx=milliseconds(10), multiplier=3)
    ends = [Session(settings, 1, rng), Session(settings, 2, rng)]
    wire: list[tuple[Instant, int, BfdPacket]] = []
    now: Instant = 0

    def perform(end: int, effects: Effects) -> None:
        wire.extend((now + microseconds(200), 1 - end, packet) for packet in sent(effects))

    for end in (0, 1):
        perform(end, ends[end].start(now))
    silent_from = seconds(5)
    downs: list[Instant] = []
    for _ in range(20_000):
        wire.sort(key=lambda entry: entry[:2])
        times = [deadline for one in ends if (deadline := one.deadline()) is not None]
        now = min([*times, *(at for at, _, _ in wire[:1])])
        if now > seconds(6):
            break
        while wire and wire[0][0] <= now:
            _, end, packet = wire.pop(0)
            if now < silent_from:
                perform(end, ends[end].on_packet(now, 255, packet))
        for end in (0, 1):
            effects = ends[end].on_timer(now)
            if any(isinstance(effect, SessionChanged) for effect in effects):
                downs.append(now)
            perform(end, effects)
    assert len(downs) == 2
    # The last packet arrived up to 10 ms before 5 s; 3 x 10 ms later it is missed.
    assert all(milliseconds(5_020) <= at <= milliseconds(5_030) for at in downs)
