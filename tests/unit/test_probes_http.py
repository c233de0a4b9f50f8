"""HTTP_GET and SSL_GET against servers that are right, wrong, slow, hung and resetting."""

import hashlib
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from tests.unit.probing import (
    Behaviour,
    Site,
    certificate,
    closed_port,
    context,
    hangs,
    resets,
    says,
    server,
    site,
    trickles,
)

from standfest.model.balancing import HttpCheck, Regex, Timing, TlsSettings, UrlCheck
from standfest.model.time import milliseconds, seconds

BRIEF = Timing(timeout=milliseconds(300))
GOOD = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nall is well\n"
DIGEST = hashlib.md5(b"all is well\n").hexdigest()


def check(behaviour: Behaviour, *urls: UrlCheck, **settings: object) -> tuple[bool, str]:
    with server(behaviour) as port, site() as bench:
        made = HttpCheck(urls=urls, **settings)  # type: ignore[arg-type]
        outcome = bench.probe(made, port)
        return outcome.succeeded, outcome.reason.replace(f":{port}", "")


def test_a_page_with_the_right_status_is_good() -> None:
    assert check(says(GOOD), UrlCheck("/")) == (True, "GET /: status 200")


def test_another_status_is_named_with_what_was_expected() -> None:
    answer = b"HTTP/1.1 503 Busy\r\n\r\n"
    wanted = UrlCheck("/x", statuses=((200, 299), (404, 404)))
    assert check(says(answer), wanted) == (False, "GET /x: status 503; expected 200-299 404")


def test_the_digest_is_that_of_the_body() -> None:
    assert check(says(GOOD), UrlCheck(digest=DIGEST.upper()))[0]
    good, reason = check(says(GOOD), UrlCheck(digest="0" * 32))
    assert (good, reason) == (False, f"GET /: digest {DIGEST}; expected {'0' * 32}")


def test_an_expression_must_or_must_not_be_found() -> None:
    assert check(says(GOOD), UrlCheck(regex=Regex("is w.ll")))[0]
    assert check(says(GOOD), UrlCheck(regex=Regex("is bad"))) == (
        False,
        "GET /: the body does not match regex is bad",
    )
    assert check(says(GOOD), UrlCheck(regex=Regex("well", must_match=False))) == (
        False,
        "GET /: the body matches regex well",
    )


def test_an_expression_that_tries_for_ever_is_ended() -> None:
    body = b"HTTP/1.0 200 OK\r\n\r\n" + b"a" * 64 + b"!"
    good, reason = check(says(body), UrlCheck(regex=Regex("(a+)+$")))
    assert (good, reason) == (False, "GET /: regex (a+)+$ takes longer than 0.1 s")


def test_all_pages_must_be_right() -> None:
    def serve(connection):  # type: ignore[no-untyped-def]
        path = connection.recv(65536).split()[1]
        connection.sendall(GOOD if path == b"/a" else b"HTTP/1.0 404 No\r\n\r\n")

    assert check(serve, UrlCheck("/a"), UrlCheck("/a"))[0]
    assert check(serve, UrlCheck("/a"), UrlCheck("/b")) == (
        False,
        "GET /b: status 404; expected 200-299",
    )


@pytest.mark.parametrize(
    ("settings", "url", "head"),
    [
        (
            {},
            UrlCheck("/p"),
            b"GET /p HTTP/1.0\r\nUser-Agent: standfest\r\nHost: 127.0.0.1:PORT\r\n",
        ),
        (
            {"protocol": "1.0C", "virtual_host": "www.example.org"},
            UrlCheck("/"),
            b"GET / HTTP/1.0\r\nUser-Agent: standfest\r\nHost: www.example.org\r\n"
            b"Connection: close\r\n",
        ),
        (
            {"protocol": "1.1", "virtual_host": "www.example.org"},
            UrlCheck("/", virtual_host="own.example.org"),
            b"GET / HTTP/1.1\r\nUser-Agent: standfest\r\nHost: own.example.org\r\n"
            b"Connection: close\r\n",
        ),
        (
            {"protocol": "1.1K", "virtual_host": "h"},
            UrlCheck("/a b\r\nX: 1"),  # no setting adds a line
            b"GET /a%20b%0D%0AX:%201 HTTP/1.1\r\nUser-Agent: standfest\r\nHost: h\r\n"
            b"Connection: keep-alive\r\n",
        ),
    ],
)
def test_the_request_is_as_asked_for(
    settings: dict[str, object], url: UrlCheck, head: bytes
) -> None:
    seen: list[bytes] = []

    def serve(connection):  # type: ignore[no-untyped-def]
        seen.append(connection.recv(65536))
        connection.sendall(GOOD)

    with server(serve) as port, site() as bench:
        made = HttpCheck(urls=(url,), **settings)  # type: ignore[arg-type]
        assert bench.probe(made, port).succeeded
    assert seen == [head.replace(b"PORT", str(port).encode()) + b"\r\n"]


def test_a_chunked_answer_is_put_together() -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"4\r\nall \r\n8;x=1\r\nis well\n\r\n0\r\nTrailer: x\r\n\r\n"
    )
    patient = Timing(timeout=seconds(5))  # 80 sleeps, each as long as the machine likes
    url = UrlCheck(digest=DIGEST)
    assert check(trickles(answer, 0.0005), url, protocol="1.1", timing=patient)[0]


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (says(b"SSH-2.0-OpenSSH\r\n"), "127.0.0.1: no HTTP status line"),
        (says(b""), "127.0.0.1: the connection ended without an answer"),
        (says(b"HTTP/1.0 20"), "127.0.0.1: the connection ended in its headers"),
        (
            says(b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nfive!"),
            "127.0.0.1: the connection ended after 5 bytes of the body",
        ),
        (
            says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            "127.0.0.1: no number where a length is expected",
        ),
        (
            says(b"HTTP/1.0 200 OK\r\n" + b"X: y\r\n" * 20_000),
            "127.0.0.1: headers longer than 65536 bytes",
        ),
        (resets, "127.0.0.1: the answer to GET /: connection reset by peer"),
        (hangs, "127.0.0.1: the answer to GET /: not there within 0.3 s"),
        (
            trickles(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 100, 0.02),
            "127.0.0.1: the answer to GET /: not there within 0.3 s",
        ),
    ],
)
def test_a_bad_server_is_bad_for_one_clear_reason(behaviour: Behaviour, reason: str) -> None:
    timing = BRIEF if "within" in reason else Timing()
    good, said = check(behaviour, UrlCheck("/"), timing=timing)
    assert not good
    assert said.startswith(reason)


def test_an_answer_without_an_end_is_ended_by_the_limit_and_told_with_its_progress() -> None:
    def flood(connection):  # type: ignore[no-untyped-def]
        connection.recv(65536)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    good, reason = check(flood, UrlCheck("/", regex=Regex("y")), timing=Timing(timeout=seconds(1)))
    assert not good
    assert reason.startswith("127.0.0.1: the answer to GET /: not there within 1 s, status 200 and")


def test_nobody_listening_is_said_as_for_any_connection() -> None:
    port = closed_port()
    with site() as bench:
        outcome = bench.probe(HttpCheck(), port)
        assert outcome.reason == f"connecting to 127.0.0.1:{port}: connection refused"


# --- TLS ------------------------------------------------------------------------------------------


def check_tls(
    behaviour: Behaviour, tls: ssl.SSLContext, bench: Site, **settings: object
) -> tuple[bool, str]:
    with server(behaviour, tls) as port:
        made = HttpCheck(tls=True, **settings)  # type: ignore[arg-type]
        outcome = bench.probe(made, port)
        return outcome.succeeded, outcome.reason.replace(f":{port}", "")


def test_a_page_comes_over_tls_whoever_signed_it_and_when(tmp_path: Path) -> None:
    """keepalived verifies nothing, and real servers show what they show: so it is the default."""
    with site() as bench:
        urls = (UrlCheck("/", digest=DIGEST),)
        expired = context(tmp_path, days=-1)
        assert check_tls(says(GOOD), expired, bench, urls=urls) == (True, "GET /: status 200")


def test_the_site_is_said_in_the_hello_when_that_is_asked_for(tmp_path: Path) -> None:
    seen: list[object] = []
    tls = context(tmp_path)
    tls.sni_callback = lambda _tls, name, _context: seen.append(name)
    with site() as bench:
        for settings in (
            {},
            {"enable_sni": True, "virtual_host": "www.example.org"},
            {"sni_name": "other.example.org"},
        ):
            assert check_tls(says(GOOD), tls, bench, **settings)[0]
    assert seen == [None, "www.example.org", "other.example.org"]


def test_our_certificate_is_shown_to_a_server_that_asks_for_it(tmp_path: Path) -> None:
    files = certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*files)
    tls.load_verify_locations(files[0])
    tls.verify_mode = ssl.CERT_REQUIRED
    with site(tls=TlsSettings(certificate=files[0], key=files[1])) as bench:
        assert check_tls(says(GOOD), tls, bench)[0]
    with site() as bench:
        good, reason = check_tls(says(GOOD), tls, bench)
        assert not good
        assert reason.startswith("127.0.0.1: ")


def test_a_certificate_that_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    with site(tls=TlsSettings(certificate=str(tmp_path / "none.pem"), password="x")) as bench:
        outcome = bench.probe(HttpCheck(tls=True), 1)
        assert outcome.reason == f"{tmp_path}/none.pem: No such file or directory"


def test_a_server_that_speaks_no_tls_or_hangs_in_the_handshake_is_bad() -> None:
    with site() as bench:
        for behaviour, reason in (
            (says(GOOD), "127.0.0.1: TLS handshake: wrong version number"),
            (hangs, "127.0.0.1: TLS handshake: not there within 0.3 s"),
            (lambda _connection: None, "127.0.0.1: "),
        ):
            with server(behaviour) as port:
                outcome = bench.probe(HttpCheck(timing=BRIEF, tls=True), port)
                assert not outcome.succeeded
                assert outcome.reason.replace(f":{port}", "").startswith(reason)


def test_an_end_without_close_notify_counts_only_when_that_is_asked_for(tmp_path: Path) -> None:
    tls = context(tmp_path)
    with site() as bench:  # the server closes the socket without taking leave
        assert check_tls(says(GOOD), tls, bench)[0]
        assert check_tls(says(GOOD), tls, bench, tls_compliant=True) == (
            False,
            "127.0.0.1: TLS ended without close_notify",
        )


# --- certificates that are looked at, where that is asked for -------------------------------------


def trusting(path: str) -> TlsSettings:
    return TlsSettings(authority=path)


def verified(directory: Path, site_name: str, *, days: int = 1) -> tuple[bool, str]:
    """Check a server whose certificate is for www.example.org, and is trusted."""
    tls = context(directory, days=days)
    with site(tls=trusting(str(directory / "certificate.pem"))) as bench:
        return check_tls(says(GOOD), tls, bench, verify=True, virtual_host=site_name)


def test_a_certificate_is_verified_when_that_is_asked_for(tmp_path: Path) -> None:
    assert verified(tmp_path, "www.example.org") == (True, "GET /: status 200")
    # Nothing is said of a name: any will do.
    assert verified(tmp_path, "")[0]


def test_an_expired_certificate_is_refused_when_that_is_asked_for(tmp_path: Path) -> None:
    good, reason = verified(tmp_path, "www.example.org", days=-1)
    assert (good, reason) == (False, "127.0.0.1: certificate: certificate has expired")


def test_a_certificate_for_another_name_is_refused_when_that_is_asked_for(tmp_path: Path) -> None:
    good, reason = verified(tmp_path, "www.example.com")
    assert not good
    assert reason.startswith("127.0.0.1: certificate: Hostname mismatch")


def test_a_certificate_that_nobody_we_trust_has_signed_is_refused(tmp_path: Path) -> None:
    with site() as bench:
        assert check_tls(says(GOOD), context(tmp_path), bench, verify=True) == (
            False,
            "127.0.0.1: certificate: self-signed certificate",
        )


def test_a_fingerprint_is_that_of_the_certificate_whoever_signed_it(tmp_path: Path) -> None:
    tls = context(tmp_path, days=-1)
    shown = x509.load_pem_x509_certificate((tmp_path / "certificate.pem").read_bytes())
    mine = shown.fingerprint(hashes.SHA256()).hex()
    with site() as bench:
        assert check_tls(says(GOOD), tls, bench, fingerprint=mine)[0]
        assert check_tls(says(GOOD), tls, bench, fingerprint="0" * 64) == (
            False,
            f"127.0.0.1: certificate has fingerprint {mine}; expected {'0' * 64}",
        )
