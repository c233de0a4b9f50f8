"""A firewall plan as nftables rules in a table of our own, and as iptables commands.

Our accept lets nothing through that another table drops (nft(8), "policy"): it counts what comes
and names it, and what has to be added to others' chains is printed in their own form.
"""

import re
from collections.abc import Iterator

from standfest.core.setup.firewall import Plan, Rule
from standfest.model.setup import LoadTable
from standfest.model.vrrp import Family

FAMILY = "inet"
TABLE = "standfest_firewall"
PRIORITIES = {"input": -10, "forward": -10, "postrouting": 100}
MAX_COMMENT = 100
_NOT_IN_COMMENTS = re.compile(r"[^A-Za-z0-9 .,:_'()-]")


def table(plan: Plan) -> LoadTable:
    """Return the step that loads the rules."""
    why = "lets through what the directors need, and counts it"
    return LoadTable(FAMILY, TABLE, "\n".join(_chains(plan)), why)


def _chains(plan: Plan) -> Iterator[str]:
    for chain, priority in PRIORITIES.items():
        rules = [rule for rule in plan.rules if rule.chain == chain]
        if not rules:
            continue
        kind = "nat" if chain == "postrouting" else "filter"
        yield f"  chain {chain} {{"
        yield f"    type {kind} hook {chain} priority {priority}; policy accept;"
        for rule in rules:
            for line in nft(rule):
                yield f"    {line}"
        yield "  }"


def nft(rule: Rule) -> Iterator[str]:
    """Yield a rule in nftables' words: two where some of its ends have a port and others none."""
    tail = f'counter {"masquerade" if rule.masquerade else "accept"} comment "{_comment(rule)}"'
    head = []
    if rule.interface:
        head.append(f'iifname "{rule.interface}"')
    if rule.not_out:
        head.append(f'oifname != "{rule.not_out}"')
    word = "ip6" if rule.family is Family.IPV6 else "ip"
    if rule.sources:
        head.append(f"{word} saddr {_set(rule.sources)}")
    if rule.destinations:
        head.append(f"{word} daddr {_set(rule.destinations)}")
    if rule.established:
        head.append("ct state established,related")
    if rule.port:
        head.append(f"{rule.protocol} dport {rule.port}")
    elif rule.protocol and not rule.ends:
        head.append(f"meta l4proto {rule.protocol}")
    if not rule.ends:
        yield " ".join([*head, tail])
    side = f"{rule.of}addr"
    for ports in (True, False):
        ends = [(ip, port) for ip, port in rule.ends if bool(port) is ports]
        if ends and ports:
            pairs = f"{{ {', '.join(f'{ip} . {port}' for ip, port in ends)} }}"
            match = f"{word} {side} . {rule.protocol or 'th'} {rule.of}port {pairs}"
            yield " ".join([*head, match, tail])
        elif ends:
            kind = [f"meta l4proto {rule.protocol}"] if rule.protocol else []
            yield " ".join(
                [*head, f"{word} {side} {_set([str(ip) for ip, _ in ends])}", *kind, tail]
            )


def iptables(rule: Rule) -> Iterator[str]:
    """Yield the commands that add a rule to iptables' own chains."""
    program = "ip6tables" if rule.family is Family.IPV6 else "iptables"
    where = f"-t nat -A {rule.chain.upper()}" if rule.masquerade else f"-A {rule.chain.upper()}"
    comment = f'-m comment --comment "{_comment(rule)}"'
    verdict = "MASQUERADE" if rule.masquerade else "ACCEPT"
    head = [program, where]
    head += ["-i", rule.interface] if rule.interface else []
    head += ["!", "-o", rule.not_out] if rule.not_out else []
    head += ["-p", rule.protocol] if rule.protocol else []
    head += ["-s", ",".join(rule.sources)] if rule.sources else []
    head += ["-d", ",".join(rule.destinations)] if rule.destinations else []
    head += ["-m conntrack --ctstate ESTABLISHED,RELATED"] if rule.established else []
    head += ["--dport", str(rule.port)] if rule.port else []
    if not rule.ends:
        yield " ".join([*head, comment, "-j", verdict])
    for ip, port in rule.ends:
        words = [f"-{rule.of}", str(ip)]
        words += [f"--{rule.of}port", str(port)] if port and rule.protocol else []
        yield " ".join([*head, *words, comment, "-j", verdict])


def _set(values: tuple[str, ...] | list[str]) -> str:
    return values[0] if len(values) == 1 else f"{{ {', '.join(values)} }}"


def _comment(rule: Rule) -> str:
    """Names of instances are the operator's: only what both programs take stays of them."""
    return _NOT_IN_COMMENTS.sub("_", rule.why)[:MAX_COMMENT]
