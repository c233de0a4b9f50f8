"""Checkers of keepalived.conf: their settings, and the words that only we know."""

import pytest

from standfest.config.keepalived.load import load, read
from standfest.config.keepalived.source import Setting
from standfest.model.balancing import Checker, HttpCheck, MailboxCheck, TcpCheck
from standfest.model.errors import ConfigError
from standfest.model.time import seconds

SETTING = Setting("alpha", {})


def text(block: str, port: int = 80, server: str = "") -> str:
    return (
        f"virtual_server 192.0.2.1 {port} {{\n protocol TCP\n lb_algo rr\n lb_kind NAT\n"
        f" delay_loop 6\n real_server 10.0.0.1 {port} {{\n{server}\n{block}\n }}\n}}\n"
    )


def checker(block: str, port: int = 80, server: str = "") -> Checker:
    settings = load(text(block, port, server), "k", SETTING).balancer
    (found,) = settings.services[0].servers[0].checkers
    return found


def remarks(block: str) -> list[str]:
    report = read(text(block), "k", SETTING).report
    return [str(finding).removeprefix("k:") for finding in report.findings]


@pytest.mark.parametrize(
    ("block", "port", "protocol", "tls"),
    [
        ("IMAP_CHECK {\n}", 143, "IMAP", False),
        ("IMAP_CHECK {\n}", 993, "IMAP", True),
        ("POP3_CHECK {\n}", 995, "POP3", True),
        ("POP3_CHECK {\n connect_port 995\n}", 110, "POP3", True),
        ("POP3_CHECK {\n tls off\n}", 995, "POP3", False),
        ("IMAP_CHECK {\n tls\n}", 10143, "IMAP", True),
    ],
)
def test_mailboxes_are_greeted_by_tls_on_the_ports_that_are_for_it(
    block: str, port: int, protocol: str, tls: bool
) -> None:
    found = checker(block, port)
    assert isinstance(found, MailboxCheck)
    assert (found.protocol, found.tls) == (protocol, tls)
    assert found.timing.interval == seconds(6)


def test_the_backend_and_a_slow_start_are_words_of_ours() -> None:
    more = "global_defs {\n balancer_backend nftables\n slow_start 30\n}\n"
    settings = load(more + text("TCP_CHECK {\n}"), "k", SETTING)
    assert settings.balancer.backend == "nftables"
    assert settings.balancer.slow_start == seconds(30)
    assert [str(one) for one in settings.findings] == [
        'k:2: warning: "balancer_backend" is our own: keepalived does not know it',
        'k:3: warning: "slow_start" is our own: keepalived does not know it',
    ]


@pytest.mark.parametrize(
    "daemon",
    ["global_defs {\n lvs_sync_daemon eth0 gw\n", "global_defs {\n"],
    ids=["lvs_sync_daemon", "lvs_sync_daemon_interface"],
)
def test_copies_of_connections_are_signed_with_the_key_of_a_file(daemon: str) -> None:
    router = (
        "vrrp_instance gw {\n interface eth0\n virtual_router_id 1\n"
        " lvs_sync_daemon_interface eth0\n virtual_ipaddress {\n 192.0.2.1/24\n }\n}\n"
    )
    more = daemon + " lvs_sync_key_file /etc/standfest/sync.key\n}\n" + router
    sync = load(more + text("TCP_CHECK {\n}"), "k", SETTING).balancer.sync_daemon
    assert sync is not None
    assert (sync.instance, sync.key_file) == ("gw", "/etc/standfest/sync.key")


def test_a_key_has_an_absolute_path() -> None:
    expected = 'k:2: lvs_sync_key_file is "sync.key"; expected an absolute path'
    with pytest.raises(ConfigError, match=expected):
        load("global_defs {\n lvs_sync_key_file sync.key\n}\n", "k", SETTING)


def test_a_service_may_tell_its_servers_who_the_client_is() -> None:
    service = "virtual_server 192.0.2.1 25 {\n proxy-v2\n real_server 10.0.0.1 25 {\n}\n}\n"
    settings = load(service, "k", SETTING)
    assert settings.balancer.services[0].flags == ("proxy-v2",)
    assert 'k:2: warning: "proxy-v2" is our own: keepalived does not know it' in [
        str(one) for one in settings.findings
    ]


def test_what_only_we_know_is_said_to_be_so() -> None:
    block = "IMAP_CHECK {\n tls\n rise 2\n}"
    assert remarks(block) == [
        '8: warning: "IMAP_CHECK" is our own: keepalived does not know it',
        '9: warning: "tls" is our own: keepalived does not know it',
        '10: warning: "rise" is our own: keepalived does not know it',
    ]


def test_a_certificate_may_be_asked_for() -> None:
    found = checker(f"SSL_GET {{\n tls_verify\n fingerprint {'AB:' * 31}AB\n url {{\n }}\n}}")
    assert isinstance(found, HttpCheck)
    assert (found.verify, found.fingerprint) == (True, "ab" * 32)
    assert remarks("SSL_GET {\n fingerprint abc\n url {\n }\n}")[-1] == (
        '9: fingerprint is "abc"; expected 64 hexadecimal digits'
    )


def test_successes_that_a_server_needs_are_handed_down() -> None:
    found = checker("TCP_CHECK {\n}", server="rise 3")
    assert isinstance(found, TcpCheck)
    assert found.timing.rise == 3
    own = checker("TCP_CHECK {\n rise 2\n}", server="rise 3")
    assert isinstance(own, TcpCheck)
    assert own.timing.rise == 2


def test_checkers_that_are_alike_are_one_value() -> None:
    assert checker("TCP_CHECK {\n connect_timeout 3\n}") is checker(
        "TCP_CHECK {\n connect_timeout 3\n}"
    )


def test_an_expression_that_cannot_be_compared_is_told_where_it_stands() -> None:
    def found(words: str) -> list[str]:
        return remarks(f"HTTP_GET {{\n url {{\n{words}\n }}\n}}")

    assert found('regex "^[[:digit:]]+(?<unit>ms)$"\nregex_options caseless ungreedy') == []
    assert found('regex "(a"') == [
        '10: regex "(a" cannot be compared: missing ), unterminated subpattern at position 0'
    ]
    assert found('regex "(?R)"') == ['10: regex "(?R)" cannot be compared: (?R cannot be had']
    (line,) = found('regex "a"\nregex_options alt_bsux')
    assert line.startswith('10: regex "a" cannot be compared: option alt_bsux cannot be had')
