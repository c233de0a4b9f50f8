"""Routes and rules that move with a virtual router: commands for ip(8), run by the helper.

Their words are ip-route(8)'s and ip-rule(8)'s already. Adding what is there, and removing what is
gone, are successes, so their exit status is not looked at.
"""

from standfest.core.vrrp.effects import AddRoutes, AddRules, RemoveRoutes, RemoveRules
from standfest.model.vrrp import Command, Family, Route, Rule

IP = "ip"


def routing_commands(
    effect: AddRoutes | RemoveRoutes | AddRules | RemoveRules,
) -> list[Command]:
    """Return the commands of an effect, in its order."""
    match effect:
        case AddRoutes(_, routes):
            return [_command(route, "route", "replace") for route in routes]
        case RemoveRoutes(_, routes):
            return [_command(route, "route", "del") for route in reversed(routes)]
        case AddRules(_, rules):
            return [_command(rule, "rule", "add") for rule in rules]
        case RemoveRules(_, rules):
            return [_command(rule, "rule", "del") for rule in reversed(rules)]


def _command(what: Route | Rule, kind: str, verb: str) -> Command:
    family = "-6" if what.family is Family.IPV6 else "-4"
    return Command((IP, family, kind, verb, *what.words), "0")
