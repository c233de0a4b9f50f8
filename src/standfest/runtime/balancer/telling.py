"""Telling operators of servers and quorums: log, pipes, scripts, mail, in this order.

Source: keepalived.conf(5): notify_up, notify_down, quorum_up, quorum_down, smtp_alert,
lvs_notify_fifo, no_checker_emails.
"""

from standfest.core.balancer.effects import Drained, PoolEffect, QuorumChanged, ServerChanged
from standfest.model.vrrp import Command
from standfest.runtime.balancer import naming
from standfest.runtime.balancer.assignment import Assignment
from standfest.runtime.balancer.checks import Check
from standfest.runtime.balancer.effects import Effects, Fifo, Mail, Run, Say


def told(assignment: Assignment, effect: PoolEffect) -> Effects:
    """Return what one change is told by."""
    match effect:
        case ServerChanged(pool, server, up, reason):
            return _server(assignment, pool, server, reason, up=up)
        case QuorumChanged(pool, up, weight, needed):
            return _quorum(assignment, pool, weight, needed, up=up)
        case Drained(pool, server, remaining):
            service = assignment.balancer.services[pool]
            who = naming.server_name(service, service.servers[server])
            left = f", {remaining} connections are left" if remaining else ""
            return [Say(f"Drained {who} of VS {naming.service_name(service)}{left}")]


def checker_line(check: Check, reason: str, *, up: bool) -> Say:
    """Return the line about a checker's verdict."""
    return Say(f"{check.name} {'succeeded' if up else 'failed'}: {reason}")


def checker_mail(assignment: Assignment, check: Check, reason: str, *, up: bool) -> Effects:
    """Return the mail about a checker whose server has not changed by it."""
    service = assignment.balancer.services[check.pool]
    server = service.servers[check.server]
    if not (server.smtp_alert and assignment.balancer.checker_emails):
        return []
    who = naming.server_name(service, server)
    verdict = "succeeded" if up else "failed"
    subject = f"{check.word} of real server {who} has {verdict}"
    return _mail(assignment, subject, f"{check.name} {verdict}: {reason}\n")


def started(
    assignment: Assignment, pool: int, *, servers: tuple[int, ...], quorate: bool
) -> Effects:
    """Return what the begin of a service is told by; servers: those that are told of, too.

    A quorum that has not been gained yet was never lost: only the log has it.
    """
    service = assignment.balancer.services[pool]
    name = naming.service_name(service)
    effects: Effects = []
    for server in servers:
        effects += _server_scripts(assignment, pool, server, up=True)
    if not quorate:
        more = f" and hysteresis {service.hysteresis}" if service.hysteresis else ""
        return [*effects, Say(f"VS {name} begins without its quorum of {service.quorum}{more}")]
    effects.append(Fifo(f"VS {name} UP"))
    return effects + _run(f"VS {name}", service.quorum_up)


def ended(assignment: Assignment, pool: int, *, servers: tuple[int, ...]) -> Effects:
    """Return what the end of a service is told by that has `omega`."""
    service = assignment.balancer.services[pool]
    name = naming.service_name(service)
    effects: Effects = []
    for server in servers:
        effects += _server_scripts(assignment, pool, server, up=False)
    effects.append(Fifo(f"VS {name} DOWN"))
    return effects + _run(f"VS {name}", service.quorum_down)


def _server(assignment: Assignment, pool: int, server: int, reason: str, *, up: bool) -> Effects:
    service = assignment.balancer.services[pool]
    real = service.servers[server]
    who, where = naming.server_name(service, real), naming.service_name(service)
    if real.inhibit_on_failure:
        line = f"{'Enabling' if up else 'Disabling'} service {who} of VS {where}: {reason}"
    elif up:
        line = f"Adding service {who} to VS {where}: {reason}"
    else:
        line = f"Removing service {who} from VS {where}: {reason}"
    effects: Effects = [Say(line), *_server_scripts(assignment, pool, server, up=up)]
    if real.smtp_alert:
        state = "UP" if up else "DOWN"
        subject = f"Real server {who} of virtual server {where} is {state}"
        effects += _mail(assignment, subject, f"{line}\n")
    return effects


def _server_scripts(assignment: Assignment, pool: int, server: int, *, up: bool) -> Effects:
    service = assignment.balancer.services[pool]
    real = service.servers[server]
    who, where = naming.server_name(service, real), naming.service_name(service)
    line = f"RS {who} {where} {'UP' if up else 'DOWN'}"
    return [Fifo(line), *_run(f"RS {who} {where}", real.notify_up if up else real.notify_down)]


def _quorum(assignment: Assignment, pool: int, weight: int, needed: int, *, up: bool) -> Effects:
    service = assignment.balancer.services[pool]
    name = naming.service_name(service)
    line = f"{'Gained' if up else 'Lost'} quorum for VS {name}: weight {weight}, quorum {needed}"
    effects: Effects = [Say(line, warning=not up)]
    sorry = service.sorry_server
    if sorry is not None:
        who = naming.server_name(service, sorry)
        verb = "Removing sorry server {} from" if up else "Adding sorry server {} to"
        effects.append(Say(f"{verb.format(who)} VS {name}"))
    effects.append(Fifo(f"VS {name} {'UP' if up else 'DOWN'}"))
    effects += _run(f"VS {name}", service.quorum_up if up else service.quorum_down)
    if service.smtp_alert:
        subject = f"Virtual server {name} has {'gained' if up else 'lost'} its quorum"
        effects += _mail(assignment, subject, f"{line}\n")
    return effects


def _run(key: str, command: Command | None) -> Effects:
    return [] if command is None else [Run(key, command)]


def _mail(assignment: Assignment, subject: str, body: str) -> Effects:
    if not assignment.globals.mail.recipients:
        return []
    return [Mail(f"[{assignment.globals.router_id}] {subject}", body)]
