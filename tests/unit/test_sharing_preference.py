"""Who has which bucket: weights, losses, returns. Expected numbers with their arithmetic."""

import pytest

from standfest.core.sharing.preference import Preference
from standfest.model.sharing import Member


def members(*weights: int) -> list[Member]:
    return [Member(f"n{position}", weight) for position, weight in enumerate(weights)]


def counts(preference: Preference, present: set[int]) -> dict[int, int]:
    owners = preference.owners(frozenset(present))
    return {member: some.bit_count() for member, some in owners.items()}


def test_buckets_are_shared_by_weight() -> None:
    # 192 buckets: 192 x 1/6 = 32, 192 x 2/6 = 64, 192 x 3/6 = 96
    assert counts(Preference(members(1, 2, 3), 192), {0, 1, 2}) == {0: 32, 1: 64, 2: 96}


def test_a_weight_of_zero_has_none_even_alone() -> None:
    preference = Preference(members(0, 1), 128)
    assert counts(preference, {0, 1}) == {0: 0, 1: 128}
    assert counts(preference, {0}) == {0: 0}


def test_of_nobody_nobody_has_any() -> None:
    assert Preference(members(1, 1), 128).owners(frozenset()) == {}


def test_each_bucket_has_one_owner_whoever_is_there() -> None:
    preference = Preference(members(1, 2, 1, 5), 256)
    for present in ({0}, {1, 3}, {0, 2, 3}, {0, 1, 2, 3}):
        owners = preference.owners(frozenset(present))
        assert sum(some.bit_count() for some in owners.values()) == 256
        union = 0
        for some in owners.values():
            union |= some
        assert union == (1 << 256) - 1


@pytest.mark.parametrize("lost", range(5))
def test_a_loss_moves_the_buckets_of_the_lost_alone(lost: int) -> None:
    preference = Preference(members(1, 1, 1, 1, 1), 320)
    before = preference.owners(frozenset(range(5)))
    after = preference.owners(frozenset(range(5)) - {lost})
    for member in after:
        assert before[member] & ~after[member] == 0  # keeps what it had
        assert after[member].bit_count() == 80  # 64 + 64 / 4


def test_the_last_one_has_all() -> None:
    assert counts(Preference(members(1, 1, 0, 1), 256), {2, 3}) == {2: 0, 3: 256}


def test_many_losses_of_many_move_no_bucket_twice() -> None:
    preference = Preference(members(*[1, 2] * 32), 4096)  # groups too small for everybody
    present = set(range(64))
    for lost in range(0, 60, 3):
        before = preference.owners(frozenset(present))
        present.discard(lost)
        after = preference.owners(frozenset(present))
        assert all(before[member] & ~after[member] == 0 for member in present)


def test_losses_one_after_the_other_move_no_bucket_twice() -> None:
    preference = Preference(members(1, 2, 3, 1, 2, 3), 384)
    present = set(range(6))
    for lost in (4, 0, 2):
        before = preference.owners(frozenset(present))
        present.discard(lost)
        after = preference.owners(frozenset(present))
        for member in present:
            assert before[member] & ~after[member] == 0


def test_two_losses_leave_equal_shares() -> None:
    # 320 / 3 = 106.7; one bucket more or less for each group of a largest remainder
    found = counts(Preference(members(1, 1, 1, 1, 1), 320), {0, 2, 4})
    assert sorted(found.values()) in ([106, 107, 107], [106, 106, 108], [105, 107, 108])


def test_sixty_four_members_share_all_their_buckets() -> None:
    found = counts(Preference(members(*[1] * 64), 4096), set(range(64)))
    assert set(found.values()) == {64}  # 4096 / 64
