"""quorum.toml: what it means, and every mistake by its line."""

import pytest

from standfest.analysis.filecheck import check
from standfest.config import cib, quorum
from standfest.config.keepalived.source import Setting
from standfest.daemons.included import DiskFiles
from standfest.model.configuration import Configuration
from standfest.model.errors import ConfigError
from standfest.model.quorum import Breaker
from standfest.model.quorumfile import PingSettings, ServerSettings
from standfest.model.settings import HeartbeatSettings
from standfest.model.time import milliseconds, seconds

TWO = HeartbeatSettings(("b", "a"), (), keepalive=milliseconds(100), deadtime=seconds(1))
SERVER = """
tiebreaker = "qdevice"
wait_for_all = true
[votes]
b = 3
[qdevice]
address = "192.0.2.1"
cluster = "mail"
key_file = "/etc/ha.d/qdevice.keys"
"""


def configuration(*, policy: str, fenced: bool) -> Configuration:
    device = '<primitive id="f" class="stonith" type="x"/>' if fenced else ""
    text = f"""<configuration><crm_config><cluster_property_set id="o">
<nvpair id="p" name="no-quorum-policy" value="{policy}"/></cluster_property_set></crm_config>
<resources>{device}</resources></configuration>"""
    return cib.compile_configuration(cib.load([("c", text)]).configuration)[0]


def test_without_a_file_every_node_has_one_vote() -> None:
    found = quorum.resolve(None, TWO, "quorum.toml")
    assert (found.rules.votes, found.rules.breaker) == ((("a", 1), ("b", 1)), Breaker.NONE)
    # Two beats of 100 ms, and a sixteenth of 1 s: 200 ms + 62.5 ms.
    assert found.rules.settle == 262_500_000


def test_a_server_breaks_ties_by_leases_as_long_as_the_deadtime() -> None:
    file = quorum.parse(SERVER, "quorum.toml")
    found = quorum.resolve(file, TWO, "quorum.toml")
    assert found.device == ServerSettings("192.0.2.1", 5414, "mail", "/etc/ha.d/qdevice.keys")
    assert found.rules.votes == (("a", 1), ("b", 3))
    assert (found.rules.breaker, found.rules.wait_for_all) == (Breaker.SERVER, True)
    # A fifth and the whole of the deadtime; half of it to settle.
    assert (found.interval, found.lease, found.rules.settle) == (
        milliseconds(200),
        seconds(1),
        milliseconds(500),
    )


def test_hosts_outside_and_the_chosen_node() -> None:
    file = quorum.parse('tiebreaker = "ping"\n[ping]\nhosts = ["192.0.2.254"]\n', "q")
    assert (file.breaker, file.device) == (Breaker.PING, PingSettings(("192.0.2.254",)))
    lowest = quorum.parse('tiebreaker = "lowest"\n', "q")
    assert quorum.resolve(lowest, TWO, "q").rules.tie_node == "a"
    highest = quorum.parse('tiebreaker = "highest"\n', "q")
    assert quorum.resolve(highest, TWO, "q").rules.tie_node == "b"


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ('tiebraker = "ping"', 'q:1: unknown key "tiebraker"; did you mean "tiebreaker"?'),
        ("two_node = 1", "q:1: two_node is 1; expected true or false"),
        ('tiebreaker = "disk"', 'q:1: tiebreaker is "disk"; expected a table [disk]'),
        ("[votes]\na = -1", "q:2: votes: a is -1; expected a number from 0 to 1000"),
        (
            'tiebreaker = "qdevice"\n[qdevice]\naddress = "quorum.example"\ncluster = "m"\n'
            'key_file = "/k"',
            'q:3: qdevice: address is "quorum.example"; expected an IP address: names may not '
            "resolve when it matters",
        ),
        (
            'tiebreaker = "disk"\n[disk]\npath = "sdb"',
            'q:3: disk: path is "sdb"; expected a path from the root',
        ),
        ('[disk]\npath = "/d"', 'q:1: disk: [disk], but tiebreaker is "none"; expected '
         'tiebreaker = "disk"'),
        ('two_node = true\ntiebreaker = "lowest"', "q:1: two_node beside a tiebreaker; expected "
         "one of them"),
        ('interval = "1"\nlease = "2"', "q:2: lease is too short; expected at least 3 intervals"),
        ("votes = 3", "q:1: votes is 3; expected a table [votes]"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(text: str, finding: str) -> None:
    with pytest.raises(ConfigError) as caught:
        quorum.parse(text, "q")
    assert [str(one) for one in caught.value.findings] == [finding]


def test_a_name_that_ha_cf_does_not_have_is_refused() -> None:
    file = quorum.parse('tiebreaker = "c"\n[votes]\nd = 1\n', "q")
    with pytest.raises(ConfigError) as caught:
        quorum.resolve(file, TWO, "q")
    assert [one.problem for one in caught.value.findings] == ['votes of "d"', 'tiebreaker is "c"']


@pytest.mark.parametrize(
    ("text", "policy", "fenced", "words"),
    [
        ("", "ignore", False, ["two nodes without a tiebreaker and without fencing"]),
        ("", "ignore", True, []),
        ("", "stop", True, ["2 votes and no tiebreaker"]),
        ("[votes]\na = 2\n", "stop", False, []),  # 3 votes
        (SERVER.replace("b = 3", "b = 1"), "stop", False, []),
        ("two_node = true\n", "stop", True, []),
        ("two_node = true\n", "stop", False, ["two_node without fencing"]),
        (
            'tiebreaker = "ping"\n[ping]\nhosts = ["192.0.2.254"]\n',
            "stop",
            False,
            ["a ping tiebreaker without fencing"],
        ),
    ],
)
def test_what_a_cut_cable_would_show_is_a_warning(
    text: str, policy: str, fenced: bool, words: list[str]
) -> None:
    settings = quorum.resolve(quorum.parse(text, "q"), TWO, "q")
    found = quorum.warnings(settings, configuration(policy=policy, fenced=fenced), "q")
    assert len(found) == len(words)
    assert all(one.problem.startswith(word) for one, word in zip(found, words, strict=True))


HA_CF = "node a b\nbcast eth1\ndeadtime 1\nkeepalive 100ms\n"
IGNORES = """<configuration><crm_config><cluster_property_set id="o">
<nvpair id="s" name="stonith-enabled" value="false"/>
<nvpair id="p" name="no-quorum-policy" value="ignore"/></cluster_property_set></crm_config>
</configuration>"""


def told(*texts: tuple[str, str]) -> list[str]:
    checked = check(texts, Setting("here", {}), DiskFiles())
    return [str(found) for found in checked.findings if "initdead" not in found.problem]


def test_check_reads_the_files_of_one_cluster_together() -> None:
    (warning,) = told(("c/ha.cf", HA_CF), ("c/cib.xml", IGNORES))
    assert warning == (
        "ha.cf: warning: two nodes without a tiebreaker and without fencing, and "
        "no-quorum-policy=ignore: when all links between them are cut, both run everything; "
        "expected fencing, or a tiebreaker (disk, qdevice)"
    )
    files = (("c/ha.cf", HA_CF), ("c/quorum.toml", SERVER), ("c/cib.xml", IGNORES))
    assert told(*files) == []
    (error,) = told(("c/ha.cf", HA_CF), ("c/quorum.toml", "[votes]\nc = 1\n"))
    assert error.startswith('c/quorum.toml: votes of "c"; expected a node of ha.cf: a, b')
    (error,) = told(("qdevice.toml", "port = 5414\n"))
    assert error.startswith("qdevice.toml: no clusters")
