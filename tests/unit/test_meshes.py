"""Who is taken for a member when nodes contradict each other; the deadtime is 1000 ns here."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from standfest.core.membership.meshes import Meshes, Tell
from standfest.core.membership.views import Statement, best_view


def of(node: str, number: int, hears: str, session: int = 1) -> Statement:
    return Statement(node, session, number, tuple(hears), "a")


def three() -> Meshes:
    """b, which hears a and c, as they hear it and each other."""
    mesh = Meshes("b", 1, 1000)
    mesh.settle()
    for node in "ac":
        mesh.hear(node)
    mesh.learn("a", of("a", 1, "bc"))
    mesh.learn("c", of("c", 1, "ab"))
    verdict = mesh.weigh(0, "a", len)
    assert verdict.came == ("a", "c")
    assert mesh.view == {"a", "c"}
    return mesh


def test_a_node_that_has_not_heard_all_yet_says_whom_it_hears_after_half_a_deadtime() -> None:
    mesh = Meshes("b", 1, 1000)
    assert mesh.weigh(0, "", len).tells == ()
    assert mesh.deadline() is None
    mesh.hear("a")
    assert mesh.weigh(200, "", len).tells == ()
    assert mesh.deadline() == 700  # 200 + 1000 / 2
    assert mesh.weigh(699, "", len).tells == ()
    assert Tell(Statement("b", 1, 1, ("a",))) in mesh.weigh(700, "", len).tells
    assert mesh.deadline() is None


def test_whom_nobody_hears_is_gone_at_once() -> None:
    mesh = three()
    mesh.learn("c", of("c", 2, "b"))
    mesh.miss("a")
    assert mesh.weigh(10, "a", len).gone == ("a",)
    assert mesh.deadline() is None


def test_whom_another_still_hears_stays_until_that_one_misses_it_too() -> None:
    mesh = three()
    mesh.miss("a")
    assert mesh.weigh(10, "a", len).gone == ()
    mesh.learn("c", of("c", 2, "b"))
    assert mesh.weigh(40, "a", len).gone == ("a",)


def test_a_contradiction_counts_after_a_deadtime_and_its_end_after_another() -> None:
    mesh = three()
    mesh.learn("a", of("a", 2, "c"))  # a does not hear us
    assert mesh.weigh(100, "a", len).gone == ()
    assert mesh.deadline() == 1100
    assert mesh.weigh(1099, "a", len).gone == ()
    verdict = mesh.weigh(1100, "a", len)
    # {a, c} against {b, c}: the coordinator, which all follow, is a.
    assert (verdict.gone, verdict.outvoted) == (("a", "c"), True)
    assert mesh.out == {"a", "c"}
    assert mesh.why_out("a") == "a does not hear b"
    mesh.learn("a", of("a", 3, "bc"))
    assert mesh.weigh(2000, "a", len).came == ()
    verdict = mesh.weigh(3000, "a", len)
    assert (verdict.came, verdict.again, verdict.outvoted) == (("a", "c"), ("a", "c"), False)


def test_a_contradiction_counts_after_two_deadtimes_whatever_else_changes() -> None:
    mesh = three()
    mesh.learn("a", of("a", 2, "bd"))  # a does not hear c
    mesh.learn("c", of("c", 2, "abd"))
    mesh.hear("d")
    mesh.learn("d", of("d", 1, "abc"))
    found = []
    for number, now in enumerate(range(100, 2_101, 500)):
        mesh.learn("d", of("d", 2 + number, "ab" if number % 2 else "bc"))
        found.append(mesh.weigh(now, "a", len).gone != ())
    assert mesh.deadline() is None
    assert found == [False, False, False, False, True]  # at 2100 = 100 + 2 x 1000


def test_what_flaps_within_a_deadtime_changes_nothing() -> None:
    mesh = three()
    for i in range(20):
        mesh.learn("a", of("a", 2 + i, "bc" if i % 2 else "c"))
        verdict = mesh.weigh(i * 900, "a", len)
        assert (verdict.came, verdict.gone) == ((), ())
    assert mesh.view == {"a", "c"}


def test_who_says_nothing_is_never_out() -> None:
    mesh = Meshes("b", 1, 1000)
    mesh.settle()
    mesh.hear("h")
    assert mesh.weigh(0, "", len).came == ("h",)
    assert mesh.weigh(10_000, "", len).gone == ()


def test_what_a_node_cannot_hear_itself_is_passed_on_once() -> None:
    mesh = three()
    mesh.learn("c", of("c", 2, "b"))  # c does not hear a
    tells = mesh.weigh(10, "a", len).tells
    assert Tell(of("a", 1, "bc"), "c") in tells
    mesh.learn("a", of("a", 1, "bc"))  # nothing new
    mesh.learn("c", of("c", 3, "b"))
    assert mesh.weigh(20, "a", len).tells == ()


def test_an_older_statement_and_one_of_an_older_daemon_count_for_nothing() -> None:
    mesh = three()
    mesh.learn("c", of("a", 1, ""))
    mesh.learn("c", of("a", 9, "", session=7))  # a is heard: it would say so itself
    mesh.weigh(10, "a", len)
    assert mesh.deadline() is None


def test_two_that_heard_of_two_daemons_of_a_node_do_not_swap_them_for_ever() -> None:
    """Of a, c and d only d hears x; a knows its second daemon by then, c its first."""
    a, c = Meshes("a", 1, 1000), Meshes("c", 1, 1000)
    for mesh, partner in ((a, "c"), (c, "a")):
        mesh.settle()
        mesh.hear(partner)
        mesh.hear("d")
        mesh.learn(partner, of(partner, 1, mesh.name + "d"))
        mesh.learn("d", of("d", 1, "acx"))
    a.learn("x", of("x", 1, "ac", session=20))
    c.learn("x", of("x", 1, "ac", session=10))
    said = 0
    for now in range(10):
        told = [(mesh, mesh.weigh(now, "a", len).tells) for mesh in (a, c)]
        for mesh, tells in told:
            other = c if mesh is a else a
            for tell in tells:
                if (tell.statement.node, tell.destination) == ("x", other.name):
                    other.learn(mesh.name, tell.statement)
                    said += 1
    assert said == 3  # each what it knew, and c once more, what it was told
    assert a.known("x") == c.known("x") == of("x", 1, "ac", session=20)


def test_who_hears_a_node_knows_its_daemon_better_than_a_later_clock() -> None:
    mesh = three()
    mesh.learn("x", of("x", 1, "abc", session=20))
    mesh.learn("c", of("c", 2, "abx"))
    mesh.learn("c", of("x", 1, "c", session=10))  # its clock went back, and c hears it
    assert mesh.known("x") == of("x", 1, "c", session=10)
    mesh.learn("a", of("x", 1, "abc", session=9))
    assert mesh.known("x") == of("x", 1, "c", session=10)


def test_what_was_said_before_a_node_heard_us_is_said_again() -> None:
    """What we said first, d did not hear."""
    mesh = three()
    mesh.hear("d")

    def told(now: int) -> list[str]:
        tells = mesh.weigh(now, "a", len).tells
        return [tell.statement.node for tell in tells if tell.destination in {None, "d"}]

    assert told(10) == ["b"]
    mesh.learn("d", of("d", 1, "c"))
    assert told(20) == []
    mesh.learn("d", of("d", 2, "bc"))
    assert told(30) == ["b", "a"]  # and what a says, which d does not hear


def test_nodes_are_heard_of_from_those_that_know_a_later_roster() -> None:
    mesh = three()
    mesh.weigh(10, "a", len, (3, 1))
    mesh.learn("a", replace(of("a", 2, "bcx"), roster=(3, 1)))
    assert mesh.heard_of() == set()
    mesh.learn("c", replace(of("c", 2, "aby"), roster=(4, 0)))
    assert mesh.heard_of() == {"a", "y"}


LETTERS = "abcdefg"


@given(
    count=st.integers(2, 7),
    bits=st.lists(st.booleans(), min_size=49, max_size=49),
    leaders=st.lists(st.sampled_from(LETTERS), min_size=7, max_size=7),
)
@settings(max_examples=300, deadline=None)
def test_members_of_a_view_agree_and_no_two_views_have_a_majority(
    count: int, bits: list[bool], leaders: list[str]
) -> None:
    names = LETTERS[:count]
    said = {
        n: Statement(
            n, 1, 1, tuple(m for j, m in enumerate(names) if m != n and bits[7 * i + j]), leaders[i]
        )
        for i, n in enumerate(names)
    }
    views = {n: best_view(said, n, len) for n in names}
    for view in views.values():
        for one in view:
            assert all(other in said[one].hears for other in view if other != one)
    quorate = [views[n] for n in names if n in views[n] and 2 * len(views[n]) > count]
    # Two that each have more than half have a node in common; that they are the same is the rule.
    assert len(set(quorate)) <= 1
