"""The keywords of virtual services, real servers and checkers."""

from typing import Final

from standfest.config.keepalived.grammar import OURS, Keyword, Kind, listing
from standfest.config.keepalived.services import (
    DIGEST,
    DOMAIN,
    FINGERPRINT,
    GROUP_LINE,
    HEX,
    MASKED_HEX,
    METHOD,
    NETMASK,
    SERVER,
    SERVICE,
    STACK,
    STATUSES,
)
from standfest.config.keepalived.shapes import (
    ADDRESS,
    COMMAND,
    FLAG,
    FOREVER,
    INTERFACE,
    TEXT,
    choice,
    names,
    number,
    optional,
    switch,
    timer,
    whole_seconds,
)
from standfest.config.keepalived.weights import FILE_WEIGHT
from standfest.model.time import seconds

_CLASSIC: Final = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq")
SCHEDULERS: Final = (*_CLASSIC, "mh", "fo", "ovf", "twos")
MAX_WEIGHT: Final = 2**31 - 1
_BIG: Final = 2**31 - 1
QUERIES: Final = ("A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA")
_MARK: Final = number(0, 2**32 - 1)
_PORT: Final = number(1, 65_535)
_DEFAULT_PERSISTENCE: Final = seconds(360)
_TIMING: Final = {
    "delay_loop": Keyword(timer("0.000001", FOREVER), "seconds between checks"),
    "retry": Keyword(number(0, 2**32 - 1), "failures until it counts"),
    "delay_before_retry": Keyword(timer("0", FOREVER), "seconds until the next attempt"),
    "warmup": Keyword(timer("0", FOREVER), "the first check is at random within these seconds"),
    "alpha": Keyword(switch(), "bad until it was good"),
    "rise": Keyword(number(1, 2**31 - 1), "successes until it is good again", since=OURS),
}
_LOG: Final = {"log_all_failures": Keyword(switch(), "log every failure")}
_CONNECTION: Final = {
    "connect_ip": Keyword(ADDRESS, "where to connect, not the server's address"),
    "connect_port": Keyword(_PORT, "... not its port"),
    "bindto": Keyword(ADDRESS, "from which address"),
    "bind_port": Keyword(_PORT, "from which port"),
    "bind_if": Keyword(INTERFACE, "through which interface"),
    "fwmark": Keyword(_MARK, "mark of the packets"),
    "connect_timeout": Keyword(timer("0.000001"), "how long to wait"),
}
_CHECK: Final = _CONNECTION | _TIMING | _LOG
_OLD_RETRY: Final = {"nb_get_retry": Keyword(number(0, 2**32 - 1), "retry", instead="retry")}

TCP_CHECK: Final = Kind(_CHECK)
PING_CHECK: Final = Kind(_CHECK)
SMTP_CHECK: Final = Kind(
    _CHECK
    | {
        "helo_name": Keyword(TEXT, "our name in HELO"),
        "host": Keyword(
            optional(names("an address"), ()), "another place to ask", block="host", repeated=True
        ),
    }
)
MAILBOX_CHECK: Final = Kind(
    _CHECK | {"tls": Keyword(switch(), "by TLS from the beginning", since=OURS)}
)
DNS_CHECK: Final = Kind(
    _CHECK
    | {
        "type": Keyword(choice(*QUERIES, fold=True), "type of query"),
        "name": Keyword(DOMAIN, "what to ask for"),
    }
)
UDP_CHECK: Final = Kind(
    _CHECK
    | {
        "payload": Keyword(HEX, "what to send"),
        "require_reply": Keyword(MASKED_HEX, "what must come back"),
        "min_reply_length": Keyword(number(0, 65_535), "bytes at least"),
        "max_reply_length": Keyword(number(0, 65_535), "bytes at most"),
    }
)
MISC_CHECK: Final = Kind(
    _TIMING
    | _LOG
    | {
        "misc_path": Keyword(COMMAND, "the program"),
        "misc_timeout": Keyword(whole_seconds(0, 4294), "its time"),
        "misc_dynamic": Keyword(optional(TEXT, ""), "its exit status sets the weight"),
        "user": Keyword(names("a user, perhaps a group"), "whom it runs as"),
    },
    needs=("misc_path",),
)
FILE_CHECK: Final = Kind(
    {
        "track_file": Keyword(TEXT, "which tracked file"),
        "weight": Keyword(FILE_WEIGHT, "times which it is added"),
    },
    needs=("track_file",),
)
BFD_CHECK: Final = Kind(
    {
        "name": Keyword(TEXT, "which BFD session"),
        "alpha": Keyword(switch(), "bad until it was good"),
    },
    needs=("name",),
)
HTTP_GET: Final = Kind(
    _CHECK
    | _OLD_RETRY
    | {
        "url": Keyword(optional(TEXT, ""), "a page", block="url", repeated=True),
        "http_protocol": Keyword(choice("1.0", "1.0C", "1.0K", "1.1", "1.1K"), "version of HTTP"),
        "virtualhost": Keyword(TEXT, "the site"),
        "enable_sni": Keyword(switch(), "say the site in TLS as well"),
        "sni_name": Keyword(TEXT, "... this one", since="2.2.8"),
        "tls_compliant": Keyword(
            switch(), "an end without close_notify is a failure", since="2.3.0"
        ),
        "fast_recovery": Keyword(switch(), "ask for all pages at once after a failure"),
        "tls_verify": Keyword(switch(), "the certificate must be valid", since=OURS),
        "fingerprint": Keyword(FINGERPRINT, "SHA-256 of the certificate", since=OURS),
    }
)
URL: Final = Kind(
    {
        "path": Keyword(TEXT, "its path"),
        "digest": Keyword(DIGEST, "MD5 of its content"),
        "status_code": Keyword(STATUSES, "which codes are good"),
        "virtualhost": Keyword(TEXT, "the site"),
        "regex": Keyword(TEXT, "what it contains"),
        "regex_no_match": Keyword(FLAG, "... does not contain"),
        "regex_options": Keyword(names("options of PCRE2"), "how that is compared"),
        "regex_stack": Keyword(STACK, "memory for that"),
        "regex_min_offset": Keyword(number(0, _BIG), "where to begin"),
        "regex_max_offset": Keyword(number(0, _BIG), "where to end"),
    }
)
_CHECKERS: Final = {
    name: Keyword(FLAG, about, block=name, repeated=True)
    for name, about in (
        ("TCP_CHECK", "connect"),
        ("HTTP_GET", "ask for pages"),
        ("SSL_GET", "ask for pages by HTTPS"),
        ("SMTP_CHECK", "greet a mail server"),
        ("DNS_CHECK", "ask a name server"),
        ("UDP_CHECK", "send a datagram"),
        ("PING_CHECK", "send an echo request"),
        ("MISC_CHECK", "run a program"),
        ("FILE_CHECK", "read a number from a file"),
        ("BFD_CHECK", "follow a BFD session"),
    )
} | {
    name: Keyword(FLAG, "greet a server of mailboxes", block=name, since=OURS, repeated=True)
    for name in ("IMAP_CHECK", "POP3_CHECK")
}
_SHARED: Final = _TIMING | {
    "connect_timeout": Keyword(timer("0.000001"), "how long checkers wait"),
    "inhibit_on_failure": Keyword(switch(), "weight 0 instead of removal"),
    "smtp_alert": Keyword(switch(), "mail at every change"),
    "virtualhost": Keyword(TEXT, "the site for HTTP_GET"),
    "snmp_name": Keyword(TEXT, "its name in SNMP"),
    "retry": Keyword(number(1, 2**32 - 1), "failures until it counts"),
    "weight": Keyword(number(0, MAX_WEIGHT), "its share"),
}
REAL_SERVER: Final = Kind(
    _SHARED
    | _CHECKERS
    | {
        "lvs_method": Keyword(METHOD, "how packets reach it"),
        "notify_up": Keyword(COMMAND, "run when it is good"),
        "notify_down": Keyword(COMMAND, "run when it is bad"),
        "uthreshold": Keyword(number(0, 2**32 - 1), "connections at most"),
        "lthreshold": Keyword(number(0, 2**32 - 1), "... and when there is room again"),
    }
)
_SCHEDULER: Final = {
    "lvs_sched": Keyword(choice(*SCHEDULERS), "how servers are chosen"),
    "lb_algo": Keyword(choice(*SCHEDULERS), "how servers are chosen"),
    "lvs_method": Keyword(METHOD, "how packets reach servers"),
    "lb_kind": Keyword(METHOD, "how packets reach servers"),
    "flag-1": Keyword(FLAG, "first flag of the scheduler"),
    "flag-2": Keyword(FLAG, "second flag of the scheduler"),
    "flag-3": Keyword(FLAG, "third flag of the scheduler"),
    "sh-port": Keyword(FLAG, "source hashing with ports"),
    "sh-fallback": Keyword(FLAG, "... and with another server when one is bad"),
    "mh-port": Keyword(FLAG, "Maglev hashing with ports"),
    "mh-fallback": Keyword(FLAG, "... and with another server when one is bad"),
    "proxy-v2": Keyword(FLAG, "servers are told who the client is (backend proxy)", since=OURS),
    "ops": Keyword(FLAG, "each datagram for itself"),
    "hashed": Keyword(FLAG, "one entry for each client"),
}
VIRTUAL_SERVER: Final = Kind(
    _SHARED
    | _SCHEDULER
    | {
        "alpha": Keyword(FLAG, "servers are bad until they were good"),
        "inhibit_on_failure": Keyword(FLAG, "weight 0 instead of removal"),
        "weight": Keyword(number(1, MAX_WEIGHT), "share of a server that says none"),
        "protocol": Keyword(choice("TCP", "UDP", "SCTP", fold=True), "transport"),
        "persistence_timeout": Keyword(
            optional(whole_seconds(1, 2_678_400), _DEFAULT_PERSISTENCE), "clients stay so long"
        ),
        "persistence_granularity": Keyword(NETMASK, "which clients are one"),
        "persistence_engine": Keyword(TEXT, "what they are told apart by"),
        "ha_suspend": Keyword(FLAG, "check only while the address is here"),
        "omega": Keyword(FLAG, "run notify scripts at shutdown"),
        "quorum": Keyword(number(1, 2**32 - 1), "weight that must be there"),
        "hysteresis": Keyword(number(0, 2**32 - 1), "weight by which that may be missed"),
        "quorum_up": Keyword(COMMAND, "run when it is there"),
        "quorum_down": Keyword(COMMAND, "run when it is not"),
        "ip_family": Keyword(choice("inet", "inet6"), "family of a service by mark"),
        "sorry_server": Keyword(SERVER, "who answers when it is not"),
        "sorry_server_inhibit": Keyword(switch(), "weight 0 instead of removal"),
        "sorry_server_lvs_method": Keyword(METHOD, "how packets reach it"),
        "real_server": Keyword(SERVER, "a server", block="real_server", repeated=True),
    }
)
OUTSIDE: Final = {
    "virtual_server": Keyword(SERVICE, "a service", block="virtual_server", repeated=True),
    "virtual_server_group": Keyword(
        TEXT, "addresses of a service", block="virtual_server_group", repeated=True
    ),
    "SSL": Keyword(FLAG, "what SSL_GET shows", block="SSL"),
}
KINDS: Final = {
    "virtual_server": VIRTUAL_SERVER,
    "virtual_server_group": listing(GROUP_LINE),
    "real_server": REAL_SERVER,
    "TCP_CHECK": TCP_CHECK,
    "HTTP_GET": HTTP_GET,
    "SSL_GET": HTTP_GET,
    "url": URL,
    "SMTP_CHECK": SMTP_CHECK,
    "host": Kind(_CHECK),
    "IMAP_CHECK": MAILBOX_CHECK,
    "POP3_CHECK": MAILBOX_CHECK,
    "DNS_CHECK": DNS_CHECK,
    "UDP_CHECK": UDP_CHECK,
    "PING_CHECK": PING_CHECK,
    "MISC_CHECK": MISC_CHECK,
    "FILE_CHECK": FILE_CHECK,
    "BFD_CHECK": BFD_CHECK,
    "SSL": Kind(
        {
            "password": Keyword(TEXT, "of the key"),
            "ca": Keyword(TEXT, "file of authorities"),
            "certificate": Keyword(TEXT, "file of our certificate"),
            "key": Keyword(TEXT, "file of its key"),
        }
    ),
}
