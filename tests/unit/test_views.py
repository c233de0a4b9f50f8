"""The best set of nodes that all hear each other, by literal expectations."""

from collections.abc import Collection

import pytest

from standfest.core.membership.views import Statement, best_view, mutual, within_reach

Said = dict[str, Statement]


def said(leader: str = "", **hears: str) -> Said:
    """Return statements: each node, by its letter, hears these letters."""
    return {n: Statement(n, 1, 1, tuple(h), leader) for n, h in hears.items()}


def view(statements: Said, node: str, **votes: int) -> str:
    def count(nodes: Collection[str]) -> int:
        return sum(votes.get(n, 1) for n in nodes)

    return "".join(sorted(best_view(statements, node, count)))


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (said(a="b", b="a"), "ab"),
        (said(a="bc", b="ac", c="ab"), "abc"),
        (said(a="b", b="ac", c="b"), "ab"),  # a bridge: by name
        (said("c", a="b", b="ac", c="b"), "bc"),  # the same with a coordinator at one end
        (said(a="bc", b="ac", c="b"), "ab"),  # c does not hear a: by name
        (said("c", a="bc", b="ac", c="b"), "bc"),
        # Five, b does not hear a: four with a are as good as four with b, but for the coordinator.
        (said("b", a="bcde", b="cde", c="abde", d="abce", e="abcd"), "bcde"),
        (said("d", a="bcde", b="cde", c="abde", d="abce", e="abcd"), "acde"),
        # A chain and a ring of five: two neighbours.
        (said(a="b", b="ac", c="bd", d="ce", e="d"), "ab"),
        (said("d", a="b", b="ac", c="bd", d="ce", e="d"), "cd"),
        (said(a="be", b="ac", c="bd", d="ce", e="da"), "ab"),
        # Seven: d alone hears both halves, of which the second has one more.
        (
            said(a="bd", b="ad", d="abcefg", c="defg", e="dcfg", f="dceg", g="dcef"),
            "cdefg",
        ),
    ],
)
def test_all_that_hear_all_compute_this_view(statements: Said, expected: str) -> None:
    assert {view(statements, node) for node in statements} == {expected}


def test_votes_come_before_numbers() -> None:
    bridge = said(a="c", b="cd", c="abd", d="bc")
    assert view(bridge, "a") == "bcd"  # 3 of 4 votes
    assert view(bridge, "a", a=3) == "ac"  # 3 + 1 = 4 against 1 + 1 + 1 = 3


def test_a_mute_node_knows_that_it_is_out() -> None:
    mute = said("a", a="bc", b="c", c="b")
    assert [view(mute, node) for node in "abc"] == ["bc", "bc", "bc"]
    assert within_reach(mute, "b") == {"b", "c"}


def test_a_deaf_node_is_alone_and_the_others_are_together() -> None:
    deaf = said("a", a="", b="ac", c="ab")
    assert [view(deaf, node) for node in "abc"] == ["a", "bc", "bc"]


def test_of_two_the_one_that_is_not_heard_gives_way() -> None:
    # b cannot know of a, and goes on: so a must not.
    assert [view(said("a", a="b", b=""), node) for node in "ab"] == ["b", "b"]


def test_who_says_nothing_hears_all_that_hear_it() -> None:
    silent = said(a="bh", b="ah")
    assert mutual(silent, "a", "h")
    assert view(silent, "a") == "abh"
    # a does not hear it: {a, b} and {b, h} are equal but for what is known and the names.
    assert view(said(a="b", b="ah"), "a") == "ab"


def test_what_nobody_within_reach_hears_died() -> None:
    # c, d and e lost their power together; their last words are that they hear each other.
    last = said(a="b", b="a", c="abde", d="abce", e="abcd")
    assert view(last, "a") == "ab"


def test_sixty_four_nodes_with_a_broken_link_each_are_decided() -> None:
    # Each hears all but its partner, 2^32 sets are equally good: one of each pair, 32 nodes.
    names = [f"n{i:02}" for i in range(64)]
    pairs = {n: names[i ^ 1] for i, n in enumerate(names)}
    statements = {
        n: Statement(n, 1, 1, tuple(x for x in names if x not in (n, pairs[n]))) for n in names
    }
    found = {best_view(statements, n, len) for n in names[:3]}
    assert [len(one) for one in found] == [32]
