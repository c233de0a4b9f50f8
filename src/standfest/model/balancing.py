"""Virtual services as an operator describes them: servers, checkers, and when they count.

Defaults are filled in: a server has what its virtual service says, a checker what its server says.
All durations are in ns. Words are those of keepalived.conf(5).
"""

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address

from standfest.model.time import Duration, seconds
from standfest.model.vrrp import Command, Family, IPAddress

AUTO = "auto"
BACKENDS = ("ipvs", "nftables", "xdp", "proxy")
"""What can forward packets; AUTO: the first that suits."""


class Protocol(Enum):
    """The transport of a virtual service; a service by firewall mark has NONE."""

    NONE = ""
    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


class Forwarding(Enum):
    """How a packet reaches a real server."""

    NAT = "NAT"
    DIRECT = "DR"
    TUNNEL = "TUN"


class TunnelType(Enum):
    """What a tunnelled packet is wrapped in."""

    IPIP = "ipip"
    GUE = "gue"
    GRE = "gre"


@dataclass(frozen=True, slots=True)
class Method:
    """A forwarding method; port and checksum ("", nocsum, csum or remcsum) are the tunnel's."""

    forwarding: Forwarding = Forwarding.NAT
    tunnel: TunnelType = TunnelType.IPIP
    port: int = 0
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class AddressService:
    """A virtual service is reached at an address; port 0: all ports."""

    ip: IPAddress
    port: int = 0


@dataclass(frozen=True, slots=True)
class MarkService:
    """A virtual service is what the packet filter marks."""

    mark: int
    family: Family | None = None


@dataclass(frozen=True, slots=True)
class GroupService:
    """A virtual service is reached at all that a group of this name lists."""

    name: str


@dataclass(frozen=True, slots=True)
class AddressRange:
    """Addresses `first` to `last`, both included; port 0: all ports."""

    first: IPv4Address | IPv6Address
    last: IPv4Address | IPv6Address
    port: int = 0


@dataclass(frozen=True, slots=True)
class ServiceGroup:
    """What a virtual service by group is reached at."""

    name: str
    ranges: tuple[AddressRange, ...] = ()
    marks: tuple[MarkService, ...] = ()


@dataclass(frozen=True, slots=True)
class Timing:
    """When a checker looks, and how often it is wrong before that counts.

    interval: `delay_loop`, from the end of one check to the next. retry: further attempts, each
    `retry_delay` after the failure before. warmup: the first check is at random within it.
    alpha: the server counts as failed until a check has succeeded. rise: successes in a row that
    bring a failed server back.
    """

    interval: Duration = seconds(60)
    timeout: Duration = seconds(5)
    retry: int = 1
    retry_delay: Duration = seconds(1)
    warmup: Duration = seconds(60)
    alpha: bool = False
    log_all_failures: bool = False
    rise: int = 1


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a checker connects to, and from; None and 0 leave it to server and kernel."""

    ip: IPAddress | None = None
    port: int = 0
    source: IPAddress | None = None
    source_port: int = 0
    interface: str = ""
    mark: int = 0


@dataclass(frozen=True, slots=True)
class TcpCheck:
    """Connect, and close."""

    connection: Connection = Connection()
    timing: Timing = Timing()


@dataclass(frozen=True, slots=True)
class PingCheck:
    """One ICMP echo."""

    connection: Connection = Connection()
    timing: Timing = Timing()


@dataclass(frozen=True, slots=True)
class UdpCheck:
    """One datagram; no ICMP error may come back, and with `require_reply` an answer must.

    reply_mask: which bits of `reply` count; lengths are bytes.
    """

    connection: Connection = Connection()
    timing: Timing = Timing()
    payload: bytes = b""
    require_reply: bool = False
    reply: bytes = b""
    reply_mask: bytes = b""
    min_reply_length: int = 0
    max_reply_length: int = 255


@dataclass(frozen=True, slots=True)
class SmtpCheck:
    """Banner, HELO, QUIT at each of the hosts (usually one: the server itself)."""

    hosts: tuple[Connection, ...] = (Connection(),)
    timing: Timing = Timing()
    helo_name: str = ""


@dataclass(frozen=True, slots=True)
class MailboxCheck:
    """Greeting and leave-taking of a server of mailboxes; protocol: IMAP or POP3."""

    connection: Connection = Connection()
    timing: Timing = Timing()
    protocol: str = "IMAP"
    tls: bool = False


@dataclass(frozen=True, slots=True)
class DnsCheck:
    """One query over UDP, which must be answered without an error."""

    connection: Connection = Connection()
    timing: Timing = Timing(retry=3)
    type: str = "SOA"
    name: str = "."


@dataclass(frozen=True, slots=True)
class Regex:
    """What the body of an answer must contain, or must not; offsets are bytes."""

    pattern: str
    options: tuple[str, ...] = ()
    must_match: bool = True
    min_offset: int = 0
    max_offset: int | None = None
    stack: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class UrlCheck:
    """One page: its status must be in one of `statuses` (both ends included).

    digest: MD5 of the body in hexadecimal, "" for any.
    """

    path: str = "/"
    statuses: tuple[tuple[int, int], ...] = ((200, 299),)
    digest: str = ""
    virtual_host: str = ""
    regex: Regex | None = None


@dataclass(frozen=True, slots=True)
class HttpCheck:
    """Pages by HTTP, or by HTTPS with `tls`; all must be right.

    protocol: 1.0, 1.0C, 1.1 (or with a K after it). sni: the name to send, "" for none.
    fast_recovery: after a failure all pages are asked for at once, not one per interval.
    verify: the certificate must be trusted, valid today, and for `sni_name` or the site.
    fingerprint: SHA-256 of the certificate, lower-case hexadecimal, "" for any.
    """

    connection: Connection = Connection()
    timing: Timing = Timing(retry_delay=seconds(3))
    urls: tuple[UrlCheck, ...] = ()
    tls: bool = False
    protocol: str = "1.0"
    virtual_host: str = ""
    enable_sni: bool = False
    sni_name: str = ""
    tls_compliant: bool = False
    fast_recovery: bool = False
    verify: bool = False
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class MiscCheck:
    """A program: exit status 0 good, 1 bad; with `dynamic` 2..255 is good and sets the weight."""

    command: Command
    timing: Timing = Timing(retry=0)
    timeout: Duration = 0
    dynamic: bool = False
    dynamic_reset: bool = False


@dataclass(frozen=True, slots=True)
class FileCheck:
    """A tracked file; its value times `weight` (None: the file's own) is added to the weight."""

    file: str
    weight: int | None = None
    reverse: bool = False
    dynamic: bool = False


@dataclass(frozen=True, slots=True)
class BfdCheck:
    """A BFD session must be up."""

    session: str
    alpha: bool = False


Checker = (
    TcpCheck
    | PingCheck
    | UdpCheck
    | SmtpCheck
    | MailboxCheck
    | DnsCheck
    | HttpCheck
    | MiscCheck
    | FileCheck
    | BfdCheck
)


@dataclass(frozen=True, slots=True)
class RealServer:
    """One server; port 0: that of the connection. Thresholds are connections, 0: none.

    inhibit_on_failure: a failed server keeps its connections (weight 0) instead of being removed.
    """

    ip: IPAddress
    port: int = 0
    weight: int = 1
    method: Method = Method()
    checkers: tuple[Checker, ...] = ()
    inhibit_on_failure: bool = False
    upper_threshold: int = 0
    lower_threshold: int = 0
    notify_up: Command | None = None
    notify_down: Command | None = None
    smtp_alert: bool = False
    snmp_name: str = ""


@dataclass(frozen=True, slots=True)
class SorryServer:
    """Who answers while the quorum is lost."""

    ip: IPAddress
    port: int = 0
    method: Method = Method()
    inhibit: bool = False


@dataclass(frozen=True, slots=True)
class Persistence:
    """A client stays with its server for `timeout`.

    mask: clients are told apart by these bits: an IPv4 netmask, which need not be a prefix, or an
    IPv6 prefix length; None: by all.
    """

    timeout: Duration
    mask: IPv4Address | int | None = None
    engine: str = ""


@dataclass(frozen=True, slots=True)
class VirtualService:
    """One service that is spread over real servers.

    quorum: total weight that must be there, hysteresis: weight that must be missing or too much
    before that changes. omega: notify at shutdown as well. flags: of the scheduler (sh-port, ...).
    suspend: check only while the address is here (`ha_suspend`).
    """

    service: AddressService | MarkService | GroupService
    protocol: Protocol = Protocol.TCP
    scheduler: str = "wlc"
    flags: tuple[str, ...] = ()
    one_packet: bool = False
    method: Method = Method()
    family: Family | None = None
    persistence: Persistence | None = None
    servers: tuple[RealServer, ...] = ()
    sorry_server: SorryServer | None = None
    quorum: int = 1
    hysteresis: int = 0
    quorum_up: Command | None = None
    quorum_down: Command | None = None
    omega: bool = False
    suspend: bool = False
    smtp_alert: bool = False
    snmp_name: str = ""


@dataclass(frozen=True, slots=True)
class SyncDaemon:
    """Where connections are copied to and from; instance "": whether active or not.

    id: 0..255, None: the instance's virtual router id. max_length: bytes of a packet, 0: the MTU's.
    group: of multicast, or the partner's address. key_file: has the secret that signs, "" for none.
    """

    interface: str
    instance: str = ""
    id: int | None = None
    max_length: int = 0
    port: int = 8848
    ttl: int = 1
    group: IPAddress | None = None
    key_file: str = ""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """The certificate that SSL_GET shows; password is never shown."""

    password: str = ""
    authority: str = ""
    certificate: str = ""
    key: str = ""

    def __repr__(self) -> str:
        """Return all but the password."""
        return f"TlsSettings(certificate={self.certificate!r}, key={self.key!r})"


@dataclass(frozen=True, slots=True)
class BalancerSettings:
    """All that the balancing part of a director needs.

    flush_at_start, flush_at_stop: begin and leave with empty tables ("services": only ours).
    timeouts: of idle connections, None: as the kernel has them. backend: what forwards packets.
    slow_start: how long a server that comes back takes to its full weight.
    """

    services: tuple[VirtualService, ...] = ()
    groups: tuple[ServiceGroup, ...] = ()
    sync_daemon: SyncDaemon | None = None
    tls: TlsSettings | None = None
    tcp_timeout: Duration | None = None
    tcp_fin_timeout: Duration | None = None
    udp_timeout: Duration | None = None
    flush_at_start: bool = False
    flush_at_stop: str = ""
    network_namespace: str = ""
    tell_at_start: bool = False
    checker_emails: bool = True
    log_all_failures: bool = False
    backend: str = "auto"
    slow_start: Duration = 0
