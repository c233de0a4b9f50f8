"""Random clusters, scheduled by us and by Debian's crm_simulate: everything must end up alike.

crm_simulate runs its transition on paper and writes the CIB that comes of it; our reader says what
runs where in that. Compared is the place and role of everything after one transition.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfest.config.recorded import read
from standfest.core.scheduler import outcome
from standfest.core.scheduler.engine import decide

NOW = 1_760_011_200  # 2025-10-09 12:00:00 UTC
SCORES = st.sampled_from(["INFINITY", "-INFINITY", "1000", "100", "7", "0", "-1", "-50"])
ROLES = st.sampled_from(["", "", "Stopped", "Started"])

needs_peer = pytest.mark.skipif(
    shutil.which("crm_simulate") is None, reason="crm_simulate is not installed"
)


def nvpair(owner: str, name: str, value: str) -> str:
    return f'<nvpair id="{owner}-{name}" name="{name}" value="{value}"/>'


def entry(  # noqa: PLR0917 (a leaf: the fields of one entry)
    name: str, task: str, interval: int, code: int, expected: int, call: int
) -> str:
    key = f"{call}:1:{expected}:a3b1c2d4-0000-4000-8000-00000000c0de"
    status = 0 if code == expected else 4
    suffix = "_last_failure_0" if status else ("_last_0" if not interval else f"_{task}_{interval}")
    return (
        f'<lrm_rsc_op id="{name}{suffix}" operation_key="{name}_{task}_{interval}" '
        f'operation="{task}" crm_feature_set="3.16.1" transition-key="{key}" '
        f'transition-magic="{status}:{code};{key}" on_node="" call-id="{call}" '
        f'rc-code="{code}" op-status="{status}" interval="{interval}" '
        f'last-rc-change="{NOW - 3600 + call}" exec-time="0" queue-time="0"/>'
    )


@st.composite
def cibs(draw: st.DrawFn) -> str:
    count = draw(st.integers(2, 4))
    nodes = [f"n{i}" for i in range(count)]
    standby = draw(st.sets(st.sampled_from(nodes), max_size=1))
    node_lines = []
    for number, node in enumerate(nodes):
        inner = ""
        if node in standby:
            pair = nvpair(node, "standby", "on")
            inner = f'<instance_attributes id="{node}-i">{pair}</instance_attributes>'
        node_lines.append(f'<node id="{number}" uname="{node}">{inner}</node>')
    names = [f"r{i}" for i in range(draw(st.integers(1, 6)))]
    tops: list[str] = []
    resources: list[str] = []
    history: dict[str, list[str]] = {node: [] for node in nodes}
    call = 1
    waiting: list[str] = []
    for name in names:
        meta = nvpair(name, "resource-stickiness", draw(st.sampled_from(["0", "1", "100"])))
        role = draw(ROLES)
        if role:
            meta += nvpair(name, "target-role", role)
        text = (
            f'<primitive id="{name}" class="ocf" provider="pacemaker" type="Dummy">'
            f'<meta_attributes id="{name}-m">{meta}</meta_attributes><operations>'
            f'<op id="{name}-o" name="monitor" interval="10s"/></operations></primitive>'
        )
        kind = draw(st.sampled_from(["plain", "plain", "group", "clone"]))
        active = draw(st.sampled_from([*nodes, "", ""]))
        fails = draw(st.booleans()) and draw(st.booleans())
        for node in nodes:
            here = node == active or (kind == "clone" and bool(active))
            lines = [entry(name, "monitor", 0, 7, 7, call)]
            if here:
                lines = [
                    entry(name, "start", 0, 0, 0, call + 1),
                    entry(name, "monitor", 10000, 0, 0, call + 2),
                ]
                if fails and kind != "clone":
                    lines.append(entry(name, "monitor", 10000, 7, 0, call + 3))
            call += 4
            history[node].append(
                f'<lrm_resource id="{name}" class="ocf" provider="pacemaker" type="Dummy">'
                f"{''.join(lines)}</lrm_resource>"
            )
        if kind == "group":
            waiting.append(text)
            continue
        tops.append(f"{name}-clone" if kind == "clone" else name)
        resources.append(f'<clone id="{name}-clone">{text}</clone>' if kind == "clone" else text)
    if waiting:
        tops.append("grp")
        resources.append(f'<group id="grp">{"".join(waiting)}</group>')
    constraints = []
    for number in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(["location", "colocation", "order"]))
        one, other = draw(st.sampled_from(tops)), draw(st.sampled_from(tops))
        if kind == "location":
            node, score = draw(st.sampled_from(nodes)), draw(SCORES)
            line = f'<rsc_location id="k{number}" rsc="{one}" node="{node}" score="{score}"/>'
        elif tops.index(one) >= tops.index(other):
            continue
        elif kind == "colocation":
            score = draw(SCORES)
            line = (
                f'<rsc_colocation id="k{number}" rsc="{other}" with-rsc="{one}" score="{score}"/>'
            )
        else:
            how = draw(st.sampled_from(["Mandatory", "Optional"]))
            line = f'<rsc_order id="k{number}" first="{one}" then="{other}" kind="{how}"/>'
        constraints.append(line)
    states = [
        f'<node_state id="{i}" uname="{n}" in_ccm="true" crmd="online" join="member" '
        f'expected="member"><lrm id="{i}"><lrm_resources>{"".join(history[n])}'
        "</lrm_resources></lrm></node_state>"
        for i, n in enumerate(nodes)
    ]
    options = nvpair("o", "stonith-enabled", "false")
    return (
        '<cib crm_feature_set="3.16.1" validate-with="pacemaker-3.0" epoch="1" num_updates="1" '
        'admin_epoch="0" have-quorum="1" dc-uuid="0"><configuration><crm_config>'
        f'<cluster_property_set id="o">{options}</cluster_property_set></crm_config>'
        f"<nodes>{''.join(node_lines)}</nodes><resources>{''.join(resources)}</resources>"
        f"<constraints>{''.join(constraints)}</constraints></configuration>"
        f"<status>{''.join(states)}</status></cib>"
    )


Places = dict[str, list[tuple[str, str]]]


def settled(places: Places) -> Places:
    return {name: sorted(found) for name, found in places.items() if found}


def ours(text: str) -> Places:
    return settled(outcome.final(decide(*read(text, "ours"), NOW))[1])


def theirs(text: str) -> Places:
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "in.xml"), Path(folder, "out.xml")
        before.write_text(text)
        words = ["crm_simulate", "-Q", "-x", str(before), "-S", "-O", str(after)]
        subprocess.run(
            [*words, "-t", "2025-10-09 12:00:00Z"], check=True, capture_output=True, timeout=60
        )
        return settled(outcome.initial(decide(*read(after.read_bytes(), "theirs"), NOW)))


@needs_peer
@pytest.mark.hunt
@settings(max_examples=300)
@given(cibs())
def test_everything_ends_up_where_pacemaker_puts_it(text: str) -> None:
    assert ours(text) == theirs(text), text
