"""HTTP_GET and SSL_GET: pages, one after the other; all must be right.

keepalived asks for one page per interval while a server is bad, unless `fast_recovery` is set; here
every check asks for all pages, so that a verdict always speaks of all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final

from standfest.adapters.linux.probes import bounded, sockets
from standfest.adapters.linux.probes.alarms import Alarms
from standfest.adapters.linux.probes.sockets import Place
from standfest.adapters.linux.probes.talk import Talk
from standfest.model.balancing import HttpCheck, UrlCheck
from standfest.model.pattern import Pattern, PatternError, compile_pattern
from standfest.ports.probes import Outcome, Target, Waiter
from standfest.wire.http import Answer, request

if TYPE_CHECKING:
    from standfest.adapters.linux.probes.tls import Secure

KEEP: Final = 1 << 20
"""Bytes of a body that an expression is searched in."""
HTTP_PORT: Final = 80
HTTPS_PORT: Final = 443


class Page:
    """The speaker of one page."""

    def __init__(self, url: UrlCheck, host: str, protocol: str) -> None:
        self._url, self._host, self._protocol = url, host, protocol
        self._answer = Answer(KEEP if url.regex is not None else 0, hashed=bool(url.digest))
        self.outcome: Outcome | None = None
        self.phase = f"the answer to GET {url.path}"

    @property
    def progress(self) -> str:
        """Return what has come of the answer."""
        if not self._answer.status:
            return ""
        return f"status {self._answer.status} and {self._answer.length} bytes came"

    def begin(self) -> bytes:
        """Return the request."""
        return request(self._url.path, self._host, self._protocol)

    def receive(self, data: bytes) -> bytes:
        """Take a piece of the answer; raises WireError."""
        answer = self._answer
        was_unknown = not answer.status
        is_complete = answer.receive(data)
        wrong = was_unknown and answer.status and not _is_wanted(self._url, answer.status)
        if is_complete or wrong:  # the body of a wrong status changes nothing
            self.outcome = judge(self._url, answer)
        return b""


def judge(url: UrlCheck, answer: Answer) -> Outcome:
    """Return what an answer comes to."""
    if not _is_wanted(url, answer.status):
        wanted = " ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in url.statuses)
        return Outcome(False, f"GET {url.path}: status {answer.status}; expected {wanted}")
    if url.digest and answer.digest != url.digest.lower():
        text = f"GET {url.path}: digest {answer.digest}; expected {url.digest.lower()}"
        return Outcome(False, text)
    problem = _compare(url, answer) if url.regex is not None else ""
    if problem:
        return Outcome(False, f"GET {url.path}: {problem}")
    return Outcome(True, f"GET {url.path}: status {answer.status}")


def _is_wanted(url: UrlCheck, status: int) -> bool:
    return any(first <= status <= last for first, last in url.statuses)


def _compare(url: UrlCheck, answer: Answer) -> str:
    """Return why the body is not as it should be, or nothing."""
    regex = url.regex
    assert regex is not None, "whoever calls has looked"
    try:
        pattern = _pattern(regex.pattern, regex.options)
        found = bounded.is_found(pattern, bytes(answer.body), regex.min_offset, regex.max_offset)
    except PatternError as error:
        return f"regex {regex.pattern}: {error}"
    except bounded.TooSlowError:
        return f"regex {regex.pattern} takes longer than {bounded.BUDGET_S:g} s"
    if found == regex.must_match:
        return ""
    return f"the body {'matches' if found else 'does not match'} regex {regex.pattern}"


@lru_cache(maxsize=256)
def _pattern(pattern: str, options: tuple[str, ...]) -> Pattern:
    return compile_pattern(pattern, options)


class WebProbe:
    """One probe of an HttpCheck."""

    def __init__(
        self,
        waiter: Waiter,
        alarms: Alarms,
        target: Target,
        secure: "Secure | None",
        on_end: Callable[[Outcome], None],
    ) -> None:
        checker = target.checker
        assert isinstance(checker, HttpCheck), "whoever sorts probes has looked"
        self._waiter, self._alarms, self._on_end = waiter, alarms, on_end
        self._checker, self._secure = checker, secure
        self._place = Place.of(target, checker.connection)
        self._talk: Talk | None = None

    def begin(self) -> None:
        """Ask for the first page; raises OSError."""
        self._ask(0)

    def give_up(self) -> None:
        """End it without a report."""
        if self._talk is not None:
            self._talk.give_up()

    def _ask(self, number: int) -> None:
        checker = self._checker
        # Without any page the server's own answer counts, as it does to keepalived.
        url = checker.urls[number] if checker.urls else UrlCheck()
        page = Page(url, self._host(url), checker.protocol)
        limit = checker.timing.timeout
        on_end = partial(self._on_page, number)
        self._talk = Talk(self._waiter, self._alarms, page, limit, on_end)
        self._talk.begin(self._place, self._secure)

    def _on_page(self, number: int, outcome: Outcome) -> None:
        if not outcome.succeeded or number + 1 >= len(self._checker.urls):
            self._on_end(outcome)
            return
        try:
            self._ask(number + 1)
        except OSError as error:
            self._on_end(Outcome(False, f"{self._place}: {sockets.words(error.errno)}"))

    def _host(self, url: UrlCheck) -> str:
        """Return the Host header: the site, or else the address, with an unusual port."""
        site = url.virtual_host or self._checker.virtual_host
        if site:
            return site
        usual = HTTPS_PORT if self._checker.tls else HTTP_PORT
        port = self._place.port
        return sockets.host(self._place.address) + ("" if port == usual else f":{port}")


@dataclass(frozen=True, slots=True)
class Demands:
    """What a checker asks of TLS.

    name: sent in the hello, "" none; verify: the certificate must be valid today, trusted, and
    for `name` unless that is ""; fingerprint: SHA-256 of the certificate; compliant: an end without
    close_notify is a failure.
    """

    name: str = ""
    verify: bool = False
    fingerprint: str = ""
    compliant: bool = False


def demands_of(checker: HttpCheck) -> Demands:
    """Return what a checker asks of TLS."""
    site = checker.virtual_host or next((u.virtual_host for u in checker.urls), "")
    # Whom a certificate is for is compared with the name that was said.
    says_name = checker.enable_sni or bool(checker.sni_name) or checker.verify
    return Demands(
        name=(checker.sni_name or site) if says_name else "",
        verify=checker.verify,
        fingerprint=checker.fingerprint,
        compliant=checker.tls_compliant,
    )
