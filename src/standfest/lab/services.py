"""Which service answers what: the catalogue, and the init scripts that the lab provides.

Stand-ins answer the protocol's greeting. As root, Postfix and Dovecot themselves run where Debian's
packages are installed.
"""

import os
from dataclasses import dataclass
from pathlib import Path

UNKNOWN_PORT = 20_000
POSTFIX = Path("/usr/sbin/postfix")
POSTFIX_MASTER = Path("/usr/lib/postfix/sbin/master")
DOVECOT = Path("/usr/sbin/dovecot")


@dataclass(frozen=True, slots=True)
class Probe:
    """How a client recognises a service: `smtp`, `imap`, `pop3`, `http`, `rpc` or `banner`."""

    protocol: str
    port: int


CATALOGUE = {
    "postfix": Probe("smtp", 25),
    "exim4": Probe("smtp", 25),
    "sendmail": Probe("smtp", 25),
    "xinetd": Probe("imap", 143),  # the report's UW-IMAP runs under it
    "dovecot": Probe("imap", 143),
    "courier-imap": Probe("imap", 143),
    "cyrus-imapd": Probe("imap", 143),
    "nfs": Probe("rpc", 2049),
    "nfs-server": Probe("rpc", 2049),
    "nfs-kernel-server": Probe("rpc", 2049),
    "apache2": Probe("http", 80),
    "httpd": Probe("http", 80),
    "nginx": Probe("http", 80),
}


def probes_for(name: str, number: int) -> Probe:
    """Return how to probe a service; one that is not in the catalogue gets a banner of its own."""
    return CATALOGUE.get(name, Probe("banner", UNKNOWN_PORT + number))


def real_service(probe: Probe) -> str | None:
    """Return the installed program that can serve this protocol here, or None."""
    if os.geteuid() != 0 or not _owns_users():
        return None  # Postfix and Dovecot change to users that one mapped user does not have
    if probe.protocol == "smtp" and POSTFIX.exists() and POSTFIX_MASTER.exists():
        return "postfix"
    if probe.protocol == "imap" and DOVECOT.exists():
        return "dovecot"
    return None


def _owns_users() -> bool:
    fields = Path("/proc/self/uid_map").read_text(encoding="ascii").split()
    return fields[:1] == ["0"] and int(fields[2]) > 65_536


def power_on_commands(probe: Probe) -> list[list[str]]:
    """Return what a node runs once when it is switched on, for a real service."""
    if real_service(probe) == "postfix":
        return [[str(POSTFIX), "-c", "/etc/postfix", "check"]]
    return []


def init_script(name: str, probe: Probe, python: str, standin: str) -> str:
    """Return the text of /etc/init.d/NAME."""
    match real_service(probe):
        case "postfix":
            # What `postfix start` does after its long check of directories, made at power-on.
            start = f"{POSTFIX_MASTER} -w -c /etc/postfix"
            status = _pid_status("/var/spool/postfix/pid/master.pid")
            return _wrapper(start, "/usr/sbin/postfix stop", status)
        case "dovecot":
            start = "/usr/sbin/dovecot -c /etc/dovecot/lab.conf"
            stop = "/usr/bin/doveadm -c /etc/dovecot/lab.conf stop"
            return _wrapper(start, stop, _pid_status("/run/dovecot/master.pid"))
        case _:
            pidfile = pid_file(name, probe)
            start = f"exec {python} -I -S {standin} {probe.protocol} {probe.port} {pidfile}"
            return _wrapper(start, _pid_stop(pidfile), _pid_status(pidfile))


def pid_file(name: str, probe: Probe) -> str:
    """Return the file with the service's process id, inside a node."""
    match real_service(probe):
        case "postfix":
            return "/var/spool/postfix/pid/master.pid"
        case "dovecot":
            return "/run/dovecot/master.pid"
        case _:
            return f"/run/{name}.pid"


def configuration_files(probe: Probe, node: str) -> dict[str, str]:
    """Return the files that a real service needs, by path inside the node."""
    match real_service(probe):
        case "postfix":
            master = Path("/usr/share/postfix/master.cf.dist").read_text(encoding="utf-8")
            return {
                "/etc/postfix/main.cf": _MAIN_CF.format(node=node),
                "/etc/postfix/master.cf": _without_chroot(master),
            }
        case "dovecot":
            return {"/etc/dovecot/lab.conf": _DOVECOT_CONF.format(node=node)}
        case _:
            return {}


def _without_chroot(master: str) -> str:
    lines = []
    for line in master.splitlines():
        fields = line.split()
        if len(fields) >= 8 and not line[0].isspace() and not line.startswith("#"):
            fields[4] = "n"
            lines.append(" ".join(fields))
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _wrapper(start: str, stop: str, status: str) -> str:
    return f"""#!/bin/sh
case "$1" in
start) {start};;
stop) {stop};;
status) {status};;
*) exit 3;;
esac
"""


def _pid_status(pidfile: str) -> str:
    return f'read pid < {pidfile} 2>/dev/null && kill -0 "$pid" 2>/dev/null || exit 3'


def _pid_stop(pidfile: str) -> str:
    return (
        f'read pid < {pidfile} && kill "$pid"; '
        f'while kill -0 "$pid" 2>/dev/null; do sleep 0.01; done; rm -f {pidfile}'
    )


# Both are set for a client that connects 200 times a second: processes serve many clients, and
# connections are not logged.
_MAIN_CF = """compatibility_level = 3.6
myhostname = {node}
smtpd_banner = {node} ESMTP
mydestination = {node}, localhost
inet_interfaces = all
inet_protocols = ipv4
queue_directory = /var/spool/postfix
data_directory = /var/lib/postfix
mail_owner = postfix
alias_maps =
smtpd_peername_lookup = no
smtpd_client_event_limit_exceptions = 0.0.0.0/0
max_use = 100000
"""

_DOVECOT_CONF = """protocols = imap
listen = *
ssl = no
base_dir = /run/dovecot/
state_dir = /run/dovecot/state
log_path = /var/log/dovecot.log
info_log_path = /dev/null
login_greeting = {node} ready
mail_location = maildir:/home/%u
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home=/home/%u
}}
service imap-login {{
  service_count = 0
  process_min_avail = 1
  inet_listener imap {{
    port = 143
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
"""
