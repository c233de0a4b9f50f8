"""What is wrong or doubtful although every line is allowed: one rule, one function.

Errors are what keepalived would drop or read differently from what is written; warnings are what it
changes silently or what is known to go wrong later.
Source: facts/KEEPALIVED.md sections 4 to 6, and experiments with keepalived 2.2.7.
"""

from standfest.config.keepalived import judge_balancer, judge_global, judge_owners, judge_vrrp
from standfest.config.keepalived.parse import Parsed

RULES = (*judge_global.RULES, *judge_vrrp.RULES, *judge_balancer.RULES, *judge_owners.RULES)


def judge(parsed: Parsed) -> None:
    """Apply all rules to a configuration; findings go to its report."""
    for rule in RULES:
        rule(parsed.root, parsed.report)
