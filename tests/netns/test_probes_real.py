"""Checkers against nginx, Postfix and Dovecot themselves, and against them when they hang."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.probing import certificate, closed_port, site

from standfest.model.balancing import (
    Checker,
    Connection,
    HttpCheck,
    MailboxCheck,
    Regex,
    SmtpCheck,
    TcpCheck,
    Timing,
    TlsSettings,
    UrlCheck,
)
from standfest.model.time import seconds

POSTFIX_MASTER = "/usr/lib/postfix/sbin/master"
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
DOVECOT = shutil.which("dovecot") or "/usr/sbin/dovecot"
START_S = 10.0
TIMING = Timing(timeout=seconds(3))
SHORT = Timing(timeout=seconds(1))

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="real servers change to users of their own"),
]


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not Path(program).exists(), reason=f"needs {program}")


@contextlib.contextmanager
def running(words: list[str], *ports: int) -> Iterator[int]:
    """Run a server until its ports answer; yield its process group."""
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        until = time.monotonic() + START_S
        for port in ports:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    assert time.monotonic() < until, f"{words[0]} does not listen on {port}"
                    assert process.poll() is None, f"{words[0]} has ended"
                    time.sleep(0.05)
        yield process.pid
    finally:
        for number in (signal.SIGCONT, signal.SIGTERM):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)


@contextlib.contextmanager
def frozen(group: int) -> Iterator[None]:
    """Stop a server: its kernel still takes connections, and nobody answers them."""
    os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(group, signal.SIGCONT)


def found(checker: Checker, port: int, tls: TlsSettings | None = None) -> tuple[bool, str]:
    with site(tls=tls) as bench:
        outcome = bench.probe(checker, port)
        return outcome.succeeded, outcome.reason.replace(f"127.0.0.1:{port}", "there")


@needs(NGINX)
def test_pages_of_nginx_are_checked_by_http_and_https(tmp_path: Path) -> None:
    plain, secure = closed_port(), closed_port()
    public, secret = certificate(tmp_path, days=-1)
    (tmp_path / "page.html").write_text("All is well\n", encoding="ascii")
    os.chmod(tmp_path, 0o755)
    conf = tmp_path / "nginx.conf"
    conf.write_text(
        f"pid {tmp_path}/pid; error_log {tmp_path}/error; daemon off; user root;\n"
        "events {}\n"
        f"http {{ access_log off; root {tmp_path};\n"
        f"server {{ listen 127.0.0.1:{plain}; listen 127.0.0.1:{secure} ssl;\n"
        f"ssl_certificate {public}; ssl_certificate_key {secret};\n"
        "location /old { return 301 /page.html; } } }\n",
        encoding="ascii",
    )
    # printf 'All is well\n' | md5sum
    page = UrlCheck("/page.html", digest="04ddcc2bb6c5d7abc80f7a209f1f6af0")
    other = UrlCheck("/page.html", digest="0" * 32)
    with running([NGINX, "-c", str(conf), "-p", str(tmp_path)], plain, secure) as group:
        good = UrlCheck("/page.html", regex=Regex("is w.ll$"))
        for protocol in ("1.0", "1.0C", "1.1", "1.1K"):
            http = HttpCheck(urls=(good,), timing=TIMING, protocol=protocol)
            assert found(http, plain) == (True, "GET /page.html: status 200")
        wrong = HttpCheck(urls=(UrlCheck("/none"),), timing=TIMING)
        assert found(wrong, plain) == (False, "GET /none: status 404; expected 200-299")
        moved = HttpCheck(urls=(UrlCheck("/old", ((301, 301),)),), timing=TIMING)
        assert found(moved, plain)[0]
        assert found(HttpCheck(urls=(page,), timing=TIMING), plain)[0]
        assert not found(HttpCheck(urls=(other,), timing=TIMING), plain)[0]
        https = HttpCheck(urls=(good,), timing=TIMING, tls=True, sni_name="www.example.org")
        assert found(https, secure)[0]
        strict = HttpCheck(urls=(good,), timing=TIMING, tls=True, verify=True)
        assert found(strict, secure, TlsSettings(authority=public)) == (
            False,
            "there: certificate: certificate has expired",
        )
        assert not found(HttpCheck(urls=(good,), timing=TIMING), secure)[0]
        with frozen(group):  # a connection is not yet an answer
            assert found(TcpCheck(timing=SHORT), plain)[0]
            hung = HttpCheck(urls=(good,), timing=SHORT)
            assert found(hung, plain) == (
                False,
                "there: the answer to GET /page.html: not there within 1 s",
            )
            hung = HttpCheck(urls=(good,), timing=SHORT, tls=True)
            assert found(hung, secure) == (False, "there: TLS handshake: not there within 1 s")
    assert found(TcpCheck(timing=SHORT), plain) == (
        False,
        "connecting to there: connection refused",
    )


@needs(DOVECOT)
def test_dovecot_greets_by_imap_with_tls_and_without(tmp_path: Path) -> None:
    plain, secure = closed_port(), closed_port()
    public, secret = certificate(tmp_path)
    conf = tmp_path / "dovecot.conf"
    conf.write_text(
        f"base_dir = {tmp_path}/run\nstate_dir = {tmp_path}/state\nprotocols = imap\n"
        f"log_path = {tmp_path}/log\nlisten = 127.0.0.1\n"
        f"ssl = yes\nssl_cert = <{public}\nssl_key = <{secret}\n"
        "passdb {\n driver = static\n args = nopassword=y\n}\n"
        "service imap-login {\n"
        f" inet_listener imap {{\n port = {plain}\n }}\n"
        f" inet_listener imaps {{\n port = {secure}\n ssl = yes\n }}\n}}\n",
        encoding="ascii",
    )
    os.chmod(tmp_path, 0o755)
    with running([DOVECOT, "-F", "-c", str(conf)], plain, secure) as group:
        assert found(MailboxCheck(timing=TIMING), plain) == (True, "greets by IMAP")
        assert found(MailboxCheck(timing=TIMING, tls=True), secure)[0]
        good, reason = found(MailboxCheck(timing=TIMING, protocol="POP3"), plain)
        assert not good
        assert reason.startswith('the greeting: "* OK')
        with frozen(group):
            assert found(MailboxCheck(timing=SHORT), plain) == (
                False,
                "there: the greeting: not there within 1 s",
            )


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that other users can reach, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="standfest-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@needs(POSTFIX_MASTER)
def test_postfix_greets_by_smtp(open_directory: Path) -> None:
    port = closed_port()
    etc, queue = open_directory / "etc", open_directory / "queue"
    data = open_directory / "data"
    for directory in (etc, queue, data, *(queue / name for name in QUEUES)):
        directory.mkdir()
    for directory in (queue / name for name in ("private", "public")):
        shutil.chown(directory, "postfix")
    shutil.chown(data, "postfix")
    (etc / "main.cf").write_text(
        f"compatibility_level = 3.6\nqueue_directory = {queue}\ndata_directory = {data}\n"
        "myhostname = mail.example.org\nmydestination =\nalias_maps =\ninet_protocols = ipv4\n"
        f"maillog_file = {open_directory}/log\nmaillog_file_prefixes = {open_directory}\n",
        encoding="ascii",
    )
    (etc / "master.cf").write_text(
        f"127.0.0.1:{port} inet n - n - - smtpd\n"
        "postlog unix-dgram n - n - 1 postlogd\nanvil unix - - n - 1 anvil\n"
        "rewrite unix - - n - - trivial-rewrite\nproxymap unix - - n - - proxymap\n",
        encoding="ascii",
    )
    with running([POSTFIX_MASTER, "-d", "-c", str(etc)], port) as group:
        check = SmtpCheck((Connection(port=port),), TIMING, "director.example.org")
        assert found(check, 25) == (True, "greets by SMTP")
        with frozen(group):
            good, reason = found(SmtpCheck((Connection(port=port),), SHORT), 25)
            assert not good
            assert reason.endswith(": the banner: not there within 1 s")


QUEUES = ("pid", "private", "public", "maildrop", "incoming", "active", "deferred", "defer", "hold")
