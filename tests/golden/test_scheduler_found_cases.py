"""What random clusters have shown to differ from crm_simulate 2.1.5, made small.

Each expectation was seen with crm_simulate on the same cluster (tests/differential finds such
clusters); the rows cited are those of SCHEDULER-SPEC.md.
"""

from tests.generators.histories import Recorder
from tests.golden.test_scheduler_small_cases import (
    AWAY,
    MIGRATES,
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
    ordered,
    primitive,
    up,
)

from standfest.analysis.canonical import canonical
from standfest.config.recorded import read
from standfest.core.scheduler.engine import decide

NOW = 1_760_011_200  # 2025-10-09 12:00:00 UTC
APART = '<rsc_colocation id="k" rsc="{}" with-rsc="{}" score="-INFINITY"/>'
PREFERS = '<rsc_location id="l-{0}" rsc="{0}" node="{1}" score="{2}"/>'
WATCHED = '<op id="{0}-10" name="monitor" interval="10s"/>'


def operations(text: str) -> list[str]:
    """Return the operations of the transition, as words."""
    found = canonical(decide(*read(text, "test"), NOW))["ops"]
    assert isinstance(found, list)
    return sorted(
        " ".join(str(one[key]) for key in ("op", "rsc", "node", "interval", "how") if key in one)
        for one in found
    )


def watched(name: str, agent: str = "Dummy") -> str:
    """Return the history of what was started and is looked at every ten seconds."""
    recorder = Recorder()
    return history(
        name,
        recorder.entry(f"{name}_last_0", name, "start"),
        recorder.entry(f"{name}_monitor_10000", name, "monitor", interval=10000),
        agent=agent,
    )


def failed_probe(name: str, code: int) -> str:
    recorder = Recorder()
    lines = [
        recorder.entry(f"{name}_{kind}_0", name, "monitor", code=code, expected=7)
        for kind in ("last", "last_failure")
    ]
    return history(name, *lines)


def test_two_that_never_share_a_node_leave_it_before_the_other_comes() -> None:
    # Rule 4.10: `a` goes to n1, where `b` was.
    both = primitive("a") + primitive("b")
    members = [Member("n1", up("b") + down("a")), Member("n2", down("a", "b"))]
    text = cib(members, both, APART.format("b", "a") + PREFERS.format("a", "n1", 5))
    assert happens(text) == ["move b n1 n2", "start a n1"]
    assert ("stop b n1", "start a n1") in ordered(text)


def test_a_node_that_knows_one_instance_is_not_asked_about_another() -> None:
    # Rules 6.1 and 11.1: instances are alike. n1 is in standby, so its instance is not on n2.
    members = [Member("n1", up("c"), AWAY), Member("n2", down("c"))]
    assert operations(cib(members, clone("cl", primitive("c")))) == ["start c n2", "stop c n1"]


def test_ordered_instances_wait_for_all_before_them() -> None:
    # Rule 6.12: instance 0 recovers, instance 1 stays, instance 2 starts last.
    recorder = Recorder()
    failed = history(
        "c",
        recorder.entry("c_last_0", "c", "start"),
        recorder.entry("c_last_failure_0", "c", "monitor", code=7, interval=10000),
    )
    members = [Member("n1", failed), Member("n2", up("c")), Member("n3", down("c"))]
    watch = primitive("c", operations=WATCHED.format("c"))
    text = cib(members, clone("cl", watch, {"ordered": "true"}))
    assert ("start c n1", "start c n3") in ordered(text)


def test_instances_that_are_alike_are_not_looked_for_where_they_should_not_be() -> None:
    # Rule 11.4: a monitor of role Stopped has no meaning for an anonymous clone.
    absent = '<op id="s" name="monitor" interval="12s" role="Stopped"/>'
    members = [Member("n1", up("c")), Member("n2", down("c"), AWAY)]
    assert operations(cib(members, clone("cl", primitive("c", operations=absent)))) == []
    alone = cib(members, primitive("c", operations=absent))
    assert operations(alone) == ["monitor c n2 12000"]


def test_packing_does_not_heed_where_a_resource_is() -> None:
    # Rule 2.7: with `minimal`, the name of the node decides among equals.
    members = [Member("n1", down("a")), Member("n2", up("a"))]
    assert happens(cib(members, primitive("a"), placement_strategy="minimal")) == ["move a n2 n1"]
    assert happens(cib(members, primitive("a"), placement_strategy="utilization")) == []


def test_the_health_of_a_node_is_the_sum_of_what_is_measured() -> None:
    # Rule 11.10: -60 and -60 outweigh a preference of 100, one of them does not.
    members = [
        Member("n1", up("a"), None, {"#health-disk": "-60", "#health-fan": "-60"}),
        Member("n2", down("a")),
    ]
    text = cib(
        members,
        primitive("a"),
        PREFERS.format("a", "n1", 100),
        node_health_strategy="migrate-on-red",
    )
    assert happens(text) == ["move a n1 n2"]
    assert happens(text.replace('value="-60"', 'value="-40"')) == []


def test_what_is_more_important_is_placed_first() -> None:
    # Both are on n1, which is fuller for the second of them: that is the less important `a`.
    members = [Member("n1", up("a", "b")), Member("n2", down("a", "b"))]
    text = cib(members, primitive("a") + primitive("b", {"priority": "3"}))
    assert happens(text) == ["move a n1 n2"]


def test_the_only_instance_goes_where_it_is_preferred() -> None:
    # Rule 6.2: no other instance is left to take the better node.
    members = [Member("n1", up("c")), Member("n2", down("c"))]
    rules = PREFERS.format("cl", "n2", 100)
    text = cib(members, clone("cl", primitive("c"), {"clone-max": "1"}), rules)
    assert operations(text) == ["start c n2", "stop c n1"]


def test_what_a_failed_probe_said_is_asked_again_once_the_failure_is_forgotten() -> None:
    # Rules 3.6 and 11.1: the probe failed an hour ago, which counts for a minute.
    members = [Member("n1", up("a")), Member("n2", failed_probe("a", 1))]
    text = cib(members, primitive("a", {"failure-timeout": "60s"}))
    assert operations(text) == ["probe a n2"]


def test_an_agent_that_refuses_its_arguments_is_not_running() -> None:
    # Section 9: the node is forbidden, and nothing has to be stopped there.
    members = [Member("n1", up("a")), Member("n2", failed_probe("a", 2))]
    assert operations(cib(members, primitive("a"))) == []


def test_the_members_of_a_group_migrate_one_after_the_other() -> None:
    # Rule 11.14; on the source they are stopped in reverse.
    both = group("g", primitive("a", MIGRATES), primitive("b", MIGRATES))
    text = cib([Member("n1", up("a", "b"), AWAY), Member("n2", down("a", "b"))], both)
    assert happens(text) == ["migrate a n1 n2", "migrate b n1 n2"]
    found = ordered(text)
    assert ("migrate_from a n2", "migrate_to b n1") in found
    assert ("stop b n1", "stop a n1") in found


def test_an_instance_of_a_clone_migrates_too() -> None:
    members = [Member("n1", up("c")), Member("n2", down("c"))]
    text = cib(members, clone("cl", primitive("c", MIGRATES)), PREFERS.format("cl", "n1", -1))
    assert happens(text) == ["migrate c n1 n2"]


def test_a_migration_half_way_is_undone_where_nothing_speaks_for_its_target() -> None:
    # Rule 11.7: both nodes are as good, so it stays on the source.
    recorder = Recorder()
    ends = ' migrate_source="n1" migrate_target="n2"'
    left = history(
        "a",
        recorder.entry("a_last_0", "a", "start"),
        recorder.entry("a_migrate_to_0", "a", "migrate_to", more=ends),
    )
    text = cib([Member("n1", left), Member("n2", down("a"))], primitive("a", MIGRATES))
    assert operations(text) == ["start a n1", "stop a n1", "stop a n2"]


def test_an_instance_that_cannot_be_promoted_is_watched_as_before() -> None:
    # Rule 7.9: without quorum nothing is promoted, so its monitor is not exchanged.
    watch = (
        '<op id="p" name="monitor" interval="11s" role="Promoted"/>'
        '<op id="u" name="monitor" interval="10s"/>'
    )
    stateful = clone("cl", primitive("s", agent="Stateful", operations=watch), PROMOTABLE)
    seen = Member("n1", watched("s", "Stateful"), None, {"master-s": "5"})
    text = cib([seen], stateful, no_quorum_policy="freeze")
    assert operations(text) == ["cancel s n1 10000", "monitor s n1 11000", "promote s n1"]
    assert operations(text.replace('have-quorum="1"', 'have-quorum="0"')) == []


def test_a_group_follows_the_instance_of_its_own_node() -> None:
    # Rules 8.1 c and 6.10: an instance starts on n2; the group on n1 has had its own all along.
    later = group("g", primitive("b"))
    rules = ORDER.format("cl", "g") + PREFERS.format("g", "n1", 100)
    resources = clone("cl", primitive("c")) + later
    text = cib([Member("n1", up("b", "c")), Member("n2", down("b", "c"))], resources, rules)
    assert happens(text) == ["start c n2"]
    beside = [Member("n1", down("b") + up("c")), Member("n2", up("b") + down("c"))]
    text = cib(beside, resources, rules.replace('"n1"', '"n2"'))
    assert happens(text) == ["restart b n2", "start c n2"]


def test_only_a_node_in_maintenance_loses_its_monitors() -> None:
    # Rule 10.4 d: `a` is active on both nodes; n1 is worked on.
    watch = primitive("a", operations=WATCHED.format("a"))
    members = [Member("n1", watched("a"), {"maintenance": "true"}), Member("n2", watched("a"))]
    assert operations(cib(members, watch)) == ["cancel a n1 10000"]


def test_monitors_of_a_resource_in_maintenance_stay_on_a_node_in_standby() -> None:
    watch = primitive("a", {"maintenance": "true"}, operations=WATCHED.format("a"))
    members = [Member("n1", watched("a"), AWAY), Member("n2", down("a"))]
    assert operations(cib(members, watch)) == []
    members = [Member("n1", watched("a")), Member("n2", down("a"))]
    assert operations(cib(members, watch)) == ["cancel a n1 10000"]


def test_what_fits_nowhere_with_its_companion_stays_on_the_roomiest_node() -> None:
    # Rule 11.8: no node has room for `b`; `a`, which it would follow, goes where there is most.
    resources = primitive("a") + primitive("b", uses={"memory": "3"})
    members = [
        Member("n1", up("a", "b"), None, None, {"memory": "1"}),
        Member("n2", down("a", "b"), None, None, {"memory": "2"}),
    ]
    text = cib(members, resources, WITH.format("b", "a"), placement_strategy="utilization")
    assert happens(text) == ["move a n1 n2", "stop b n1"]
    roomier = text.replace('value="1"', 'value="4"')
    assert happens(roomier) == []


def test_a_start_that_is_pending_is_asked_for_again() -> None:
    # Section 9, op-status -1: whoever waits for it needs an operation to wait for.
    pending = history("a", Recorder().entry("a_last_0", "a", "start", pending=True))
    assert operations(cib([Member("n1", pending)], primitive("a"))) == ["start a n1"]


# --- found by changing recorded clusters, one thing at a time ------------------------------------


def test_what_is_promoted_and_has_other_parameters_is_promoted_again() -> None:
    # Section 9: the promotion, too, was with the parameters of before.
    stateful = primitive("c", parameters={"fake": "other"}, agent="Stateful")
    record = history("c", entry("c", "promote", call=2), agent="Stateful")
    members = [Member("n1", record, transient={"master-c": "5"})]
    text = cib(members, clone("cl", stateful, PROMOTABLE))
    assert happens(text) == ["restart c n1"]
    assert operations(text) == ["demote c n1", "promote c n1", "start c n1", "stop c n1"]


def test_a_start_that_is_not_over_was_with_the_parameters_of_before() -> None:
    pending = Recorder().entry("a_last_0", "a", "start", pending=True)
    members = [Member("n1", history("a", pending))]
    text = cib(members, primitive("a", parameters={"fake": "other"}))
    assert happens(text) == ["restart a n1"]


def test_what_nobody_manages_draws_others_to_its_node() -> None:
    # Rule 2.10: `a` counts as if its node had an infinite score, and `b` heeds that (rule 4.7).
    both = primitive("a", {"is-managed": "false"}) + primitive("b")
    members = [Member("n1", up("a") + down("b")), Member("n2", up("b") + down("a"))]
    assert happens(cib(members, both, WITH.format("a", "b"))) == ["move b n2 n1"]


def test_of_two_promoted_instances_the_one_with_the_better_node_is_followed() -> None:
    stateful = clone("cl", primitive("c", agent="Stateful"), PROMOTABLE | {"promoted-max": "2"})
    known = "".join(down(name) for name in ("c", "v"))
    members = [Member(n, known, transient={"master-c": "5"}) for n in ("n1", "n2")]
    follows = '<rsc_colocation id="k" rsc="v" with-rsc="cl" with-rsc-role="Promoted" score="{}"/>'
    better = PREFERS.format("cl", "n2", 50)
    text = cib(members, stateful + primitive("v"), follows.format("INFINITY") + better)
    assert "start v n2" in happens(text)


def test_a_failed_status_with_the_exit_code_that_was_expected_is_no_failure() -> None:
    # The executor knows how an operation ended, the exit code what it came to.
    stopped = entry("a", "stop", call=2).replace('op-status="0"', 'op-status="4"')
    members = [Member("n1", history("a", entry("a", "start"), stopped))]
    assert happens(cib(members, primitive("a"))) == ["start a n1"]


def test_a_stop_that_finds_nothing_to_stop_has_failed() -> None:
    # Section 9: only a probe, or what expects it, may find that a resource is not running.
    members = [Member("n1", history("a", entry("a", "start"), entry("a", "stop", 7, call=2)))]
    assert happens(cib(members, primitive("a"))) == []


def test_what_came_of_a_notification_changes_nothing() -> None:
    told = entry("c", "start").replace("c_last_0", "c_post_notify_start_0")
    told = told.replace('operation="start"', 'operation="notify"').replace(
        "c_start_0", "c_notify_0"
    )
    failed = told.replace('rc-code="0"', 'rc-code="1"').replace('call-id="1"', 'call-id="2"')
    members = [Member("n1", history("c", entry("c", "start"), failed))]
    assert happens(cib(members, clone("cl", primitive("c"), {"notify": "true"}))) == []
