"""Single rules of the policy engine on clusters of a few lines.

Each expectation was seen with crm_simulate 2.1.5 on the same cluster when the rule was written; the
rows cited are those of SCHEDULER-SPEC.md.
"""

import hashlib

from standfest.analysis.canonical import canonical
from standfest.config.recorded import read
from standfest.core.scheduler.engine import decide

NOW = 1_760_011_200  # 2025-10-09 12:00:00 UTC
UNCHANGED = hashlib.md5(b" <parameters/>\n", usedforsecurity=False).hexdigest()


def pairs(tag: str, owner: str, given: dict[str, str] | None) -> str:
    inner = "".join(
        f'<nvpair id="{owner}.{tag}.{name}" name="{name}" value="{value}"/>'
        for name, value in (given or {}).items()
    )
    return f'<{tag} id="{owner}.{tag}">{inner}</{tag}>' if inner else ""


def primitive(
    id: str,
    meta: dict[str, str] | None = None,
    parameters: dict[str, str] | None = None,
    *,
    agent: str = "Dummy",
    uses: dict[str, str] | None = None,
    operations: str = "",
) -> str:
    return (
        f'<primitive id="{id}" class="ocf" provider="pacemaker" type="{agent}">'
        f"{pairs('meta_attributes', id, meta)}"
        f"{pairs('instance_attributes', id, parameters)}{pairs('utilization', id, uses)}"
        f"<operations>{operations}</operations></primitive>"
    )


def group(id: str, *members: str, **meta: str) -> str:
    return f'<group id="{id}">{pairs("meta_attributes", id, meta)}{"".join(members)}</group>'


def clone(id: str, inner: str, meta: dict[str, str] | None = None) -> str:
    return f'<clone id="{id}">{pairs("meta_attributes", id, meta)}{inner}</clone>'


def entry(  # noqa: PLR0917 (a leaf: the fields of one entry)
    resource: str, task: str, code: int = 0, expected: int = 0, call: int = 1, extra: str = ""
) -> str:
    key = f"{call}:1:{expected}:a3b1c2d4-0000-4000-8000-00000000c0de"
    status = 0 if code == expected else 4
    suffix = "last_failure_0" if status else "last_0"
    digest = "" if "op-digest" in extra else f' op-digest="{UNCHANGED}"'
    return (
        f'<lrm_rsc_op id="{resource}_{suffix}" operation_key="{resource}_{task}_0" '
        f'operation="{task}" transition-key="{key}" call-id="{call}" rc-code="{code}" '
        f'op-status="{status}" interval="0" last-rc-change="{NOW - 3600 + call}"{digest} {extra}/>'
    )


def history(resource: str, *entries: str, agent: str = "Dummy") -> str:
    return (
        f'<lrm_resource id="{resource}" class="ocf" provider="pacemaker" type="{agent}">'
        f"{''.join(entries)}</lrm_resource>"
    )


def up(*resources: str, agent: str = "Dummy") -> str:
    return "".join(history(name, entry(name, "start"), agent=agent) for name in resources)


def down(*resources: str, agent: str = "Dummy") -> str:
    return "".join(history(name, entry(name, "monitor", 7, 7), agent=agent) for name in resources)


class Member:
    """A node that is there: its name, its history, its attributes."""

    def __init__(
        self,
        name: str,
        history: str = "",
        permanent: dict[str, str] | None = None,
        transient: dict[str, str] | None = None,
        capacity: dict[str, str] | None = None,
    ) -> None:
        kept = pairs("instance_attributes", name, permanent) + pairs("utilization", name, capacity)
        self.configured = f'<node id="{name}" uname="{name}">{kept}</node>'
        self.state = (
            f'<node_state id="{name}" uname="{name}" in_ccm="true" crmd="online" join="member" '
            f'expected="member"><lrm id="{name}"><lrm_resources>{history}</lrm_resources></lrm>'
            f'<transient_attributes id="{name}">'
            f"{pairs('instance_attributes', f't.{name}', transient)}</transient_attributes>"
            "</node_state>"
        )


def cib(members: list[Member], resources: str, constraints: str = "", **options: str) -> str:
    given = {"stonith-enabled": "false"} | {
        name.replace("_", "-"): value for name, value in options.items()
    }
    return (
        '<cib have-quorum="1"><configuration><crm_config>'
        f"{pairs('cluster_property_set', 'options', given)}</crm_config>"
        f"<nodes>{''.join(member.configured for member in members)}</nodes>"
        f"<resources>{resources}</resources><constraints>{constraints}</constraints>"
        f"</configuration><status>{''.join(member.state for member in members)}</status></cib>"
    )


def happens(text: str) -> list[str]:
    """Return what is done, as words: action, resource, places."""
    result = canonical(decide(*read(text, "test"), NOW))
    found = result["actions"]
    assert isinstance(found, list)
    return sorted(
        " ".join(action[name] for name in ("op", "rsc", "node", "from", "to") if name in action)
        + (" blocked" if action.get("blocked") else "")
        for action in found
    )


def ordered(text: str) -> set[tuple[str, str]]:
    """Return (earlier, later) for all operations that wait for others, directly or not."""
    result = canonical(decide(*read(text, "test"), NOW))
    operations, edges = result["ops"], result["edges"]
    assert isinstance(operations, list)
    assert isinstance(edges, list)
    names = [" ".join(str(o[k]) for k in ("op", "rsc", "node") if k in o) for o in operations]
    after: dict[int, set[int]] = {number: set() for number in range(len(names))}
    for first, then in edges:
        after[first].add(then)
    found: set[tuple[str, str]] = set()
    for number, name in enumerate(names):
        seen: set[int] = set()
        waiting = [number]
        while waiting:
            more = after[waiting.pop()] - seen
            seen |= more
            waiting += more
        found |= {(name, names[later]) for later in seen}
    return found


ORDER = '<rsc_order id="o" first="{}" then="{}"/>'
WITH = '<rsc_colocation id="k" rsc="{}" with-rsc="{}" score="INFINITY"/>'
AWAY = {"standby": "on"}
MIGRATES = {"allow-migrate": "true"}


def test_a_pending_start_is_older_than_a_stop_of_a_later_transition() -> None:
    # CIB-STATUS section 3: what is pending has no call id; transition 8 came before 9.
    uuid = "a3b1c2d4-0000-4000-8000-00000000c0de"
    begun = (
        '<lrm_rsc_op id="a_start_0" operation="start" call-id="-1" op-status="-1" rc-code="193" '
        f'transition-key="1:8:0:{uuid}" interval="0" op-digest="{UNCHANGED}"/>'
    )
    ended = (
        '<lrm_rsc_op id="a_stop_0" operation="stop" call-id="5" op-status="0" rc-code="0" '
        f'transition-key="2:9:0:{uuid}" interval="0"/>'
    )
    stopped = cib([Member("n1", history("a", begun, ended))], primitive("a"))
    assert happens(stopped) == ["start a n1"]
    running = stopped.replace("1:8:0:", "1:10:0:")
    assert happens(running) == []


def test_what_ran_with_unknown_parameters_is_restarted() -> None:
    # Section 9, "Parameter changes": no digest is not the digest of what is configured.
    ran = history("a", entry("a", "start", extra='op-digest=""'))
    assert happens(cib([Member("n1", ran)], primitive("a"))) == ["restart a n1"]
    assert happens(cib([Member("n1", up("a"))], primitive("a"))) == []


def test_changed_parameters_are_reloaded_where_the_agent_can() -> None:
    # op-restart-digest is that of the parameters that take a restart: here all of them, of which
    # none is left, or those named in op-force-restart.
    changed = primitive("a", parameters={"colour": "red"})
    can = f'op-digest="{"0" * 32}" op-force-restart="size" op-restart-digest="{UNCHANGED}"'
    ran = history("a", entry("a", "start", extra=can))
    assert happens(cib([Member("n1", ran)], changed)) == ["reload a n1"]
    cannot = history("a", entry("a", "start", extra=can.replace("size", "colour")))
    assert happens(cib([Member("n1", cannot)], changed)) == ["restart a n1"]
    every = f'op-digest="{"0" * 32}" op-restart-digest="{UNCHANGED}"'
    unlisted = history("a", entry("a", "start", extra=every))
    assert happens(cib([Member("n1", unlisted)], changed)) == ["restart a n1"]
    assert happens(cib([Member("n1", unlisted)], primitive("a"))) == ["reload a n1"]


def test_a_restart_for_another_reason_takes_the_place_of_a_reload() -> None:
    # Section 9: the reload is cancelled, as the start has the new parameters anyway.
    changed = primitive("a", parameters={"colour": "red"})
    can = f'op-digest="{"0" * 32}" op-force-restart="size" op-restart-digest="{UNCHANGED}"'
    ran = history("a", entry("a", "start", extra=can))
    text = cib([Member("n1", ran + down("b"))], primitive("b") + changed, ORDER.format("b", "a"))
    assert happens(text) == ["restart a n1", "start b n1"]
    result = canonical(decide(*read(text, "test"), NOW))["ops"]
    assert isinstance(result, list)
    assert "reload" not in {operation["op"] for operation in result}


def test_the_members_of_an_unordered_group_start_without_regard_to_each_other() -> None:
    # Rule 5.9: ordered=false drops the links of rule 5.1.
    loose = group("g", primitive("a"), primitive("b"), ordered="false")
    assert happens(cib([Member("n1", up("b"))], loose)) == ["start a n1"]
    stuck = group("g", primitive("b"), primitive("c"), ordered="false")
    waits = primitive("x", {"target-role": "Stopped"}) + stuck
    assert happens(cib([Member("n1")], waits, ORDER.format("x", "b"))) == [
        "start b n1 blocked",
        "start c n1",
    ]


def test_a_migration_is_given_up_for_a_predecessor_that_stops_and_starts() -> None:
    # Rule 11.6: while `a` is down, `vm` must be, too.
    away = Member("n1", up("a", "vm"), AWAY)
    both = primitive("a") + primitive("vm", MIGRATES)
    text = cib([away, Member("n2", down("a", "vm"))], both, ORDER.format("a", "vm"))
    assert happens(text) == ["move a n1 n2", "move vm n1 n2"]


def test_a_migration_is_kept_when_an_instance_of_its_predecessor_only_stops() -> None:
    # Rule 11.6: where `vm` goes, `c` runs already; where it was, `c` stops after it has left.
    away = Member("n1", up("c", "vm"), AWAY)
    both = clone("cl", primitive("c")) + primitive("vm", MIGRATES)
    rules = ORDER.format("cl", "vm") + WITH.format("vm", "cl")
    text = cib([away, Member("n2", up("c") + down("vm"))], both, rules)
    assert happens(text) == ["migrate vm n1 n2", "stop c n1"]


def test_the_order_of_assignment_follows_what_a_resource_depends_on() -> None:
    # Rule 11.8: `free` may be on both nodes, so it comes before `bound`, whose primary may not be
    # on n1: at its turn both nodes are empty, and it stays. (After `bound`, n1 would be emptier.)
    bound, free = primitive("bound"), primitive("free")
    base = primitive("base")
    rules = WITH.format("bound", "base") + (
        '<rsc_location id="l" rsc="base" node="n1" score="-INFINITY"/>'
    )
    text = cib(
        [Member("n1", down("bound", "base", "free")), Member("n2", up("bound", "base", "free"))],
        bound + base + free,
        rules,
        placement_strategy="utilization",
    )
    assert happens(text) == []


def test_what_runs_on_a_usable_node_is_assigned_before_what_has_to_leave() -> None:
    # Rule 11.8: both prefer their node by 100, but n1 is in standby; n2 has room for one.
    one = primitive("a", {"resource-stickiness": "100"}, uses={"cpu": "1"})
    other = primitive("b", {"resource-stickiness": "100"}, uses={"cpu": "1"})
    room = {"cpu": "1"}
    text = cib(
        [
            Member("n1", up("a") + down("b"), AWAY, None, room),
            Member("n2", up("b"), None, None, room),
        ],
        one + other,
        placement_strategy="balanced",
    )
    assert happens(text) == ["stop a n1"]


def test_an_instance_that_cannot_be_promoted_is_still_started() -> None:
    # Rule 4.11 the other way round: `a` is blocked, so the promotion that needs it is, too.
    rules = ORDER.format("x", "a") + (
        '<rsc_colocation id="k" rsc="cl" rsc-role="Promoted" with-rsc="a" score="INFINITY"/>'
    )
    stateful = clone("cl", primitive("s", agent="Stateful"), {"promotable": "true"})
    resources = primitive("x", {"target-role": "Stopped"}) + primitive("a") + stateful
    members = [Member("n1", transient={"master-s": "5"})]
    text = cib(members, resources, rules)
    assert "promote s n1 blocked" in happens(text)
    assert "start a n1 blocked" in happens(text)


PROMOTABLE = {"promotable": "true"}


def test_promotion_scores_count_while_nothing_is_known_of_an_instance() -> None:
    # Rule 7.1: at the start of a cluster; later only where an instance is or was looked for.
    stateful = clone("cl", primitive("s", agent="Stateful"), PROMOTABLE)
    fresh = [Member("n1", transient={"master-s": "5"}), Member("n2", transient={"master-s": "10"})]
    assert "promote s n2" in happens(cib(fresh, stateful))
    unique = clone("cl", primitive("s", agent="Stateful"), PROMOTABLE | {"clone-node-max": "2"})
    named = [
        Member("n1", transient={"master-s:0": "5"}),
        Member("n2", transient={"master-s:1": "10"}),
    ]
    assert "promote s:1 n2" in happens(cib(named, unique))


def test_an_optional_colocation_of_the_promoted_role_counts_once() -> None:
    # Rule 7.3: 100 + 30 beside `a` is less than 150; counted twice, 160 would be more.
    stateful = clone("cl", primitive("s", agent="Stateful"), PROMOTABLE)
    rules = (
        '<rsc_location id="l" rsc="a" node="n2" score="INFINITY"/>'
        '<rsc_colocation id="k" rsc="cl" rsc-role="Promoted" with-rsc="a" score="30"/>'
    )
    seen = up("s", agent="Stateful") + down("a")
    members = [
        Member("n1", seen, transient={"master-s": "150"}),
        Member("n2", seen, transient={"master-s": "100"}),
    ]
    assert "promote s n1" in happens(cib(members, primitive("a") + stateful, rules))


def test_nothing_is_promoted_beside_what_does_not_run() -> None:
    # Rule 7.3: mandatory, and `a` has no place.
    stateful = clone("cl", primitive("s", agent="Stateful"), PROMOTABLE)
    rules = '<rsc_colocation id="k" rsc="cl" rsc-role="Promoted" with-rsc="a" score="INFINITY"/>'
    seen = up("s", agent="Stateful")
    text = cib(
        [Member("n1", seen, transient={"master-s": "150"})],
        primitive("a", {"target-role": "Stopped"}) + stateful,
        rules,
    )
    assert happens(text) == []


def test_an_instance_of_a_group_may_begin_what_a_later_member_cannot_complete() -> None:
    # Rules 5.5 and 6.15: `b` is not wanted; `a` stays, and starts on n2.
    inner = group("g", primitive("a"), primitive("b", {"target-role": "Stopped"}))
    text = cib([Member("n1", up("a")), Member("n2")], clone("cl", inner))
    assert happens(text) == ["start a n2"]


def test_what_follows_a_clone_of_groups_waits_for_whole_groups() -> None:
    # Rule 6.10 with 5.9: no instance is complete without `b`, so `d` may not run.
    inner = group("g", primitive("a"), primitive("b", {"target-role": "Stopped"}))
    text = cib(
        [Member("n1", up("a", "d"))], clone("cl", inner) + primitive("d"), ORDER.format("cl", "d")
    )
    assert happens(text) == ["stop d n1"]


def test_what_follows_a_blocked_clone_of_groups_is_stopped() -> None:
    # Rules 8.1 b and 6.9: `x` is not wanted, so neither the groups nor what follows them can run.
    inner = group("g", primitive("a"), primitive("b"))
    resources = primitive("x", {"target-role": "Stopped"}) + clone("c1", inner)
    rules = ORDER.format("x", "c1") + '<rsc_order id="p" first="c1" then="c2"/>'
    text = cib([Member("n1", up("a", "b", "d"))], resources + clone("c2", primitive("d")), rules)
    assert happens(text) == ["stop a n1", "stop b n1", "stop d n1"]


def test_a_failure_with_other_parameters_is_forgotten() -> None:
    # Rule 3.8: start failed for good, but with parameters that are no longer configured.
    failed = history(
        "a",
        entry("a", "start", 1, 0, 2, f'op-digest="{"0" * 32}"'),
        entry("a", "stop", call=3),
    )
    counted = {"fail-count-a#start_0": "INFINITY"}
    text = cib([Member("n1", failed, transient=counted)], primitive("a"))
    assert happens(text) == ["start a n1"]
    same = text.replace("0" * 32, UNCHANGED)
    assert happens(same) == []


def test_serialized_resources_never_overlap_with_one_between_them_left_alone() -> None:
    # Rule 8.4: `b` has nothing to do, `a` and `c` still come one after the other.
    rules = (
        '<rsc_order id="o" kind="Serialize"><resource_set id="s"><resource_ref id="a"/>'
        '<resource_ref id="b"/><resource_ref id="c"/></resource_set></rsc_order>'
    )
    members = [Member("n1", up("b") + down("a", "c"))]
    text = cib(members, primitive("a") + primitive("b") + primitive("c"), rules)
    assert ("start a n1", "start c n1") in ordered(text)


def test_members_of_a_group_migrate_one_after_the_other() -> None:
    # Rule 11.14: forward when they arrive, in reverse when their sources stop.
    both = group("g", primitive("a", MIGRATES), primitive("b", MIGRATES))
    text = cib([Member("n1", up("a", "b"), AWAY), Member("n2", down("a", "b"))], both)
    found = ordered(text)
    assert ("migrate_from a n2", "migrate_to b n1") in found
    assert ("stop b n1", "stop a n1") in found
    assert ("stop a n1", "migrate_to b n1") not in found


def test_a_migration_waits_until_a_promotable_dependent_is_demoted() -> None:
    # Rule 11.6 with 8.1 c: `promote ms after vm`, backwards, is a demote before vm leaves.
    stateful = clone("ms", primitive("s", agent="Stateful"), PROMOTABLE)
    rules = (
        '<rsc_order id="o" first="vm" first-action="start" then="ms" then-action="promote"/>'
        '<rsc_colocation id="k" rsc="ms" rsc-role="Promoted" with-rsc="vm" score="INFINITY"/>'
        '<rsc_location id="l" rsc="vm" node="n2" score="1000"/>'
    )
    promoted = history("s", entry("s", "promote"), agent="Stateful")
    members = [
        Member("n1", up("vm") + promoted, transient={"master-s": "5"}),
        Member("n2", down("vm") + up("s", agent="Stateful"), transient={"master-s": "5"}),
    ]
    text = cib(members, primitive("vm", MIGRATES) + stateful, rules)
    assert ("demote s n1", "migrate_to vm n1") in ordered(text)
    assert ("migrate_from vm n2", "promote s n2") in ordered(text)


def test_an_optional_order_does_not_hold_a_stop_back_for_a_migration() -> None:
    # Rule 8.2: `vm` is never down, so `a` may stop first; it is up before `vm` leaves.
    rules = ORDER.format("a", "vm").replace("/>", ' kind="Optional"/>')
    text = cib(
        [Member("n1", up("a", "vm"), AWAY), Member("n2", down("a", "vm"))],
        primitive("a") + primitive("vm", MIGRATES),
        rules,
    )
    assert happens(text) == ["migrate vm n1 n2", "move a n1 n2"]
    assert ("start a n2", "migrate_to vm n1") in ordered(text)
    assert ("stop vm n1", "stop a n1") not in ordered(text)


def test_migrations_that_wait_for_each_others_room_begin_one_after_the_other() -> None:
    # Rule 11.8: of a ring, the resource that was assigned last does not wait; n1 is looked at
    # first, so that is the one that goes to n2.
    rules = (
        '<rsc_location id="l" rsc="a" node="n2" score="1000"/>'
        '<rsc_location id="m" rsc="b" node="n1" score="1000"/>'
    )
    uses, room = {"mem": "10"}, {"mem": "100"}
    text = cib(
        [
            Member("n1", up("a") + down("b"), None, None, room),
            Member("n2", up("b") + down("a"), None, None, room),
        ],
        primitive("a", MIGRATES, uses=uses) + primitive("b", MIGRATES, uses=uses),
        rules,
        placement_strategy="balanced",
    )
    assert happens(text) == ["migrate a n1 n2", "migrate b n2 n1"]
    assert ("stop a n1", "migrate_to b n2") in ordered(text)
    assert ("stop b n2", "migrate_to a n1") not in ordered(text)


def test_of_two_that_must_be_apart_one_leaves_before_the_other_comes() -> None:
    # Rule 4.10: on each node on its own; roles where the constraint names them.
    apart = '<rsc_colocation id="k" rsc="b" with-rsc="a" score="-INFINITY"/>'
    there = '<rsc_location id="l" rsc="a" node="n2" score="100"/>'
    members = [Member("n1", up("a") + down("b")), Member("n2", down("a") + up("b"))]
    found = ordered(cib(members, primitive("a") + primitive("b"), apart + there))
    assert ("stop b n2", "start a n2") in found
    assert ("stop a n1", "start b n1") in found
    stateful = clone("ms", primitive("s", agent="Stateful"), PROMOTABLE)
    roles = (
        '<rsc_colocation id="k" rsc="b" with-rsc="ms" with-rsc-role="Promoted" score="-INFINITY"/>'
    )
    promoted = history("s", entry("s", "promote"), agent="Stateful")
    members = [
        Member("n1", promoted + down("b"), transient={"master-s": "5"}),
        Member("n2", up("s", agent="Stateful") + up("b"), transient={"master-s": "10"}),
    ]
    found = ordered(cib(members, primitive("b") + stateful, roles))
    assert ("stop b n2", "promote s n2") in found
    assert ("demote s n1", "start b n1") in found


def test_a_pending_start_is_part_of_the_transition_again() -> None:
    # SCHEDULER-SPEC section 9, op-status -1: it is asked for again where it was, after the probes.
    begun = history(
        "a",
        '<lrm_rsc_op id="a_start_0" operation="start" call-id="-1" op-status="-1" rc-code="193" '
        'transition-key="1:8:0:a3b1c2d4-0000-4000-8000-00000000c0de" interval="0" '
        f'op-digest="{UNCHANGED}"/>',
    )
    text = cib([Member("n1", begun), Member("n2")], primitive("a"))
    assert happens(text) == []
    assert ("probe a n2", "start a n1") in ordered(text)


def moved(task: str, code: int, call: int, age: int) -> str:
    """Return an entry of a migration of vm from n1 to n2, `age` seconds ago."""
    ends = 'migrate_source="n1" migrate_target="n2"'
    text = entry("vm", task, code, 0, call, ends)
    return text.replace(f'last-rc-change="{NOW - 3600 + call}"', f'last-rc-change="{NOW - age}"')


def test_a_migration_that_left_but_was_never_received_is_looked_for_first() -> None:
    # Rule 11.7: the target's history has been cleared, so nothing says that vm is there.
    gone = history("vm", moved("migrate_to", 0, 5, 600), entry("vm", "stop", call=6))
    text = cib(
        [Member("n1", gone), Member("n2"), Member("n3", up("vm"))], primitive("vm", MIGRATES)
    )
    assert happens(text) == []


def test_a_failed_departure_is_older_than_what_was_probed_since() -> None:
    # Rule 11.7: a probe after it found vm not running on the target, so it is on n1 only.
    failed = history("vm", entry("vm", "start", call=4), moved("migrate_to", 1, 5, 600))
    probed = history("vm", entry("vm", "monitor", 7, 7, 3))
    later = probed.replace(f'"{NOW - 3600 + 3}"', f'"{NOW - 300}"')
    text = cib([Member("n1", failed), Member("n2", later)], primitive("vm", MIGRATES))
    assert happens(text) == ["recover vm n1"]
    undated = probed.replace(f'last-rc-change="{NOW - 3600 + 3}"', "")
    text = cib([Member("n1", failed), Member("n2", undated)], primitive("vm", MIGRATES))
    assert {pair[0] for pair in ordered(text)} == {"stop vm n1", "stop vm n2"}


def test_no_migration_begins_before_the_last_one_is_cleaned_up() -> None:
    # Rule 11.5: vm arrived on n2, and n1 has still to be told to stop.
    left = history("vm", entry("vm", "start", call=4), moved("migrate_to", 0, 5, 600))
    came = history("vm", moved("migrate_from", 0, 9, 599))
    rules = '<rsc_location id="l" rsc="vm" node="n3" score="100"/>'
    members = [Member("n1", left), Member("n2", came), Member("n3", down("vm"))]
    text = cib(members, primitive("vm", MIGRATES), rules)
    assert happens(text) == ["move vm n2 n3"]
    assert ("stop vm n1", "start vm n3") in ordered(text)


def test_an_optional_colocation_yields_to_what_a_later_member_must() -> None:
    # Rule 4.5: b has failed too often on n1, so with its -5000 n2 is all that is left; it counts
    # after what the members of the group must, and is undone.
    rules = (
        '<rsc_colocation id="k" rsc="g" with-rsc="x" score="-5000" influence="false"/>'
        '<rsc_location id="l" rsc="x" node="n2" score="10"/>'
    )
    members = [
        Member(
            "n1", up("a", "b") + down("x"), transient={"fail-count-b#monitor_10000": "INFINITY"}
        ),
        Member("n2", up("x") + down("a", "b")),
    ]
    text = cib(members, primitive("x") + group("g", primitive("a"), primitive("b")), rules)
    assert happens(text) == ["move a n1 n2", "move b n1 n2"]
