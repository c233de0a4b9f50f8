"""Ping nodes in ha.cf: what heartbeat's lines mean here, and every error in one exact line."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfest.config import hacf
from standfest.config.pingnodes import NAMES
from standfest.model.errors import ConfigError
from standfest.model.pinging import Pinging, PingNode

BASE = "node a b\nbcast eth0\n"  # two lines: what is tested stands on line 3
MS, S = 1_000_000, 1_000_000_000


def read(text: str) -> tuple[Pinging, list[str]]:
    settings, warnings = hacf.parse(BASE + text, "ha.cf")
    return settings.pinging, [str(warning) for warning in warnings]


def pinging(text: str) -> Pinging:
    found, warnings = read(text)
    assert warnings == []
    return found


def errors(text: str) -> str:
    with pytest.raises(ConfigError) as raised:
        hacf.parse(BASE + text, "ha.cf")
    return str(raised.value)


def test_without_ping_nodes_nothing_is_asked() -> None:
    assert pinging("") == Pinging()
    assert pinging("deadping 5\n") == Pinging()


def test_ping_ping6_and_ping_group_are_nodes_in_the_order_of_the_file() -> None:
    text = (
        "ping 10.0.0.1 10.0.0.2\nping_group gate 10.0.1.1,10.0.1.2 fd00::1\n"
        "ping6 fd00:0::2 fe80::1%eth0\nkeepalive 200ms\ndeadtime 2\n"
    )
    assert pinging(text) == Pinging(
        nodes=(
            PingNode("10.0.0.1", ("10.0.0.1",)),
            PingNode("10.0.0.2", ("10.0.0.2",)),
            PingNode("gate", ("10.0.1.1", "10.0.1.2", "fd00::1")),
            PingNode("fd00::2", ("fd00::2",)),
            PingNode("fe80::1%eth0", ("fe80::1%eth0",)),
        ),
        interval=200 * MS,
        deadping=2 * S,  # deadtime, as in heartbeat
        attribute="pingd",
        multiplier=100,
        counted=(),
        dampen=600 * MS,  # 3 x keepalive
        ipfail=False,
    )


def test_deadping_counts_wherever_it_stands() -> None:
    assert pinging("deadping 2500ms\nping 10.0.0.1\n").deadping == 2_500 * MS


@pytest.mark.parametrize(
    "line",
    [
        "respawn hacluster /usr/lib/heartbeat/ipfail",
        "respawn hacluster /usr/lib64/heartbeat/ipfail",
        "respawn root ipfail",
    ],
)
def test_ipfail_is_switched_on_by_the_line_that_started_it(line: str) -> None:
    found = pinging(f"ping 10.0.0.1\n{line}\n")
    assert found.ipfail
    assert (found.multiplier, found.attribute) == (100, "pingd")


def test_permissions_of_what_is_built_in_are_no_matter() -> None:
    allowed = "".join(
        f"apiauth {name} gid=haclient uid=hacluster\n" for name in ("ipfail", "ping", "pingd")
    )
    assert pinging("ping 10.0.0.1\n" + allowed).nodes == (PingNode("10.0.0.1", ("10.0.0.1",)),)
    assert read("apiauth ccm uid=hacluster\n")[1] == [
        'ha.cf:3: warning: "apiauth" is known and not implemented yet; it has no effect'
    ]


@pytest.mark.parametrize(
    ("options", "multiplier", "attribute", "dampen"),
    [
        ("", 1, "pingd", 3 * S),  # pingd's own default
        ("-m 100 -d 5s", 100, "pingd", 5 * S),
        ("-m100 -d5 -a way_out", 100, "way_out", 5 * S),
        ("--attr-multiplier=7 --attr-name up --attr-dampen 2500ms", 7, "up", 2_500 * MS),
        ("-D -V -p /var/run/pingd.pid -i 2 -S status -m 1000 -d 1min", 1000, "pingd", 60 * S),
    ],
)
def test_pingd_is_its_options(options: str, multiplier: int, attribute: str, dampen: int) -> None:
    found = pinging(f"ping 10.0.0.1\nrespawn hacluster /usr/lib/heartbeat/pingd {options}\n")
    assert not found.ipfail
    assert (found.multiplier, found.attribute) == (multiplier, attribute)
    assert found.dampen == dampen


def test_pingd_may_count_some_of_the_ping_nodes() -> None:
    found = pinging("respawn u pingd -m 100 -h 10.0.0.2\nping 10.0.0.1 10.0.0.2\n")
    assert found.value(("10.0.0.1", "10.0.0.2")) == 100
    assert found.value(("10.0.0.1",)) == 0
    assert pinging("ping 10.0.0.1 10.0.0.2\n").value(("10.0.0.1", "10.0.0.2")) == 200


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("ping", "ping has no value; expected IPv4 addresses of hosts (ping6 for IPv6)"),
        (
            "ping 10.0.0.256",
            'ping is "10.0.0.256"; expected IPv4 addresses of hosts (ping6 for IPv6)',
        ),
        ("ping gw", 'ping is "gw"; expected IPv4 addresses of hosts (ping6 for IPv6)'),
        ("ping fd00::1", 'ping is "fd00::1"; expected IPv4 addresses of hosts (ping6 for IPv6)'),
        (
            "ping 224.0.0.1",
            'ping is "224.0.0.1"; expected IPv4 addresses of hosts (ping6 for IPv6)',
        ),
        ("ping 0.0.0.0", 'ping is "0.0.0.0"; expected IPv4 addresses of hosts (ping6 for IPv6)'),
        (
            "ping6 10.0.0.1",
            'ping6 is "10.0.0.1"; expected IPv6 addresses of hosts, link-local ones with %DEVICE',
        ),
        (
            "ping6 fe80::1",
            'ping6 is "fe80::1"; expected IPv6 addresses of hosts, link-local ones with %DEVICE',
        ),
        (
            "ping6 fd00::1%eth0",
            'ping6 is "fd00::1%eth0"; '
            "expected IPv6 addresses of hosts, link-local ones with %DEVICE",
        ),
        (
            "ping6 ::ffff:10.0.0.1",
            'ping6 is "::ffff:10.0.0.1"; '
            "expected IPv6 addresses of hosts, link-local ones with %DEVICE",
        ),
        ("ping_group g", 'ping_group is "g"; expected a name and the addresses of its hosts'),
        (
            "ping_group g x",
            'ping_group is "g x"; expected addresses of hosts, link-local ones with %DEVICE',
        ),
        (
            "ping_group g/h 10.0.0.1",
            'ping_group name is "g/h"; expected letters, digits, -, _ and dots, at most 64',
        ),
        (
            "ping_group g" + " 10.0.0.1" * 17,
            'ping_group "g" has 17 hosts; expected at most 16',
        ),
        ("ping_group A 10.0.0.1", 'ping node "A" is a node of the cluster'),
        (
            "deadping 5s",
            'deadping is "5s"; expected seconds, or a number with ms or us, from 1ms to 86400',
        ),
        ("respawn hacluster", 'respawn is "hacluster"; expected a user and a program, '
         "perhaps with arguments"),
        (
            "respawn u pingd -m none",
            'respawn is "u pingd -m none"; expected a number from 1 to 10000 after -m',
        ),
        (
            "respawn u pingd -d 5s -m",
            'respawn is "u pingd -d 5s -m"; expected a number from 1 to 10000 after -m',
        ),
        (
            "respawn u pingd -a standby",
            'respawn is "u pingd -a standby"; expected a node attribute\'s name after -a',
        ),
        (
            "respawn u pingd -d 2h",
            'respawn is "u pingd -d 2h"; expected a time up to 3600s after -d',
        ),
        (
            "respawn u pingd -x",
            'respawn is "u pingd -x"; '
            'expected -m NUMBER, -a NAME, -d TIME or -h PING-NODE instead of "-x"',
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_line(text: str, line: str) -> None:
    assert errors(text + "\n") == f"ha.cf:3: {line}"


def test_what_contradicts_another_line_names_it() -> None:
    assert errors("ping 10.0.0.1\nping 10.0.0.1\n") == (
        'ha.cf:4: ping node "10.0.0.1" again; line 3 has it'
    )
    assert errors("ping 10.0.0.1\nrespawn u pingd -h 10.0.0.9\n") == (
        'ha.cf:4: pingd counts "10.0.0.9"; expected 10.0.0.1'
    )
    many = " ".join(f"10.0.0.{number}" for number in range(1, 18))
    assert errors(f"ping {many}\n") == (
        'ha.cf:3: ping node "10.0.0.17" is one too many; expected at most 16'
    )
    twice = "ping 10.0.0.1\nrespawn u pingd\nrespawn u pingd -m 5\n"
    assert errors(twice) == "ha.cf:5: respawn of pingd again; line 4 has it; expected one line"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("respawn u ipfail", "ipfail without ping nodes has no effect; expected ping HOST"),
        ("respawn u pingd", "pingd without ping nodes has no effect; expected ping HOST"),
        ("ping 10.0.0.1\ndeadping 2", "deadping is 2000 ms; expected more than 2 x keepalive "
         "(2000 ms)"),
        ("ping_group g 10.0.0.1 10.0.0.1", 'ping_group "g" names a host twice; expected each once'),
        (
            "respawn u pingd -d 1s\nping 10.0.0.1",
            "-d is 1000 ms; expected at least 2 x keepalive (2000 ms)",
        ),
        (
            "respawn root /usr/bin/watcher",
            '"respawn" is known and not implemented yet; it has no effect',
        ),
    ],
)  # fmt: skip
def test_what_may_not_be_meant_is_a_warning(text: str, line: str) -> None:
    number = 4 if text.endswith("deadping 2") else 3
    assert read(text + "\n")[1] == [f"ha.cf:{number}: warning: {line}"]


PAIR = """\
# a pair of heartbeat 2 and 3 with ipfail
use_logd yes
keepalive 500ms
deadtime 10
warntime 5
initdead 30
bcast eth1
auto_failback off
ping_group routers 192.168.1.1 192.168.1.2
ping 10.1.1.1
deadping 6
respawn hacluster /usr/lib/heartbeat/ipfail
apiauth ipfail gid=haclient uid=hacluster
node alpha beta
"""


def test_a_whole_file_of_a_pair_with_ipfail() -> None:
    settings, warnings = hacf.parse(PAIR, "ha.cf")
    assert [str(warning) for warning in warnings] == [
        'ha.cf:8: warning: "auto_failback" is known and not implemented yet; it has no effect'
    ]
    assert settings.nodes == ("alpha", "beta")
    assert settings.pinging == Pinging(
        nodes=(
            PingNode("routers", ("192.168.1.1", "192.168.1.2")),
            PingNode("10.1.1.1", ("10.1.1.1",)),
        ),
        interval=500 * MS,
        deadping=6 * S,
        dampen=1_500 * MS,
        ipfail=True,
    )


WORDS = st.sampled_from(
    [
        *(
            "10.0.0.1",
            "fd00::1",
            "fe80::1%e",
            "group",
            "-m",
            "-d",
            "-a",
            "-h",
            "-D",
            "5s",
            "100",
            "a",
        ),
        *(
            "/usr/lib/heartbeat/pingd",
            "ipfail",
            "root",
            "--attr-name=x",
            "--attr-dampen=",
            "-m9",
            "#",
        ),
    ]
) | st.text(st.characters(exclude_characters="\n\r"), max_size=12)
LINES = st.tuples(st.sampled_from((*NAMES, "respawn root pingd")), st.lists(WORDS, max_size=6)).map(
    lambda line: " ".join((line[0], *line[1]))
)


@given(lines=st.lists(LINES, max_size=8))
def test_whatever_stands_there_is_used_or_refused_with_its_line(lines: list[str]) -> None:
    try:
        settings, warnings = hacf.parse(BASE + "\n".join(lines), "ha.cf")
    except ConfigError as error:
        findings = error.findings
    else:
        findings = warnings
        for node in settings.pinging.nodes:
            assert 1 <= len(node.hosts) <= 16
            for host in node.hosts:
                ip_address(host)
        assert len(settings.pinging.nodes) <= 16
    for finding in findings:
        assert 3 <= finding.line <= 2 + len(lines)
        assert finding.problem
        assert str(finding).isprintable()
