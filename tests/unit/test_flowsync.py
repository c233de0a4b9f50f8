"""Copies of connections: their datagrams, and both directors' halves."""

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfest.core.balancer.flowsync import LEASE_S, Listener, Teller
from standfest.core.balancer.syncguard import Freshness, Refusal, Way
from standfest.daemons.balancer.flowsync import read_key
from standfest.model.errors import OperationError, WireError
from standfest.model.flows import Entry, Flow, FlowKey, FlowTuple
from standfest.model.time import milliseconds, seconds
from standfest.wire import conntrack, flowsync

CLIENT, VIP, SERVER = bytes((10, 0, 0, 9)), bytes((192, 0, 2, 1)), bytes((10, 1, 0, 7))
KEY = b"0123456789abcdef"
NOW = 1_795_000_000_000_000_000


def flow(port: int, *, mark: int = 7, timeout: int = 432_000) -> Flow:
    key = FlowKey(6, FlowTuple(CLIENT, VIP, port, 80))
    return Flow(key, FlowTuple(SERVER, CLIENT, 8080, port), mark, timeout, 3, (7, 9))


flows = st.builds(
    lambda six, protocol, ports, mark, timeout, state, scales: Flow(
        FlowKey(
            protocol,
            FlowTuple(bytes([1]) * (16 if six else 4), bytes([2]) * (16 if six else 4), *ports[:2]),
        ),
        FlowTuple(bytes([3]) * (16 if six else 4), bytes([4]) * (16 if six else 4), *ports[2:]),
        mark,
        timeout,
        state,
        scales,
    ),
    st.booleans(),
    st.integers(0, 255),
    st.tuples(*[st.integers(0, 65_535)] * 4),
    st.integers(1, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 255),
    st.tuples(st.integers(0, 255), st.integers(0, 255)),
)
entries = st.lists(st.builds(Entry, flows, st.booleans()), max_size=20).map(tuple)


@given(entries, st.tuples(*[st.integers(0, 2**64 - 1)] * 3), st.sampled_from([b"", KEY]))
def test_what_is_told_is_what_is_heard(
    said: tuple[Entry, ...], counted: tuple[int, int, int], key: bytes
) -> None:
    told = flowsync.Told(*counted, said)
    assert flowsync.decode(flowsync.encode(told, key), key) == told


def test_an_entry_of_ipv4_has_40_bytes_and_33_fit_a_datagram() -> None:
    # 16 fixed + 4 x 4 addresses + 4 x 2 ports; (1400 - 32 header - 32 signature) / 40 = 33.4.
    assert flowsync.entry_bytes(flow(1)) == 40
    parts = flowsync.batches([Entry(flow(port)) for port in range(100)], KEY)
    assert [len(part) for part in parts] == [33, 33, 33, 1]
    assert len(flowsync.encode(flowsync.Told(1, 1, NOW, parts[0]), KEY)) == 32 + 33 * 40 + 32


@pytest.mark.parametrize(
    ("damage", "key", "reason"),
    [
        (lambda d: d[:31], b"", "short"),
        (lambda d: b"X" + d[1:], b"", "magic"),
        (lambda d: d[:4] + b"\1" + d[5:], b"", "version"),
        (lambda d: d[:-1], b"", "short"),
        (lambda d: d + b"\0", b"", "entry"),
        (lambda d: d[:32] + b"\3" + d[33:], b"", "entry"),
        (lambda d: d[:32] + b"\1\5" + d[34:], b"", "entry"),
        (lambda d: d, KEY, "signature"),
    ],
)
def test_every_refusal_has_its_reason(damage, key: bytes, reason: str) -> None:  # type: ignore[no-untyped-def]
    datagram = flowsync.encode(flowsync.Told(1, 1, NOW, (Entry(flow(1)),)))
    with pytest.raises(WireError) as caught:
        flowsync.decode(damage(datagram), key)
    assert caught.value.reason == reason


def test_a_changed_bit_or_another_key_breaks_the_signature() -> None:
    datagram = flowsync.encode(flowsync.Told(1, 1, NOW, (Entry(flow(1)),)), KEY)
    for at in range(8, len(datagram)):
        changed = datagram[:at] + bytes([datagram[at] ^ 1]) + datagram[at + 1 :]
        with pytest.raises(WireError, match="wrong key"):
            flowsync.decode(changed, KEY)
    with pytest.raises(WireError, match="wrong key"):
        flowsync.decode(datagram, KEY[::-1])


def refusal(datagram: bytes, key: bytes) -> str:
    try:
        flowsync.decode(datagram, key)
    except WireError as error:
        return error.reason
    return ""


@given(st.binary(max_size=300))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    for key in (b"", KEY):
        for head in (b"", flowsync.MAGIC + b"\2\0"):
            assert refusal(head + data, key) in {"", *flowsync.REASONS}


@given(st.binary(max_size=300))
def test_any_bytes_of_the_kernel_are_a_flow_or_none(data: bytes) -> None:
    conntrack.decode(data)


def test_a_flow_without_translation_says_none() -> None:
    straight = replace(flow(1), reply=FlowTuple(VIP, CLIENT, 80, 1))
    # A translated one has one nested attribute more: 4 + two addresses of 8 + ports 4 + 2 x 8.
    assert len(conntrack.encode_new(flow(1), 60)) - len(conntrack.encode_new(straight, 60)) == 40


# --- the active director's half -----------------------------------------------------------------


def test_what_happens_within_20_ms_is_told_once_and_as_it_is_then() -> None:
    teller = Teller()
    teller.start(0, [])
    teller.on_flow(milliseconds(1), flow(1))
    teller.on_flow(milliseconds(2), flow(2))
    teller.on_end(milliseconds(3), flow(2).key)
    assert teller.deadline() == milliseconds(21)
    assert teller.on_timer(milliseconds(20)) == []
    assert teller.on_timer(milliseconds(21)) == [Entry(flow(1)), Entry(flow(2), gone=True)]
    assert teller.on_timer(milliseconds(22)) == []


def test_a_flood_is_told_at_50_000_a_second() -> None:
    teller = Teller()
    teller.start(0, [flow(port) for port in range(2500)])
    told = [[entry.flow for entry in teller.on_timer(milliseconds(at))] for at in (20, 40, 60, 80)]
    # 1,000 each 20 ms, the oldest first, and nothing twice.
    assert [len(part) for part in told] == [1000, 1000, 500, 0]
    assert told[0] + told[1] + told[2] == [flow(port) for port in range(2500)]


def test_the_end_of_an_unknown_connection_is_not_told() -> None:
    teller = Teller()
    teller.start(0, [])
    teller.on_end(0, flow(1).key)
    assert teller.on_timer(milliseconds(50)) == []


def test_every_connection_is_told_again_in_a_round_of_20_seconds() -> None:
    teller = Teller()
    teller.start(0, [flow(port) for port in range(250)])
    teller.on_timer(milliseconds(20))
    heard: list[int] = []
    steps = []
    while (at := teller.deadline()) is not None and at <= seconds(20):
        part = teller.on_timer(at)
        steps.append(len(part))
        heard += [entry.flow.key.original.source_port for entry in part]
    # 100 steps of 0.2 s; 250 / 100, rounded up, are 3 a step: a round is over after 84.
    assert max(steps) == 3
    assert set(heard) == set(range(250))


# --- the partner's half -------------------------------------------------------------------------


def test_what_is_told_is_put_and_what_has_ended_is_deleted() -> None:
    listener = Listener(lambda told: told.mark)
    assert listener.on_told(0, 1, 1, [Entry(flow(1)), Entry(flow(2))]) == ([flow(1), flow(2)], [])
    assert listener.on_told(0, 1, 2, [Entry(flow(1), gone=True)]) == ([], [flow(1).key])
    assert listener.take_over(0) == [flow(2)]


def test_late_and_repeated_datagrams_count_for_nothing() -> None:
    listener = Listener(lambda told: told.mark)
    listener.on_told(0, 1, 5, [Entry(flow(1))])
    for late in (5, 4):
        assert listener.on_told(0, 1, late, [Entry(flow(1), gone=True)]) == ([], [])
    assert listener.lost == 0
    listener.on_told(0, 1, 8, [])
    assert listener.lost == 2  # 6 and 7


def test_a_partner_that_started_again_counts_from_anywhere() -> None:
    listener = Listener(lambda told: told.mark)
    listener.on_told(0, 1, 500, [])
    assert listener.on_told(0, 2, 1, [Entry(flow(1))]) == ([flow(1)], [])
    assert listener.lost == 0


def test_the_server_has_our_mark_and_one_that_we_have_not_is_left_out() -> None:
    listener = Listener(lambda told: 0 if told.key.original.source_port == 2 else 99)
    put, _ = listener.on_told(0, 1, 1, [Entry(flow(1)), Entry(flow(2))])
    assert put == [flow(1, mark=99)]


def test_a_copy_that_nobody_renews_is_forgotten_when_its_entry_has_ended() -> None:
    listener = Listener(lambda told: told.mark)
    listener.on_told(0, 1, 1, [Entry(flow(1)), Entry(flow(2))])
    listener.on_told(seconds(30), 1, 2, [Entry(flow(2))])
    assert LEASE_S == 60  # three rounds
    assert listener.forget_ended(seconds(60)) == 1
    assert listener.take_over(seconds(61)) == [flow(2)]


# --- who is believed ----------------------------------------------------------------------------


def test_without_a_group_only_the_partner_is_believed_and_only_from_as_far_as_it_is() -> None:
    partner, other = ip_address("192.0.2.2"), ip_address("192.0.2.3")
    next_door = Way(partner, 1)
    next_door.judge(partner, 255)
    with pytest.raises(WireError) as caught:
        next_door.judge(other, 255)
    assert caught.value.reason == Refusal.SENDER
    with pytest.raises(WireError) as caught:
        next_door.judge(partner, 254)
    assert caught.value.reason == Refusal.HOPS
    Way(partner, 3).judge(partner, 253)  # two routers between
    with pytest.raises(WireError, match="expected 253"):
        Way(partner, 3).judge(partner, 252)
    Way(None, 1).judge(other, 1)


def test_nothing_counts_that_was_sent_before_what_was_heard() -> None:
    fresh = Freshness()
    fresh.judge(NOW, NOW)
    for old in (NOW, NOW - 1):
        with pytest.raises(WireError) as caught:
            fresh.judge(old, NOW)
        assert caught.value.reason == Refusal.REPLAYED
    fresh.judge(NOW + 1, NOW)


def test_clocks_may_differ_by_five_minutes() -> None:
    for apart_s, refused in [(-301, True), (-300, False), (300, False), (301, True)]:
        fresh = Freshness()
        if not refused:
            fresh.judge(NOW + apart_s * 10**9, NOW)
            continue
        with pytest.raises(WireError) as caught:
            fresh.judge(NOW + apart_s * 10**9, NOW)
        assert caught.value.reason == Refusal.CLOCK
        fresh.judge(NOW - 1, NOW)  # what was refused is not what was heard


@pytest.mark.parametrize(
    ("content", "mode", "problem"),
    [
        (b"0123456789abcde\n", 0o600, "15 bytes; expected a key of 16 to 4096"),
        (b"0" * 4097, 0o600, "4097 bytes"),
        (b"0123456789abcdef\n", 0o640, "mode is 0640; expected 0600"),
    ],
)
def test_a_key_that_others_may_read_or_guess_is_none(
    tmp_path: Path, content: bytes, mode: int, problem: str
) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(OperationError, match=problem):
        read_key(str(path))


def test_a_key_is_what_stands_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b" 0123456789abcdef\n")
    path.chmod(0o600)
    assert read_key(str(path)) == b"0123456789abcdef"
    with pytest.raises(OperationError, match="expected a key"):
        read_key(str(tmp_path / "none"))
