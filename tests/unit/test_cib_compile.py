"""A configuration as values: effective options, value types, constraints, exact errors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfest.config.cib import compile_configuration, load
from standfest.config.cib.values import boolean, duration, score
from standfest.model.configuration import (
    Clone,
    Colocation,
    Configuration,
    Expression,
    Group,
    Location,
    NodeEntry,
    NoQuorumPolicy,
    OnFail,
    Order,
    OrderKind,
    Primitive,
    Rule,
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


def test_constraints_are_read() -> None:
    configuration = compiled(
        *constraints(
            '<rsc_location id="l1" rsc="web" node="one" score="-INFINITY"/>'
            '<rsc_location id="l2" rsc="web"><rule id="r" score="7" boolean-op="or">'
            '<expression id="e" attribute="a" operation="gt" value="3" type="integer"/>'
            '<rule id="r2"><expression id="f" attribute="b" operation="defined"/></rule>'
            "</rule></rsc_location>"
            '<rsc_colocation id="c" rsc="web" with-rsc="db"/>'
            '<rsc_order id="o1" first="db" then="web"/>'
            '<rsc_order id="o2" first="db" then="web" first-action="stop" kind="serialize"/>'
            '<rsc_order id="o3" first="db" then="web" score="0" symmetrical="false"/>'
        )
    )
    assert configuration.locations == (
        Location("l1", "web", -1_000_000, node="one"),
        Location(
            "l2",
            "web",
            7,
            rule=Rule(
                (Expression("a", "gt", "3", "integer"), Rule((Expression("b", "defined"),))),
                any_of=True,
            ),
        ),
    )
    assert configuration.colocations == (Colocation("c", "web", "db", 1_000_000),)
    assert configuration.orders == (
        Order("o1", "db", "web"),
        Order("o2", "db", "web", "stop", "stop", OrderKind.SERIALIZE, symmetrical=False),
        Order("o3", "db", "web", kind=OrderKind.OPTIONAL, symmetrical=False),
    )


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


def test_a_constraint_on_what_is_not_built_yet_is_a_warning() -> None:
    text = (
        '<resources><bundle id="b"/><primitive id="web" class="ocf" type="T"/></resources>',
        '<constraints><rsc_colocation id="c" rsc="web" with-rsc="b"/></constraints>',
    )
    assert warnings_of(*text) == ["2.xml:1: warning: c: b is not implemented yet"]
    assert compiled(*text).colocations == ()


def test_a_limited_lifetime_leaves_its_constraint_out_and_says_so() -> None:
    text = constraints(
        '<rsc_location id="l" rsc="web" node="n" score="1"><lifetime><rule id="r"><expression '
        'id="e" attribute="x" operation="defined"/></rule></lifetime></rsc_location>'
    )
    assert compiled(*text).locations == ()
    assert warnings_of(*text) == [
        "2.xml:1: warning: l is left out: lifetime is not implemented yet"
    ]


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
            primitive(kind='template="t"'),
            "1.xml:1: web uses template t; expected class and type: templates are not built yet",
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
            options(placement_strategy="balanced"),
            "1.xml:1: warning: cluster option placement-strategy is not implemented yet",
        ),
        (
            primitive(meta("m", traget_role="Stopped")),
            '1.xml:1: warning: unknown meta-attribute traget-role; expected "target-role"',
        ),
        (
            primitive(meta("m", multiple_active="block")),
            "1.xml:1: warning: meta-attribute multiple-active is not implemented yet",
        ),
        (primitive(meta("m", allow_migrate="false")), None),
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
