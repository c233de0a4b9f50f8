"""What the families of random clusters (tests/differential) have shown to differ, made small.

Each expectation was seen with crm_simulate 2.1.5 on a cluster like it, except for the promoted
instance and the start that cannot happen: docs/guide/compatibility.md says why 2.1.5 is wrong.
"""

from tests.generators.histories import Recorder
from tests.golden.test_scheduler_found_cases import WATCHED, operations, watched
from tests.golden.test_scheduler_small_cases import (
    ORDER,
    PROMOTABLE,
    WITH,
    Member,
    cib,
    clone,
    down,
    entry,
    group,
    happens,
    history,
    primitive,
    up,
)

RANKED = (
    '<rsc_location id="l" rsc="a"{}><rule id="r" {}>'
    '<expression id="e" attribute="#uname" operation="ne" value="{}"/></rule></rsc_location>'
)
MAINTENANCE = {"maintenance": "true"}
LEAVES = {"shutdown": "1760011190"}


def failed_stop(name: str) -> str:
    return history(name, entry(name, "stop", 1))


def failed_monitor(name: str, code: int) -> str:
    """Return the history of what was started, watched, and found to have failed."""
    recorder = Recorder()
    return history(
        name,
        recorder.entry(f"{name}_last_0", name, "start"),
        recorder.entry(f"{name}_monitor_10000", name, "monitor", interval=10000),
        recorder.entry(f"{name}_last_failure_0", name, "monitor", code=code, interval=10000),
    )


def test_a_node_without_the_attribute_that_counts_is_out_of_the_question() -> None:
    members = [Member("n1", down("a")), Member("n2", down("a"), {"rank": "5"})]
    ranked = RANKED.format("", 'score-attribute="rank"', "n3")
    assert happens(cib(members, primitive("a"), ranked)) == ["start a n2"]
    assert happens(cib(members[:1], primitive("a"), ranked)) == []


def test_a_constraint_exclusive_to_no_node_allows_none() -> None:
    exclusive = RANKED.format(' resource-discovery="exclusive"', 'score="100"', "n1")
    assert happens(cib([Member("n1", down("a"))], primitive("a"), exclusive)) == []


def test_what_another_agent_left_is_deleted_before_the_new_one_starts() -> None:
    text = cib([Member("n1", up("a", agent="Stateful"))], primitive("a"))
    assert operations(text) == ["delete a n1", "start a n1", "stop a n1"]


def test_a_stop_without_an_end_tells_nothing() -> None:
    recorder = Recorder()
    begun = history("a", recorder.entry("a_last_0", "a", "stop", pending=True))
    text = cib([Member("n1", begun)], primitive("a"))
    assert operations(text) == ["probe a n1", "start a n1"]


def test_in_maintenance_only_what_recurs_is_cancelled() -> None:
    kept = primitive("a", operations=WATCHED.format("a"))
    running = cib([Member("n1", watched("a"))], kept, maintenance_mode="true")
    assert operations(running) == ["cancel a n1 10000"]
    stopped = cib([Member("n1", failed_monitor("a", 7))], kept, maintenance_mode="true")
    assert operations(stopped) == []
    removed = cib([Member("n1", watched("a"))], "", maintenance_mode="true")
    assert operations(removed) == []


def test_nodes_may_leave_although_nothing_is_managed() -> None:
    members = [Member("n1", up("a")), Member("n2", down("a"), transient=LEAVES)]
    text = cib(members, primitive("a"), maintenance_mode="true")
    assert operations(text) == ["shutdown n2"]


def test_fail_counts_are_cleared_only_where_somebody_looks_after_the_resource() -> None:
    # The monitor failed an hour ago, which is longer than a minute.
    failed = {"fail-count-a#monitor_10000": "1", "last-failure-a#monitor_10000": "1760007600"}
    watch = WATCHED.format("a")
    members = [Member("n1", failed_monitor("a", 1), transient=failed)]
    for meta, expected in ({}, ["clear_failcount a n1"]), ({"is-managed": "false"}, []):
        kept = primitive("a", {"failure-timeout": "60s"} | meta, operations=watch)
        assert operations(cib(members, kept)) == expected


def test_a_stop_that_should_have_led_to_fencing_is_tried_again_where_nothing_fences() -> None:
    fenced = '<op id="a-stop" name="stop" interval="0" on-fail="fence"/>'
    text = cib([Member("n1", failed_stop("a"))], primitive("a", operations=fenced))
    assert operations(text) == ["stop a n1"]


def test_what_must_be_with_a_group_stays_beside_a_blocked_member() -> None:
    pair = group("g", primitive("a"), primitive("b"))
    members = [Member("n1", failed_stop("a") + up("b", "d")), Member("n2", down("a", "b", "d"))]
    assert operations(cib(members, pair + primitive("d"), WITH.format("d", "g"))) == ["stop b n1"]


def test_freezing_the_promoted_role_lets_unpromoted_instances_stop() -> None:
    stateful = clone(
        "cl", primitive("c", agent="Stateful"), PROMOTABLE | {"target-role": "Stopped"}
    )
    ticket = '<rsc_ticket id="t" rsc="cl" rsc-role="Promoted" ticket="t1" loss-policy="freeze"/>'
    text = cib([Member("n1", up("c", agent="Stateful"))], stateful, ticket)
    assert happens(text) == ["stop c n1"]


def test_a_promoted_instance_that_is_restarted_is_promoted_again() -> None:
    stateful = clone("cl", primitive("c", agent="Stateful"), PROMOTABLE)
    recorder = Recorder()
    promoted = history("c", recorder.entry("c_last_0", "c", "promote"), agent="Stateful")
    known = Member("n1", promoted + down("a"), transient={"master-c": "5"})
    text = cib([known], primitive("a") + stateful, ORDER.format("a", "cl"))
    assert operations(text) == [
        "demote c n1",
        "promote c n1",
        "start a n1",
        "start c n1",
        "stop c n1",
    ]


def test_unique_instances_have_promotion_scores_of_their_own() -> None:
    unique = PROMOTABLE | {"globally-unique": "true", "clone-max": "1"}
    stateful = clone("cl", primitive("c", agent="Stateful"), unique)
    for score, promoted in ("master-c", []), ("master-c:0", ["promote c:0 n1"]):
        member = Member("n1", down("c:0", agent="Stateful"), transient={score: "5"})
        assert operations(cib([member], stateful)) == [*promoted, "start c:0 n1"]


def test_a_container_leaves_when_it_and_what_it_holds_have_failed_often_enough() -> None:
    # 1 of its own and 2 of what it holds make 3.
    counts = {"fail-count-v#monitor_10000": "1", "fail-count-a#monitor_10000": "2"}
    held = primitive("a", {"container": "v"})
    for threshold, expected in ("3", ["move a n1 n2", "move v n1 n2"]), ("4", []):
        machine = primitive("v", {"migration-threshold": threshold})
        members = [Member("n1", up("v", "a"), transient=counts), Member("n2", down("v", "a"))]
        assert happens(cib(members, machine + held)) == expected


def test_a_start_that_cannot_happen_restarts_nothing() -> None:
    # The instance on n2 waits for `z`, which is off; the one on n1 runs, and so does what follows.
    off = primitive("z", {"target-role": "Stopped"})
    both = clone("cl", group("g", primitive("c"))) + clone("dl", primitive("d"))
    waits = ORDER.format("z", "cl").replace("<rsc_order", '<rsc_order symmetrical="false"')
    follows = ORDER.format("cl", "dl").replace('id="o"', 'id="p"')
    members = [Member("n1", up("c", "d") + down("z")), Member("n2", up("d") + down("c", "z"))]
    assert happens(cib(members, off + both, waits + follows)) == ["start c n2 blocked"]
