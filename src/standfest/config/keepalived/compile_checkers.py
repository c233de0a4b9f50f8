"""Entries of checkers -> settings of model/balancing.py.

What a checker does not say itself is as its server says, or else as the virtual service does.
"""

from dataclasses import replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from standfest.config.keepalived.check import Entry
from standfest.config.keepalived.compile_common import command, given, run_as, switched, value
from standfest.model.balancing import (
    BfdCheck,
    Checker,
    Connection,
    DnsCheck,
    FileCheck,
    HttpCheck,
    MailboxCheck,
    MiscCheck,
    PingCheck,
    Regex,
    SmtpCheck,
    TcpCheck,
    Timing,
    UdpCheck,
    UrlCheck,
)
from standfest.model.time import seconds

_ADDRESS: Final = (IPv4Address, IPv6Address)
_PORTS: Final = {"SMTP_CHECK": 25, "DNS_CHECK": 53}
"""Ports that a checker goes to when neither it nor its server says one."""
_TLS_PORTS: Final = frozenset({993, 995})
"""IMAP and POP3 by TLS from the beginning (RFC 8314 section 3)."""


def _timing(block: Entry, server: Entry, service: Entry) -> Timing:
    base = Timing()
    retry, delay = base.retry, base.retry_delay
    interval = _handed(block, server, service, base.interval, "delay_loop")
    match block.keyword:
        case "HTTP_GET" | "SSL_GET":
            delay = seconds(3)
        case "DNS_CHECK":
            retry, delay = 3, interval
        case "MISC_CHECK":
            retry = 0
        case _:
            pass
    return Timing(
        interval=interval,
        timeout=_handed(block, server, service, base.timeout, "connect_timeout"),
        retry=_handed(block, server, service, retry, "retry", "nb_get_retry"),
        retry_delay=_handed(block, server, service, delay, "delay_before_retry"),
        warmup=_handed(block, server, service, interval, "warmup"),
        alpha=switched(
            block, switched(server, switched(service, False, "alpha"), "alpha"), "alpha"
        ),
        log_all_failures=switched(block, False, "log_all_failures"),
        rise=_handed(block, server, service, base.rise, "rise"),
    )


def _handed(block: Entry, server: Entry, service: Entry, default: int, *keywords: str) -> int:
    for place in (block, server, service):
        found = given(place, int, *keywords)
        if found is not None:
            return found
    return default


def _connection(block: Entry) -> Connection:
    ip = given(block, object, "connect_ip")
    source = given(block, object, "bindto")
    assert ip is None or isinstance(ip, _ADDRESS), "an address"
    assert source is None or isinstance(source, _ADDRESS), "an address"
    return Connection(
        ip=ip,
        port=value(block, _PORTS.get(block.keyword, 0), "connect_port"),
        source=source,
        source_port=value(block, 0, "bind_port"),
        interface=value(block, "", "bind_if"),
        mark=value(block, 0, "fwmark"),
    )


def checker(block: Entry, server: Entry, service: Entry) -> Checker | None:
    """Return the checker that an entry of a real_server is, or None when it is none.

    Checkers that are alike are one value: a director has thousands, and few that differ.
    """
    found = _checker(block, server, service) if block.kind else None
    return None if found is None else _shared(found)


@lru_cache(maxsize=1024)
def _shared(checker: Checker) -> Checker:
    return checker


def _checker(block: Entry, server: Entry, service: Entry) -> Checker | None:
    timing = _timing(block, server, service)
    match block.keyword:
        case "TCP_CHECK":
            return TcpCheck(_connection(block), timing)
        case "PING_CHECK":
            return PingCheck(_connection(block), timing)
        case "UDP_CHECK":
            return _udp(block, timing)
        case "SMTP_CHECK":
            return _smtp(block, timing)
        case "IMAP_CHECK" | "POP3_CHECK":
            return _mailbox(block, server, service, timing)
        case "DNS_CHECK":
            kind, name = value(block, "SOA", "type"), value(block, ".", "name")
            return DnsCheck(_connection(block), timing, kind, name)
        case "HTTP_GET" | "SSL_GET":
            return _http(block, server, service, timing)
        case "MISC_CHECK":
            return _misc(block, timing)
        case "FILE_CHECK":
            weight, reverse = given(block, tuple, "weight") or (None, False)
            return FileCheck(value(block, "", "track_file"), weight, reverse)
        case "BFD_CHECK":
            return BfdCheck(value(block, "", "name"), timing.alpha)
        case _:
            return None


def _udp(block: Entry, timing: Timing) -> UdpCheck:
    reply, mask = given(block, tuple, "require_reply") or (b"", b"")
    return UdpCheck(
        connection=_connection(block),
        timing=timing,
        payload=value(block, b"", "payload"),
        require_reply=block.has("require_reply"),
        reply=reply,
        reply_mask=mask,
        min_reply_length=value(block, 0, "min_reply_length"),
        max_reply_length=value(block, 255, "max_reply_length"),
    )


def _smtp(block: Entry, timing: Timing) -> SmtpCheck:
    own = _connection(block)
    hosts = [_host(host, own) for host in block.all("host")]
    return SmtpCheck(tuple(hosts) or (own,), timing, value(block, "", "helo_name"))


def _host(block: Entry, around: Connection) -> Connection:
    """Return another place to ask: `host [ADDRESS [PORT]] { ... }`, the rest as around it."""
    own = replace(_connection(block))
    words = block.statement.words
    ip = own.ip
    if ip is None and words:
        try:
            ip = ip_address(words[0])
        except ValueError:
            ip = None
    return replace(around, ip=ip or around.ip, port=own.port or around.port)


def _mailbox(block: Entry, server: Entry, service: Entry, timing: Timing) -> MailboxCheck:
    """Return a check of IMAP or POP3: by TLS on the ports that are for that, unless it is said."""
    connection = _connection(block)
    reached = getattr(service.value, "port", 0)
    port = connection.port or _port_of(server) or reached
    protocol = block.keyword.removesuffix("_CHECK")
    return MailboxCheck(connection, timing, protocol, switched(block, port in _TLS_PORTS, "tls"))


def _port_of(server: Entry) -> int:
    place = server.value
    return place[1] if isinstance(place, tuple) and isinstance(place[1], int) else 0


def _http(block: Entry, server: Entry, service: Entry, timing: Timing) -> HttpCheck:
    site = value(server, value(service, "", "virtualhost"), "virtualhost")
    return HttpCheck(
        connection=_connection(block),
        timing=timing,
        urls=tuple(_url(one) for one in block.all("url")),
        tls=block.keyword == "SSL_GET",
        protocol=value(block, "1.0", "http_protocol"),
        virtual_host=value(block, site, "virtualhost"),
        enable_sni=switched(block, False, "enable_sni"),
        sni_name=value(block, "", "sni_name"),
        tls_compliant=switched(block, False, "tls_compliant"),
        fast_recovery=switched(block, False, "fast_recovery"),
        verify=switched(block, False, "tls_verify"),
        fingerprint=value(block, "", "fingerprint"),
    )


def _url(block: Entry) -> UrlCheck:
    pattern = given(block, str, "regex")
    regex = None
    if pattern is not None:
        regex = Regex(
            pattern=pattern,
            options=given(block, tuple, "regex_options") or (),
            must_match=not block.has("regex_no_match"),
            min_offset=value(block, 0, "regex_min_offset"),
            max_offset=given(block, int, "regex_max_offset"),
            stack=given(block, tuple, "regex_stack"),
        )
    digest = value(block, "", "digest")
    return UrlCheck(
        path=value(block, "/", "path"),
        statuses=given(block, tuple, "status_code") or UrlCheck().statuses,
        digest=digest,
        virtual_host=value(block, "", "virtualhost"),
        regex=regex,
    )


def _misc(block: Entry, timing: Timing) -> MiscCheck:
    program = command(block, "misc_path")
    assert program is not None, "a MISC_CHECK without misc_path has been left out"
    return MiscCheck(
        command=run_as(program, block),
        timing=timing,
        timeout=value(block, 0, "misc_timeout"),
        dynamic=block.has("misc_dynamic"),
        dynamic_reset=value(block, "", "misc_dynamic") == "reset",
    )
