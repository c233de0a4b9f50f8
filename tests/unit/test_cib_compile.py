"""A configuration as values: effective options, value types, constraints, exact errors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfest.config.cib import compile_configuration, load
from standfest.config.cib.values import boolean, duration, score
from standfest.model.configuration import (
    Clone,
    Configuration,
    Group,
    NodeEntry,
    NoQuorumPolicy,
    OnFail,
    Primitive,
    TargetRole,
)
from standfest.model.errors import ConfigError
from standfest.model.operations import Agent
from standfest.model.time import microseconds, milliseconds, seconds

AB = (
    '<resources><primitive id="web" class="ocf" type="Dummy"/>'
    '<primitive id="db" class="ocf" type="Dummy"/></resources>'
)


def compiled(*sections: str) -> Configuration:
    return _compile(sections)[0]


def warnings_of(*sections: str) -> list[str]:
    return _compile(sections)[1]


def errors_of(*sections: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        _compile(sections)
    return str(raised.value).split("\n")


def _compile(sections: tuple[str, ...]) -> tuple[Configuration, list[str]]:
    loaded = load([(f"{number}.xml", text) for number, text in enumerate(sections, 1)])
    configuration, findings = compile_configuration(loaded.configuration, loaded.path_of)
    return configuration, [str(finding) for finding in findings]


def pairs(prefix: str, **values: str) -> str:
    return "".join(
        f'<nvpair id="{prefix}-{name}" name="{name.replace("_", "-")}" value="{value}"/>'
        for name, value in values.items()
    )


def meta(identifier: str, **values: str) -> str:
    inner = pairs(identifier, **values)
    return f'<meta_attributes id="{identifier}">{inner}</meta_attributes>'


def options(**values: str) -> str:
    inner = pairs("p", **values)
    return f'<crm_config><cluster_property_set id="p">{inner}</cluster_property_set></crm_config>'


def primitive(inner: str = "", identifier: str = "web", kind: str = 'class="ocf" type="T"') -> str:
    return f'<resources><primitive id="{identifier}" {kind}>{inner}</primitive></resources>'


def first(configuration: Configuration) -> Primitive:
    return configuration.primitives()[0]


# --- value types ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("20", seconds(20)),
        ("20s", seconds(20)),
        (" 20 s ", seconds(20)),
        ("5sec", seconds(5)),
        ("500ms", milliseconds(500)),
        ("7msec", milliseconds(7)),
        ("9us", microseconds(9)),
        ("9usec", microseconds(9)),
        ("2min", seconds(120)),
        ("2m", seconds(120)),
        ("1h", seconds(3600)),
        ("1hr", seconds(3600)),
        ("1.5s", milliseconds(1500)),
        ("PT5M", seconds(300)),
        ("PT1H30M", seconds(5400)),
        ("P1DT1S", seconds(86401)),
        ("0", 0),
    ],
)
def test_a_duration_has_the_unit_it_names_and_seconds_when_bare(text: str, value: int) -> None:
    assert duration(text) == value


@pytest.mark.parametrize("text", ["", "s", "-5s", "5 parsecs", "1e3", "P", "PT", "٣s", "9" * 13])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a time such as 20s, 500ms, 2min or PT5M"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-5", -5),
        ("INFINITY", 1_000_000),
        ("+infinity", 1_000_000),
        ("-INFINITY", -1_000_000),
        ("99999999", 1_000_000),
        ("-99999999", -1_000_000),
        ("10.9", 10),
        ("red", -1_000_000),
        ("green", 0),
    ],
)
def test_a_score_is_clamped(text: str, value: int) -> None:
    assert score(text) == value


@pytest.mark.parametrize("text", ["true", "Yes", "y", "ON", "1"])
def test_these_words_are_true(text: str) -> None:
    assert boolean(text)


@pytest.mark.parametrize("text", ["false", "No", "n", "OFF", "0"])
def test_these_words_are_false(text: str) -> None:
    assert not boolean(text)


@given(st.text(max_size=30))
def test_any_text_is_a_value_or_a_value_error(text: str) -> None:
    for parse in (boolean, duration, score):
        try:
            parse(text)
        except ValueError:
            continue


# --- effective options ---------------------------------------------------------------------------


def test_an_option_is_the_resources_own_else_its_groups_else_the_default() -> None:
    text = (
        f'<resources><group id="g">{meta("gm", priority="2", resource_stickiness="22")}'
        f'<primitive id="web" class="ocf" type="T">{meta("wm", priority="1")}</primitive></group>'
        '<primitive id="db" class="ocf" type="T"/></resources>'
    )
    defaults = meta("d", priority="3", resource_stickiness="33", migration_threshold="3")
    web, db = compiled(text, f"<rsc_defaults>{defaults}</rsc_defaults>").primitives()
    assert (web.options.priority, db.options.priority) == (1, 3)
    assert (web.options.resource_stickiness, db.options.resource_stickiness) == (22, 33)
    assert (web.options.migration_threshold, db.options.migration_threshold) == (3, 3)
    assert web.options.target_role is TargetRole.STARTED  # built in


def test_what_a_clone_says_holds_for_what_is_inside() -> None:
    text = (
        f'<resources><clone id="c">{meta("cm", target_role="Stopped")}'
        '<group id="g"><primitive id="web" class="ocf" type="T"/></group></clone></resources>'
    )
    configuration = compiled(text)
    (clone,) = configuration.resources
    assert isinstance(clone, Clone)
    assert isinstance(clone.child, Group)
    assert first(configuration).options.target_role is TargetRole.STOPPED


def test_an_operation_is_its_own_attributes_else_its_sets_else_op_defaults_else_built_in() -> None:
    ops = (
        '<operations><op id="a" name="monitor" interval="10s" timeout="1s" on-fail="block"/>'
        f'<op id="b" name="start" interval="0">{meta("bm", timeout="2s")}</op>'
        '<op id="c" name="stop" interval="0" enabled="no" start-delay="4"/></operations>'
    )
    own, sets, defaults = first(compiled(primitive(ops))).operations
    assert (own.timeout, own.on_fail, own.interval) == (seconds(1), OnFail.BLOCK, seconds(10))
    assert sets.timeout == seconds(2)
    assert (defaults.timeout, defaults.on_fail) == (seconds(20), None)
    assert (defaults.enabled, defaults.start_delay) == (False, seconds(4))
    op_defaults = f"<op_defaults>{meta('d', timeout='3s')}</op_defaults>"
    changed = first(compiled(primitive(ops), op_defaults))
    assert [op.timeout for op in changed.operations] == [seconds(1), seconds(2), seconds(3)]
    assert changed.default_timeout == seconds(3)
    assert first(compiled(primitive(ops))).default_timeout == seconds(20)


def test_an_operations_parameters_are_its_instance_attributes() -> None:
    ops = (
        '<operations><op id="a" name="monitor" interval="10s"><instance_attributes id="i">'
        '<nvpair id="n" name="OCF_CHECK_LEVEL" value="20"/></instance_attributes></op></operations>'
    )
    assert first(compiled(primitive(ops))).operations[0].parameters == (("OCF_CHECK_LEVEL", "20"),)


def test_the_set_with_the_best_score_wins() -> None:
    low = '<instance_attributes id="a" score="1"><nvpair id="1" name="ip" value="low"/>'
    high = '<instance_attributes id="b" score="2"><nvpair id="2" name="ip" value="high"/>'
    end = "</instance_attributes>"
    assert first(compiled(primitive(low + end + high + end))).parameters == (("ip", "high"),)


def test_of_sets_with_the_same_score_the_last_wins_and_its_own_after_those_of_a_template() -> None:
    def set_(name: str) -> str:
        pair = f'<nvpair id="{name}-ip" name="ip" value="{name}"/>'
        return f'<instance_attributes id="{name}">{pair}</instance_attributes>'

    own = set_("own-1") + set_("own-2")
    assert first(compiled(primitive(own))).parameters == (("ip", "own-2"),)
    given = f'<template id="t" class="ocf" type="T">{set_("t-1")}{set_("t-2")}</template>'
    bare = f'<resources>{given}<primitive id="web" template="t"/></resources>'
    assert first(compiled(bare)).parameters == (("ip", "t-2"),)
    both = f'<resources>{given}<primitive id="web" template="t">{own}</primitive></resources>'
    assert first(compiled(both)).parameters == (("ip", "own-2"),)


def test_a_set_with_a_rule_does_not_count() -> None:
    text = (
        '<crm_config><cluster_property_set id="p"><rule id="r"><expression id="e" attribute="x" '
        'operation="defined"/></rule><nvpair id="n" name="stonith-enabled" value="false"/>'
        "</cluster_property_set></crm_config>"
    )
    assert compiled(text).options.stonith_enabled


def test_cluster_options_are_read_and_the_bootstrap_set_comes_first() -> None:
    text = (
        '<crm_config><cluster_property_set id="a"><nvpair id="1" name="no-quorum-policy" '
        'value="stop"/></cluster_property_set><cluster_property_set id="cib-bootstrap-options">'
        '<nvpair id="2" name="no-quorum-policy" value="freeze"/></cluster_property_set>'
        "</crm_config>"
    )
    assert compiled(text).options.no_quorum_policy is NoQuorumPolicy.FREEZE
    read = compiled(
        options(
            symmetric_cluster="off",
            stonith_enabled="0",
            start_failure_is_fatal="no",
            maintenance_mode="on",
            stop_all_resources="y",
            enable_startup_probes="n",
            stop_orphan_resources="false",
            cluster_delay="2min",
            batch_limit="7",
            cluster_recheck_interval="PT5M",
        )
    ).options
    assert not read.symmetric_cluster
    assert not read.stonith_enabled
    assert not read.start_failure_is_fatal
    assert read.maintenance_mode
    assert read.stop_all_resources
    assert not read.enable_startup_probes
    assert not read.stop_orphan_resources
    assert (read.cluster_delay, read.batch_limit) == (seconds(120), 7)
    assert read.recheck_interval == seconds(300)


def test_the_new_name_of_fencing_counts_too() -> None:
    assert not compiled(options(fencing_enabled="false")).options.stonith_enabled


def test_nodes_carry_their_permanent_attributes() -> None:
    text = (
        '<nodes><node id="17" uname="one"><instance_attributes id="i">'
        '<nvpair id="n" name="standby" value="on"/></instance_attributes></node></nodes>'
    )
    assert compiled(text).nodes == (NodeEntry("17", "one", (("standby", "on"),)),)


def test_agents_are_named_as_they_are_written() -> None:
    assert first(compiled(primitive())).agent == Agent("ocf", "T", "heartbeat")
    upper = primitive(kind='class="ocf" provider="mine" type="IPAddr2"')
    assert first(compiled(upper)).agent == Agent("ocf", "IPAddr2", "mine")
    old = primitive(kind='class="stonith" type="external/ssh"')
    assert first(compiled(old)).agent == Agent("stonith", "external/ssh")


# --- constraints ---------------------------------------------------------------------------------


def constraints(text: str) -> tuple[str, str]:
    return AB, f"<constraints>{text}</constraints>"


def test_every_kind_of_constraint_is_accepted_without_a_word() -> None:
    text = constraints(
        '<rsc_location id="l1" rsc="web" node="one" score="-INFINITY" role="Promoted" '
        'resource-discovery="exclusive"/>'
        '<rsc_location id="l2" rsc="web"><rule id="r" score="7" boolean-op="or">'
        '<expression id="e" attribute="a" operation="gt" value="3" type="integer"/>'
        '<rule id="r2"><expression id="f" attribute="b" operation="defined"/></rule>'
        '<date_expression id="d" operation="date_spec"><date_spec id="s" hours="8-16"/>'
        "</date_expression></rule></rsc_location>"
        '<rsc_location id="l3" rsc-pattern="!w.*" node="one" score="1"/>'
        '<rsc_location id="l4" rsc="web" node="one" score="1"><lifetime><rule id="r3">'
        '<date_expression id="d2" operation="lt" end="2030-01-31 14:00:00 +01:00"/></rule>'
        "</lifetime></rsc_location>"
        '<rsc_colocation id="c" rsc="web" with-rsc="db" rsc-role="Master" node-attribute="site" '
        'influence="false"/>'
        '<rsc_colocation id="c2" score="5"><resource_set id="s1" sequential="false" role="Started">'
        '<resource_ref id="web"/><resource_ref id="db"/></resource_set></rsc_colocation>'
        '<rsc_order id="o1" first="db" then="web" first-action="promote" require-all="false"/>'
        '<rsc_order id="o2" kind="Serialize"><resource_set id="s2" action="stop" kind="Optional">'
        '<resource_ref id="web"/></resource_set></rsc_order>'
    )
    assert warnings_of(*text) == []


def test_a_constraint_may_name_templates_tags_instances_and_the_parts_of_clones() -> None:
    text = (
        '<resources><template id="t" class="ocf" type="T"/><clone id="c"><group id="g">'
        '<primitive id="web" template="t"/></group></clone></resources>',
        '<tags><tag id="all"><obj_ref id="web"/></tag></tags>',
        "<constraints>"
        + "".join(
            f'<rsc_location id="l{number}" rsc="{name}" node="n" score="1"/>'
            for number, name in enumerate(["t", "c", "g", "web", "web:1", "all"])
        )
        + "</constraints>",
    )
    assert warnings_of(*text) == []


@pytest.mark.parametrize(
    ("constraint", "error"),
    [
        (
            '<rsc_location id="l" rsc="web"/>',
            "l names no node; expected node and score, or a rule",
        ),
        (
            '<rsc_location id="l" rsc="web" node="n" score="1" role="Promotd"/>',
            "role of l is 'Promotd'; expected \"Promoted\"",
        ),
        (
            '<rsc_location id="l" rsc-pattern="w[" node="n" score="1"/>',
            "rsc-pattern of l is 'w['; expected a regular expression: unterminated character set "
            "at position 1",
        ),
        (
            '<rsc_location id="l" rsc="web" node="n" score="1" resource-discovery="none"/>',
            "resource-discovery of l is 'none'; expected always, exclusive, never",
        ),
        (
            '<rsc_colocation id="c" rsc="web" with-rsc="db" score="lots"/>',
            "score of c is 'lots'; expected an integer, INFINITY or -INFINITY",
        ),
        (
            '<rsc_colocation id="c" rsc="web" with-rsc="db" influence="maybe"/>',
            "influence of c is 'maybe'; expected true or false",
        ),
        (
            '<rsc_order id="o" first="db" then="web" kind="Mandatry"/>',
            "kind of o is 'Mandatry'; expected \"Mandatory\"",
        ),
        (
            '<rsc_order id="o" first="db" then="web" first-action="restart"/>',
            "first-action of o is 'restart'; expected \"start\"",
        ),
        (
            '<rsc_order id="o"><resource_set id="s" sequential="sometimes">'
            '<resource_ref id="web"/></resource_set></rsc_order>',
            "sequential of s is 'sometimes'; expected true or false",
        ),
        (
            '<rsc_order id="o"><resource_set id="s"><resource_ref id="wbe"/></resource_set>'
            "</rsc_order>",
            'resource_ref is wbe; expected "web"',
        ),
        (
            '<rsc_order id="o"><resource_set id="s"/></rsc_order>',
            "resource_set s is empty; expected a <resource_ref>",
        ),
    ],
)
def test_a_mistake_in_a_constraint_is_one_line(constraint: str, error: str) -> None:
    assert errors_of(*constraints(constraint)) == [f"2.xml:1: {error}"]


def test_several_resources_on_both_sides_are_left_out_and_said_so() -> None:
    sections = (
        AB,
        '<tags><tag id="x"><obj_ref id="web"/><obj_ref id="db"/></tag></tags>',
        '<constraints><rsc_colocation id="c" rsc="x" with-rsc="x"/></constraints>',
    )
    assert warnings_of(*sections) == [
        "3.xml:1: warning: c is left out: x and x stand for several resources; "
        "expected a resource on one side"
    ]


def test_sets_of_the_old_kind_say_that_ordering_does_nothing() -> None:
    text = constraints(
        '<rsc_order id="o"><resource_set id="s" ordering="group"><resource_ref id="web"/>'
        "</resource_set></rsc_order>"
    )
    assert warnings_of(*text) == [
        "2.xml:1: warning: ordering of s has no effect; expected sequential, if the members are to "
        "be independent"
    ]


def test_a_constraint_on_what_is_not_there_is_an_error_with_the_nearest_name() -> None:
    assert errors_of(
        *constraints(
            '\n<rsc_location id="l" rsc="wbe" node="n" score="1"/>'
            '\n<rsc_colocation id="c" rsc="web" with-rsc="mail"/>'
            '\n<rsc_order id="o" first="web"/>'
        )
    ) == [
        '2.xml:2: rsc_location l: rsc is wbe; expected "web"',
        "2.xml:3: rsc_colocation c: with-rsc is mail; expected db, web",
        "2.xml:4: rsc_order o: then is missing; expected db, web",
    ]


# --- rules ---------------------------------------------------------------------------------------


def ruled(expression: str) -> tuple[str, str]:
    return constraints(
        f'<rsc_location id="l" rsc="web"><rule id="r" score="1">{expression}</rule></rsc_location>'
    )


@pytest.mark.parametrize(
    "end", ["2030", "2030-01", "20300131", "2030-W05-4", "2030-031", "2030-01-31T14:00:00Z"]
)
def test_a_date_may_be_written_as_iso_8601_allows(end: str) -> None:
    text = ruled(f'<date_expression id="d" operation="lt" end="{end}"/>')
    assert warnings_of(*text) == []


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        (
            '<date_expression id="d" operation="lt" end="2030-13-01"/>',
            "end of d is '2030-13-01'; expected a time such as 2030-01-31 14:00:00 +01:00",
        ),
        (
            '<date_expression id="d" operation="gt" end="2030"/>',
            'd names no time; expected start="..."',
        ),
        ('<date_expression id="d"/>', "d names no time; expected start or end"),
        (
            '<date_expression id="d" operation="date_spec"/>',
            "d names no time; expected a <date_spec>",
        ),
        (
            '<date_expression id="d" end="2030"><duration id="u" hours="1"/></date_expression>',
            'd has a duration, but no start; expected start="..."',
        ),
        (
            '<date_expression id="d" operation="date_spec"><date_spec id="s" hours="8..16"/>'
            "</date_expression>",
            "hours of s is '8..16'; expected a number, or a range such as 8-16, 8- or -16",
        ),
        (
            '<expression id="e" attribute="a" operation="equals" value="1"/>',
            "operation of e is 'equals'; expected defined, eq, gt, gte, lt, lte, ne, not_defined",
        ),
        (
            '<expression id="e" attribute="a" operation="eq"/>',
            'e compares with nothing; expected value="..."',
        ),
        (
            '<rule id="q" boolean-op="xor"/>',
            "boolean-op of q is 'xor'; expected \"or\"",
        ),
    ],
)
def test_a_mistake_in_a_rule_is_one_line(expression: str, error: str) -> None:
    assert errors_of(*ruled(expression)) == [f"2.xml:1: {error}"]


def test_an_expression_that_never_holds_where_it_stands_is_told() -> None:
    rule = (
        '<rule id="r"><expression id="e" attribute="x" operation="defined"/>'
        '<rsc_expression id="f" class="ocf"/><op_expression id="g" name="start"/></rule>'
    )
    text = f'<op_defaults><meta_attributes id="m">{rule}</meta_attributes></op_defaults>'
    assert warnings_of(text) == [
        "1.xml:1: warning: e never holds: no rule here can ask for a node attribute"
    ]
    where = [
        "1.xml:1: warning: f never holds: no rule here can ask for an agent",
        "1.xml:1: warning: g never holds: no rule here can ask for an operation",
    ]
    set_ = f'<instance_attributes id="m">{rule}</instance_attributes>'
    assert warnings_of(primitive(set_)) == where


# --- templates -----------------------------------------------------------------------------------


def test_a_primitive_has_what_its_template_gives_it_and_its_own_comes_first() -> None:
    text = (
        '<resources><template id="t" class="ocf" provider="mine" type="T">'
        f"{meta('tm', priority='1', migration_threshold='4')}"
        '<instance_attributes id="ti"><nvpair id="t1" name="ip" value="theirs"/>'
        '<nvpair id="t2" name="nic" value="eth0"/></instance_attributes><operations>'
        '<op id="to" name="monitor" interval="60s" timeout="1s"/>'
        '<op id="tp" name="monitor" interval="2min"/></operations></template>'
        f'<group id="g">{meta("gm", priority="3", resource_stickiness="33")}'
        f'<primitive id="web" template="t">{meta("wm", migration_threshold="7")}'
        '<instance_attributes id="wi"><nvpair id="w1" name="ip" value="own"/></instance_attributes>'
        '<operations><op id="wo" name="monitor" interval="1min" timeout="9s"/></operations>'
        "</primitive></group></resources>"
    )
    web = first(compiled(text))
    assert web.agent == Agent("ocf", "T", "mine")
    assert web.parameters == (("ip", "own"), ("nic", "eth0"))
    assert [(op.id, op.timeout) for op in web.operations] == [
        ("wo", seconds(9)),  # 1min is 60s: one operation
        ("tp", seconds(20)),
    ]
    options = web.options
    assert (options.migration_threshold, options.priority) == (7, 1)  # own, template, group
    assert options.resource_stickiness == 33
    assert warnings_of(text) == []


def test_what_is_wrong_with_a_template_is_told_once_and_where_it_stands() -> None:
    text = (
        '<resources>\n<template id="t" class="ocf" type="T"><operations>\n'
        '<op id="o" name="monitor" interval="often"/></operations></template>'
        '<primitive id="a" template="t"/><primitive id="b" template="t"/></resources>'
    )
    assert errors_of(text) == [
        "1.xml:3: interval of o is 'often'; expected a time such as 20s, 500ms, 2min or PT5M"
    ]


def test_a_clone_says_what_its_instances_are() -> None:
    def only(tag: str, **values: str) -> Clone:
        inner = '<primitive id="p" class="ocf" type="T"/>'
        text = f'<resources><{tag} id="c">{meta("m", **values)}{inner}</{tag}></resources>'
        (clone,) = compiled(text).resources
        assert isinstance(clone, Clone)
        return clone

    assert (only("clone").promotable, only("clone").globally_unique) == (False, False)
    assert only("clone", promotable="yes", promoted_max="2").promoted_max == 2
    assert only("master").promotable
    assert only("clone", clone_node_max="2").globally_unique
    assert not only("clone", clone_node_max="2", globally_unique="false").globally_unique


# --- errors and warnings -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            options(no_quorum_policy="ignor"),
            "1.xml:1: no-quorum-policy of p-no_quorum_policy is 'ignor'; expected \"ignore\"",
        ),
        (
            options(stonith_enabled="maybe"),
            "1.xml:1: stonith-enabled of p-stonith_enabled is 'maybe'; expected true or false",
        ),
        (
            primitive(meta("m", target_role="Startd")),
            "1.xml:1: target-role of web is 'Startd'; expected \"started\"",
        ),
        (
            primitive('<operations><op id="o" name="monitor" interval="often"/></operations>'),
            "1.xml:1: interval of o is 'often'; expected a time such as 20s, 500ms, 2min or PT5M",
        ),
        (
            primitive(
                '<operations><op id="o" name="monitor" interval="60s"/>'
                '<op id="p" name="monitor" interval="1min"/></operations>'
            ),
            "1.xml:1: two monitor operations of web with one interval; expected different "
            "intervals",
        ),
        (primitive(kind='class="ofc" type="T"'), '1.xml:1: class of web is ofc; expected "ocf"'),
        (primitive(kind='class="ocf"'), "1.xml:1: type of web is missing; expected a name"),
        (
            primitive(kind='class="lsb" type="../x"'),
            "1.xml:1: type of web is ../x; expected a name",
        ),
        (
            primitive(kind='class="ocf" provider=".." type="x"'),
            "1.xml:1: provider of web is ..; expected a name",
        ),
        (
            '<resources><template id="big" class="ocf" type="T"/>'
            '<primitive id="web" template="bigg"/></resources>',
            '1.xml:1: template of web is bigg; expected "big"',
        ),
        (
            primitive(meta("m", multiple_active="stop")),
            "1.xml:1: multiple-active of m-multiple_active is 'stop'; expected \"stop_only\"",
        ),
        (
            primitive(meta("m", clone_max="-1")),
            "1.xml:1: clone-max of m-clone_max is '-1'; expected a number that is not negative",
        ),
        (
            options(placement_strategy="best"),
            "1.xml:1: placement-strategy of p-placement_strategy is 'best'; expected balanced, "
            "default, minimal, utilization",
        ),
        (
            '<resources><group id="g"/></resources>',
            "1.xml:1: group g is empty; expected at least one primitive",
        ),
        (
            '<resources><clone id="c"/></resources>',
            "1.xml:1: clone c is empty; expected a primitive or a group",
        ),
    ],
)
def test_an_error_says_where_what_is_there_and_what_was_expected(text: str, error: str) -> None:
    assert errors_of(text) == [error]


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            options(stonith_enabeld="false"),
            '1.xml:1: warning: unknown cluster option stonith-enabeld; expected "stonith-enabled"',
        ),
        (
            options(load_threshold="80%"),
            "1.xml:1: warning: cluster option load-threshold has no effect",
        ),
        (
            options(stonith_watchdog_timeout="20s"),
            "1.xml:1: warning: cluster option stonith-watchdog-timeout has no effect: nodes do not "
            "fence themselves by a watchdog",
        ),
        (options(fencing_timeout="20s", stonith_action="off"), None),
        (options(placement_strategy="balanced", node_health_strategy="custom"), None),
        (primitive(kind='class="stonith" type="fence_x"'), None),
        (
            primitive(meta("m", remote_node="guest")),
            "1.xml:1: warning: meta-attribute remote-node has no effect: Pacemaker Remote is "
            "decided, but not driven yet",
        ),
        (
            primitive(meta("m", traget_role="Stopped")),
            '1.xml:1: warning: unknown meta-attribute traget-role; expected "target-role"',
        ),
        (
            primitive(
                '<operations><op id="o" name="monitor" interval="9" on-fail="fence"/></operations>'
            ),
            None,
        ),
        (primitive(meta("m", multiple_active="block", allow_migrate="true")), None),
    ],
)
def test_what_has_no_effect_is_told(text: str, warning: str | None) -> None:
    assert warnings_of(text) == ([warning] if warning else [])


def test_errors_of_all_files_are_told_with_their_files() -> None:
    texts = ("\n" + primitive(meta("m", priority="y")), "\n\n" + options(batch_limit="x"))
    assert errors_of(*texts) == [
        "1.xml:2: priority of web is 'y'; expected an integer, INFINITY or -INFINITY",
        "2.xml:3: batch-limit of p-batch_limit is 'x'; expected an integer, INFINITY or -INFINITY",
    ]


CLONE = '<primitive id="web" class="ocf" type="Dummy"/></clone></resources>'


@pytest.mark.parametrize(
    ("count", "errors"),
    [
        ("1000", []),
        ("0001000", []),
        ("1001", ["1.xml:1: clone-max of cm-clone_max is '1001'; expected at most 1000"]),
        (
            "1000000000",
            ["1.xml:1: clone-max of cm-clone_max is '1000000000'; expected at most 1000"],
        ),
        (
            "9" * 5000,
            [f"1.xml:1: clone-max of cm-clone_max is '{'9' * 5000}'; expected at most 1000"],
        ),
        (
            "-1",
            ["1.xml:1: clone-max of cm-clone_max is '-1'; expected a number that is not negative"],
        ),
    ],
)
def test_a_clone_has_at_most_a_thousand_instances(count: str, errors: list[str]) -> None:
    sections = f'<resources><clone id="c">{meta("cm", clone_max=count)}{CLONE}'
    if errors:
        assert errors_of(sections) == errors
    else:
        assert compiled(sections).resources[0].id == "c"


def test_the_default_for_all_clones_is_as_limited_and_what_only_limits_is_not() -> None:
    defaults = f"<rsc_defaults>{meta('rd', clone_max='5000')}</rsc_defaults>"
    sections = f'<resources><clone id="c">{meta("cm", clone_node_max="999999999")}{CLONE}'
    assert errors_of(defaults, sections) == [
        "1.xml:1: clone-max of rd-clone_max is '5000'; expected at most 1000"
    ]
    assert isinstance(compiled(sections).resources[0], Clone)


@pytest.mark.parametrize("name", ["replicas", "promoted-max", "masters"])
def test_a_bundle_has_at_most_a_thousand_replicas(name: str) -> None:
    text = '<resources><bundle id="b"><podman image="i" {}="{}" replicas-per-host="9999"/></bundle>'
    assert errors_of(text.format(name, 1001) + "</resources>") == [
        f"1.xml:1: {name} of b is '1001'; expected at most 1000"
    ]
    assert compiled(text.format(name, 1000) + "</resources>").resources == ()
