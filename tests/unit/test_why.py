"""`standfest why`: contributions that add up, and causes that are proven, kind by kind."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from standfest.analysis.why import explain
from standfest.cli.main import standfest
from standfest.config.recorded import read

NOW = 1_760_011_200


def cib(
    *,
    options: str = "",
    resources: str = "",
    constraints: str = "",
    history: str = "",
    alpha: str = "",
    beta: str = "",
    attributes: str = 'have-quorum="1"',
    fencing: str = "false",
    nodes: str = '<node id="1" uname="alpha"/><node id="2" uname="beta"/>',
    tickets: str = "",
    gone: str = "",
) -> str:
    """Return a CIB of two nodes; `gone` is a node that is lost, alpha and beta their attributes."""

    def state(number: int, name: str, transient: str, records: str) -> str:
        here = "false" if name == gone else "true"
        word = "offline" if name == gone else "online"
        join = "down" if name == gone else "member"
        return (
            f'<node_state id="{number}" uname="{name}" in_ccm="{here}" crmd="{word}" '
            f'join="{join}" expected="member"><transient_attributes id="{number}">'
            f'<instance_attributes id="s{number}">{transient}</instance_attributes>'
            f'</transient_attributes><lrm id="{number}"><lrm_resources>{records}</lrm_resources>'
            "</lrm></node_state>"
        )

    return f"""<cib {attributes} dc-uuid="1" execution-date="{NOW}"><configuration>
<crm_config><cluster_property_set id="o">
<nvpair id="o-s" name="stonith-enabled" value="{fencing}"/>{options}
</cluster_property_set></crm_config>
<nodes>{nodes}</nodes>
<resources>{resources}</resources>
<constraints>{constraints}</constraints>
</configuration><status>{tickets}
{state(1, "alpha", alpha, history)}{state(2, "beta", beta, "")}
</status></cib>"""


def web(inside: str = "", name: str = "web") -> str:
    return (
        f'<primitive id="{name}" class="ocf" provider="heartbeat" type="nginx">{inside}</primitive>'
    )


def meta(name: str, value: str) -> str:
    pair = f'<nvpair id="m-1" name="{name}" value="{value}"/>'
    return f'<meta_attributes id="m">{pair}</meta_attributes>'


def nvpair(name: str, value: str) -> str:
    return f'<nvpair id="n-{name}" name="{name}" value="{value}"/>'


def operation(resource: str, task: str, code: int, *, interval: int = 0, call: int = 5) -> str:
    status = 0 if code in (0, 7) else 4
    return (
        f'<lrm_rsc_op id="{resource}_{task}_{interval}" operation="{task}" '
        f'operation_key="{resource}_{task}_{interval}" interval="{interval}" call-id="{call}" '
        f'rc-code="{code}" op-status="{status}" transition-key="1:1:0:x" last-rc-change="{NOW}"/>'
    )


def record(resource: str, *operations: str) -> str:
    return (
        f'<lrm_resource id="{resource}" class="ocf" provider="heartbeat" type="nginx">'
        f"{''.join(operations)}</lrm_resource>"
    )


def causes(text: str, name: str = "web", node: str = "") -> list[tuple[str, ...]]:
    configuration, recorded = read(text, "cib.xml")
    return list(explain(configuration, recorded, NOW, name, node)[0].causes)


BAN_BOTH = (
    '<rsc_location id="not-a" rsc="web" node="alpha" score="-INFINITY"/>'
    '<rsc_location id="not-b" rsc="web" node="beta" score="-INFINITY"/>'
)
CASES = {
    "no quorum": (
        cib(resources=web(), attributes='have-quorum="0"'),
        [("there is no quorum (no-quorum-policy=stop)",)],
    ),
    "target-role": (
        cib(resources=web(meta("target-role", "Stopped"))),
        [("target-role=Stopped (m-1, line 6)",)],
    ),
    "is-managed": (
        cib(resources=web(meta("is-managed", "false"))),
        [("is-managed=false (m-1, line 6)",)],
    ),
    "maintenance of the resource": (
        cib(resources=web(meta("maintenance", "true"))),
        [("maintenance=true (m-1, line 6)",)],
    ),
    "maintenance of the cluster": (
        cib(resources=web(), options=nvpair("maintenance-mode", "true")),
        [("maintenance-mode=true",)],
    ),
    "everything is stopped": (
        cib(resources=web(), options=nvpair("stop-all-resources", "true")),
        [("stop-all-resources=true",)],
    ),
    "fencing without a device": (
        cib(resources=web(), fencing="true"),
        [("stonith-enabled is true, but there is no fence device",)],
    ),
    "an opt-in cluster": (
        cib(resources=web(), options=nvpair("symmetric-cluster", "false")),
        [("symmetric-cluster=false",)],
    ),
    "two bans": (
        cib(resources=web(), constraints=BAN_BOTH),
        [("location not-a (line 7)",), ("location not-b (line 7)",)],
    ),
    "both nodes in standby": (
        cib(resources=web(), alpha=nvpair("standby", "on"), beta=nvpair("standby", "on")),
        [("standby=on of alpha",), ("standby=on of beta",)],
    ),
    "permanent standby and a ban": (
        cib(
            resources=web(),
            nodes='<node id="1" uname="alpha"><instance_attributes id="i">'
            f'{nvpair("standby", "on")}</instance_attributes></node><node id="2" uname="beta"/>',
            constraints=BAN_BOTH.partition("/>")[2],
        ),
        [("location not-b (line 7)",), ("standby=on of alpha (n-standby, line 5)",)],
    ),
    "maintenance of both nodes": (
        cib(
            resources=web(), alpha=nvpair("maintenance", "true"), beta=nvpair("maintenance", "true")
        ),
        [("maintenance=true of alpha",), ("maintenance=true of beta",)],
    ),
    "ordered after what is stopped": (
        cib(
            resources=web(meta("target-role", "Stopped"), "db") + web(),
            constraints='<rsc_order id="after" first="db" then="web"/>',
        ),
        [("order after (line 7)",), ("target-role=Stopped (m-1, line 6)",)],
    ),
    "together with what is stopped": (
        cib(
            resources=web(meta("target-role", "Stopped"), "db") + web(),
            constraints='<rsc_colocation id="with" rsc="web" with-rsc="db" score="INFINITY"/>',
        ),
        [("colocation with (line 7)",), ("target-role=Stopped (m-1, line 6)",)],
    ),
    "a ticket": (
        cib(
            resources=web(),
            constraints='<rsc_ticket id="needs" rsc="web" ticket="east" loss-policy="stop"/>',
        ),
        [("ticket east is not granted (constraint needs, line 7)",)],
    ),
    "a ticket in standby": (
        cib(
            resources=web(),
            constraints='<rsc_ticket id="needs" rsc="web" ticket="east" loss-policy="stop"/>',
            tickets='<tickets><ticket_state id="east" granted="true" standby="true"/></tickets>',
        ),
        [("ticket east is in standby (constraint needs, line 7)",)],
    ),
    "a start that failed, which is fatal": (
        cib(
            resources=web(),
            history=record(
                "web", operation("web", "start", 1), operation("web", "stop", 0, call=6)
            ),
            alpha=nvpair("fail-count-web#start_0", "INFINITY"),
            constraints=BAN_BOTH.partition("/>")[2],
        ),
        [
            ("location not-b (line 7)",),
            ("start of web failed on alpha: it failed (exit code 1), fail count INFINITY",),
        ],
    ),
    "migration-threshold reached": (
        cib(
            resources=web(meta("migration-threshold", "3")),
            alpha=nvpair("fail-count-web#monitor_10000", "3"),
            constraints=BAN_BOTH.partition("/>")[2],
        ),
        [("location not-b (line 7)",), ("failures of web on alpha, fail count 3",)],
    ),
    "an agent that is not installed": (
        cib(
            resources=web(),
            history=record("web", operation("web", "monitor", 5)),
            constraints=BAN_BOTH.partition("/>")[2],
        ),
        [
            ("location not-b (line 7)",),
            ("monitor of web failed on alpha: not installed (exit code 5)",),
        ],
    ),
    "no room": (
        cib(
            options=nvpair("placement-strategy", "utilization"),
            resources=web(f'<utilization id="u">{nvpair("memory", "4")}</utilization>'),
        ),
        [("utilization of web: memory 4 (line 6)",)],
    ),
    "a lost node that cannot be fenced": (
        cib(
            resources=web() + '<primitive id="fence" class="stonith" type="fence_x"/>',
            fencing="true",
            gone="beta",
            attributes='have-quorum="0"',
            options=nvpair("no-quorum-policy", "freeze"),
        ),
        [("there is no quorum (no-quorum-policy=freeze)",)],
    ),
    "two causes at once": (
        cib(resources=web(meta("target-role", "Stopped")), attributes='have-quorum="0"'),
        [("target-role=Stopped (m-1, line 6)", "there is no quorum (no-quorum-policy=stop)")],
    ),
    "three causes at once": (
        cib(
            resources=web(meta("target-role", "Stopped")),
            attributes='have-quorum="0"',
            options=nvpair("stop-all-resources", "true"),
        ),
        [
            (
                "target-role=Stopped (m-1, line 6)",
                "there is no quorum (no-quorum-policy=stop)",
                "stop-all-resources=true",
            )
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_causes_are_named(name: str) -> None:
    text, expected = CASES[name]
    assert causes(text) == expected


def test_what_runs_has_no_causes() -> None:
    assert causes(cib(resources=web())) == []


def test_a_failed_stop_blocks_and_is_named() -> None:
    text = cib(
        resources=web() + web(name="other"),
        constraints='<rsc_order id="after" first="web" then="other"/>'
        '<rsc_colocation id="with" rsc="other" with-rsc="web" score="INFINITY"/>'
        '<rsc_location id="not-a" rsc="web" node="alpha" score="-INFINITY"/>',
        history=record("web", operation("web", "start", 0), operation("web", "stop", 1, call=6)),
        alpha=nvpair("fail-count-web#stop_0", "INFINITY"),
    )
    failure = "stop of web failed on alpha: it failed (exit code 1), fail count INFINITY"
    assert (failure,) in causes(text, "web", "beta")
    configuration, recorded = read(text, "cib.xml")
    found = explain(configuration, recorded, NOW, "web")[0]
    assert found.decision == "blocked by a failure: it is left as it is"


def test_why_it_is_not_on_the_other_node() -> None:
    text = cib(
        resources=web(meta("resource-stickiness", "50")),
        history=record("web", operation("web", "start", 0)),
        constraints='<rsc_location id="likes" rsc="web" node="beta" score="20"/>',
    )
    configuration, recorded = read(text, "cib.xml")
    found = explain(configuration, recorded, NOW, "web", "beta")[0]
    # 50 for staying on alpha against 20 for beta: without stickiness it is 0 against 20.
    assert found.decision == "alpha has 50, the next best, beta, 20"
    assert found.goal == "run on beta"
    assert found.causes == (("resource-stickiness=50 of web",),)


PROMOTABLE = (
    '<clone id="both"><meta_attributes id="c"><nvpair id="c-1" name="promotable" value="true"/>'
    "</meta_attributes><primitive id='db' class='ocf' provider='x' type='y'/></clone>"
)


def test_why_it_is_not_promoted() -> None:
    running = record("db", operation("db", "start", 0))
    text = cib(resources=PROMOTABLE, history=running)
    configuration, recorded = read(text, "cib.xml")
    found = explain(configuration, recorded, NOW, "db")[0]
    assert found.promotion_decision == "not promoted on alpha: -1 is below 0"
    assert [(part.score, part.what) for part in found.promotion] == [
        (-1, "no promotion score is set for it")
    ]
    assert found.goal == "be promoted"
    assert ("no promotion score (master-db) on alpha",) in found.causes


def test_the_better_promotion_score_wins_and_is_shown() -> None:
    text = cib(
        resources=PROMOTABLE,
        history=record("db", operation("db", "start", 0)),
        alpha=nvpair("master-db", "10"),
        constraints='<rsc_location id="lead" rsc="both" node="alpha" role="Promoted" score="5"/>',
    )
    configuration, recorded = read(text, "cib.xml")
    found = explain(configuration, recorded, NOW, "db")[0]
    # 10 set by the agent + 5 for the promoted role.
    parts = [(part.score, part.what) for part in found.promotion]
    assert parts[:2] == [(10, "promotion score"), (5, "location lead (line 7)")]
    assert found.promotion_decision.startswith("promoted on alpha with")


def test_a_dependents_wish_is_listed_with_its_factor() -> None:
    text = cib(
        resources=web(name="db") + web(),
        constraints='<rsc_colocation id="with" rsc="web" with-rsc="db" score="500000"/>'
        '<rsc_location id="likes" rsc="web" node="beta" score="30"/>',
    )
    configuration, recorded = read(text, "cib.xml")
    places = {place.node: place for place in explain(configuration, recorded, NOW, "db")[0].places}
    # 500,000 of INFINITY is a half: half of what web likes counts for db.
    (part,) = places["beta"].contributions
    assert (part.score, part.id, part.resource, part.factor) == (15, "with", "web", 0.5)
    assert part.what == "colocation with (line 7) wish of web, times 0.5"
    assert places["beta"].score == 15
    assert places["beta"].chosen


def test_groups_are_explained_member_by_member() -> None:
    text = cib(resources=f'<group id="all">{web(name="one")}{web(name="two")}</group>')
    configuration, recorded = read(text, "cib.xml")
    found = explain(configuration, recorded, NOW, "all")
    assert [one.resource for one in found] == ["one", "two"]
    beta = found[1].places[1]
    assert [(part.score, part.what) for part in beta.contributions] == [
        (-1_000_000, "group: with one, which is on alpha")
    ]


def test_an_unknown_node_is_an_error(tmp_path: Path) -> None:
    place = tmp_path / "cib.xml"
    place.write_text(cib(resources=web()))
    result = CliRunner().invoke(standfest, ["why", "web", str(place), "--node", "gamma"])
    assert result.exit_code == 1
    assert result.output == "Error: unknown node gamma; expected one of: alpha, beta\n"


def test_the_json_holds_every_part(tmp_path: Path) -> None:
    place = tmp_path / "cib.xml"
    place.write_text(cib(resources=web(), constraints=BAN_BOTH))
    result = CliRunner().invoke(standfest, ["why", "web", str(place), "--json"])
    (found,) = json.loads(result.output)
    assert found["places"][0]["contributions"][0] == {
        "what": "location not-a (line 7)",
        "score": -1_000_000,
        "cause": "location",
        "id": "not-a",
        "line": 7,
        "resource": "",
        "factor": 1.0,
        "replaces": False,
        "no_effect": False,
    }
    assert found["goal"] == "run"
    assert found["causes"] == [["location not-a (line 7)"], ["location not-b (line 7)"]]


def many(count: int) -> str:
    pairs = "".join(web(name=f"r{number}") for number in range(count))
    return cib(resources=pairs + web(meta("target-role", "Stopped")), constraints=BAN_BOTH)


def test_what_has_nothing_to_do_with_it_is_left_out_of_the_search() -> None:
    # Two causes are needed at once: the role, and one of the two bans.
    assert causes(many(300)) == [
        ("target-role=Stopped (m-1, line 6)", "location not-a (line 7)"),
        ("target-role=Stopped (m-1, line 6)", "location not-b (line 7)"),
    ]
