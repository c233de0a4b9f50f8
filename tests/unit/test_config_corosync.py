"""corosync.conf: who the nodes are, and every mistake in one line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfest.config.corosyncconf import CorosyncSettings, parse
from standfest.model.errors import ConfigError

GOOD = """# made by hand
totem {
    version: 2
    cluster_name: mail
}
nodelist {
    node {
        name: Alice
        nodeid: 1
        ring0_addr: 10.0.0.1
    }
    node {
        nodeid: 2
        ring0_addr: bob
    }
}
quorum {
    provider: corosync_votequorum
    two_node: 1
}
"""


def test_names_are_those_of_the_nodes_or_of_their_first_address() -> None:
    settings, warnings = parse(GOOD, "c", "alice")
    assert settings == CorosyncSettings(("alice", "bob"), two_node=True, votes=True)
    assert [str(warning) for warning in warnings] == [
        "c: warning: two_node: both halves keep quorum when they lose each other, and both go on;"
        " expected fencing, or a quorum device"
    ]


def test_without_votes_that_is_said() -> None:
    settings, warnings = parse(GOOD.partition("quorum {")[0], "c", "bob")
    assert not settings.votes
    assert [warning.problem for warning in warnings] == ["nobody counts votes"]


NUMBERS = "expected a number of its own for each node"
NAMES = "expected name: as `uname -n` says there"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("nodeid: 2", "", f"c:12: nodeid is missing; {NUMBERS}"),
        ("nodeid: 2", "nodeid: 1", f"c:12: nodeid is 1; {NUMBERS}"),
        ("ring0_addr: bob", "ring0_addr: 10.0.0.2", f"c:12: the node's name is missing; {NAMES}"),
        ("bob", "alice", f"c:12: the node's name is alice; {NAMES}"),
        ("version: 2", "version 2", "c:3: version 2; expected key: value, section {, or }"),
        ("two_node: 1\n}", "two_node: 1", "c:17: { is never closed; expected }"),
        ("quorum {", "}\nquorum {", "c:17: } without {; expected balanced braces"),
        ("Alice", "carol", "c: no node alice, which is `uname -n` here; expected carol bob"),
    ],
)
def test_a_mistake_is_one_line(old: str, new: str, line: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        parse(GOOD.replace(old, new), "c", "alice")
    assert [str(finding) for finding in caught.value.findings] == [line]


def test_no_nodes_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no nodes"):
        parse("totem {\n}\n", "c", "alice")


@given(st.lists(st.sampled_from([*GOOD.splitlines(), "{", "}", ":", "a {", "x"]), max_size=40))
def test_any_lines_are_settings_or_findings(lines: list[str]) -> None:
    try:
        settings, _ = parse("\n".join(lines), "c", "alice")
    except ConfigError:
        return
    assert "alice" in settings.nodes
