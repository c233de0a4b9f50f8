"""ha.cf and ha_logd.cf: the report's files, computed defaults, every error in one exact line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from standfest.config import hacf, halogd
from standfest.model.errors import ConfigError
from standfest.model.settings import Bcast, HeartbeatSettings, LogSettings, Mcast, Ucast

REPORT = Path(__file__).parents[3] / "shared" / "reference" / "configs"
REPORT_HACF = """\
crm on
use_logd on

node node-1 node-2

ucast eth1 192.168.0.50
ucast eth1 192.168.0.51

udpport 694

keepalive 100ms
deadtime 1
initdead 10
"""
BASE = "node a b\nbcast eth0\n"  # two lines: what is tested stands on line 3


def settings_of(text: str) -> HeartbeatSettings:
    settings, warnings = hacf.parse(text, "ha.cf")
    assert warnings == ()
    return settings


def errors_of(text: str, parse: Callable[[str, str], Any] = hacf.parse) -> str:
    with pytest.raises(ConfigError) as raised:
        parse(text, "ha.cf")
    return str(raised.value)


def warnings_of(text: str) -> list[str]:
    return [str(warning) for warning in hacf.parse(text, "ha.cf")[1]]


def test_the_reports_ha_cf_means_what_it_says_without_a_warning() -> None:
    assert settings_of(REPORT_HACF) == HeartbeatSettings(
        nodes=("node-1", "node-2"),
        media=(Ucast("eth1", "192.168.0.50"), Ucast("eth1", "192.168.0.51")),
        keepalive=100_000_000,
        deadtime=1_000_000_000,
        warntime=500_000_000,  # deadtime / 2
        initdead=10_000_000_000,
        udpport=694,
        crm=True,
        use_logd=True,
        logfile="",
        debugfile="",
        logfacility="",
        debug=0,
        realtime=True,
        max_rexmit_delay=250_000_000,
        hopfudge=1,
        classic_auth_field=True,
    )


@pytest.mark.skipif(not REPORT.is_dir(), reason=f"no report files in {REPORT}")
def test_the_literals_here_are_the_reports_files() -> None:
    assert (REPORT / "ha.cf").read_text() == REPORT_HACF
    logd = (REPORT / "ha_logd.cf").read_text()
    assert logd == "debugfile /var/log/ha-debug\nlogfile   /var/log/ha-log\n"


def test_comments_commas_case_and_line_ends_are_read_as_heartbeat_reads_them() -> None:
    text = "# all\r\n\tnode N1,n2 , N3 # three\r\nbcast eth0,eth1\r\nmcast br0 239.0.0.1 694 1 0\n"
    settings = settings_of(text)
    assert settings.nodes == ("n1", "n2", "n3")
    assert settings.media == (
        Bcast("eth0"),
        Bcast("eth1"),
        Mcast("br0", "239.0.0.1", 694, 1, False),
    )


@pytest.mark.parametrize(
    ("deadtime", "initdead_s"),
    [("5999ms", 12), ("6", 12), ("7.5", 15), ("10", 20), ("10.001", 10.001), ("30", 30)],
)
def test_the_default_of_initdead_follows_deadtime(deadtime: str, initdead_s: float) -> None:
    assert settings_of(BASE + f"deadtime {deadtime}\n").initdead == int(initdead_s * 1_000_000_000)


@pytest.mark.parametrize(
    ("written", "ns"),
    [
        ("1", 1_000_000_000),
        ("0.3", 300_000_000),
        (".5", 500_000_000),
        ("100ms", 100_000_000),
        ("100msec", 100_000_000),
        ("1500us", 1_500_000),
        ("1500usec", 1_500_000),
        ("2.5ms", 2_500_000),
    ],
)
def test_a_time_is_seconds_or_has_one_of_four_units(written: str, ns: int) -> None:
    assert settings_of(BASE + f"keepalive {written}\n").keepalive == ns


@pytest.mark.parametrize(
    "written", ["1s", "1m", "", "1.", "-1", "1e3", "x", "0", "999us", "86401", "\u0663", "9" * 30]
)
def test_other_times_are_refused(written: str) -> None:
    there = f'is "{written}"' if written else "has no value"
    expected = "seconds, or a number with ms or us, from 1ms to 86400"
    if not written:
        expected = "one value"
    assert errors_of(BASE + f"keepalive {written}\n") == (
        f"ha.cf:3: keepalive {there}; expected {expected}"
    )


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("keepalve 1", 'unknown directive "keepalve"; did you mean "keepalive"?'),
        ("qqqqqq 1", 'unknown directive "qqqqqq"'),
        ("udpport 0", 'udpport is "0"; expected a number from 1 to 65535'),
        ("udpport 1 2", 'udpport is "1 2"; expected one value'),
        ("crm maybe", 'crm is "maybe"; expected on, off, respawn or manual'),
        ("use_logd 2", 'use_logd is "2"; expected on or off'),
        ("msgfmt xml", 'msgfmt is "xml"; expected classic or netstring'),
        ("debug -1", 'debug is "-1"; expected a number from 0 to 255'),
        ("max_rexmit_delay 0", 'max_rexmit_delay is "0"; expected a number from 1 to 60000'),
        ("node", "node has no value; expected one or more node names"),
        ("node A", 'node "a" again; line 1 has it'),
        ("node a/b", 'node name is "a/b"; expected letters, digits, -, _ and dots, at most 64'),
        ("ucast eth1", 'ucast is "eth1"; expected a device and an IPv4 address'),
        ("ucast eth1 300.1.1.1", 'ucast is "eth1 300.1.1.1"; expected an IPv4 address'),
        (
            "ucast eth1 224.0.0.1",
            'ucast is "eth1 224.0.0.1"; expected the IPv4 address of one node',
        ),
        ("bcast", "bcast has no value; expected one or more devices"),
        ("bcast a/b", 'bcast is "a/b"; expected a device name of at most 15 characters'),
        (
            "mcast e 10.0.0.1 694 1 0",
            'mcast is "e 10.0.0.1 694 1 0"; '
            "expected a multicast group, 224.0.0.0 to 239.255.255.255",
        ),
        (
            "mcast e 239.0.0.1 0 1 0",
            'mcast is "e 239.0.0.1 0 1 0"; expected a number from 1 to 65535',
        ),
        (
            "mcast e 239.0.0.1 694 256 0",
            'mcast is "e 239.0.0.1 694 256 0"; expected a number from 0 to 255',
        ),
        ("mcast e 239.0.0.1 1 1 2", 'mcast is "e 239.0.0.1 1 1 2"; expected a number from 0 to 1'),
        (
            "mcast e 239.0.0.1",
            'mcast is "e 239.0.0.1"; expected a device, a group, a port, a ttl and a loop flag',
        ),
        ("deadtime 2", "deadtime is 2000 ms; expected more than 2 x keepalive (2000 ms)"),
        ("initdead 29", "initdead is 29000 ms; expected at least deadtime (30000 ms)"),
    ],
)
def test_each_mistake_has_its_line(line: str, problem: str) -> None:
    assert errors_of(BASE + line + "\n") == f"ha.cf:3: {problem}"


def test_a_file_without_nodes_and_media_is_refused() -> None:
    assert errors_of("") == (
        'ha.cf: no node; expected "node NAME..." with the names that uname -n prints\n'
        'ha.cf: no medium; expected "ucast DEV IP", "bcast DEV" or "mcast ..."'
    )


def test_all_errors_are_told_together_in_line_order() -> None:
    text = BASE + "initdead 1\nkeepalive 1s\nfoo 1\n"
    lines = [line.split(" ")[0] for line in errors_of(text).split("\n")]
    assert lines == ["ha.cf:3:", "ha.cf:4:", "ha.cf:5:"]


def test_a_foreign_word_cannot_disturb_the_terminal() -> None:
    assert errors_of(BASE + "\x1b[2J" + "x" * 60 + "\n") == (
        'ha.cf:3: unknown directive "?[2J' + "x" * 36 + '..."'
    )


def test_a_line_or_a_file_that_is_too_long_is_refused() -> None:
    long = "# " + "x" * 4_095
    assert errors_of(BASE + long) == "ha.cf:3: the line has 4097 characters; expected at most 4096"
    assert errors_of(BASE + "\n" * 9_999) == "ha.cf:10001: the file has more than 10000 lines"


@pytest.mark.parametrize("directive", ["watchdog /dev/watchdog", "auto_failback on", "hbaping 1 2"])
def test_a_known_directive_without_effect_is_a_warning(directive: str) -> None:
    name = directive.split(" ", maxsplit=1)[0]
    assert warnings_of(BASE + directive + "\n") == [
        f'ha.cf:3: warning: "{name}" is known and not implemented yet; it has no effect'
    ]


def test_every_directive_of_the_man_page_is_known() -> None:
    # 17 scalars, 3 media, 5 about ping nodes and `node` have an effect, 34 have none yet.
    assert len(hacf.KNOWN) == 60
    for name in hacf.KNOWN:
        try:
            hacf.parse(BASE + f"{name} x\n", "ha.cf")
        except ConfigError as error:
            assert "unknown" not in str(error)  # noqa: PT017 (some refuse the value `x`, some do not)


def test_a_directive_that_asks_for_what_is_done_anyway_is_no_warning() -> None:
    assert warnings_of(BASE + "autojoin none\nhbgenmethod file\n") == []


@pytest.mark.parametrize("word", ["none", "other", "any", "Any"])
def test_autojoin_says_who_may_join_without_being_named(word: str) -> None:
    settings, warnings = hacf.parse(BASE + f"autojoin {word}\n", "ha.cf")
    assert (settings.autojoin.value, warnings) == (word.lower(), ())


def test_autojoin_knows_three_words() -> None:
    with pytest.raises(ConfigError, match="none, other or any"):
        hacf.parse(BASE + "autojoin yes\n", "ha.cf")


def test_a_repeated_scalar_is_a_warning_and_the_last_counts() -> None:
    settings, warnings = hacf.parse(BASE + "crm off\npacemaker respawn\n", "ha.cf")
    assert settings.crm is True
    assert [str(each) for each in warnings] == [
        "ha.cf:4: warning: pacemaker again; it replaces line 3; expected one line"
    ]


def test_a_short_initdead_is_a_warning() -> None:
    assert warnings_of(BASE + "deadtime 3\ninitdead 5\n") == [
        "ha.cf:4: warning: initdead is 5000 ms; expected 10 s for slow networks to start"
    ]


def test_max_rexmit_delay_is_in_milliseconds() -> None:
    assert settings_of(BASE + "max_rexmit_delay 100\n").max_rexmit_delay == 100_000_000


def test_the_other_scalars_arrive_in_their_fields() -> None:
    text = BASE + (
        "msgfmt netstring\nrealtime off\ndebug 1\nlogfile /l\ndebugfile /d\nlogfacility local0\n"
        "hopfudge 2\nwarntime 10\n"
    )
    settings = settings_of(text)
    assert settings.classic_auth_field is False
    assert settings.realtime is False
    assert (settings.debug, settings.hopfudge) == (1, 2)
    assert (settings.logfile, settings.debugfile) == ("/l", "/d")
    assert (settings.logfacility, settings.warntime) == ("local0", 10_000_000_000)


def test_the_reports_ha_logd_cf_means_what_it_says() -> None:
    text = "debugfile /var/log/ha-debug\nlogfile   /var/log/ha-log\n"
    assert halogd.parse(text, "ha_logd.cf") == (
        LogSettings("/var/log/ha-log", "/var/log/ha-debug", "daemon", 0o644, "logd", ""),
        (),
    )


def test_every_directive_of_ha_logd_is_read() -> None:
    text = "logfacility none\nlogmode 0640\nentity me\nsyslogprefix p\nlogfile /a\ndebugfile /b\n"
    settings, warnings = halogd.parse(text + "sendqlen 256\nentity you\n", "l")
    assert settings == LogSettings("/a", "/b", "none", 0o640, "you", "p")
    assert [str(each) for each in warnings] == [
        'l:7: warning: "sendqlen" is known and not implemented yet; it has no effect',
        "l:8: warning: entity again; it replaces line 3",
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("logfle /x", 'unknown directive "logfle"; did you mean "logfile"?'),
        ("logfile x", 'logfile is "x"; expected an absolute path'),
        ("logmode 888", 'logmode is "888"; expected an octal mode from 0000 to 0777'),
        ("logmode 1777", 'logmode is "1777"; expected an octal mode from 0000 to 0777'),
        (
            "logfacility deamon",
            'logfacility is "deamon"; expected a syslog facility or none; did you mean "daemon"?',
        ),
    ],
)
def test_each_mistake_in_ha_logd_cf_has_its_line(line: str, problem: str) -> None:
    assert errors_of(line + "\n", halogd.parse) == f"ha.cf:1: {problem}"
