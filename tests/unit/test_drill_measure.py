"""What the drill's client recorded -> outage and double ownership, on records written by hand."""

import pytest

from standfest.lab.measure import Answer, Reply, answered_twice, outage, served_twice

OLD, NEW = "02:00:00:00:00:01", "02:00:00:00:00:02"
IP = "123.123.123.1"


def good(node: str, *ended: float) -> list[Answer]:
    """Answers of service 0 that each took one millisecond."""
    return [Answer(0, at - 0.001, at, node) for at in ended]


def replies(mac: str, *at: float) -> list[Reply]:
    return [Reply(IP, moment, mac) for moment in at]


def test_the_outage_is_from_the_last_good_answer_to_the_next() -> None:
    records = [*good("node-1", 9.990, 9.995), *good("node-2", 11.045, 11.050)]
    found = outage(records, 0, fault=10.0, until=11.1)
    assert found is not None
    # 11.045 s - 9.995 s
    assert found.seconds == pytest.approx(1.050)
    assert (found.before, found.after, found.restored) == ("node-1", "node-2", 11.045)


def test_a_longer_gap_that_ended_before_the_fault_is_not_the_outage() -> None:
    records = [*good("node-1", 1.0, 5.0, 9.995), *good("node-2", 10.5, 10.6)]
    # 1.0 -> 5.0 and 5.0 -> 9.995 ended before the fault at 10.0; 9.995 -> 10.5 contains it.
    found = outage(records, 0, fault=10.0, until=10.7)
    assert found is not None
    assert found.seconds == pytest.approx(0.505)


def test_probes_that_nobody_answered_do_not_end_an_outage() -> None:
    silent = [Answer(0, 10.1, 10.35, None), Answer(0, 10.2, 10.45, None)]
    records = [*good("node-1", 9.995), *silent, *good("node-2", 10.995, 11.0)]
    found = outage(records, 0, fault=10.0, until=11.1)
    assert found is not None
    assert found.seconds == pytest.approx(1.0)


def test_another_services_answers_do_not_count() -> None:
    others = [Answer(1, at, at + 0.001, "node-1") for at in (10.1, 10.2, 10.3)]
    records = [*good("node-1", 9.995), *others, *good("node-2", 10.495, 10.5)]
    found = outage(records, 0, fault=10.0, until=10.6)
    assert found is not None
    assert found.seconds == pytest.approx(0.5)


def test_a_service_that_is_silent_at_the_end_has_not_recovered() -> None:
    # It came back at 11.0 s and was gone again 2 s before the observation ended.
    records = [*good("node-1", 9.995), *good("node-2", 11.0, 11.005)]
    assert outage(records, 0, fault=10.0, until=13.0) is None


def test_a_service_that_never_answered_has_not_recovered() -> None:
    assert outage([], 0, fault=10.0, until=20.0) is None


def test_an_address_that_changes_hands_once_was_never_owned_twice() -> None:
    records = replies(OLD, 10.000, 10.005, 10.010) + replies(NEW, 10.015, 10.020)
    assert answered_twice(records, IP, fault=9.0) == 0.0


def test_an_old_owner_that_answers_after_the_new_one_is_seen() -> None:
    records = replies(OLD, 10.000, 10.005, 10.030) + replies(NEW, 10.010, 10.020, 10.040)
    # Both held it between 10.005 (old) .. 10.030 (old) and 10.020 (new) .. 10.040 (new).
    assert answered_twice(records, IP, fault=9.0) == pytest.approx(0.035)


def test_two_owners_that_answer_every_request_are_seen_for_the_whole_time() -> None:
    moments = [10.0 + 0.005 * n for n in range(101)]
    records = replies(OLD, *moments) + replies(NEW, *(at + 0.0001 for at in moments))
    # 100 requests x 5 ms, and the reply of the new owner to the last one 0.1 ms later.
    assert answered_twice(records, IP, fault=9.0) == pytest.approx(0.5001)


def test_an_address_that_returns_after_a_pause_was_not_owned_twice() -> None:
    gone = [10.01 + 0.005 * n for n in range(200)]  # one second at the other node
    records = replies(OLD, 10.0, 10.005) + replies(NEW, *gone) + replies(OLD, 11.02, 11.025)
    assert answered_twice(records, IP, fault=9.0) == 0.0


def test_replies_before_the_fault_and_for_other_addresses_do_not_count() -> None:
    other = [Reply("192.168.0.1", 10.007, NEW), Reply("192.168.0.1", 10.011, OLD)]
    early = replies(OLD, 8.0, 8.01) + replies(NEW, 8.005)
    records = early + replies(OLD, 10.000, 10.010) + other
    assert answered_twice(records, IP, fault=9.0) == 0.0


def test_an_old_server_that_still_answers_new_connections_is_seen() -> None:
    records = good("node-1", 10.001, 10.031) + good("node-2", 10.011, 10.041)
    # Begun 1 ms before they ended: old at 10.000 and 10.030, new at 10.010 and 10.040; both
    # held the service from 10.000 to 10.030 and from 10.010 to 10.040.
    assert served_twice(records, 0, fault=9.0) == pytest.approx(0.040)


def test_a_server_that_hands_over_once_was_never_two() -> None:
    records = good("node-1", 10.001, 10.006) + good("node-2", 10.100, 10.105)
    assert served_twice(records, 0, fault=9.0) == 0.0


def test_an_address_that_passes_through_three_hands_was_never_owned_twice() -> None:
    records = replies(OLD, 10.000) + replies(NEW, 10.005) + replies("02:00:00:00:00:03", 10.010)
    assert answered_twice(records, IP, fault=9.0) == 0.0
